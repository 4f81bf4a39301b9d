"""How a suite says where it is, what ends it early, and what it exits with.

Rules this module keeps:

1. Progress goes to standard error; standard output belongs to the table.
2. What ends a measurement early is said in a line and told by the exit code; what was found until
   then is the caller's to show.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSED, NOT_RUN, INTERRUPTED = 1, 2, 130
"""Exit codes: something was not as promised, it could not be measured, it was ended by Ctrl-C."""
PREFIX = "kith-bench-"
STARTED = time.monotonic()


def say(message: str) -> None:
    """Tell the person who waits, with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {message}", file=sys.stderr, flush=True)


def end_on(*numbers: signal.Signals) -> None:
    """Let these signals end it as Ctrl-C does: processes are ended, their data is removed."""
    for number in numbers:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def scratch(keep: Path | None = None) -> Iterator[Path]:
    """A folder for logs and data; removed afterwards, unless it is to be kept in another."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as made:
            yield Path(made)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix=PREFIX, dir=keep))


@dataclass(slots=True)
class Ending:
    """How a measurement ended."""

    code: int = 0
    """Of the exit; 0 if it came to its end."""


@contextmanager
def cut_short_by(*errors: type[Exception]) -> Iterator[Ending]:
    """Measure within: one of these errors, or Ctrl-C, ends that, and what follows is still done."""
    ending = Ending()
    try:
        yield ending
    except errors as error:
        say(f"cannot go on: {error}")
        ending.code = NOT_RUN
    except KeyboardInterrupt:
        say("interrupted; all processes ended, their data removed")
        ending.code = INTERRUPTED
