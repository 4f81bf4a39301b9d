"""What was measured, as lines for people and as values for programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeAlias

from benchmarks.report import Goal, Measurement, Spread

UNITS = ("ms", "s")
CONTINUES = "…"
"""Opens a row that belongs to the one before it."""

Value: TypeAlias = int | float | str


@dataclass(slots=True)
class Figures:
    """A measurement's rows, and what was not as promised."""

    rows: list[tuple[str, Value | Spread]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)
    """The same, in the shape of all benchmarks."""

    def put(self, what: str, value: Value | Spread, goal: Goal | None = None) -> None:
        """One row; a unit stands at the end of what it says, after a comma."""
        self.rows.append((what, value))
        if isinstance(value, str):
            return
        spread = value if isinstance(value, Spread) else Spread(value, value, value)
        name, _, unit = what.rpartition(", ")
        if not name or unit not in UNITS:
            name, unit = what, ""
        if name.startswith(CONTINUES) and self.measured:
            name = f"{self.measured[-1].name.partition(CONTINUES)[0].strip()} {name}"
        self.measured.append(Measurement(name, unit, spread, goal=goal))

    def promise(self, what: str, *, kept: bool) -> None:
        """One row that says whether something is as promised."""
        self.put(what, "yes" if kept else "NO")
        kept_spread = Spread(*[float(kept)] * 3)
        self.measured.append(
            Measurement(what, "1: kept", kept_spread, goal=Goal(">=", 1.0, "kith"))
        )
        if not kept:
            self.missed.append(what)

    def table(self) -> str:
        """In Markdown; of several measurements the median, the least and the most."""
        lines = [f"| {what} | {_cell(value)} |" for what, value in self.rows]
        return "\n".join(["| | |", "|---|---|", *lines])


def spread_of(values: Sequence[float], digits: int) -> Spread:
    """Of at least one, rounded."""
    return Spread(*(round(one, digits) for one in (median(values), min(values), max(values))))


def _cell(value: Value | Spread) -> str:
    if isinstance(value, Spread):
        return f"{value.median:,} ({value.min:,}–{value.max:,})"
    return value if isinstance(value, str) else f"{value:,}"
