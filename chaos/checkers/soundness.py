"""When a node is *sound*: it runs, and nothing lies between it and anyone who could accuse it.

A subject is sound while it runs, no directed pair between it and an honest node that is up carries
nothing, and links do no worse than the limits promise for. A pair of viewer and subject is sound
while the subject is and the viewer runs: what keeps the viewer from others does not keep it from
the subject. Soundness *settles* some time after it began; only from then on is it judged.

Rules this module keeps:

1. A paused node counts as up for others: it may accuse as soon as it resumes.
2. Villains cut nobody off: what they cannot reach does not excuse the others.
"""

import bisect
from dataclasses import dataclass, field

from chaos.history import History, Links, Lived

from .limits import Limits
from .lives import Process, Span, overlaps, span_at
from .registers import honest_nodes


@dataclass(frozen=True, slots=True)
class SoundSpan:
    """A stretch of soundness and when it settled; the latter may lie after the end."""

    begin_s: float
    settled_s: float
    end_s: float


class LinkTimes:
    """What the links did, at any moment."""

    def __init__(self, history: History) -> None:
        self.entries: list[Links] = sorted(history.links, key=lambda one: one.at_s)

    def at(self, at_s: float) -> Links:
        """What holds at that moment."""
        place = bisect.bisect_right(self.entries, at_s, key=lambda one: one.at_s)
        return self.entries[place - 1] if place else Links(0.0)

    def changes(self, begin_s: float, end_s: float) -> list[Links]:
        """What was set after `begin_s`, up to and including `end_s`."""
        first = bisect.bisect_right(self.entries, begin_s, key=lambda one: one.at_s)
        last = bisect.bisect_right(self.entries, end_s, key=lambda one: one.at_s)
        return self.entries[first:last]

    def worst_loss(self, begin_s: float, end_s: float) -> float:
        """The largest share of lost datagrams in that time."""
        losses = [one.loss for one in self.changes(begin_s, end_s)]
        return max([self.at(begin_s).loss, *losses])

    def easy(self, begin_s: float, end_s: float, loss_max: float) -> bool:
        """Whether no link did worse than that in that time."""
        during = [self.at(begin_s), *self.changes(begin_s, end_s)]
        return not any(one.hard or one.loss > loss_max for one in during)


def sound_spans(
    history: History, limits: Limits, lives: dict[str, Process]
) -> dict[str, list[SoundSpan]]:
    """When each honest node was sound, as a subject."""
    sweep = _Sweep(history, limits, lives)
    at: dict[float, list[Links | Lived]] = {0.0: []}
    changes: list[Links | Lived] = [*history.links, *history.lives]
    for change in changes:
        at.setdefault(change.at_s, []).append(change)
    for at_s in sorted(at):
        sweep.turn(at_s, at[at_s])
    return sweep.finish(history.end_s)


@dataclass(slots=True)
class _Side:
    """One node while the sweep goes over time."""

    up: bool = False
    running: bool = False
    cut_from: dict[str, None] = field(default_factory=dict)
    """Honest nodes that it cannot send to or hear."""
    cut_up: int = 0
    """How many of those are up."""
    open_s: float | None = None
    spans: list[SoundSpan] = field(default_factory=list)


class _Sweep:
    def __init__(self, history: History, limits: Limits, lives: dict[str, Process]) -> None:
        self._limits = limits
        self._lives = lives
        self._sides = {node: _Side() for node in honest_nodes(history)}
        self._easy = True

    def turn(self, at_s: float, changes: list[Links | Lived]) -> None:
        """Everything that changed at one moment."""
        touched: dict[str, None] = dict.fromkeys(self._sides) if at_s == 0.0 else {}
        for change in changes:
            if isinstance(change, Links):
                self._cut(change)
                touched = dict.fromkeys(self._sides)
            elif change.node in self._sides:
                touched[change.node] = None
        for node in dict(touched):
            touched |= self._step(node, at_s)
        for node in touched:
            self._settle(node, at_s)

    def finish(self, end_s: float) -> dict[str, list[SoundSpan]]:
        for side in self._sides.values():
            self._close(side, end_s)
        return {node: side.spans for node, side in self._sides.items()}

    def _cut(self, links: Links) -> None:
        self._easy = not links.hard and links.loss <= self._limits.heavy_loss_max
        for side in self._sides.values():
            side.cut_from = {}
        for one, other in links.blocked:
            if one in self._sides and other in self._sides:
                self._sides[one].cut_from[other] = None
                self._sides[other].cut_from[one] = None
        for side in self._sides.values():
            side.cut_up = sum(self._sides[other].up for other in side.cut_from)

    def _step(self, node: str, at_s: float) -> dict[str, None]:
        """Whether a node is up now; who is touched by it."""
        side, process = self._sides[node], self._lives[node]
        side.running = span_at(process.running, at_s) is not None
        up = span_at(process.up, at_s) is not None
        if up == side.up:
            return {}
        side.up = up
        for other in side.cut_from:
            self._sides[other].cut_up += 1 if up else -1
        return side.cut_from

    def _settle(self, node: str, at_s: float) -> None:
        side = self._sides[node]
        sound = side.running and side.cut_up == 0 and self._easy
        # A node that started anew between two turns has begun anew, sound before or not.
        began = span_at(self._lives[node].running, at_s)
        anew = side.open_s is not None and began is not None and began.begin_s > side.open_s
        if side.open_s is not None and (not sound or anew):
            self._close(side, at_s)
        if sound and side.open_s is None:
            side.open_s = at_s
            ran_s = began.begin_s if began is not None else at_s
            grace_s = max(at_s + self._limits.healed_s, ran_s + self._limits.started_s)
            side.spans.append(SoundSpan(at_s, grace_s, at_s))

    def _close(self, side: _Side, at_s: float) -> None:
        if side.open_s is None:
            return
        last = side.spans.pop()
        if at_s > last.begin_s:
            side.spans.append(SoundSpan(last.begin_s, last.settled_s, at_s))
        side.open_s = None


def sound_pair(
    subject: list[SoundSpan], viewer: list[Span], within: tuple[float, float], started_s: float
) -> list[SoundSpan]:
    """When the subject was sound and the viewer ran, within some time.

    `started_s`: how long after its start or resumption a viewer is not judged yet.
    """
    found: list[SoundSpan] = []
    begin_s, end_s = within
    first = max(0, bisect.bisect_right(subject, begin_s, key=lambda span: span.begin_s) - 1)
    for span in subject[first:]:
        if span.begin_s >= end_s:
            break
        for part in overlaps(viewer, span.begin_s, span.end_s):
            ran = span_at(viewer, part.begin_s)
            viewer_settled_s = ran.begin_s + started_s if ran else part.begin_s
            settled_s = max(span.settled_s, viewer_settled_s)
            if part.end_s > begin_s and part.begin_s < end_s:
                found.append(SoundSpan(part.begin_s, settled_s, part.end_s))
    return found
