"""Many seeds in worker processes, up to the first failure.

Rules this module keeps:

1. Nothing of a run is lost: what has ended is written and counted before the next is looked at,
   and Ctrl-C still prints what there is.
2. Runs that were under way when a sweep stops count as not run.
"""

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from .errors import INTERRUPTED, TERMINATED
from .options import SweepOrder
from .progress import SweepBar, sweep_bar
from .report import Json, document_of, is_failure, json_text, short_text
from .runs import Ended, Perform, Raised, Request
from .tables import say, show
from .tally import FAILURES_KEPT_MAX, Tally, pace
from .tracefile import opened, unwritable
from .workers import Workers


class TerminatedError(BaseException):
    """The process was asked to end; unwinds to where workers are ended."""


def sweep(order: SweepOrder, perform: Perform, origin: str) -> int:
    """Run all seeds of an order and print what they came to; the exit code.

    Raises:
        CommandError: the file to write cannot be opened or written.
    """
    tally = Tally(seeds=order.seed_last - order.first.seed + 1)
    began, code = time.perf_counter(), None
    with _lines_file(order.write) as lines:
        try:
            with _ended_by_sigterm():
                _drive(order, perform, origin, tally, lines)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except TerminatedError:
            code = TERMINATED
    if order.json:
        head: dict[str, Json] = {
            "first_seed": order.first.seed,
            "last_seed": order.seed_last,
            "profile": order.first.profile,
            "interrupted": code is not None,
        }
        show(json_text(tally.document(head, origin)))
    else:
        show(tally.text())
    say(pace(tally.ended, tally.virtual_s, time.perf_counter() - began))
    return tally.exit_code() if code is None else code


def requests_of(order: SweepOrder) -> Iterator[Request]:
    """One request for each seed, in order."""
    for seed in range(order.first.seed, order.seed_last + 1):
        yield dataclasses.replace(order.first, seed=seed)


def _drive(
    order: SweepOrder, perform: Perform, origin: str, tally: Tally, lines: TextIO | None
) -> None:
    began = time.perf_counter()
    with (
        Workers(perform, jobs=order.jobs, run_max_s=order.run_max_s) as workers,
        sweep_bar(tally.seeds) as bar,
    ):
        for ended in workers.each(requests_of(order)):
            tally.add(ended)
            _write(lines, ended, origin, str(order.write))
            bar.move(tally, time.perf_counter() - began)
            if not is_failure(ended):
                continue
            if tally.failed <= FAILURES_KEPT_MAX:
                _tell(order, ended, origin, bar)
            if not order.keep_going:
                return


def _tell(order: SweepOrder, ended: Ended, origin: str, bar: SweepBar) -> None:
    with bar.aside():
        if not order.json:
            show(short_text(ended, origin) + "\n")
        if isinstance(ended, Raised):
            tell_where(ended)


def tell_where(raised: Raised) -> None:
    """Where an exception came from, if that is known and wanted."""
    if not raised.where:
        return
    if os.environ.get("KITH_DEBUG"):
        sys.stderr.write(raised.where)
    else:
        say("KITH_DEBUG=1 shows where it was raised")


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the workers too, instead of this process alone."""

    def unwind(_number: int, _frame: FrameType | None) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _lines_file(name: str | None) -> Iterator[TextIO | None]:
    if name is None:
        yield None
        return
    file = opened("--write", name, "a")
    try:
        yield file
    finally:
        with suppress(OSError):  # each line was flushed, or it was said that it could not be
            file.close()


def _write(lines: TextIO | None, ended: Ended, origin: str, name: str) -> None:
    if lines is None:
        return
    document = {**document_of(ended, origin), "real_s": round(ended.real_s, 3)}
    try:
        lines.write(json_text(document, indent=None) + "\n")
        lines.flush()
    except OSError as error:
        raise unwritable("--write", name, error) from None
