"""A climb as curves: each rate in its own column, what it did in panels below one another.

Rules this module keeps:

1. The column at which it ended is marked over its whole height, with the word for it; columns that
   were not tried are grey, so that nobody takes them for calm.
2. Times are logarithmic; counts are not, and a count that stayed zero is written, not drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.reports.markup import Markup, Part, element
from chaos.reports.series.climb import Climb, Step
from chaos.reports.words import amount, value_of
from chaos.verdict import Verdict

from .frame import LEFT, RIGHT, TICK_HEIGHT, WIDTH, box, dot, fitting, legend, line, path, picture
from .frame import words as text

HEAD = 22.0
TITLE = 20.0
TIMES, COUNTS = 150.0, 64.0
GAP = 10.0
LEAST_S, MOST_S = 1e-4, 1e4
BAR_MAX = 46.0
_ENDS = {Verdict.INVALID: "broke", Verdict.UNKNOWN: "proves nothing"}


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    names: tuple[str, ...]
    """Figures; those of the first are solid lines, of the second dashed ones."""
    counts: bool
    kind: str
    """The class of its marks."""


def draw(climb: Climb) -> Markup:
    """The picture with its legend; a sentence where nothing was tried."""
    if not climb.steps:
        return element("p", {"class": "soft"}, "Nothing was tried.")
    columns = _Columns(climb)
    panels = _panels(climb)
    heights = [TITLE + (COUNTS if one.counts else TIMES) for one in panels]
    bottom = HEAD + sum(heights) + GAP * (len(panels) - 1)
    parts: list[Part] = [*columns.bands(bottom)]
    top = HEAD
    for panel, height in zip(panels, heights, strict=True):
        draw_one = _counts if panel.counts else _times
        parts += [text(LEFT, top + 13, panel.title, "panel-name")]
        parts += draw_one(columns, climb.steps, panel, top + TITLE, top + height)
        top += height + GAP
    parts += columns.labels(bottom)
    found = picture(
        "climb", f"{climb.title}, rate by rate", climb.result, bottom + TICK_HEIGHT, parts
    )
    return element("div", {}, found, legend(_keys(climb)))


def _panels(climb: Climb) -> list[_Panel]:
    gone = "Times that a live node was taken for gone" if climb.nobody_gone else (
        "Times that a node was taken for gone"
    )  # fmt: skip
    panels = [
        _Panel("Until an update is on all nodes", ("coverage_p50_s", "coverage_p99_s"),
               counts=False, kind="cover-faults"),
        _Panel("Lookups not answered by nodes that ran", ("lookups_failed_count",),
               counts=True, kind="failed"),
        _Panel(gone, ("gone_count",), counts=True, kind="gone"),
        _Panel("Until it was noticed that a node was gone, the longest", ("noticed_max_s",),
               counts=False, kind="cover-calm"),
    ]  # fmt: skip
    return [
        one
        for one in panels
        if any(name in step.figures for step in climb.steps for name in one.names)
    ]


class _Columns:
    """Where each rate stands."""

    def __init__(self, climb: Climb) -> None:
        self._climb = climb
        self._rates = list(climb.rates) or [one.rate for one in climb.steps]
        self.width = (WIDTH - LEFT - RIGHT) / max(1, len(self._rates))

    def left(self, place: int) -> float:
        return LEFT + place * self.width

    def middle(self, place: int) -> float:
        return self.left(place) + self.width / 2

    def bands(self, bottom: float) -> list[Part]:
        """What lies behind the panels."""
        parts: list[Part] = []
        for place, step in enumerate(self._climb.steps):
            if word := _ENDS.get(step.verdict):
                kind = f"step {step.verdict.value}"
                tip = f"{step.rate}: {step.verdict.value}, {step.reason}"
                parts.append(box(self.left(place), 0, self.width, bottom, kind, tip))
                shown = fitting(word, self.width)
                parts.append(text(self.middle(place), 14, shown, f"{kind} word", "middle"))
        first = len(self._climb.steps)
        if first < len(self._rates):
            width = self.left(len(self._rates)) - self.left(first)
            parts.append(box(self.left(first), 0, width, bottom, "step untried"))
            shown = fitting("not tried", width)
            parts.append(text(self.left(first) + width / 2, 14, shown, "tick", "middle"))
        return parts

    def labels(self, bottom: float) -> list[Part]:
        """The rates below."""
        return [
            text(self.middle(place), bottom + 15, fitting(rate, self.width), "tick", "middle")
            for place, rate in enumerate(self._rates)
        ]


def _times(
    columns: _Columns, steps: Sequence[Step], panel: _Panel, top: float, bottom: float
) -> list[Part]:
    values = [
        min(MOST_S, max(LEAST_S, step.figures[name]))
        for step in steps
        for name in panel.names
        if name in step.figures
    ]
    low = math.floor(math.log10(min(values)))
    high = max(low + 1, math.ceil(math.log10(max(values))))

    def level(value_s: float) -> float:
        place = math.log10(min(MOST_S, max(LEAST_S, value_s)))
        return bottom - (place - low) / (high - low) * (bottom - top)

    parts: list[Part] = []
    for power in range(low, high + 1):
        at = level(10.0**power)
        parts.append(line(LEFT, at, WIDTH - RIGHT, at, "grid"))
        parts.append(text(LEFT - 10, at + 4, value_of("_s", 10.0**power), "tick", "end"))
    for name, share in zip(panel.names, ("p50", "p99"), strict=False):
        known = [(place, one) for place, one in enumerate(steps) if name in one.figures]
        points = [(columns.middle(place), level(one.figures[name])) for place, one in known]
        parts.append(path([points], f"line {panel.kind} {share}"))
        for (x, y), (_, one) in zip(points, known, strict=True):
            tip = f"{one.rate}: {value_of(name, one.figures[name])}"
            parts.append(dot(x, y, 3.4, f"point {panel.kind}", tip))
    return parts


def _counts(
    columns: _Columns, steps: Sequence[Step], panel: _Panel, top: float, bottom: float
) -> list[Part]:
    (name,) = panel.names
    most = max(one.figures.get(name, 0.0) for one in steps)
    parts: list[Part] = [line(LEFT, bottom, WIDTH - RIGHT, bottom, "rule")]
    if not most:
        parts.append(text(LEFT + 6, bottom - 8, "none", "tick"))
        return parts
    parts.append(text(LEFT - 10, top + 18, amount(most), "tick", "end"))
    parts.append(text(LEFT - 10, bottom + 4, "0", "tick", "end"))
    width = min(BAR_MAX, columns.width * 0.6)
    for place, one in enumerate(steps):
        count = one.figures.get(name, 0.0)
        if count:
            height = max(2.0, count / most * (bottom - top - 14))
            left = columns.middle(place) - width / 2
            tip = f"{one.rate}: {amount(count)}"
            parts.append(box(left, bottom - height, width, height, panel.kind, tip))
            parts.append(
                text(columns.middle(place), bottom - height - 3, amount(count), "tick", "middle")
            )
    return parts


def _keys(climb: Climb) -> list[tuple[str, str]]:
    keys = [
        ("line cover-faults p50", "median update"), ("line cover-faults p99", "99 of 100 updates"),
    ]  # fmt: skip
    if climb.last is not None:
        verdict = climb.last.verdict
        what = "where it broke" if verdict is Verdict.INVALID else "where a run proved nothing"
        keys.append((f"step {verdict.value}", what))
    if len(climb.steps) < len(climb.rates):
        keys.append(("step untried", "not tried"))
    return keys
