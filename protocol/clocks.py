"""Clocks: what a node has heard (a version vector), and when things happened (a hybrid clock).

The vector clock of a node maps every owner to the newest commit it holds completely (Fidge 1988,
Mattern 1989; as a version vector, Parker et al. 1983). The hybrid logical clock (Kulkarni et al.
2014) stays near the wall clock, never goes back, and is later than all it has heard; we fold its
counter into the microseconds, which a commit never uses up.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .commits import NOTHING, Dot
from .identity import NodeId
from .limits import WALL_CLOCK_AHEAD_MAX_US

VersionVector = Mapping[NodeId, Dot]
Spans = tuple[tuple[int, int], ...]
"""Of one node's versions those that are known: first and last of each stretch, in order and apart.
A node that was put back to an old disk goes on above what it may have used, so there are gaps."""


class Instant(NamedTuple):
    """A moment as the core is told it."""

    mono_s: float
    """Seconds on a monotonic clock: for every deadline and duration."""
    wall_us: int
    """Unix microseconds, perhaps wrong: only for versions and what people read."""


class Order(enum.Enum):
    """How two vector clocks stand to each other."""

    EQUAL = "equal"
    BEFORE = "before"
    AFTER = "after"
    CONCURRENT = "concurrent"


def compare(ours: VersionVector, theirs: VersionVector) -> Order:
    """Whether ours happened before theirs, after, neither, or they are equal."""
    behind = any(ours.get(owner, NOTHING) < dot for owner, dot in theirs.items())
    ahead = any(theirs.get(owner, NOTHING) < dot for owner, dot in ours.items())
    if behind and ahead:
        return Order.CONCURRENT
    if behind:
        return Order.BEFORE
    return Order.AFTER if ahead else Order.EQUAL


def merged(ours: VersionVector, theirs: VersionVector) -> dict[NodeId, Dot]:
    """The least vector that is not before either."""
    return {
        owner: max(ours.get(owner, NOTHING), theirs.get(owner, NOTHING))
        for owner in sorted({*ours, *theirs})
    }


def covers(spans: Spans, version: int) -> bool:
    """Whether a version is among those."""
    return any(first <= version <= last for first, last in spans)


def united(*known: Iterable[tuple[int, int]]) -> Spans:
    """All that any of them knows. Stretches without a gap between them become one."""
    made: list[tuple[int, int]] = []
    for first, last in sorted(span for spans in known for span in spans):
        if made and first <= made[-1][1] + 1:
            made[-1] = made[-1][0], max(made[-1][1], last)
        else:
            made.append((first, last))
    return tuple(made)


def bounded(spans: Spans, most: int) -> Spans:
    """At most so many: what may have been forgotten longest ago counts as known, when too many."""
    over = len(spans) - most
    return spans if over <= 0 else ((spans[0][0], spans[over][1]), *spans[over + 1 :])


def before(spans: Spans, version: int) -> Spans:
    """The part that lies before a version."""
    return tuple((first, min(last, version - 1)) for first, last in spans if first < version)


class HybridClock:
    """A hybrid logical clock in Unix microseconds."""

    __slots__ = ("_last_us",)

    def __init__(self, last_us: int = 0) -> None:
        self._last_us = last_us

    def tick(self, wall_us: int) -> int:
        """The time of something that happens here now; later than all before."""
        self._last_us = max(self._last_us + 1, wall_us)
        return self._last_us

    def observe(self, theirs_us: int, wall_us: int) -> None:
        """Take note of a peer's time, but never move more than 60 s past our own wall clock."""
        self._last_us = max(self._last_us, min(theirs_us, wall_us + WALL_CLOCK_AHEAD_MAX_US))
