"""Votes against members that live, signed by one that is trusted, told to everybody.

One voice is no majority: it can make a member suspect for as long as its refutation takes, and
nothing more. Each vote claims to have heard its subject later than the last refutation, or it would
be void.

Rules this module keeps:

1. It signs as the member whose keys it has, about those whom it is to accuse, else about all whom
   it tells.
"""

import socket
from dataclasses import dataclass
from random import Random

from protocol.detector.detection import VOTES_PER_BATCH_MAX, Gossip, SignedVotes, Vote
from protocol.signing import Domain, sign
from protocol.wire.messages import votes_payload

from .contact import Contact, meet, meet_all
from .keys import HostileError, Stolen
from .turns import turns

AHEAD = 1_000_000
"""So much later than its first moments the first vote claims to have heard its subject."""
_STEP = 1_000
"""So much newer each vote is; a refutation leaps as far as what it refutes."""
_STAMP_BITS = 32


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom votes are against, and how far ahead of the truth they are."""

    accused: tuple[tuple[str, int], ...] = ()
    """Gossip addresses; those hear of it only if they are told too. Empty: all who are told."""
    ahead: int = AHEAD
    """The counter of the first vote."""


_ALL = Aim()


def slander(
    stolen: Stolen,
    targets: list[tuple[str, int]],
    *,
    per_s: float,
    for_s: float,
    rng: Random,
    aim: Aim = _ALL,
) -> dict[str, int]:
    """Tell all targets that the accused cannot be reached; how many batches and votes were told.

    Raises:
        HostileError: nobody answers, or one of the accused does not.
    """
    contacts = meet_all(targets, stolen)
    subjects = [meet(address, stolen) for address in aim.accused] or contacts
    lives = {subject.node: _life_of(subject) for subject in subjects}
    batches = votes_told = 0
    # Above all that the member itself counts to in this life.
    stamp = (rng.getrandbits(20) + (1 << 20)) << _STAMP_BITS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in turns(per_s=per_s, for_s=for_s):
            named = rng.sample(list(lives), min(len(lives), VOTES_PER_BATCH_MAX))
            counter = aim.ahead + batches * _STEP
            votes = tuple(Vote(subject, lives[subject], counter) for subject in named)
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


def _life_of(subject: Contact) -> int:
    """Which life a node is in, as it tells everybody itself."""
    record = subject.branch_of(subject.node).node
    if record is None:
        raise HostileError(f"{subject.address[0]} says nothing of itself")
    return record.incarnation
