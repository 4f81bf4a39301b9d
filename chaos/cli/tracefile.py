"""Writes the events of a run, one a line: time, node, text.

Rules this module keeps:

1. The file is bounded; where it was cut, its last line says how much is missing.
2. What an event says stays on its line, whatever it holds.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TextIO

from .errors import UNKNOWN, CommandError
from .tables import plain

STDOUT = "-"
FAULT = "fault"
"""Stands for the node where a fault begins or is healed."""
LINES_MAX_DEFAULT = 1_000_000
"""About 80 MB: more than anyone reads, less than fills a disk."""


class TraceFile:
    """A sink for the trace of one run, for all nodes or for some; faults are always told."""

    def __init__(self, file: TextIO, *, name: str, nodes: Sequence[str], lines_max: int) -> None:
        self._file = file
        self._name = name
        self._nodes = dict.fromkeys(nodes)
        self._lines_max = lines_max
        self._lines = 0
        self._left_out = 0

    def line(self, at_s: float, node: str, text: str) -> None:
        """Write one event, or count it if the file is full.

        Raises:
            CommandError: the file cannot be written.
        """
        if self._nodes and node not in self._nodes and node != FAULT:
            return
        if self._lines >= self._lines_max:
            self._left_out += 1
            return
        self._lines += 1
        self._write(f"{at_s:12.6f} {node:<6} {plain(text)}\n")

    def finish(self) -> None:
        """Say what was left out, and hand everything to the system."""
        if self._left_out:
            self._write(
                f"# cut after {self._lines:,} lines, {self._left_out:,} left out:"
                " choose nodes with --trace-node, or raise --trace-lines-max\n"
            )
        try:
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable("--trace", self._name, error) from None

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except BrokenPipeError:  # a reader that has seen enough is no error
            raise
        except OSError as error:
            raise unwritable("--trace", self._name, error) from None


@contextmanager
def trace_to(name: str, *, nodes: Sequence[str], lines_max: int) -> Iterator[TraceFile]:
    """Open a file, or take standard output for `-`; it is complete when the context ends.

    Raises:
        CommandError: it cannot be opened or written.
    """
    if name == STDOUT:
        sink = TraceFile(sys.stdout, name=name, nodes=nodes, lines_max=lines_max)
        yield sink
        sink.finish()
        return
    file = opened("--trace", name, "w")
    sink = TraceFile(file, name=name, nodes=nodes, lines_max=lines_max)
    try:
        yield sink
        sink.finish()
    finally:
        with suppress(OSError):  # it was said when it was written
            file.close()


def opened(option: str, name: str, mode: Literal["w", "a"]) -> TextIO:
    """Open the file that an option names.

    Raises:
        CommandError: it cannot be opened; nothing was begun.
    """
    try:
        return Path(name).open(mode, encoding="utf-8")
    except OSError as error:
        message = f"{option} {name} cannot be opened: {_reason(error)}"
        raise CommandError(message, hint="name a file that can be written") from None


def unwritable(option: str, name: str, error: OSError) -> CommandError:
    """The error for a file that was opened and takes no more."""
    message = f"{option} {name} cannot be written: {_reason(error)}"
    return CommandError(message, exit_code=UNKNOWN)


def _reason(error: OSError) -> str:
    """What the system says of it, without the name."""
    return os.strerror(error.errno) if error.errno else str(error)
