"""Figures with their spread, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from benchmarks import report
from benchmarks.report import Measurement

NOTE = "of single calls: the median, the least and the worst"


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several measurements of one thing."""

    count: int
    least: float
    median: float
    p99: float
    worst: float


class Figures:
    """What was measured in one case; the unit stands at the end of each name."""

    def __init__(self, case: str) -> None:
        self.case = case
        self._found: dict[str, Spread] = {}

    def add(self, name: str, values: Sequence[float]) -> None:
        """Take in the measurements of one thing."""
        ordered = sorted(values)
        count = len(ordered)
        at = (
            ordered[0],
            ordered[count // 2],
            ordered[min(count - 1, count * 99 // 100)],
            ordered[-1],
        )
        self._found[name] = Spread(count, *(round(one, 3) for one in at))

    def table(self) -> Table:
        """For people."""
        table = Table(title=self.case, box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("")
        for name in ("median", "99 %", "worst", "n"):
            table.add_column(name, justify="right")
        for name, one in self._found.items():
            cells = [f"{value:,.5g}" for value in (one.median, one.p99, one.worst)]
            table.add_row(name, *cells, f"{one.count:,}")
        return table

    def measured(self) -> list[Measurement]:
        """The same, in the shape of all benchmarks."""
        return [
            Measurement(
                f"{name.rpartition(' (')[0]}, {self.case}",
                name.rpartition(" (")[2].removesuffix(")"),
                report.Spread(one.median, one.least, one.worst),
                note=NOTE,
            )
            for name, one in self._found.items()
        ]
