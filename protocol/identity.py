"""Names for things: nodes, addresses, clusters, and the key events that make an id self-certifying.

A node id is the BLAKE2b-256 hash of the node's *inception event*, so nobody can take an id without
the key, and the id outlives the key: keys rotate by a chain of signed events, each revealing the
key that the one before it committed to (pre-rotation, as in KERI, arXiv:1907.02143, section 9).

Rules this module keeps:

1. An id is 32 raw bytes in the core; people see base32, programs see it whole, people the first 8.
2. A chain is accepted whole or not at all; the epoch of a key is the sequence number of its event.
3. A rotation is signed by the key it reveals, so a stolen current key cannot rotate.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

from . import signing
from .errors import BadKeyEventError, MalformedError
from .wire import codec

NodeId = NewType("NodeId", bytes)
"""32 bytes; equal ids are the same node."""

NODE_ID_BYTES = 32
KEY_EVENTS_MAX = 1_000
"""Longest key chain we accept: one rotation a day for almost three years."""

INCEPTION, ROTATION, REVOCATION = 0, 1, 2
NO_NEXT_KEY = bytes(32)
"""What a revocation commits to: no key has that hash, as far as anybody knows."""
_FORMAT = 1
_SHORT_IDS_KEPT = 1_024
"""Every step that is applied is logged with one."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where datagrams and streams for a node go."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def id_text(node: NodeId) -> str:
    """The whole id as lower-case base32 without padding: 52 characters."""
    return base64.b32encode(node).decode("ascii").rstrip("=").lower()


@lru_cache(maxsize=_SHORT_IDS_KEPT)
def short_id(node: NodeId) -> str:
    """The first 8 characters of the id, for people; never compare by it."""
    return id_text(node)[:8]


def parse_id(text: str) -> NodeId:
    """Read what `id_text` wrote.

    Raises:
        MalformedError: not 52 characters of base32.
    """
    try:
        raw = base64.b32decode(text.upper() + "====")
    except ValueError:
        raise MalformedError("node id", "not base32") from None
    if len(text) != 52 or len(raw) != NODE_ID_BYTES or id_text(NodeId(raw)) != text:
        raise MalformedError("node id", "not 52 characters of lower-case base32")
    return NodeId(raw)


def commitment(public_key: bytes) -> bytes:
    """What an event says of the next key without revealing it: its BLAKE2b-256 hash."""
    return hashlib.blake2b(public_key, digest_size=32, person=b"kith/next-key").digest()


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """One step of a node's key chain, with its signature and the bytes that were signed."""

    kind: int
    sequence: int
    previous: bytes
    public_key: bytes
    next_commitment: bytes
    encoded: bytes
    signature: bytes

    @property
    def hash(self) -> bytes:
        """BLAKE2b-256 of the signed bytes; of an inception event, the node id."""
        return hashlib.blake2b(self.encoded, digest_size=32).digest()

    def pack(self) -> bytes:
        """The event as it travels and is stored: signed bytes and signature."""
        return codec.pack([self.encoded, self.signature])


def make_event(
    kind: int,
    *,
    previous: KeyEvent | None,
    key: signing.Signer,
    next_commitment: bytes,
    cluster: bytes,
) -> KeyEvent:
    """Sign the next event of a chain with `key`, the key that the event reveals."""
    sequence = previous.sequence + 1 if previous else 0
    before = previous.hash if previous else b""
    fields = [_FORMAT, kind, sequence, before, key.public_key, next_commitment]
    encoded = codec.pack(fields)
    signature = signing.sign(key, signing.Domain.KEY_EVENT, cluster, encoded)
    return KeyEvent(kind, sequence, before, key.public_key, next_commitment, encoded, signature)


def unpack_event(packed: bytes) -> KeyEvent:
    """Read an event, without judging it.

    Raises:
        MalformedError: the bytes are not an event.
    """
    outer = codec.read(packed, "key event")
    encoded, signature = outer.raw("body", most=256), outer.fixed("signature", 64)
    outer.end()
    return read_event(encoded, signature)


