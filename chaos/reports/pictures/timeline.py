"""The time line of a run: its phases, its faults as bars in the lanes of their nodes, its notices.

Rules this module keeps:

1. Faults that overlap in one lane lie below one another; none hides another.
"""

from collections.abc import Sequence

from chaos.reports.markup import Markup, Part
from chaos.reports.times import Phase, faults_of, phases_of, window_of
from chaos.running.record import RunRecord, Said, Span

from .frame import (
    LEFT,
    RIGHT,
    TICK_HEIGHT,
    WIDTH,
    TimeFrame,
    box,
    dot,
    family_of,
    fitting,
    line,
    picture,
    time_axis,
    words,
)

BAR = 16.0
GAP = 3.0
PAD = 4.0
PHASES_HEIGHT = 20.0
EVERYBODY = "all"
"""The lane of faults that name no node."""
MARKS_MAX = 400


def draw(record: RunRecord) -> Markup:
    """The picture."""
    frame = TimeFrame(*window_of(record))
    faults = faults_of(record)
    parts: list[Part] = [_phase(frame, one) for one in phases_of(record)]
    lanes = [(name, [one for one in faults if name in one.nodes]) for name in record.nodes]
    rest = [one for one in faults if not any(name in record.nodes for name in one.nodes)]
    if rest:
        lanes.append((EVERYBODY, rest))
    top = PHASES_HEIGHT + 4
    bars: list[Part] = []
    for name, spans in lanes:
        rows = stacked(spans)
        height = max(1, len(rows)) * (BAR + GAP) + 2 * PAD - GAP
        bars.append(line(LEFT, top + height, WIDTH - RIGHT, top + height, "rule"))
        bars.append(words(LEFT - 10, top + height / 2 + 4, fitting(name, LEFT - 16), "name", "end"))
        for place, row in enumerate(rows):
            bars += [_bar(frame, one, top + PAD + place * (BAR + GAP)) for one in row]
        top += height
    marks = _marks(frame, record.said, top + 12)
    if marks:
        marks.append(words(LEFT - 10, top + 16, "notices", "tick", "end"))
        top += 24
    parts += [time_axis(frame, PHASES_HEIGHT + 4, top), *bars, *marks]
    return picture("timeline", "Time line", _about(record, faults), top + TICK_HEIGHT, parts)


def stacked(spans: Sequence[Span]) -> list[list[Span]]:
    """Rows of spans, none of which overlaps another of its row."""
    rows: list[list[Span]] = []
    for one in spans:
        row = next((row for row in rows if row[-1].end_s <= one.begin_s), None)
        if row is None:
            rows.append([one])
        else:
            row.append(one)
    return rows


def _phase(frame: TimeFrame, phase: Phase) -> Markup:
    left, right = frame.x(phase.begin_s), frame.x(phase.end_s)
    tip = f"{phase.name}: {phase.begin_s:.2f} to {phase.end_s:.2f} s"
    strip = box(left, 0, right - left - 1, PHASES_HEIGHT - 4, f"phase {phase.name}", tip)
    text = fitting(phase.name, right - left - 6)
    return Markup(strip + words(left + 5, 12, text, "phase-name"))


def _bar(frame: TimeFrame, span: Span, top: float) -> Markup:
    left = frame.x(span.begin_s)
    width = max(3.0, frame.x(span.end_s) - left)
    tip = f"{span.text}, {span.begin_s:.2f} to {span.end_s:.2f} s"
    strip = box(left, top, width, BAR, f"bar {family_of(span.kind)}", tip)
    return Markup(strip + words(left + 5, top + 12, fitting(span.kind, width - 8), "bar-name"))


def _marks(frame: TimeFrame, said: Sequence[Said], middle: float) -> list[Part]:
    return [
        dot(frame.x(one.at_s), middle, 4, "mark", f"{one.at_s:.2f} s: {one.text}")
        for one in said[:MARKS_MAX]
    ]


def _about(record: RunRecord, faults: Sequence[Span]) -> str:
    told = "; ".join(f"{one.text} from {one.begin_s:.1f} to {one.end_s:.1f} s" for one in faults)
    phases = ", ".join(f"{one.name} until {one.end_s:.1f} s" for one in phases_of(record))
    return f"Phases: {phases}. Faults: {told or 'none'}."
