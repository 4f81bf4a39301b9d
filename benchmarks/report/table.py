"""Measurements as a table in Markdown, which a terminal shows as well."""

from collections.abc import Iterable, Sequence

from .shape import Measurement, Spread

HEAD = ("", "unit", "Kith", "peer", "ratio", "goal", "met")
VERDICTS = {True: "yes", False: "**no**", None: ""}
THOUSANDS_FROM = 100


def table(measurements: Sequence[Measurement], *, notes: bool = True) -> str:
    """One line a measurement: medians with the least and the most; notes below, numbered."""
    told = [one.note for one in measurements if one.note] if notes else []
    numbers = {note: at for at, note in enumerate(dict.fromkeys(told), start=1)}
    lines = [row(HEAD), row("---" for _ in HEAD)]
    for one in measurements:
        mark = f" [{numbers[one.note]}]" if one.note in numbers else ""
        lines.append(
            row(
                (
                    one.name + mark,
                    one.unit,
                    spread(one.kith),
                    f"{one.peer.name} {spread(one.peer.spread)}" if one.peer else "–",
                    _ratio(one),
                    str(one.goal) if one.goal else "",
                    "not measured" if one.goal and one.met is None else VERDICTS[one.met],
                )
            )
        )
    foot = [f"{at}. {note}" for note, at in numbers.items()]
    return "\n".join([*lines, "", *foot] if foot else lines)


def row(cells: Iterable[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def spread(one: Spread) -> str:
    """The median, with the least and the most if they differ."""
    if one.min == one.max:
        return figure(one.median)
    return f"{figure(one.median)} ({figure(one.min)}–{figure(one.max)})"


def figure(value: float) -> str:
    """With as many digits as help: `12,300`, `45.6`, `1.23`, `0.0123`."""
    if abs(value) >= THOUSANDS_FROM:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(one: Measurement) -> str:
    if one.ratio is None:
        return "–"
    return f"{spread(one.ratio)} ({one.way})"