def read_event(encoded: bytes, signature: bytes) -> KeyEvent:
    """Read the signed bytes of an event, without judging it. Raises MalformedError."""
    body = codec.read(encoded, "key event body")
    body.integer("format", low=_FORMAT, high=_FORMAT)
    kind = body.integer("kind", high=REVOCATION)
    sequence = body.integer("sequence", high=KEY_EVENTS_MAX)
    previous = body.raw("previous", most=32)
    public_key = body.fixed("public_key", 32)
    following = body.fixed("next_commitment", 32)
    body.end()
    return KeyEvent(kind, sequence, previous, public_key, following, encoded, signature)


@dataclass(frozen=True, slots=True)
class KeyChain:
    """A node's verified key events, oldest first. Make one with `verify_chain`."""

    node: NodeId
    events: tuple[KeyEvent, ...]

    @property
    def epoch(self) -> int:
        """Which key signs now: the sequence number of the newest event."""
        return self.events[-1].sequence

    @property
    def revoked(self) -> bool:
        """Whether the owner has ended this identity; nothing signed later is accepted."""
        return self.events[-1].kind == REVOCATION

    def key_of(self, epoch: int) -> bytes | None:
        """The public key of an epoch, or None if there is no such (or only a revocation)."""
        if not 0 <= epoch < len(self.events) or self.events[epoch].kind == REVOCATION:
            return None
        return self.events[epoch].public_key

    def packed(self) -> list[bytes]:
        """The chain as it travels."""
        return [event.pack() for event in self.events]


@dataclass(frozen=True, slots=True)
class Revoked:
    """That an owner has ended its identity, and the event that did."""

    owner: NodeId
    event: KeyEvent

    @property
    def hash(self) -> bytes:
        """Of the event; what the root has of that owner."""
        return self.event.hash


def verify_chain(packed: Sequence[bytes], trust: signing.Trust) -> KeyChain:
    """Judge a whole chain: the hashes, the revealed keys, every signature.

    Raises:
        MalformedError: an event cannot be read.
        BadKeyEventError: the chain breaks a rule; nothing of it may be used.
    """
    if not 1 <= len(packed) <= KEY_EVENTS_MAX:
        raise BadKeyEventError(f"a chain of {len(packed)} events is not in 1..{KEY_EVENTS_MAX}")
    events: list[KeyEvent] = []
    for raw in packed:
        event = unpack_event(raw)
        check_event(event, events[-1] if events else None, trust)
        events.append(event)
    return KeyChain(NodeId(events[0].hash), tuple(events))


def continued(chain: KeyChain, event: KeyEvent, trust: signing.Trust) -> KeyChain:
    """The chain with one more event, of which only that one is judged.

    Raises:
        BadKeyEventError: it does not continue the chain.
    """
    if len(chain.events) >= KEY_EVENTS_MAX:
        raise BadKeyEventError(f"a chain has at most {KEY_EVENTS_MAX} events")
    check_event(event, chain.events[-1], trust)
    return KeyChain(chain.node, (*chain.events, event))


def parting(ours: KeyChain, theirs: KeyChain) -> int | None:
    """Where two chains of one node part: the first sequence that differs, or None."""
    for one, other in zip(ours.events, theirs.events, strict=False):
        if one.hash != other.hash:
            return one.sequence
    return None


def check_event(event: KeyEvent, previous: KeyEvent | None, trust: signing.Trust) -> None:
    """Judge an event by the one before it; the signature, which costs most, comes last.

    Raises:
        BadKeyEventError: it breaks a rule.
    """
    if previous is None:
        if event.kind != INCEPTION or event.sequence != 0 or event.previous != b"":
            raise BadKeyEventError("a chain starts with an inception event of sequence 0")
    else:
        if event.kind not in (ROTATION, REVOCATION) or event.sequence != previous.sequence + 1:
            raise BadKeyEventError("events follow each other by rotation or revocation, one by one")
        if event.previous != previous.hash or previous.kind == REVOCATION:
            raise BadKeyEventError(
                "an event names the hash of the one before; none follows a revocation"
            )
        if previous.next_commitment != commitment(event.public_key):
            raise BadKeyEventError("the revealed key is not the one that was committed to")
    if not trust.verify(event.public_key, signing.Domain.KEY_EVENT, event.encoded, event.signature):
        raise BadKeyEventError("wrong signature")
