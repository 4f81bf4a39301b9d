"""Plain tables and numbers: the same on a terminal, in a pipe and in a diff.

Widths follow from the content alone and colours mark verdicts only, so that what a seed prints is
the same everywhere.
"""

import os
import sys
from collections.abc import Sequence

RUNS_SHOWN_MAX = 8
"""Nodes, or runs of nodes, that a cell names; the rest is counted."""
_COLOURS = {"VALID": "32", "INVALID": "31", "RAISED": "31", "UNKNOWN": "33"}


def show(text: str) -> None:
    """Data, for standard output; flushed, because a run may take long."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """A message for people, beside the data."""
    sys.stderr.write(f"kith sim: {plain(message)}\n")


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()
) -> str:
    """Rows below headings; the columns that hold `numbers` are aligned to the right."""
    lines = [[heading.upper() for heading in headings], *(list(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    text = []
    for line in lines:
        cells = [
            cell.rjust(width) if heading in numbers else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ]
        text.append("  " + "  ".join(cells).rstrip())
    return "\n".join(text)


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values, one a line."""
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"  {name:<{width}}  {value}".rstrip() for name, value in pairs)


def section(title: str, body: str) -> str:
    """A titled part of a report."""
    return f"{title}\n{body}"


def number(value: float) -> str:
    """A count with commas, anything else with up to four decimals."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.4f}".rstrip("0")


def seconds(value: float) -> str:
    """Seconds to a tenth of a millisecond."""
    return f"{value:.4f}"


def names_of(nodes: Sequence[int]) -> str:
    """Nodes by name, neighbours as a range: `n0-n3 n7`."""
    ordered = sorted(nodes)
    runs: list[tuple[int, int]] = []
    for node in ordered:
        if runs and runs[-1][1] == node - 1:
            runs[-1] = (runs[-1][0], node)
        else:
            runs.append((node, node))
    words = [_run(first, last) for first, last in runs[:RUNS_SHOWN_MAX]]
    if len(runs) > RUNS_SHOWN_MAX:
        words.append(f"… ({len(ordered)} nodes)")
    return " ".join(words)


def coloured(word: str) -> str:
    """A verdict in its colour, if a person reads it and wants colours."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return word
    return f"\x1b[1;{_COLOURS.get(word, '0')}m{word}\x1b[0m"


def plain(text: str) -> str:
    """`text` in one line, without what could steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _run(first: int, last: int) -> str:
    if first == last:
        return f"n{first}"
    return f"n{first} n{last}" if last == first + 1 else f"n{first}-n{last}"
