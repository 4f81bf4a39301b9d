"""What all pictures share: a frame with an axis of time, marks on it, and how faults shade it.

Rules this module keeps:

1. All pictures over time have the same width and margins: what happened together stands together.
2. Colours are classes of the page's stylesheet, so that a picture follows the page into the dark.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.faults import FAULTS
from chaos.reports.markup import Attributes, Markup, Part, element, join
from chaos.running.record import Span

WIDTH = 1000.0
LEFT, RIGHT = 92.0, 16.0
TICKS_WANTED = 10
TICKS_MAX = 30
TICK_HEIGHT = 22.0
CHARACTER_WIDTH = 6.2
"""Of the small text in pictures, about."""


@dataclass(frozen=True, slots=True)
class TimeFrame:
    """Seconds to points, from left to right."""

    begin_s: float
    end_s: float

    def x(self, at_s: float) -> float:
        """Where a moment stands; one outside of the window stands at its edge."""
        span_s = max(self.end_s - self.begin_s, 1e-9)
        share = min(1.0, max(0.0, (at_s - self.begin_s) / span_s))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """Round seconds, about ten of them."""
        step = round_step((self.end_s - self.begin_s) / TICKS_WANTED)
        first = math.ceil(self.begin_s / step)
        last = math.floor(self.end_s / step)
        return [place * step for place in range(first, min(last, first + TICKS_MAX) + 1)]


def round_step(wanted: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if not wanted > 0 or math.isinf(wanted):
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next((power * by for by in (1, 2, 5) if power * by >= wanted), power * 10)


def picture(name: str, title: str, about: str, height: float, parts: Iterable[Part]) -> Markup:
    """A whole picture. `name` makes its ids, and is unique on the page."""
    attributes: Attributes = {
        "viewBox": f"0 0 {WIDTH:g} {math.ceil(height)}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-about",
        "class": "picture",
    }
    svg = element(
        "svg",
        attributes,
        element("title", {"id": f"{name}-title"}, title),
        element("desc", {"id": f"{name}-about"}, about),
        *parts,
    )
    return element("div", {"class": "scroll", "tabindex": "0"}, svg)


def box(left: float, top: float, width: float, height: float, kind: str, tip: str = "") -> Markup:
    """A rectangle; `tip` is shown when a pointer rests on it."""
    attributes: Attributes = {
        "x": left, "y": top, "width": max(width, 0.0), "height": max(height, 0.0), "class": kind,
    }  # fmt: skip
    return element("rect", attributes, *([element("title", {}, tip)] if tip else ()))


def words(left: float, top: float, text: str, kind: str = "", anchor: str = "") -> Markup:
    """Text; `anchor` is `middle` or `end`."""
    return element("text", {"x": left, "y": top, "class": kind, "text-anchor": anchor}, text)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})


def dot(left: float, top: float, radius: float, kind: str, tip: str = "") -> Markup:
    """A circle."""
    attributes: Attributes = {"cx": left, "cy": top, "r": radius, "class": kind}
    return element("circle", attributes, *([element("title", {}, tip)] if tip else ()))


def path(points: Sequence[Sequence[tuple[float, float]]], kind: str) -> Markup:
    """A line through points, with gaps between the parts."""
    parts = [
        "M" + "L".join(f"{left:.1f},{top:.1f}" for left, top in part) for part in points if part
    ]
    return element("path", {"d": "".join(parts), "class": kind}) if parts else Markup("")


def time_axis(frame: TimeFrame, top: float, bottom: float) -> Markup:
    """Lines for round seconds from top to bottom, with numbers below."""
    parts: list[Part] = []
    ticks = frame.ticks()
    for at_s in ticks:
        x = frame.x(at_s)
        parts.append(line(x, top, x, bottom, "grid"))
        text = f"{at_s:g} s" if at_s == ticks[-1] else f"{at_s:g}"
        parts.append(words(x, bottom + 15, text, "tick", "middle"))
    return join(parts)


def shades(frame: TimeFrame, faults: Sequence[Span], top: float, bottom: float) -> Markup:
    """Bands where faults are."""
    parts = []
    for begin_s, end_s in merged((one.begin_s, one.end_s) for one in faults):
        left = frame.x(begin_s)
        parts.append(box(left, top, frame.x(end_s) - left, bottom - top, "shade"))
    return join(parts)


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that do not overlap, covering the same."""
    found: list[tuple[float, float]] = []
    for begin_s, end_s in sorted(spans):
        if found and begin_s <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end_s)
        else:
            found.append((begin_s, end_s))
    return found


def family_of(kind: str) -> str:
    """The class of a fault's colour: by whether it touches links, processes or what is around."""
    known = FAULTS.get(kind)
    needs = {need.value for need in known.needs} if known is not None else {""}
    if needs & {"links", "delay", "bandwidth"}:
        return "fault-links"
    return "fault-nodes" if needs & {"processes", "disks"} else "fault-other"


def fitting(text: str, width: float) -> str:
    """As much of a text as there is room for; nothing if that is next to nothing."""
    room = int(width / CHARACTER_WIDTH)
    if len(text) <= room:
        return text
    return text[: room - 1] + "…" if room >= 4 else ""


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Classes with what they stand for, as a list beside a picture."""
    items = [
        element("li", {}, element("span", {"class": f"key {kind}"}), " ", text)
        for kind, text in entries
    ]
    return element("ul", {"class": "legend"}, *items)
