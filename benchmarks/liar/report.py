"""The figures as a table for people, and in the shape of all benchmarks for programs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from rich import box
from rich.table import Table

from benchmarks.report import Goal, Measurement, PeerValues, measure

from .attacks import ATTACKS
from .samples import Figures

Found: TypeAlias = Mapping[str, Mapping[str, Sequence[Figures]]]
"""By attack and side, round by round."""
LABELS = {"kith": "Kith", "serf": "Serf"}
KITH, SERF = ("kith",), ("serf",)
NEVER = Goal("<=", 0.0, "kith")
Value: TypeAlias = Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of an attack."""

    name: str
    unit: str
    value: Value
    heading: str
    """In the table for people."""
    note: str = ""
    goal: Goal | None = None
    shared: bool = True
    """Whether it is among the figures that go into the documentation."""
    sides: tuple[str, ...] = ("kith", "serf")
    """Who has it."""


LINES = (
    Line(
        "honest members that took it for gone", "", lambda one: float(one.fooled), "fooled",
        "it lives and answers all the while", NEVER,
    ),
    Line("gone, the mean of honest members", "s", lambda one: one.gone_s, "gone, s"),
    Line(
        "… of the time that the lie lasts", "%", lambda one: one.gone_share * 100.0,
        "of the lie, %",
    ),
    Line(
        "gone without a break, the longest", "s", lambda one: one.longest_s, "longest, s",
        shared=False,
    ),
    Line(
        "came to be gone, the mean of honest members", "", lambda one: one.times, "times",
        "by their logs; a time that no look fell into is not in the seconds", NEVER,
    ),
    Line(
        "alive for all after the last accusation", "s", lambda one: one.back_s, "back after, s",
        "0: at the first look; rounds in which it was not are not in it",
    ),
    Line(
        "honest members that took it for gone when watching ended", "",
        lambda one: float(one.still_gone), "still gone", goal=NEVER,
    ),
    Line(
        "lookups of its service that did not name it", "", lambda one: float(one.lookups_lost),
        "lookups lost", goal=NEVER, sides=KITH,
    ),
    Line(
        "came to be doubted, the mean of honest members", "", lambda one: one.doubted, "doubted",
        "by their logs: one vote stands, and the accused stays in lookups", sides=KITH,
    ),
    Line(
        "doubted, the mean of honest members", "ms", lambda one: one.doubted_s * 1e3, "… ms",
        shared=False, sides=KITH,
    ),
    Line(
        "accusations that the accused refuted", "", lambda one: one.refuted, "refuted",
        "by its log", shared=False, sides=SERF,
    ),
    Line(
        "looks that were not answered", "", lambda one: float(one.unanswered), "unanswered",
        shared=False,
    ),
)  # fmt: skip


def table_of(found: Found, title: str) -> Table:
    """A line for each attack and side: medians, with least and most where they differ."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("the lie", no_wrap=True)
    table.add_column("")
    for line in LINES:
        table.add_column(line.heading, justify="right", overflow="fold")
    for name, sides in found.items():
        for number, (side, rounds) in enumerate(sides.items()):
            cells = [_cell(rounds, line, side) for line in LINES]
            if rounds:
                table.add_row("" if number else ATTACKS[name].title, LABELS[side], *cells)
    return table


def measurements(found: Found, version: str) -> list[Measurement]:
    """Every figure of every attack that we have values of."""
    made = [
        _measurement(name, line, sides, version) for name, sides in found.items() for line in LINES
    ]
    return [one for one in made if one is not None]


def kept(found: Found) -> bool:
    """Whether Kith kept what is promised: nobody is fooled, and no lookup misses the accused."""
    return not any(
        one.fooled or one.lookups_lost or one.still_gone or one.times
        for sides in found.values()
        for one in sides.get("kith", ())
    )


def _measurement(
    attack: str, line: Line, sides: Mapping[str, Sequence[Figures]], version: str
) -> Measurement | None:
    ours, theirs = (_values(sides.get(side, ()), line, side) for side in LABELS)
    if not ours or not line.shared or (line.name.startswith("…") and not ATTACKS[attack].repeated):
        return None
    return measure(
        f"{ATTACKS[attack].title}: {line.name}",
        line.unit,
        ours,
        peer=PeerValues("Serf", version, theirs) if theirs else None,
        ratios=(),
        goal=line.goal,
        note=line.note,
    )


def _values(rounds: Sequence[Figures], line: Line, side: str) -> list[float]:
    if side not in line.sides:
        return []
    return [value for one in rounds if (value := line.value(one)) is not None]


def _cell(rounds: Sequence[Figures], line: Line, side: str) -> str:
    values = _values(rounds, line, side)
    if not values:
        return "–"
    low, middle, high = (f"{x:.3g}" for x in (min(values), median(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"
