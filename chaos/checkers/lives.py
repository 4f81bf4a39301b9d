"""When each node was up, when it ran, and where its lives begin and end.

Rules this module keeps:

1. A node whose first word is not `STARTED` ran from the start of the run.
2. A *life* ends where a node starts anew or its disk is damaged: what it knew before may be gone.
"""

import bisect
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.history import History, Life, Lived

_ENDS = (Life.CRASHED, Life.STOPPED, Life.DAMAGED)


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin_s` up to, not including, `end_s`."""

    begin_s: float
    end_s: float

    def covers(self, begin_s: float, end_s: float) -> bool:
        """Whether all that time lies within."""
        return self.begin_s <= begin_s and end_s <= self.end_s


@dataclass(slots=True)
class Process:
    """What became of one node over the run."""

    up: list[Span] = field(default_factory=list)
    """Started and not ended, paused or not."""
    running: list[Span] = field(default_factory=list)
    """Up and not paused."""
    crashes_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)
    """When its process ended, in whichever way."""
    damages_s: list[float] = field(default_factory=list)
    births_s: list[float] = field(default_factory=list)
    """Where a new life begins; the first may have none."""

    def life(self, at_s: float) -> int:
        """Which of its lives that is; two moments of one number lie in one life."""
        return bisect.bisect_right(self.births_s, at_s) if self.births_s else 0

    def born_s(self, at_s: float) -> float:
        """When the life of that moment began; minus infinity for the first."""
        place = self.life(at_s)
        return self.births_s[place - 1] if place else -math.inf

    def dies_s(self, at_s: float) -> float:
        """When the life of that moment is over: its process ends, or it starts anew."""
        place = self.life(at_s)
        reborn_s = self.births_s[place] if place < len(self.births_s) else math.inf
        return min(reborn_s, self.next_end_s(at_s))

    def next_end_s(self, at_s: float) -> float:
        """When its process ends next, from that moment on."""
        place = bisect.bisect_left(self.ends_s, at_s)
        return self.ends_s[place] if place < len(self.ends_s) else math.inf

    def next_damage_s(self, at_s: float) -> float:
        """When its disk is damaged next, from that moment on."""
        place = bisect.bisect_left(self.damages_s, at_s)
        return self.damages_s[place] if place < len(self.damages_s) else math.inf

    def last_damage_s(self, at_s: float) -> float:
        """When its disk was last damaged before that moment, or minus infinity."""
        place = bisect.bisect_right(self.damages_s, at_s)
        return self.damages_s[place - 1] if place else -math.inf

    def ran(self, begin_s: float, end_s: float) -> bool:
        """Whether it ran all that time."""
        span = span_at(self.running, begin_s)
        return span is not None and span.covers(begin_s, end_s)


def span_at(spans: list[Span], at_s: float) -> Span | None:
    """The span that holds a moment; spans are in order and apart."""
    place = bisect.bisect_right(spans, at_s, key=lambda span: span.begin_s) - 1
    return spans[place] if place >= 0 and at_s < spans[place].end_s else None


def processes(history: History) -> dict[str, Process]:
    """Every node's process, read from what was done to it."""
    told: dict[str, list[Lived]] = {node: [] for node in history.nodes}
    for lived in sorted(history.lives, key=lambda lived: lived.at_s):
        told.setdefault(lived.node, []).append(lived)
    return {node: _process(lives, history.end_s) for node, lives in told.items()}


def _process(lives: list[Lived], end_s: float) -> Process:
    made = Process()
    starts_later = bool(lives) and lives[0].life is Life.STARTED
    up_s: float | None = None if starts_later else 0.0
    run_s = up_s
    for lived in lives:
        at_s, life = lived.at_s, lived.life
        stays_up = life in (Life.PAUSED, Life.RESUMED)
        if up_s is not None and not stays_up:
            made.up.append(Span(up_s, at_s))
            up_s = None
        if run_s is not None and life is not Life.RESUMED:
            made.running.append(Span(run_s, at_s))
            run_s = None
        if life is Life.STARTED:
            up_s = run_s = at_s
            made.births_s.append(at_s)
        elif life is Life.RESUMED and up_s is not None and run_s is None:
            run_s = at_s
        elif life in _ENDS:
            _ended(made, at_s, life)
    for begin_s, spans in ((up_s, made.up), (run_s, made.running)):
        if begin_s is not None:
            spans.append(Span(begin_s, max(begin_s, end_s)))
    return made


def _ended(made: Process, at_s: float, life: Life) -> None:
    made.ends_s.append(at_s)
    if life is Life.CRASHED:
        made.crashes_s.append(at_s)
    if life is Life.DAMAGED:
        made.damages_s.append(at_s)
        made.births_s.append(at_s)


def overlaps(spans: list[Span], begin_s: float, end_s: float) -> Iterable[Span]:
    """What of that time lies in the spans."""
    first = max(0, bisect.bisect_right(spans, begin_s, key=lambda span: span.begin_s) - 1)
    for span in itertools.islice(spans, first, None):
        if span.begin_s >= end_s:
            return
        begin, end = max(span.begin_s, begin_s), min(span.end_s, end_s)
        if begin < end:
            yield Span(begin, end)
