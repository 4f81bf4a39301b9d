"""What was measured, as lines for people and as values for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TypeAlias

Value: TypeAlias = int | float | str


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several measurements of one thing."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int) -> "Spread":
        """Of at least one."""
        rounded = (round(one, digits) for one in (median(values), min(values), max(values)))
        return cls(*rounded)

    def __str__(self) -> str:
        return f"{self.median:,} ({self.min:,}–{self.max:,})"


@dataclass(slots=True)
class Figures:
    """A measurement's rows, and what was not as promised."""

    rows: list[tuple[str, Value | Spread]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def put(self, what: str, value: Value | Spread) -> None:
        """One row."""
        self.rows.append((what, value))

    def promise(self, what: str, *, kept: bool) -> None:
        """One row that says whether something is as promised."""
        self.put(what, "yes" if kept else "NO")
        if not kept:
            self.missed.append(what)

    def table(self) -> str:
        """In Markdown; of several measurements the median, the least and the most."""
        lines = [f"| {what} | {_cell(value)} |" for what, value in self.rows]
        return "\n".join(["| | |", "|---|---|", *lines])

    def document(self) -> dict[str, object]:
        """The rows by what they say."""
        return {
            what: asdict(value) if isinstance(value, Spread) else value for what, value in self.rows
        }


def _cell(value: Value | Spread) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
