"""The figures as a table for people; `summary` writes them for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.table import Table

from .measure import Findings


@dataclass(frozen=True, slots=True)
class Summary:
    """Of several measurements of one thing."""

    count: int
    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary | None":
        """None of none."""
        if not values:
            return None
        return cls(len(values), min(values), median(values), max(values))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    field: str
    """Of `Findings`."""
    title: str
    unit: str
    digits: int


ROWS = (
    Row("join_first_s", "join of all, from the first start", "s", 2),
    Row("join_last_s", "join of all, from the last start", "s", 2),
    Row("join_ready_s", "join of all, from the last one's process up", "s", 2),
    Row("update_ack_ms", "update acknowledged to the caller", "ms", 1),
    Row("update_half_ms", "update on half of the others", "ms", 1),
    Row("update_all_ms", "update on all others", "ms", 1),
    Row("detect_first_s", "kill -9 noticed by the first", "s", 2),
    Row("detect_all_s", "kill -9 noticed by all", "s", 2),
    Row("return_s", "started again, all see all", "s", 2),
    Row("idle_packets", "idle packets, node and second", "/s", 2),
    Row("idle_bytes", "idle IP bytes, node and second", "B/s", 0),
    Row("idle_cpu_ms", "idle processor time, node and second", "ms/s", 1),
    Row("rss_mb", "resident memory of a node", "MB", 1),
    Row("pss_mb", "… shared pages divided among processes", "MB", 1),
)


def table_of(findings: Mapping[str, Findings], title: str) -> Table:
    """Median, least and most of each figure; and how many times ours theirs is, by the median."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("")
    for name in findings:
        table.add_column(f"{name} median", justify="right")
        table.add_column("min … max", justify="right", style="dim")
        table.add_column("n", justify="right", style="dim")
    table.add_column("ratio", justify="right")
    for row in ROWS:
        cells, middles = [], []
        for found in findings.values():
            summary = summary_of(found, row)
            middles.append(summary.middle if summary else None)
            cells += _cells(summary, row)
        if any(middle is not None for middle in middles):
            table.add_row(row.title, *cells, _ratio(middles))
    alarms = [cell for one in findings.values() for cell in (str(one.false_alarms), "", "")]
    table.add_row("false alarms: a live one taken for gone", *alarms, "")
    missed = [cell for one in findings.values() for cell in (str(len(one.missed)), "", "")]
    table.add_row("missed: not within its bound", *missed, "")
    return table


def summary_of(found: Findings, row: Row) -> Summary | None:
    """One row of one side."""
    values: Sequence[float] = getattr(found, row.field)
    return Summary.of(values)


def _cells(summary: Summary | None, row: Row) -> list[str]:
    if summary is None:
        return ["–", "", ""]
    low, middle, high = (f"{x:.{row.digits}f}" for x in (summary.low, summary.middle, summary.high))
    return [f"{middle} {row.unit}", f"{low} … {high}", str(summary.count)]


def _ratio(middles: Sequence[float | None]) -> str:
    """How many times as much the second is as the first."""
    if len(middles) < 2:
        return ""
    ours, theirs = middles[0], middles[1]
    return f"{theirs / ours:.2f} ×" if ours and theirs is not None else ""
