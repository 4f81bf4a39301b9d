"""Many runs: read from their directories, and counted together by scenario.

Rules this module keeps:

1. Of each run only what an overview shows is kept in memory: no requests, no beliefs.
2. A directory that holds no record is passed over; a record that cannot be read is named.
3. A median or a most is of the runs that measured it; none is made up for the others.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.running.record import RunRecord
from chaos.verdict import Verdict

from .document import RECORD, load
from .page import PAGE
from .reading import UnreadableRecordError
from .words import noticed_s

RUNS_MAX = 2_000
"""The newest; more are not read."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, and where its page lies."""

    record: RunRecord
    page: str = ""
    """Relative to the overview; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over runs."""

    median: float
    most: float
    count: int


@dataclass(frozen=True, slots=True)
class ScenarioRuns:
    """All runs of one scenario, oldest first."""

    name: str
    runs: tuple[Run, ...]

    def count(self, verdict: Verdict) -> int:
        """So many ended so."""
        return sum(one.record.verdict is verdict for one in self.runs)

    def total(self, figure: str) -> float | None:
        """A count over all of them; None if none measured it."""
        values = _values(one.record.figures.get(figure) for one in self.runs)
        return sum(values) if values else None

    def spread(self, figure: str) -> Spread | None:
        """A figure's median and most; None if none measured it."""
        return _spread(one.record.figures.get(figure) for one in self.runs)

    def noticed(self) -> Spread | None:
        """The time to notice, likewise."""
        return _spread(noticed_s(one.record.figures) for one in self.runs)

    @property
    def newest(self) -> RunRecord:
        """The run that began last."""
        return self.runs[-1].record


def runs_in(directory: Path) -> tuple[list[Run], list[str]]:
    """All runs in the directories below, oldest first; and what could not be read, with why.

    Raises:
        OSError: the directory cannot be listed.
    """
    found: list[Run] = []
    refused: list[str] = []
    places = sorted(one for one in directory.iterdir() if (one / RECORD).is_file())
    for place in places[-RUNS_MAX:]:
        try:
            record = load(place)
        except UnreadableRecordError as error:
            refused.append(str(error))
            continue
        page = f"{place.name}/{PAGE}" if (place / PAGE).is_file() else ""
        found.append(Run(slim(record), page))
    return in_order(found), refused


def slim(record: RunRecord) -> RunRecord:
    """The record without its long lists, which are emptied in place."""
    for many in (record.samples, record.seen, record.coverage, record.said, record.spans):
        many.clear()
    return record


def in_order(runs: Iterable[Run]) -> list[Run]:
    """Oldest first."""
    return sorted(runs, key=lambda one: (one.record.started_at, one.record.seed))


def by_scenario(runs: Iterable[Run]) -> list[ScenarioRuns]:
    """Runs of one scenario together, by name."""
    found: dict[str, list[Run]] = {}
    for one in in_order(runs):
        found.setdefault(one.record.scenario, []).append(one)
    return [ScenarioRuns(name, tuple(found[name])) for name in sorted(found)]


def failures_of(runs: Sequence[Run]) -> Mapping[str, list[Run]]:
    """What failed, invariants and expectations, with the runs in which it did; most first."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        record = run.record
        names = [
            f"{one.invariant} ({one.checker})"
            for one in record.findings
            if one.verdict is Verdict.INVALID
        ]
        names += [
            f"expected: {one.text}" for one in record.expected if one.verdict is Verdict.INVALID
        ]
        for name in dict.fromkeys(names):
            found.setdefault(name, []).append(run)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _spread(values: Iterable[float | None]) -> Spread | None:
    measured = _values(values)
    if not measured:
        return None
    return Spread(statistics.median(measured), max(measured), len(measured))


def _values(values: Iterable[float | None]) -> list[float]:
    return [one for one in values if one is not None and not math.isnan(one)]
