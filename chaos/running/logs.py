"""Logs of nodes, read when a run is over: which line belongs to a moment, and what went wrong.

A node writes one JSON document a line, each with `mono_ns`, the machine's monotonic clock, which is
also the clock of a run: a node whose wall clock is off is found all the same.

Rules this module keeps:

1. A log is read line by line, once, and no further than `BYTES_MAX`.
2. A line that is no JSON document is a line all the same; it has no time of its own.
"""

import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BYTES_MAX = 256 * 1024 * 1024
LINE_MAX = 64 * 1024
_NS = 1e9
_TROUBLE = ("error", "critical")
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A line that says that something went wrong inside."""

    node: str
    line: int
    at_s: float
    """By the machine's monotonic clock; 0 if the line has no time."""
    event: str
    exception: str
    """Empty if there was none."""


@dataclass(slots=True)
class Log:
    """What is kept of one node's log."""

    file: str
    """Its name in the run's directory."""
    times_s: list[float] = field(default_factory=list)
    """Of each line that has one, by the machine's monotonic clock; it does not fall."""
    lines: list[int] = field(default_factory=list)
    """Their numbers, from 1."""
    troubles: list[Trouble] = field(default_factory=list)

    def line_at(self, at_s: float) -> int:
        """The first line at or after a moment of the machine's clock; 0 if there is none."""
        place = bisect_left(self.times_s, at_s)
        return self.lines[place] if place < len(self.lines) else 0


def read_log(node: str, path: Path) -> Log:
    """Read a log; one that is not there is empty."""
    log = Log(path.name)
    for number, text in _lines(path):
        told = _document(text)
        at_s = told.get("mono_ns")
        if isinstance(at_s, int):
            # Two threads of a node may write in the other order than they looked at the clock.
            seconds = max(at_s / _NS, log.times_s[-1] if log.times_s else 0.0)
            log.times_s.append(seconds)
            log.lines.append(number)
        if told.get("level") in _TROUBLE or _TRACEBACK in text:
            log.troubles.append(
                Trouble(
                    node,
                    number,
                    at_s / _NS if isinstance(at_s, int) else 0.0,
                    str(told.get("event", text.strip()[:200])),
                    str(told.get("exception", _TRACEBACK if _TRACEBACK in text else "")),
                )
            )
    return log


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    read_bytes = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                read_bytes += len(line)
                if read_bytes > BYTES_MAX:
                    return
                yield number, line[:LINE_MAX].decode("utf-8", "replace")
    except FileNotFoundError:
        return


def _document(text: str) -> dict[str, object]:
    if not text.startswith("{"):
        return {}
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return dict(value) if isinstance(value, dict) else {}
