"""`python -m benchmarks.delivery down|ratio|concurrent`: measure and print.

Progress goes to standard error, the table to standard output, all figures as JSON to `--json FILE`.
Exit codes: 0, or 1 if something is not as promised, 2 if it could not be run, 130 after Ctrl-C. All
processes are ended and their data is removed in each case.
"""

import argparse
import platform
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import deployed
from benchmarks.cluster.fleet import BenchError
from benchmarks.cluster.kith import KithSide
from benchmarks.measuring import MISSED, cut_short_by, end_on, say
from benchmarks.report import machine, write
from node.cli.local_cluster import ClusterError

from . import concurrent, down, ratio
from .figures import Figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    end_on(signal.SIGTERM)
    with cut_short_by(BenchError, ClusterError) as ending:
        deployed.prepare()
        figures = _measure(arguments)
    if ending.code:
        return ending.code
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": KithSide.version(),
        "machine": ", ".join(machine.in_brief()),
        "python": platform.python_version(),
    }
    print(f"{arguments.what}: {', '.join(about.values())}\n\n{figures.table()}")
    for what in figures.missed:
        print(f"missed: {what}")
    if arguments.json:
        write(arguments.json, f"delivery {arguments.what}", figures.measured, about=about)
    return MISSED if figures.missed else 0


def _measure(arguments: argparse.Namespace) -> Figures:
    if arguments.what == "down":
        return down.measure(arguments.updates, arguments.over, arguments.paused, say)
    if arguments.what == "ratio":
        return ratio.measure(arguments.pairs, arguments.updates, arguments.paused, say)
    return concurrent.measure(arguments.updates, say)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True)
    one = whats.add_parser("down", help=down.__doc__)
    one.add_argument("--updates", type=int, default=1_000, help="while they are down (1000)")
    one.add_argument("--over", type=float, default=120.0, help="seconds for all of them (120)")
    two = whats.add_parser("ratio", help="how soon live peers have an update, beside dead ones")
    two.add_argument("--pairs", type=int, default=10, help="of blocks (10)")
    two.add_argument("--updates", type=int, default=50, help="of each block (50)")
    three = whats.add_parser("concurrent", help=concurrent.__doc__)
    three.add_argument("--updates", type=int, default=1_280, help="by 32 clients (1280)")
    for each in (one, two):
        each.add_argument("--paused", action="store_true", help="SIGSTOP them instead of kill -9")
    for each in (one, two, three):
        each.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
