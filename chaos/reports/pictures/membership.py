"""Who took whom for what, over time: for each subject a strip for each node that looked at it.

Rules this module keeps:

1. Subjects whom everybody always took for alive are named, not drawn: nothing is to be seen there.
2. Before a node said anything of a subject there is nothing, not `alive`.
3. No more than `SEGMENTS_MAX` strips are drawn; what was left out is said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.reports.markup import Markup, Part, element
from chaos.reports.times import faults_of, window_of
from chaos.running.record import RunRecord, Seen, Span

from .frame import (
    LEFT,
    TICK_HEIGHT,
    TimeFrame,
    box,
    family_of,
    fitting,
    legend,
    picture,
    time_axis,
    words,
)

BELIEFS = ("alive", "suspect", "unreachable", "dead", "stopping", "left", "unknown")
AWAY = ("unreachable", "dead")
SEGMENTS_MAX = 6_000
ROW_LARGE, ROW_SMALL = 11.0, 5.0
LARGE_MAX = 12
"""Viewers of one subject that have a row with a name."""
HEAD = 20.0
SPACE = 8.0
_FAMILIES = {
    "fault-links": "a fault on its links",
    "fault-nodes": "a fault on its process or disk",
    "fault-other": "a fault around it",
}


@dataclass(frozen=True, slots=True)
class Strip:
    """`viewer` believed this of a subject, from when to when."""

    viewer: str
    belief: str
    begin_s: float
    end_s: float


def strips_of(seen: Sequence[Seen], end_s: float) -> dict[str, list[Strip]]:
    """By subject: what each viewer believed, each until it believed something else."""
    strips: dict[str, list[Strip]] = {}
    open_at: dict[tuple[str, str], Seen] = {}
    for one in sorted(seen, key=lambda one: one.at_s):
        key = one.node, one.subject
        before = open_at.get(key)
        if before is not None:
            if before.belief == one.belief:
                continue
            strips.setdefault(one.subject, []).append(
                Strip(one.node, before.belief, before.at_s, one.at_s)
            )
        open_at[key] = one
    for last in open_at.values():
        strips.setdefault(last.subject, []).append(
            Strip(last.node, last.belief, last.at_s, max(end_s, last.at_s))
        )
    return strips


def draw(record: RunRecord) -> Markup:
    """The picture, with its legend and what was left out; a sentence where there is nothing."""
    frame = TimeFrame(*window_of(record))
    strips = strips_of(record.seen, frame.end_s)
    if not strips:
        return element("p", {}, "Nobody was asked what it believed.")
    names = _ordered(strips, record.nodes)
    interesting = [name for name in names if any(one.belief != "alive" for one in strips[name])]
    calm = [name for name in names if name not in interesting]
    parts: list[Part] = []
    top, drawn, left_out = 0.0, 0, []
    for name in interesting:
        if drawn + len(strips[name]) > SEGMENTS_MAX:
            left_out.append(name)
            continue
        drawn += len(strips[name])
        group, top = _group(frame, name, strips[name], _about_subject(record, name), top)
        parts += group
    found: list[Part] = []
    if parts:
        axis = time_axis(frame, 0, top)
        about = "; ".join(_told(name, strips[name]) for name in interesting)
        found.append(
            picture("membership", "How each node saw the others", about, top + TICK_HEIGHT,
                    (axis, *parts))
        )  # fmt: skip
        used = {one.belief for name in interesting for one in strips[name]}
        keys = [(f"belief-{belief}", belief) for belief in BELIEFS if belief in used]
        families = dict.fromkeys(family_of(one.kind) for one in faults_of(record) if one.nodes)
        keys += [(f"bar {family}", _FAMILIES[family]) for family in families]
        found.append(legend(keys))
    if calm:
        text = f"Always alive in everybody's eyes: {', '.join(calm)}."
        found.append(element("p", {"class": "soft"}, text))
    if left_out:
        text = f"Not drawn, they changed too often: {', '.join(left_out)}; the document has them."
        found.append(element("p", {"class": "soft"}, text))
    return element("div", {}, *found)


def _group(
    frame: TimeFrame, name: str, strips: Sequence[Strip], faults: Sequence[Span], top: float
) -> tuple[list[Part], float]:
    """The strips of one subject, and where the next may begin."""
    viewers = sorted(dict.fromkeys(one.viewer for one in strips), key=_by_length)
    row = ROW_LARGE if len(viewers) <= LARGE_MAX else ROW_SMALL
    parts: list[Part] = [words(4, top + 14, fitting(name, LEFT - 8), "subject")]
    for span in faults:
        left = frame.x(span.begin_s)
        width = max(2.0, frame.x(span.end_s) - left)
        tip = f"{span.text}, {span.begin_s:.2f} to {span.end_s:.2f} s"
        parts.append(box(left, top + 5, width, 11, f"bar {family_of(span.kind)}", tip))
        parts.append(words(left + 4, top + 14, fitting(span.kind, width - 6), "bar-name small"))
    top += HEAD
    places = {viewer: place for place, viewer in enumerate(viewers)}
    if row == ROW_LARGE:
        parts += [
            words(LEFT - 10, top + place * row + 9, fitting(viewer, LEFT - 16), "tick small", "end")
            for viewer, place in places.items()
        ]
    for one in strips:
        left = frame.x(one.begin_s)
        width = max(1.0, frame.x(one.end_s) - left)
        tip = f"{one.viewer} took {name} for {one.belief}, {one.begin_s:.2f} to {one.end_s:.2f} s"
        kind = f"belief-{one.belief}" if one.belief in BELIEFS else "belief-unknown"
        parts.append(box(left, top + places[one.viewer] * row, width, row - 1, kind, tip))
    return parts, top + len(viewers) * row + SPACE


def rows_of(record: RunRecord) -> list[tuple[str, str, str, str, str]]:
    """By subject, for the table: who took it for gone, when first, when last, how long at most."""
    end_s = window_of(record)[1]
    strips = strips_of(record.seen, end_s)
    rows = []
    for name in _ordered(strips, record.nodes):
        away = [one for one in strips[name] if one.belief in AWAY]
        if not away:
            rows.append((name, "nobody", "", "", ""))
            continue
        viewers = sorted(dict.fromkeys(one.viewer for one in away), key=_by_length)
        first_s = min(one.begin_s for one in away)
        last_s = max(one.end_s for one in away)
        longest_s = max(one.end_s - one.begin_s for one in away)
        until = "the end" if math.isclose(last_s, end_s) else f"{last_s:.2f} s"
        rows.append((name, " ".join(viewers), f"{first_s:.2f} s", until, f"{longest_s:.2f} s"))
    return rows


def _about_subject(record: RunRecord, name: str) -> list[Span]:
    return [one for one in faults_of(record) if name in one.nodes]


def _told(name: str, strips: Sequence[Strip]) -> str:
    away = [one for one in strips if one.belief in AWAY]
    if not away:
        return f"{name}: doubted, never taken for gone"
    first = min(away, key=lambda one: one.begin_s)
    count = len(dict.fromkeys(one.viewer for one in away))
    return f"{name}: taken for gone by {count}, first by {first.viewer} at {first.begin_s:.2f} s"


def _ordered(strips: Mapping[str, Sequence[Strip]], nodes: Sequence[str]) -> list[str]:
    known = [name for name in nodes if name in strips]
    return [*known, *sorted(name for name in strips if name not in known)]


def _by_length(name: str) -> tuple[int, str]:
    """`b` before `n26`."""
    return len(name), name
