"""Mutants of what becomes of a key that was replaced."""

import math
from collections.abc import Sequence
from dataclasses import replace

from chaos.sim.plan import Fault, FaultKind, Role
from protocol import keyring, signing
from protocol.branch import Branch
from protocol.commits import Dot, Head
from protocol.detector.detection import SignedAck, SignedVotes
from protocol.errors import RefusedError
from protocol.identity import NodeId, unpack_event
from protocol.keyring import MemberVoice
from protocol.registry import Registry
from protocol.wire.messages import ack_payload, votes_payload

from .mutant import Mutant, Patch, small_plan

_LEARN = vars(Registry)["learn"]


def _version_alone(self: Head) -> Dot:
    return Dot(0, self.version)


def _any_key_of_the_chain(
    self: Branch, head: Head, *, signed_here: bool = False, kept: bool = False
) -> None:
    key = self.chain.key_of(head.epoch)
    if key is None or not (signed_here or head.signed_by(key, self._trust)):
        raise RefusedError("bad_signature", "not signed by its owner for this cluster")


def _learn_no_successor(
    self: Registry, packed: Sequence[bytes], *, now: float = 0.0
) -> tuple[Branch, bool]:
    known = self.branch(NodeId(unpack_event(packed[0]).hash)) if packed else None
    return (known, False) if known is not None else _LEARN(self, packed, now=now)


def _verify_with_any_key(self: MemberVoice, item: SignedAck | SignedVotes) -> bool:
    if isinstance(item, SignedAck):
        author, domain = item.node, signing.Domain.ACK
        payload = ack_payload(item.node, item.incarnation, item.counter)
    else:
        author, domain = item.author, signing.Domain.VOTES
        payload = votes_payload(item.author, item.votes, item.stamp)
    chain = self._registry.chain(author)
    key = chain.key_of(item.epoch) if chain is not None else None
    return key is not None and self._trust.verify(key, domain, payload, item.signature)


_ROTATED = Fault(FaultKind.ROTATE, 4.0, 6.0, (1,))
_STOLEN = replace(small_plan(_ROTATED, nodes=6), villains=((5, Role.THIEF),))
"""One node goes on with another key, and somebody has the one before."""

ROTATION: tuple[Mutant, ...] = (
    Mutant(
        "old-key-commits",
        "commits go by their versions alone, and any key of their owner's chain may sign them",
        "rotation",
        _STOLEN,
        (
            Patch(Head, "dot", property(_version_alone)),
            Patch(Branch, "_check_head", _any_key_of_the_chain),
        ),
    ),
    Mutant(
        "old-key-votes",
        "votes and acks count with whichever key of their author's chain they were signed",
        "rotation",
        _STOLEN,
        (Patch(MemberVoice, "verify", _verify_with_any_key),),
    ),
    Mutant(
        "first-key-for-ever",
        "who knows an owner learns no later key events of it",
        "rotation",
        small_plan(_ROTATED),
        (Patch(Registry, "learn", _learn_no_successor),),
    ),
    Mutant(
        "grace-for-ever",
        "datagrams under a replaced key pass beside the new one without an end",
        "rotation",
        _STOLEN,
        (
            Patch(keyring, "GRACE_S", math.inf),
            Patch(keyring, "OVERTAKING_S", math.inf),
        ),
    ),
)
