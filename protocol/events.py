"""What those who watch a node's machine may learn. Plain values; see `effects.Notify`."""

import enum
from dataclasses import dataclass, field
from typing import TypeAlias

from .agreement.docket import Case
from .agreement.evidence import Evidence, KeyFork
from .agreement.peer_lists import PeerList
from .commits import Dot
from .detector.detection import Status
from .identity import Address, NodeId


@dataclass(frozen=True, slots=True)
class Committed:
    """Proposals of ours are durable and visible; `tickets` are those handed to `propose`."""

    tickets: tuple[int, ...]
    dot: Dot


@dataclass(frozen=True, slots=True)
class Applied:
    """What `owner` committed was applied here, up to `dot`; `services` are the names it touched."""

    owner: NodeId
    dot: Dot
    services: tuple[str, ...]
    after: Dot
    """What was held before: nothing up to it was applied again."""
    steps: int
    """How many commits it took, one on the other; 0: a newer state took the place of ours."""


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """We came to believe something else of a member."""

    node: NodeId
    old: Status | None
    new: Status
    certified: bool


@dataclass(frozen=True, slots=True)
class ForkFound:
    """An owner signed two commits on one parent; it is in dispute until it merges them."""

    evidence: Evidence
    found_at: int
    """Unix microseconds, by this node's clock."""


@dataclass(frozen=True, slots=True)
class ForkSettled:
    """A fork is no longer in dispute."""

    case: Case


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """An owner, perhaps this node, has another key, or (`revoked`) none any more."""

    owner: NodeId
    epoch: int
    revoked: bool


@dataclass(frozen=True, slots=True)
class KeyForkFound:
    """There are two key events of one sequence of an owner: somebody else has its next key too."""

    fork: KeyFork


@dataclass(frozen=True, slots=True)
class ShutOut:
    """Our own key was replaced by somebody who holds the next one: nobody takes what we sign.

    This directory is an old copy, or the keys were stolen. The node has to end.
    """

    epoch: int


@dataclass(frozen=True, slots=True)
class Joined:
    """An address was asked for all it holds: it answered, or it did not."""

    address: Address
    node: NodeId | None
    """Who answered, if known."""
    ok: bool
    told: PeerList | None = field(default=None, compare=False)
    """Whom it listed, if it answered."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The node has read itself back and committed its own record; it may serve."""


class Stage(enum.Enum):
    """How far a partition has come, as seen from here."""

    BEGAN = "began"
    CONTACT = "contact"
    """The first word from the other side."""
    RECONCILED = "reconciled"
    """We hold all that the others held at the contact, and nobody is away."""


@dataclass(frozen=True, slots=True)
class Parted:
    """A partition began, or went on; `agreement.partitions` holds the report of that number."""

    number: int
    stage: Stage


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A peer said how far it holds our commits, and how far it has them on disk."""

    peer: NodeId
    held: Dot
    stored: Dot


Event: TypeAlias = (
    Committed
    | Applied
    | MemberChanged
    | ForkFound
    | ForkSettled
    | KeysChanged
    | KeyForkFound
    | ShutOut
    | Joined
    | Ready
    | Parted
    | Acknowledged
)
