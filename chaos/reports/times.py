"""When what happened in a run: its window, its phases, its faults.

Rules this module keeps:

1. Phases lie one after another and cover the window, whether the record names them or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.running.record import RunRecord, Span

STEADY, FAULTS, HEALING, SETTLING = "steady", "faults", "healing", "settling"
PHASES = (STEADY, FAULTS, HEALING, SETTLING)
MOMENT_MAX_S = 1e7
"""No run is longer; a moment beyond it is a mistake of the record, and is not shown."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run."""

    name: str
    begin_s: float
    end_s: float

    def holds(self, at_s: float) -> bool:
        """Whether that moment lies in it."""
        return self.begin_s <= at_s < self.end_s


def faults_of(record: RunRecord) -> list[Span]:
    """The faults, by when they began."""
    faults = [one for one in record.spans if one.kind not in PHASES and _is_real(one)]
    return sorted(faults, key=lambda one: (one.begin_s, one.end_s))


def window_of(record: RunRecord) -> tuple[float, float]:
    """From when to when there is anything to show; at least a second, from second 0 or before."""
    moments = [
        *(one.end_s for one in record.spans),
        *(one.at_s + one.ms / 1000 for one in record.samples),
        *(one.at_s for one in record.seen),
        *(one.at_s for one in record.said),
    ]
    begins = [one.begin_s for one in record.spans]
    ends = [at_s for at_s in moments if abs(at_s) <= MOMENT_MAX_S]
    starts = [at_s for at_s in begins if abs(at_s) <= MOMENT_MAX_S]
    return min([0.0, *starts]), max([1.0, *ends])


def phases_of(record: RunRecord) -> list[Phase]:
    """Steady, faults, healing and settling, as far as each took any time."""
    begin_s, end_s = window_of(record)
    faults = faults_of(record)
    first_s = _begin(record, FAULTS, min((one.begin_s for one in faults), default=end_s))
    healed_s = _end(record, FAULTS, max((one.end_s for one in faults), default=end_s))
    steady_s = _end(record, HEALING, healed_s)
    marks = [begin_s, first_s, healed_s, steady_s, end_s]
    for place in range(1, len(marks)):
        marks[place] = min(end_s, max(marks[place - 1], marks[place]))
    return [
        Phase(name, marks[place], marks[place + 1])
        for place, name in enumerate(PHASES)
        if marks[place + 1] > marks[place]
    ]


def _begin(record: RunRecord, kind: str, otherwise: float) -> float:
    return min((one.begin_s for one in _of(record.spans, kind)), default=otherwise)


def _end(record: RunRecord, kind: str, otherwise: float) -> float:
    return max((one.end_s for one in _of(record.spans, kind)), default=otherwise)


def _of(spans: Sequence[Span], kind: str) -> list[Span]:
    return [one for one in spans if one.kind == kind and _is_real(one)]


def _is_real(span: Span) -> bool:
    return abs(span.begin_s) <= MOMENT_MAX_S and abs(span.end_s) <= MOMENT_MAX_S
