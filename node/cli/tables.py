"""Tables that people like to read, and that `awk` can.

On a terminal they have colours (unless `NO_COLOR` is set) and fit its width, long cells folding.
Otherwise they are plain and as wide as they need: nothing is ever cut off, least of all an id.
"""

import os
import sys
from collections.abc import Sequence
from io import StringIO
from typing import TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .options import is_terminal
from .session import plain

PIPE_WIDTH = 100_000
"""Columns when nobody looks: wider than any row."""
ID_SHOWN = 8
"""Characters of an id that people read; the whole id goes into pipes and JSON."""

STYLES = {
    "passing": "green",
    "alive": "green",
    "yes": "green",
    "warning": "yellow",
    "suspect": "yellow",
    "settled": "green",
    "closed": "green",
    "half_open": "yellow",
    "open": "red",
    "stopping": "yellow",
    "maintenance": "yellow",
    "critical": "red",
    "unreachable": "red",
    "dead": "red",
    "no": "red",
    "left": "dim",
}

Row: TypeAlias = Sequence[str]


def show_table(headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows below headings; empty cells become `-`."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _show(table)


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, _cell(value))
    _show(table)


def shown_id(text: str) -> str:
    """An id: short for people, whole for programs."""
    return text[:ID_SHOWN] if is_terminal() else text


def _cell(value: str) -> Text:
    words = value.split(maxsplit=1)
    return Text(plain(value) or "-", style=STYLES.get(words[0], "") if words else "dim")


def _show(table: Table) -> None:
    page = StringIO()
    if is_terminal():
        console = Console(file=page, force_terminal=True, width=Console(file=sys.stdout).width)
    else:
        console = Console(file=page, force_terminal=False, width=PIPE_WIDTH, color_system=None)
    if os.environ.get("NO_COLOR"):
        console.no_color = True
    console.print(table)
    for line in page.getvalue().splitlines():
        print(line.rstrip())
