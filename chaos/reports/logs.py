"""A few lines of a node's log around a moment, in a form that is read at a glance.

Rules this module keeps:

1. Only files of the run's directory are read, whatever a record says; the rest has no lines.
2. What is read is bounded: so many bytes of a file, so many lines, so much of a line.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from chaos.running.record import Moment, RunRecord

BEFORE, AFTER = 2, 4
LINE_MAX = 320
LINES_READ_MAX = 2_000_000
LINE_BYTES_MAX = 64 * 1024
_EVERYWHERE = ("time", "mono_ns", "level", "event", "node", "node_id")
"""Fields that stand in each line, and are left out."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line."""

    number: int
    """From 1."""
    text: str


def excerpts(record: RunRecord, directory: Path) -> dict[Moment, Sequence[LogLine]]:
    """Lines around each moment that has a log; none for logs that are not there."""
    wanted: dict[str, list[Moment]] = {}
    for moment in record.moments:
        if moment.log and moment.line > 0:
            wanted.setdefault(moment.log, []).append(moment)
    found: dict[Moment, Sequence[LogLine]] = {}
    for log, moments in wanted.items():
        file = inside(directory, log)
        if file is not None:
            found |= _around(file, moments, record.zero_mono_ns)
    return found


def inside(directory: Path, log: str) -> Path | None:
    """The file, if it is one and lies in the directory or below."""
    try:
        file = (directory / log).resolve()
        found = file.is_relative_to(directory.resolve()) and file.is_file()
    except (OSError, ValueError):
        return None
    return file if found else None


def _around(
    file: Path, moments: Iterable[Moment], zero_mono_ns: int
) -> dict[Moment, Sequence[LogLine]]:
    places = {one: range(one.line - BEFORE, one.line + AFTER + 1) for one in moments}
    last = min(LINES_READ_MAX, max(place.stop for place in places.values()))
    found: dict[Moment, list[LogLine]] = {one: [] for one in places}
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, text in enumerate(islice(lines, last), 1):
                for moment, place in places.items():
                    if number in place:
                        found[moment].append(LogLine(number, told(text, zero_mono_ns)))
    except OSError:
        return {}
    return dict(found)


def told(text: str, zero_mono_ns: int) -> str:
    """A line as people read it: second of the run, event, what else it says."""
    try:
        value = json.loads(text[:LINE_BYTES_MAX])
    except (ValueError, RecursionError):
        return text.rstrip()[:LINE_MAX]
    if not isinstance(value, Mapping) or not isinstance(value.get("event"), str):
        return text.rstrip()[:LINE_MAX]
    words = [str(value["event"])]
    mono_ns = value.get("mono_ns")
    if isinstance(mono_ns, int) and zero_mono_ns:
        words.insert(0, f"{(mono_ns - zero_mono_ns) / 1e9:8.3f} s ")
    if value.get("level") in ("warning", "error", "critical"):
        words.append(f"({value['level']})")
    words += [f"{name}={one}" for name, one in value.items() if name not in _EVERYWHERE]
    return " ".join(words)[:LINE_MAX]
