"""Failures of single nodes, a row each: when which other node noticed, and when all was well again.

Rules this module keeps:

1. Second 0 is the moment that a node failed, in every row: so rows can be compared.
"""

from chaos.reports.markup import Markup, Part, element
from chaos.reports.series.reach import Blast, Effect
from chaos.reports.words import value_of
from chaos.verdict import Verdict

from .frame import (
    LEFT,
    TICK_HEIGHT,
    TimeFrame,
    box,
    dot,
    family_of,
    fitting,
    legend,
    line,
    picture,
    time_axis,
    words,
)

ROW, BAR = 24.0, 14.0
AFTER_S = 1.0
ROWS_MAX = 200


def draw(blast: Blast) -> Markup:
    """The picture with its legend; a sentence where nothing was tried."""
    shown = blast.effects[:ROWS_MAX]
    if not shown:
        return element("p", {"class": "soft"}, "Nothing was tried.")
    end_s = max(one.lasted_s + (one.back_s or 0.0) for one in shown) + AFTER_S
    frame = TimeFrame(0.0, end_s)
    bottom = len(shown) * ROW
    parts: list[Part] = [time_axis(frame, 0, bottom)]
    for place, effect in enumerate(shown):
        parts += _row(frame, effect, place * ROW)
    found = picture(
        "reach", "Who noticed which failure when", blast.result, bottom + TICK_HEIGHT, parts
    )
    keys = [
        *dict.fromkeys((f"bar {family_of(one.way)}", "while a node fails") for one in shown),
        ("dot saw", "another node takes it for gone"),
        ("dot back", "all hold it for alive again"),
    ]
    return element("div", {}, found, legend(keys))


def _row(frame: TimeFrame, effect: Effect, top: float) -> list[Part]:
    middle = top + ROW / 2
    left, right = frame.x(0.0), frame.x(effect.lasted_s)
    tip = f"{effect.node} fails by {effect.way} for {effect.lasted_s:.1f} s: {effect.verdict.value}"
    name = fitting(f"{effect.node} {effect.way}", LEFT - 16)
    kind = "name" if effect.verdict is Verdict.VALID else "name bad"
    parts: list[Part] = [
        words(LEFT - 10, middle + 4, name, kind, "end"),
        box(left, middle - BAR / 2, right - left, BAR, f"bar {family_of(effect.way)} faint", tip),
        line(left, top + ROW, frame.x(frame.end_s), top + ROW, "rule"),
    ]
    for viewer, at_s in effect.noticed_s.items():
        told = f"{viewer} noticed after {value_of('_s', at_s)}"
        parts.append(dot(frame.x(at_s), middle, 4.5, "dot saw", told))
    if effect.blind:
        told = f"not noticed by {' '.join(effect.blind)}"
        parts.append(words(right - 6, middle + 4, fitting(told, right - left), "bar-name", "end"))
    if effect.back_s is not None:
        told = f"all hold it for alive again {value_of('_s', effect.back_s)} after it was over"
        parts.append(dot(frame.x(effect.lasted_s + effect.back_s), middle, 4.5, "dot back", told))
    return parts
