"""What is known of one peer as a receiver of our commits, as it is kept over restarts.

    held      the newest commit of ours that the peer said it holds: all before it, it holds too
    stored    the newest one for which it gave a receipt: that is on its disk

So a delivery names no commits. What a peer lacks is what we committed after `held`, and a new
commit waits for every peer at once by being written, in that one transaction.
"""

import enum
from dataclasses import dataclass

from protocol.commits import NOTHING, Dot
from protocol.identity import NodeId

SCORE_MAX = 1_000
"""A score is per mille: of a peer that has always answered."""


class Priority(enum.IntEnum):
    """How soon a commit that was not acknowledged is tried again; the higher goes first."""

    BACKGROUND = 0
    """What nobody asked for: results of checks, tidying up."""
    NORMAL = 1
    """What a client asked for."""
    CRITICAL = 2
    """Who a node is, whether it is here, who is forgotten, who may write."""


class Breaker(enum.IntEnum):
    """Whether a peer is tried at all (Nygard, Release It!, 2018, Circuit Breaker)."""

    CLOSED = 0
    """It answers."""
    OPEN = 1
    """It has not been answering: nothing is sent until the next try is due."""
    HALF_OPEN = 2
    """One try is under way, and decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One peer's row in the retry queue."""

    peer: NodeId
    held: Dot = NOTHING
    stored: Dot = NOTHING
    since_us: int = 0
    """Since when it lacks something, Unix microseconds; 0: it lacks nothing."""
    attempts: int = 0
    """Tries in a row that it did not answer."""
    next_try_us: int = 0
    """Unix microseconds; 0: none is planned."""
    breaker: Breaker = Breaker.CLOSED
    score: int = SCORE_MAX
    """How it has been answering, per mille, the newest tries counting most."""
    latency_us: int = 0
    """How long it takes to acknowledge, smoothed; 0: not known."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One commit of ours in the outbox; the commit itself lies on disk."""

    dot: Dot
    hash: bytes
    priority: Priority
    size: int
    """Bytes of its changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What storage gives back of the retry queue."""

    deliveries: tuple[Delivery, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    """Our own commits on disk that somebody may lack, the oldest first, up to our head."""
    floor: Dot = NOTHING
    """The dot before the oldest of them."""


NO_QUEUE = Queue()
"""Of a node that never committed anything."""
