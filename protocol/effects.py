"""What the machine asks of the world.

Effects are plain values. The driver performs them **in the order given**, and that is the whole
contract. `Persist` is the one that answers: once the commit is on disk the driver calls
`Peer.persisted`, and only that call makes the commit visible and sends it. So nothing leaves a node
that it could forget.
"""

from dataclasses import dataclass
from typing import TypeAlias

from .agreement.docket import Case
from .commits import Change, Commit, Dot, Head, Manifest
from .delivery.standing import Delivery, Priority
from .errors import RefusalCode
from .events import Event
from .identity import Address, KeyChain, NodeId


@dataclass(frozen=True, slots=True)
class Send:
    """Hand one datagram to the transport. Best effort: it may be lost, doubled or late."""

    to: Address
    datagram: bytes
    urgent: bool = False
    """Ahead of all that waits to be sent: evidence."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask `to` over a stream, then call `Peer.answered(ticket, …)`, with None if it failed.

    `expected` is who must answer there; None takes whoever does (a seed).
    """

    to: Address
    expected: NodeId | None
    body: bytes
    ticket: int
    timeout_s: float
    always: bool = False
    """Ask even a peer that has not been answering: to find out whether it does is the point."""


@dataclass(frozen=True, slots=True)
class KeepCommit:
    """A commit was applied: store it with the new head, the records it set or removed."""

    commit: Commit
    changes: tuple[Change, ...]
    priority: Priority = Priority.NORMAL
    """Of our own: how soon a peer that did not acknowledge it is tried again."""


@dataclass(frozen=True, slots=True)
class KeepManifest:
    """An owner's whole state was replaced: store its head and records, drop the rest of it."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class KeepMend:
    """An owner moved to a newer state by what differs: store its head, set or remove records."""

    head: Head
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class KeepChain:
    """An owner's key events are new or longer: store them."""

    chain: KeyChain


@dataclass(frozen=True, slots=True)
class DropRecords:
    """An owner was reaped: drop its records and commits, never its head and keys."""

    head: Head


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """A fork was found, or settled: store what is known of it, and drop what made room for it."""

    case: Case
    dropped: tuple[bytes, ...] = ()
    """Ids of cases."""


@dataclass(frozen=True, slots=True)
class KeepDelivery:
    """How far a peer has acknowledged our commits, and how our tries went: store it.

    To lose the newest of these costs a question to that peer, no more.
    """

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class DropDelivery:
    """Nothing is delivered to that peer any more: it left, or was reaped."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class TrimOutbox:
    """Nobody needs our own commits up to and with this one to be shown step by step."""

    through: Dot


Keep: TypeAlias = (
    KeepCommit
    | KeepManifest
    | KeepMend
    | KeepChain
    | DropRecords
    | KeepEvidence
    | KeepDelivery
    | DropDelivery
    | TrimOutbox
)
"""What storage is told, in order. Losing the newest of these in a crash costs a sync, no more."""


@dataclass(frozen=True, slots=True)
class Store:
    """Write soon, in order; nobody waits for it."""

    keep: Keep


@dataclass(frozen=True, slots=True)
class Persist:
    """Make our own commit durable, after everything stored before; then call `Peer.persisted`.

    A merge keeps two things: the manifest it steps back to, and itself.
    """

    keeps: tuple[Keep, ...]
    tickets: tuple[int, ...] = ()
    """The proposals that are part of it: what is to be durable together with them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """When everything stored before this is durable, call `Peer.stored(number)`.

    So a receipt cannot leave before what it vouches for is on disk.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Read commits of our own back from disk, then call `Peer.recalled(ticket, …)`.

    The oldest first, those after the dot `after`: at most `count`, and the first of them that
    together stay within `bytes_max` (one at least). None if they cannot be read.
    """

    after: Dot
    count: int
    bytes_max: int
    ticket: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell watchers what happened."""

    event: Event


@dataclass(frozen=True, slots=True)
class Drop:
    """Something from `source` was refused. Count it under `reason`; never log the payload."""

    source: Address
    reason: RefusalCode


Effect: TypeAlias = Send | Request | Store | Persist | Mark | Recall | Notify | Drop
