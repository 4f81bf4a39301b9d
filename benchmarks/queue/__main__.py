"""`python -m benchmarks.queue`: measure and print.

Progress goes to standard error, the tables to standard output. What is made on disk is removed.
"""

import argparse
import multiprocessing
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import deployed
from benchmarks.measuring import say, scratch
from benchmarks.report import machine, write
from protocol.delivery.outbox import COMMITS_MAX

from . import disk, rows
from .figures import Figures

PEERS = 1_000
WIDTH = 110


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    load = os.getloadavg()[0]
    cases = [_in_memory(commits_max) for commits_max in (COMMITS_MAX, rows.COMMITS)]
    if not arguments.memory_only:
        cases += _on_disk(arguments.commits)
    about = {
        "machine": machine.in_brief(),
        "python": platform.python_version(),
        "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
    }
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for figures in cases:
        console.print(figures.table())
    console.print(f"load average {about['load_average']}, python {about['python']}")
    if arguments.json:
        measured = [figure for one in cases for figure in one.measured()]
        write(arguments.json, "queue", measured, about=about)
    return 0


def _in_memory(commits_max: int) -> Figures:
    say(f"in memory, outbox of {commits_max:,}")
    figures = Figures(
        f"in memory: {PEERS:,} rows, {rows.COMMITS:,} commits, an outbox of {commits_max:,}"
    )
    for traced in (True, False):
        how = "allocated" if traced else "resident"
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            found = alone.apply(rows.memory, (PEERS, commits_max), {"traced": traced})
        figures.add(f"memory of the rows, {how} (MB)", [found[0]])
        figures.add(f"memory of the full outbox, {how} (MB)", [found[1]])
    rows.measure(figures, PEERS, commits_max)
    return figures


def _on_disk(commits: int) -> list[Figures]:
    deployed.prepare()
    with scratch() as directory:
        full, empty = directory / "full", directory / "empty"
        say(f"a database with {commits:,} commits and {PEERS:,} rows")
        disk.make(full, commits, PEERS)
        disk.make(empty, 0, 0)
        cases = {
            "full": Figures(f"on disk: {commits:,} commits that wait, {PEERS:,} rows"),
            "empty": Figures("on disk: nothing that waits"),
        }
        for name, place in (("full", full), ("empty", empty)):
            disk.measure_loading(cases[name], place)
        say("nodes start")
        disk.measure_starts(cases, {"full": full, "empty": empty}, directory)
        disk.measure_writing(cases["full"], full, PEERS)
    return list(cases.values())


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.queue", description="The retry queue, full.")
    parser.add_argument("--commits", type=int, default=COMMITS_MAX, help="on disk (10,000)")
    parser.add_argument("--memory-only", action="store_true", help="leave the disk alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
