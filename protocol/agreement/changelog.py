"""What was applied here lately, step by step: from it follows what two sides of a split did apart.

    net(held, until, mark)    what became of each record between the dots that another held of
                              its owner and those that we held when our log stood at `mark`

A step says which dot of an owner it leads from and to, and of each record it touched what it was
before and after, as a hash. Steps of the last half minute are kept always, since a cut is noticed
some seconds after it happened; while a split lasts all are kept.

Rules this module keeps:

1. At most `LOG_MAX` steps and records are kept. Of a long split the steps of one owner are merged
   where nobody can hold a dot between them (nothing since the last `seal`); if that is not enough,
   logging ends and what follows from the log is not exact.
2. A result says whether it is exact: whether the steps lead without a gap from the one dot to the
   other.
"""

import enum
from collections import deque
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from protocol.bodies import Body
from protocol.commits import NOTHING, Dot, RecordKey
from protocol.history.outcomes import AppliedStep
from protocol.identity import NodeId

WINDOW_S = 30.0
"""How long steps are kept when nobody is away."""
LOG_MAX = 20_000
"""Steps, and records that they touched, that are kept."""
_ROOMY = 0.9
"""The share of it that merging must get below, or logging ends."""

_Seen: TypeAlias = int | None
"""A record's body as a hash; None where there is none."""


class Became(enum.IntEnum):
    """What became of a record, all in all. Numbers travel."""

    ADDED = 0
    CHANGED = 1
    REMOVED = 2


class Difference(NamedTuple):
    """One record that two sides did not both have in this form."""

    owner: NodeId
    key: RecordKey
    became: Became
    version: int
    """Of the owner's commit that changed it last."""


@dataclass(slots=True)
class Step:
    """An owner's branch moved here."""

    number: int
    owner: NodeId
    before: Dot
    after: Dot
    at_s: float
    records: dict[RecordKey, tuple[_Seen, _Seen]]

    @property
    def weight(self) -> int:
        """What it takes of `LOG_MAX`."""
        return 1 + len(self.records)


