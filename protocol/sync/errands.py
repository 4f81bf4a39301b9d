"""Errands: what a stream request was for, found again by its ticket when the answer comes."""

from dataclasses import dataclass, field
from typing import TypeAlias

from protocol.agreement.peer_lists import PeerList
from protocol.commits import NOTHING, Dot, Head
from protocol.errors import LocalProtocolError
from protocol.identity import Address, NodeId

from .comparison import Comparison
from .repair import Fetching


@dataclass(frozen=True, slots=True)
class Joining:
    """A seed, an address from the last run, or a stranger was asked for all it holds."""

    address: Address
    rounds: int
    """How many frames were taken before this one."""
    told: PeerList
    """Whom those frames listed."""


@dataclass(slots=True)
class Syncing:
    """A member was asked for what differs, perhaps of some owners only."""

    node: NodeId
    address: Address
    scope: tuple[NodeId, ...] | None = None
    """The owners it is about; None for all."""
    promised: dict[NodeId, Head] = field(default_factory=dict)
    """Heads that its tree says it holds, and that we lack."""
    shown: dict[NodeId, Dot] = field(default_factory=dict)
    """The newest of each owner that its bundles came with."""
    rounds: int = 0
    news: bool = False


@dataclass(frozen=True, slots=True)
class Descending:
    """A member was asked for nodes of its trees: of its heads, or of states at heads it showed."""

    node: NodeId
    address: Address
    comparison: Comparison
    tried: tuple[NodeId, ...] = ()
    """Who was asked for these states before, and this member."""


@dataclass(frozen=True, slots=True)
class FetchFrom:
    """A member was asked for one owner's branch."""

    node: NodeId
    address: Address
    fetching: Fetching
    expects: Dot = NOTHING
    """What somebody said is there to be had."""
    tried: tuple[NodeId, ...] = ()
    """Who was asked for it before, and this member."""


@dataclass(frozen=True, slots=True)
class Checking:
    """The last try of a failed check."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Comparing:
    """A member that was cut off from us was asked how it stood when we met again."""

    node: NodeId


@dataclass(slots=True)
class Delivering:
    """A member is being shown our own commits, from what it acknowledged on."""

    node: NodeId
    address: Address
    rounds: int = 0
    showing: int = 0
    """How many steps the request under way brings."""


Errand: TypeAlias = Joining | Syncing | Descending | FetchFrom | Checking | Comparing
"""What `Outreach` asks for."""

ERRANDS_MAX = 1_024
_STRANGERS_MAX = 1_024
_STRANGER_AGAIN_S = 5.0
_STRANGERS_PER_S = 5.0


class Errands:
    """Numbers for requests under way, bounded."""

    def __init__(self) -> None:
        self._errands: dict[int, Errand | Delivering] = {}
        self._last = 0

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._errands)

    def full(self) -> bool:
        """Whether another request has to wait."""
        return len(self._errands) >= ERRANDS_MAX

    def issue(self, errand: Errand | Delivering) -> int:
        """A new ticket."""
        self._last += 1
        self._errands[self._last] = errand
        return self._last

    def redeem(self, ticket: int) -> Errand | Delivering:
        """The errand of a ticket, once.

        Raises:
            LocalProtocolError: no such ticket, or it was redeemed before.
        """
        errand = self._errands.pop(ticket, None)
        if errand is None:
            raise LocalProtocolError(f"ticket {ticket} is unknown or was redeemed")
        return errand


class StrangerLimit:
    """How often we ask unknown senders who they are: each every 5 s, all together 5 a second."""

    def __init__(self) -> None:
        self._asked: dict[bytes, float] = {}
        self._tokens = _STRANGERS_PER_S
        self._at = 0.0

    def allows(self, prefix: bytes, now: float) -> bool:
        """Whether to ask this one now; counts it if so."""
        self._tokens = min(_STRANGERS_PER_S, self._tokens + (now - self._at) * _STRANGERS_PER_S)
        self._at = now
        before = self._asked.get(prefix)
        if self._tokens < 1.0 or (before is not None and now < before + _STRANGER_AGAIN_S):
            return False
        while len(self._asked) >= _STRANGERS_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[prefix] = now
        self._tokens -= 1.0
        return True
