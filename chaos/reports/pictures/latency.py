"""How long lookups and writes took, second by second, and which were not answered.

Rules this module keeps:

1. What was not answered is marked below the curve, never part of it.
2. The axis is logarithmic and the same for both, so that the two can be compared.
"""

import math
from collections.abc import Sequence

from chaos.reports.markup import Markup, Part, element
from chaos.reports.quantiles import LOOKUP, WRITE, Bucket, buckets_of, kind_of
from chaos.reports.times import faults_of, window_of
from chaos.reports.words import amount
from chaos.running.record import RunRecord

from .frame import (
    LEFT,
    RIGHT,
    TICK_HEIGHT,
    WIDTH,
    TimeFrame,
    box,
    dot,
    legend,
    line,
    path,
    picture,
    shades,
    time_axis,
    words,
)

PANEL = 130.0
TITLE = 20.0
FAILED = 22.0
LEAST_MS, MOST_MS = 0.1, 1e6


def draw(record: RunRecord) -> Markup:
    """The picture with its legend; a sentence where nothing was asked."""
    frame = TimeFrame(*window_of(record))
    panels = [
        (kind, buckets_of([one for one in record.samples if kind_of(one) == kind],
                          (frame.begin_s, frame.end_s)))
        for kind in (LOOKUP, WRITE)
    ]  # fmt: skip
    panels = [(kind, buckets) for kind, buckets in panels if buckets]
    if not panels:
        return element("p", {}, "No client asked anything.")
    scale = _Scale([one for _, buckets in panels for one in buckets])
    parts: list[Part] = []
    top = 0.0
    for kind, buckets in panels:
        bottom = top + TITLE + PANEL
        parts.append(shades(frame, faults_of(record), top + TITLE, bottom + FAILED))
        parts.append(time_axis(frame, top + TITLE, bottom + FAILED))
        parts += _panel(frame, scale, kind, buckets, top)
        top = bottom + FAILED + TICK_HEIGHT + 6
    about = "; ".join(_told(kind, buckets) for kind, buckets in panels)
    keys = [
        ("line p50", "half were faster"), ("line p99", "99 of 100 were faster"),
        ("dot max", "slowest"), ("failed", "refused, or failed for sure"),
        ("indefinite", "no answer: it may have happened"), ("shade", "while there were faults"),
    ]  # fmt: skip
    found = picture("latency", "Lookups and writes over time", about, top, parts)
    return element("div", {}, found, legend(keys))


class _Scale:
    """Milliseconds to points above a panel's bottom, logarithmic."""

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        values = [
            value for one in buckets for value in (one.p50_ms, one.max_ms) if math.isfinite(value)
        ]
        least = min(MOST_MS, max(LEAST_MS, min(values, default=1.0)))
        most = min(MOST_MS, max(least, *values, 1.0)) if values else 1.0
        self.low = math.floor(math.log10(least))
        self.high = max(self.low + 1, math.ceil(math.log10(most)))

    def up(self, value_ms: float) -> float:
        """How far above the bottom."""
        place = math.log10(max(value_ms, 10.0**self.low))
        return min(1.0, (place - self.low) / (self.high - self.low)) * PANEL

    def ticks_ms(self) -> list[float]:
        """The powers of ten."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def _panel(
    frame: TimeFrame, scale: _Scale, kind: str, buckets: Sequence[Bucket], top: float
) -> list[Part]:
    bottom = top + TITLE + PANEL
    title = {LOOKUP: "Lookups", WRITE: "Writes"}[kind]
    parts: list[Part] = [words(LEFT, top + 13, title, "panel-name")]
    for value_ms in scale.ticks_ms():
        level = bottom - scale.up(value_ms)
        parts.append(line(LEFT, level, WIDTH - RIGHT, level, "grid"))
        parts.append(words(LEFT - 10, level + 4, f"{value_ms:g} ms", "tick", "end"))
    for name, pick in (("p99", 1), ("p50", 0)):
        points = []
        for run in _runs(buckets):
            values = [(one, (one.p50_ms, one.p99_ms)[pick]) for one in run]
            points.append([(_middle(frame, one), bottom - scale.up(ms)) for one, ms in values])
        parts.append(path(points, f"line {name}"))
    for one in buckets:
        x = _middle(frame, one)
        if one.count:
            tip = (
                f"{one.begin_s:g} to {one.end_s:g} s: {one.count} answered, "
                f"p50 {amount(one.p50_ms)} ms, p99 {amount(one.p99_ms)} ms, "
                f"slowest {amount(one.max_ms)} ms"
            )
            parts.append(dot(x, bottom - scale.up(one.max_ms), 2.6, "dot max", tip))
    parts += _failures(frame, buckets, bottom)
    return parts


def _failures(frame: TimeFrame, buckets: Sequence[Bucket], bottom: float) -> list[Part]:
    most = max((one.failed + one.indefinite for one in buckets), default=0)
    parts: list[Part] = [words(LEFT - 10, bottom + 15, "failed", "tick", "end")]
    if not most:
        parts.append(words(LEFT + 6, bottom + 15, "none", "tick"))
        return parts
    for one in buckets:
        level = bottom + FAILED
        left = frame.x(one.begin_s)
        width = max(2.0, frame.x(one.end_s) - left - 1)
        for name, count in (("failed", one.failed), ("indefinite", one.indefinite)):
            if count:
                height = max(3.0, count / most * (FAILED - 3))
                level -= height
                tip = f"{one.begin_s:g} to {one.end_s:g} s: {count} {name}"
                parts.append(box(left, level, width, height, name, tip))
    return parts


def _runs(buckets: Sequence[Bucket]) -> list[list[Bucket]]:
    """Buckets with answers that follow one another without a gap."""
    runs: list[list[Bucket]] = []
    for one in buckets:
        if not one.count or math.isnan(one.p50_ms):
            continue
        if runs and math.isclose(runs[-1][-1].end_s, one.begin_s):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _middle(frame: TimeFrame, bucket: Bucket) -> float:
    return frame.x((bucket.begin_s + bucket.end_s) / 2)


def _told(kind: str, buckets: Sequence[Bucket]) -> str:
    answered = sum(one.count for one in buckets)
    failed = sum(one.failed + one.indefinite for one in buckets)
    worst = max((one.max_ms for one in buckets if one.count), default=math.nan)
    slowest = "" if math.isnan(worst) else f", the slowest in {amount(worst)} ms"
    return f"{kind}s: {answered} answered{slowest}, {failed} not"