class ChangeLog:
    """The steps of all owners in the order in which they were applied here."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()
        self._weight = 0
        self._number = 0
        self._complete_from = 1
        self._sealed = 0
        self._kept_from_s = float("inf")
        self._lasting = False
        self.overflown = False
        """Whether logging has ended for want of room."""

    def __len__(self) -> int:
        """How much of `LOG_MAX` is in use."""
        return self._weight

    @property
    def position(self) -> int:
        """The number of the newest step; a *mark* is such a number."""
        return self._number

    def reaches(self, mark: int) -> bool:
        """Whether every step after `mark` is kept."""
        return not self.overflown and mark + 1 >= self._complete_from

    def seal(self) -> None:
        """Somebody may hold any dot up to here: do not merge these steps."""
        self._sealed = self._number

    def keep(self, since_s: float, *, lasting: bool, now: float) -> None:
        """Keep all steps from `since_s` on (infinity: none in particular).

        `lasting`: keep older ones too, as long as there is room.
        """
        self._kept_from_s, self._lasting = since_s, lasting
        if self.overflown and since_s == float("inf"):
            self._steps.clear()
            self._weight, self.overflown = 0, False
            self._complete_from = self._number + 1
        self._trim(now)

    def note(self, step: AppliedStep, after: Dot, *, now: float) -> None:
        """A branch moved to `after`."""
        touched = {delta.key: (_seen(delta.old), _seen(delta.new)) for delta in step.deltas}
        if len(step.commits) < 2:
            self._append(Step(0, step.owner, step.before, after, now, touched))
        else:
            for one in _each(step, touched, now):
                self._append(one)
        self._trim(now)

    def vector_at(self, mark: int, vector: Mapping[NodeId, Dot]) -> dict[NodeId, Dot]:
        """What was held when the log stood at `mark`, if `vector` is held now."""
        held = dict(vector)
        for step in reversed(self._steps):
            if step.number <= mark:
                break
            held[step.owner] = step.before
        return held

    def held_at(
        self, marks: Mapping[NodeId, int], vector: Mapping[NodeId, Dot]
    ) -> dict[NodeId, Dot]:
        """What was held of each owner when the log stood at a mark of its own."""
        held = {owner: vector.get(owner, NOTHING) for owner in marks}
        for step in reversed(self._steps):
            if step.number > marks.get(step.owner, self._number):
                held[step.owner] = step.before
        return held

    def mark_before(self, at_s: float) -> int:
        """Where the log stood at a time."""
        older = [step.number for step in self._steps if step.at_s < at_s]
        return older[-1] if older else self._complete_from - 1

    def changed_between(self, since: int, mark: int) -> dict[NodeId, None]:
        """Owners that were known and went on while the log went from the one mark to the other."""
        began: dict[NodeId, Dot] = {}
        for step in self._steps:
            if since < step.number <= mark:
                began.setdefault(step.owner, step.before)
        return {owner: None for owner, before in began.items() if before != NOTHING}

    def net(
        self,
        held: Mapping[NodeId, Dot],
        until: Mapping[NodeId, Dot],
        mark: int,
        *,
        without: Container[NodeId] = (),
    ) -> tuple[list[Difference], bool]:
        """What became of records between the two vectors, and whether that is exact.

        Owners that are not in `held` count only if they were met within the log, and are not among
        those to be left out: who was away is in the other's log, however lately it joined.
        """
        ends: dict[tuple[NodeId, RecordKey], tuple[_Seen, _Seen, int]] = {}
        reached: dict[NodeId, Dot] = {}
        exact = not self.overflown
        for step in self._steps:
            if step.number > mark:
                break
            owner = step.owner
            if owner in without and owner not in held:
                continue
            start = held.get(owner, NOTHING if step.before == NOTHING else None)
            at = reached.get(owner, start)
            if at is None or step.after <= at:
                continue
            exact = exact and step.before == at
            reached[owner] = step.after
            for key, (was, became) in step.records.items():
                first = ends[owner, key][0] if (owner, key) in ends else was
                ends[owner, key] = first, became, step.after.version
        for owner, start in held.items():
            end = until.get(owner, NOTHING)
            exact = exact and (end <= start or reached.get(owner) == end)
        found = [
            Difference(owner, key, _became(was, last), version)
            for (owner, key), (was, last, version) in ends.items()
            if was != last
        ]
        return found, exact

    def _append(self, step: Step) -> None:
        self._number += 1
        if self.overflown:
            return
        step.number = self._number
        self._steps.append(step)
        self._weight += step.weight

    def _trim(self, now: float) -> None:
        while self._steps:
            oldest = self._steps[0].at_s
            too_old = oldest < now - WINDOW_S and not self._lasting
            if oldest >= self._kept_from_s or not (too_old or self._weight > LOG_MAX):
                break
            dropped = self._steps.popleft()
            self._weight -= dropped.weight
            self._complete_from = dropped.number + 1
        if self._weight > LOG_MAX:
            self._merge()
            self.overflown = self._weight > _ROOMY * LOG_MAX

    def _merge(self) -> None:
        merged: dict[NodeId, Step] = {}
        kept: list[Step] = []
        for step in self._steps:
            before = merged.get(step.owner)
            if step.number <= self._sealed:
                kept.append(step)
            elif before is None or before.after != step.before:
                merged[step.owner] = step
                kept.append(step)
            else:
                _join(before, step)
        self._steps = deque(sorted(kept, key=lambda step: step.number))
        self._weight = sum(step.weight for step in kept)


def _join(before: Step, step: Step) -> None:
    """Let one step stand for two that follow each other."""
    for key, (was, became) in step.records.items():
        first = before.records.pop(key)[0] if key in before.records else was
        if first != became:
            before.records[key] = first, became
    before.after, before.number, before.at_s = step.after, step.number, step.at_s


def _each(
    step: AppliedStep, touched: Mapping[RecordKey, tuple[_Seen, _Seen]], now: float
) -> list[Step]:
    """A step for each commit of several that were applied at once.

    What a record was between two of them is known by its bytes only, hence by another hash: one
    that is put back to just that counts as changed.
    """
    last = {
        RecordKey(change.kind, change.key): place
        for place, changes in enumerate(step.changes)
        for change in changes
    }
    is_now = {key: was for key, (was, _) in touched.items()}
    before, steps = step.before, []
    for place, (commit, changes) in enumerate(zip(step.commits, step.changes, strict=True)):
        records: dict[RecordKey, tuple[_Seen, _Seen]] = {}
        for change in changes:
            key = RecordKey(change.kind, change.key)
            between = None if change.body is None else hash(change.body)
            became = touched[key][1] if last[key] == place else between
            records[key] = is_now[key], became
            is_now[key] = became
        steps.append(Step(0, step.owner, before, commit.head.dot, now, records))
        before = commit.head.dot
    return steps


def _seen(body: Body | None) -> _Seen:
    return None if body is None else hash(body)


def _became(was: _Seen, last: _Seen) -> Became:
    if was is None:
        return Became.ADDED
    return Became.REMOVED if last is None else Became.CHANGED
