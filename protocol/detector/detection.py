"""What the failure detector says, hears and asks for: plain values, no behaviour.

Messages travel in datagrams that `Peer` authenticates pair by pair, so a message names no sender.
What has to convince third parties is signed by itself: a `SignedAck` by the member it is about, a
`SignedVotes` by the observer that voted. docs/PROTOCOL.md, "Membership".

A **pair** `(incarnation, counter)` is a member's own clock: only the member raises it, and it only
rises. Votes and acks are ordered by nothing else; no two nodes' times are ever compared.
"""

import enum
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from protocol.errors import RefusalCode
from protocol.identity import NodeId

Pair: TypeAlias = tuple[int, int]
"""`(incarnation, counter)` of one member; compared as tuples."""

COUNTER_MAX = 2**62
"""No counter or incarnation above this is believed."""
COUNTER_LEAP_MAX = 2**32
"""How far ahead of the newest counter we know a vote may claim to have heard its subject.

A liar makes its subject leap that far with each refutation; at one vote in 2 s it would take 68
years to reach `COUNTER_MAX`.
"""

SIGNED_ACK_BYTES = 130
SIGNED_VOTES_BYTES = 150
VOTE_BYTES = 46
GOSSIP_BYTES_MAX = 1_100
"""What the parts of a `Gossip` take at most when encoded, and the room in a datagram for all."""
VOTES_PER_BATCH_MAX = (GOSSIP_BYTES_MAX - SIGNED_VOTES_BYTES) // VOTE_BYTES


class Status(enum.Enum):
    """What this node believes of a member."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    """Somebody voted; not enough to take it out of lookups."""
    UNREACHABLE = "unreachable"
    DEAD = "dead"
    STOPPING = "stopping"
    """Its own signed word: it is going down and means to return."""
    LEFT = "left"
    """Its own signed word: it has gone for good."""


@dataclass(frozen=True, slots=True)
class SignedAck:
    """A member's signed word that it lived when its own clock showed this pair."""

    node: NodeId
    epoch: int
    incarnation: int
    counter: int
    signature: bytes

    @property
    def pair(self) -> Pair:
        """The member's clock when it signed."""
        return self.incarnation, self.counter


@dataclass(frozen=True, slots=True)
class Vote:
    """The author of the batch cannot reach `subject`, and last heard it at this pair."""

    subject: NodeId
    incarnation: int
    counter: int

    @property
    def pair(self) -> Pair:
        """The newest clock of the subject that the author ever saw."""
        return self.incarnation, self.counter


@dataclass(frozen=True, slots=True)
class SignedVotes:
    """Votes of one author under one signature; `stamp` counts the author's batches."""

    author: NodeId
    epoch: int
    votes: tuple[Vote, ...]
    stamp: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The sender lives. One way, never answered; `Peer` adds the first bytes of the root."""

    incarnation: int
    counter: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer at once. `accused` says that somebody doubts you, so sign the answer."""

    nonce: int
    accused: bool


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to the ping with that nonce; `signed` convinces others too."""

    nonce: int
    incarnation: int
    counter: int
    signed: SignedAck | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """The sender has had no answer from `subject` so far; check it too, if you observe it."""

    subject: NodeId


@dataclass(frozen=True, slots=True)
class Gossip:
    """Signed findings and refutations on their way to everybody; at most `GOSSIP_BYTES_MAX`."""

    acks: tuple[SignedAck, ...] = ()
    votes: tuple[SignedVotes, ...] = ()


DetectorMessage: TypeAlias = Heartbeat | Ping | Ack | Ask | Gossip


class Voice(Protocol):
    """Our key, and everybody's public keys, as `Peer` holds them."""

    def sign_ack(self, incarnation: int, counter: int) -> SignedAck:
        """Sign that we live; about 20 µs."""
        ...

    def sign_votes(self, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
        """Sign our findings; about 20 µs."""
        ...

    def verify(self, item: SignedAck | SignedVotes) -> bool:
        """Whether the signature is its author's; about 53 µs, so ask only where it matters."""
        ...


@dataclass(frozen=True, slots=True)
class Tell:
    """Send one message in one datagram. Best effort."""

    to: NodeId
    message: DetectorMessage


@dataclass(frozen=True, slots=True)
class TryStream:
    """Reach the member over TCP now, and report by `Membership.stream_answered`."""

    to: NodeId


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """We believe something else of a member; `old` is None for one never heard of before.

    `certified` may change alone: then `old` and `new` are both `UNREACHABLE`.
    """

    node: NodeId
    old: Status | None
    new: Status
    certified: bool


@dataclass(frozen=True, slots=True)
class Reaped:
    """The member was dead or gone for `reap_after_s`, or forgotten; membership knows it no more."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class RecordWanted:
    """The member showed a newer incarnation than its record: ask it for the new one."""

    node: NodeId
    incarnation: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Something in a message was not accepted; count it against the sender, not the author."""

    sender: NodeId
    code: RefusalCode


MembershipEffect: TypeAlias = Tell | TryStream | StatusChanged | Reaped | RecordWanted | Refused


def gossip_bytes(item: SignedAck | SignedVotes) -> int:
    """The room that an item takes in a `Gossip`, at most."""
    if isinstance(item, SignedAck):
        return SIGNED_ACK_BYTES
    return SIGNED_VOTES_BYTES + VOTE_BYTES * len(item.votes)
