"""Votes against members that live, signed by one that is trusted, told to everybody.

One voice is no majority: it can make a member suspect for as long as its refutation takes, and
nothing more. Each vote claims to have heard its subject later than the last refutation, or it would
be void.

Rules this module keeps:

1. It signs as the member whose keys it has, about all others that it was told of.
"""

import socket
from random import Random

from protocol.detector.detection import VOTES_PER_BATCH_MAX, Gossip, SignedVotes, Vote
from protocol.signing import Domain, sign
from protocol.wire.messages import votes_payload

from .contact import Contact, meet_all
from .keys import HostileError, Stolen
from .turns import turns

_AHEAD = 1_000_000
_STEP = 1_000
"""So much newer each vote is; a refutation leaps as far as what it refutes."""
_STAMP_BITS = 32


def slander(
    stolen: Stolen, targets: list[tuple[str, int]], *, per_s: float, for_s: float, rng: Random
) -> dict[str, int]:
    """Tell all targets that the others cannot be reached; how many batches and votes were told."""
    contacts = meet_all(targets, stolen)
    lives = {contact.node: _life_of(contacts, contact) for contact in contacts}
    batches = votes_told = 0
    # Above all that the member itself counts to in this life.
    stamp = (rng.getrandbits(20) + (1 << 20)) << _STAMP_BITS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in turns(per_s=per_s, for_s=for_s):
            subjects = rng.sample(list(lives), min(len(lives), VOTES_PER_BATCH_MAX))
            counter = _AHEAD + batches * _STEP
            votes = tuple(Vote(subject, lives[subject], counter) for subject in subjects)
            gossip = Gossip((), (_signed(stolen, votes, stamp + batches),))
            for contact in contacts:
                udp.sendto(contact.datagram(gossip), contact.address)
            batches += 1
            votes_told += len(votes)
    return {"batches_count": batches, "votes_count": votes_told, "met_count": len(contacts)}


def _signed(stolen: Stolen, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
    payload = votes_payload(stolen.node, votes, stamp)
    signature = sign(stolen.keys, Domain.VOTES, stolen.cluster, payload)
    return SignedVotes(
        author=stolen.node, epoch=stolen.chain.epoch, votes=votes, stamp=stamp, signature=signature
    )


def _life_of(contacts: list[Contact], subject: Contact) -> int:
    """Which life a node is in, as it tells everybody itself."""
    record = subject.branch_of(subject.node).node
    if record is None:
        raise HostileError(f"{subject.address[0]} says nothing of itself")
    return record.incarnation
