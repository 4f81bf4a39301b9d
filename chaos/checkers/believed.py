"""What each node held of each other, at any moment.

Rules this module keeps:

1. A node that starts anew knows nobody until it says otherwise.
2. In a joined world everybody who ran at second 0 held everybody else for alive then.
"""

import bisect
from dataclasses import dataclass

from chaos.history import AWAY, Belief, History

from .lives import Process

HERE = (Belief.ALIVE, Belief.SUSPECT)
"""In lookups."""


@dataclass(frozen=True, slots=True)
class Flag:
    """`viewer` held `subject` for away during that time."""

    viewer: str
    subject: str
    begin_s: float
    end_s: float
    dead: bool
    """Whether as dead; a dead stretch lies within the flag that it belongs to."""


class Beliefs:
    """All that was believed, by pair."""

    def __init__(self, history: History, lives: dict[str, Process]) -> None:
        self._lives = lives
        self._joined = history.joined
        self._end_s = history.end_s
        self._told: dict[tuple[str, str], list[tuple[float, Belief]]] = {}
        for one in sorted(history.beliefs, key=lambda one: one.at_s):
            self._told.setdefault((one.node, one.subject), []).append((one.at_s, one.belief))

    def held(self, viewer: str, subject: str, at_s: float) -> tuple[Belief, float]:
        """What the viewer held of the subject at that moment, and since when."""
        born_s = self._lives[viewer].born_s(at_s)
        told = self._told.get((viewer, subject), [])
        place = bisect.bisect_right(told, at_s, key=lambda one: one[0])
        if place and told[place - 1][0] >= born_s:
            since_s, belief = told[place - 1]
            return belief, since_s
        knows = self._joined and born_s <= 0.0 and self._was_there(subject)
        return (Belief.ALIVE if knows else Belief.UNKNOWN), max(born_s, 0.0)

    def gone_since(self, viewer: str, subject: str, at_s: float) -> float | None:
        """Since when, without a break, the viewer has not held the subject for here."""
        belief, since_s = self.held(viewer, subject, at_s)
        if belief in HERE:
            return None
        born_s = self._lives[viewer].born_s(at_s)
        told = self._told.get((viewer, subject), [])
        for told_s, earlier in reversed(told[: bisect.bisect_right(told, at_s, key=_time)]):
            if told_s < born_s or earlier in HERE:
                break
            since_s = told_s
        return since_s

    def was_away(self, viewer: str, subject: str, begin_s: float, end_s: float) -> bool:
        """Whether the viewer held the subject for away at any moment of that time."""
        if self.held(viewer, subject, begin_s)[0] in AWAY:
            return True
        told = self._told.get((viewer, subject), [])
        first, last = (bisect.bisect_left(told, at_s, key=_time) for at_s in (begin_s, end_s))
        return any(belief in AWAY for _, belief in told[first : last + 1])

    def away_after_s(self, viewer: str, subject: str, begin_s: float, end_s: float) -> float | None:
        """How long after `begin_s` the viewer first held it for away; None if not by `end_s`."""
        if self.held(viewer, subject, begin_s)[0] in AWAY:
            return 0.0
        told = self._told.get((viewer, subject), [])
        first, last = (bisect.bisect_right(told, at_s, key=_time) for at_s in (begin_s, end_s))
        turned_s = (at_s for at_s, belief in told[first:last] if belief in AWAY)
        return next((at_s - begin_s for at_s in turned_s), None)

    def flags(self) -> list[Flag]:
        """Every stretch of holding somebody for away, and within those every stretch for dead."""
        found: list[Flag] = []
        for (viewer, subject), told in self._told.items():
            if viewer in self._lives and subject in self._lives:
                for kinds, dead in ((AWAY, False), ((Belief.DEAD,), True)):
                    found += self._stretches((viewer, subject), told, kinds, dead=dead)
        return found

    def _stretches(
        self,
        pair: tuple[str, str],
        told: list[tuple[float, Belief]],
        kinds: tuple[Belief, ...],
        *,
        dead: bool,
    ) -> list[Flag]:
        process = self._lives[pair[0]]
        found: list[Flag] = []
        begin_s: float | None = None
        for at_s, belief in (*told, (self._end_s, Belief.UNKNOWN)):
            if begin_s is not None and (
                belief not in kinds or process.life(begin_s) != process.life(at_s)
            ):
                end_s = min(at_s, process.dies_s(begin_s))
                found.append(Flag(*pair, begin_s, end_s, dead))
                begin_s = None
            if belief in kinds and begin_s is None:
                begin_s = at_s
        return found

    def _was_there(self, subject: str) -> bool:
        up = self._lives[subject].up if subject in self._lives else []
        return bool(up) and up[0].begin_s <= 0.0


def _time(one: tuple[float, Belief]) -> float:
    return one[0]
