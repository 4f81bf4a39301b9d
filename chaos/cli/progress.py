"""Bars on standard error while runs are under way, for a person who watches; else silence."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from .runs import Progress
from .tally import Tally


@contextmanager
def run_bar(*, shown: bool) -> Iterator[Progress | None]:
    """The bar of one run; gives None where nobody would see it."""
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    with _bar(TextColumn("{task.fields[told]}")) as bar:
        task = bar.add_task("simulating", total=None, told="")

        def move(done_s: float, total_s: float) -> None:
            told = f"{done_s:.0f} of {total_s:.0f} virtual s"
            bar.update(task, completed=done_s, total=total_s, told=told)

        yield move


class SweepBar:
    """The bar of a sweep: seeds done, their rate, failures."""

    def __init__(self, bar: Bar | None, seeds: int) -> None:
        self._bar = bar
        self._task = bar.add_task("sweeping", total=seeds, told="") if bar else None

    def move(self, tally: Tally, real_s: float) -> None:
        """One more has ended."""
        if self._bar is None or self._task is None:
            return
        rate = tally.ended / max(real_s, 1e-9)
        told = f"{rate:.2f} seeds/s, {tally.failed:,} failed"
        self._bar.update(self._task, completed=tally.ended, told=told)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something else is printed."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


@contextmanager
def sweep_bar(seeds: int) -> Iterator[SweepBar]:
    """A bar if somebody watches standard error, else one that shows nothing."""
    if not sys.stderr.isatty():
        yield SweepBar(None, seeds)
        return
    with _bar(MofNCompleteColumn(), TextColumn("{task.fields[told]}")) as bar:
        yield SweepBar(bar, seeds)


def _bar(*told: ProgressColumn) -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        *told,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # The report goes to standard output as it is, and not through the bar's console.
        redirect_stdout=False,
        redirect_stderr=False,
    )
