"""How updates spread: how many nodes had one after how long, in calm and under faults.

Rules this module keeps:

1. A curve is of many updates: at each number of nodes, the median and the 99th of a hundred.
2. Where fewer updates reached so many nodes, the table says how many did.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.reports.markup import Markup, Part, element
from chaos.reports.times import faults_of
from chaos.reports.words import value_of
from chaos.running.figures import rank
from chaos.running.record import Coverage, RunRecord

from .frame import LEFT, RIGHT, TICK_HEIGHT, WIDTH, legend, line, path, picture, words

CALM, FAULTS = "calm", "faults"
PLOT = 200.0
LEAST_S, MOST_S = 1e-4, 1e5
LINES_MAX = 12


@dataclass(frozen=True, slots=True)
class Reached:
    """So many nodes beside the owner had an update: how many updates came so far, and when."""

    nodes: int
    updates: int
    p50_s: float
    p99_s: float


def reached_of(coverage: Sequence[Coverage]) -> list[Reached]:
    """By number of nodes."""
    widest = max((len(one.took_s) for one in coverage), default=0)
    found = []
    for place in range(widest):
        took_s = sorted(
            one.took_s[place]
            for one in coverage
            if len(one.took_s) > place and math.isfinite(one.took_s[place])
        )
        if took_s:
            found.append(Reached(place + 1, len(took_s), rank(took_s, 0.5), rank(took_s, 0.99)))
    return found


def parted(record: RunRecord) -> dict[str, list[Coverage]]:
    """Those that were acknowledged in calm, and those while there was a fault."""
    faults = faults_of(record)
    found: dict[str, list[Coverage]] = {CALM: [], FAULTS: []}
    for one in record.coverage:
        under = any(fault.begin_s <= one.at_s < fault.end_s for fault in faults)
        found[FAULTS if under else CALM].append(one)
    return found


def draw(record: RunRecord) -> Markup:
    """The picture with its legend; a sentence where nothing was measured."""
    curves = {name: reached_of(those) for name, those in parted(record).items()}
    curves = {name: those for name, those in curves.items() if those}
    if not curves:
        return element("p", {"class": "soft"}, "How updates spread was not measured in this run.")
    scale = _Scale(curves, max(1, len(record.nodes) - 1))
    parts: list[Part] = [*_grid(scale)]
    for name, curve in curves.items():
        for share in ("p99", "p50"):
            points = [(scale.x(_at(one, share)), scale.y(one.nodes)) for one in curve]
            start = (points[0][0], scale.y(0))
            parts.append(path([[start, *points]], f"line cover-{name} {share}"))
    parts.append(words(LEFT - 10, 12, "nodes", "tick", "end"))
    about = "; ".join(_told(name, curve) for name, curve in curves.items())
    keys = [
        (f"line cover-{name} {share}", f"{text} {_SHARES[share]}")
        for name, text in (("calm", "in calm,"), ("faults", "under faults,"))
        for share in ("p50", "p99")
        if name in curves
    ]
    found = picture("coverage", "How updates spread", about, PLOT + TICK_HEIGHT + 18, parts)
    return element("div", {}, found, legend(keys))


_SHARES = {"p50": "median update", "p99": "99 of 100 updates"}


def rows_of(record: RunRecord) -> list[tuple[str, str, str, str, str]]:
    """For the table: when, how many nodes, how many updates, median, p99."""
    rows = []
    for name, those in parted(record).items():
        for one in reached_of(those):
            when = {CALM: "in calm", FAULTS: "under faults"}[name]
            of = f"{one.updates:,} of {len(those):,}"
            rows.append(
                (when, str(one.nodes), of, value_of("_s", one.p50_s), value_of("_s", one.p99_s))
            )
    return rows


class _Scale:
    """Seconds and nodes to points; seconds logarithmic."""

    def __init__(self, curves: dict[str, list[Reached]], nodes: int) -> None:
        values = [
            min(MOST_S, max(LEAST_S, value))
            for curve in curves.values()
            for one in curve
            for value in (one.p50_s, one.p99_s)
        ]
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))
        self.nodes = max(nodes, *(one.nodes for curve in curves.values() for one in curve))

    def x(self, value_s: float) -> float:
        """Where a time stands."""
        place = math.log10(min(MOST_S, max(LEAST_S, value_s)))
        share = (place - self.low) / (self.high - self.low)
        return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT)

    def y(self, nodes: int) -> float:
        """Where a number of nodes stands."""
        return 16 + PLOT * (1 - nodes / self.nodes)


def _grid(scale: _Scale) -> list[Part]:
    parts: list[Part] = []
    for power in range(scale.low, scale.high + 1):
        x = scale.x(10.0**power)
        parts.append(line(x, 16, x, PLOT + 16, "grid"))
        text = f"{10.0**power:g} s" if power >= 0 else f"{10.0 ** (power + 3):g} ms"
        parts.append(words(x, PLOT + 31, text, "tick", "middle"))
    step = math.ceil(scale.nodes / LINES_MAX)
    for nodes in range(0, scale.nodes + 1, step):
        level = scale.y(nodes)
        parts.append(line(LEFT, level, WIDTH - RIGHT, level, "grid"))
        parts.append(words(LEFT - 10, level + 4, str(nodes), "tick", "end"))
    return parts


def _at(one: Reached, share: str) -> float:
    return one.p50_s if share == "p50" else one.p99_s


def _told(name: str, curve: Sequence[Reached]) -> str:
    last = curve[-1]
    when = {CALM: "in calm", FAULTS: "under faults"}[name]
    return (
        f"{when}, the median update was on {last.nodes} other nodes after "
        f"{value_of('_s', last.p50_s)}, 99 of 100 after {value_of('_s', last.p99_s)}"
    )
