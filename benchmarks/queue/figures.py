"""Figures with their spread, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich import box
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several measurements of one thing."""

    count: int
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
        at = (ordered[count // 2], ordered[min(count - 1, count * 99 // 100)], ordered[-1])
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

    def document(self) -> dict[str, object]:
        """For programs."""
        return {name: asdict(one) for name, one in self._found.items()}
