"""What is told of a run while it lasts: a bar for people who watch, lines for everybody."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.cli.tables import plain


class Lines:
    """Tells in lines on standard error."""

    def phase(self, name: str, total_s: float) -> None:
        """A phase begins."""
        self.say(f"{name} (about {total_s:.0f} s)" if total_s else name)

    def progress(self, done_s: float) -> None:
        """Lines do not move."""

    def say(self, text: str) -> None:
        """A line."""
        sys.stderr.write(f"kith chaos: {plain(text)}\n")
        sys.stderr.flush()


class Bar:
    """Tells in a bar, with the lines above it."""

    def __init__(self, bar: Progress, name: str) -> None:
        self._bar = bar
        self._task = bar.add_task(name, total=None, phase="")

    def phase(self, name: str, total_s: float) -> None:
        """A phase begins."""
        self._bar.update(self._task, completed=0.0, total=total_s or None, phase=name)

    def progress(self, done_s: float) -> None:
        """So much of it is done."""
        self._bar.update(self._task, completed=done_s)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(plain(text), style="dim", markup=False, highlight=False)


@contextmanager
def telling(name: str) -> Iterator[Lines | Bar]:
    """A bar where somebody watches standard error, else lines."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    columns = (
        TextColumn("{task.description}"), TextColumn("{task.fields[phase]}"), BarColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        yield Bar(bar, name)
