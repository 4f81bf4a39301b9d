"""Figures as rows, and rows as Markdown tables."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Cell: TypeAlias = str | int | float | None
Row: TypeAlias = dict[str, Cell]
DIGITS = 6
"""After the point, in the data; more is noise of the arithmetic."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a field of the rows, and how it is written."""

    field: str
    heading: str
    form: str = ""
    """A format specification; nothing for text."""


def table_of(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """A Markdown table; a cell without a value is a dash."""
    lines = [[column.heading for column in columns]]
    lines.append(["---" if not column.form else "---:" for column in columns])
    lines += [[_cell(column, row.get(column.field)) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def quantile(values: Sequence[float], share: float) -> float | None:
    """By the nearest rank, of values in any order; None of none.

    It is the smallest value that at least `share` of all do not exceed.
    """
    if not values:
        return None
    rank = max(1, math.ceil(share * len(values)))
    return round(sorted(values)[rank - 1], DIGITS)


def per(total: float, count: float) -> float | None:
    """A share or a mean; None where there is nothing to divide by."""
    return round(total / count, DIGITS) if count else None


def _cell(column: Column, value: Cell) -> str:
    if value is None:
        return "–"
    return format(value, column.form) if column.form else str(value)
