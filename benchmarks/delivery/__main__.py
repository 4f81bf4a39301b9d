"""`python -m benchmarks.delivery down|ratio|concurrent`: measure and print.

Progress goes to standard error, the table to standard output, all figures as JSON to `--json FILE`.
Exit codes: 0, or 1 if something is not as promised, 2 if it could not be run, 130 after Ctrl-C. All
processes are ended and their data is removed in each case.
"""

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks.cluster.kith import KithSide
from benchmarks.report import write
from node.cli.local_cluster import ClusterError

from . import concurrent, down, ratio
from .figures import Figures
from .town import BenchError

FAILED, NOT_RUN, INTERRUPTED = 1, 2, 130
STARTED = time.monotonic()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, _as_interrupt)
    KithSide.prepare()
    try:
        figures = _measure(arguments)
    except (BenchError, ClusterError) as error:
        _say(f"cannot go on: {error}")
        return NOT_RUN
    except KeyboardInterrupt:
        _say("interrupted; all processes ended, their data removed")
        return INTERRUPTED
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": KithSide.version(),
        "machine": f"{os.cpu_count()} processors, {platform.machine()}, {platform.release()}",
        "python": platform.python_version(),
    }
    print(f"{arguments.what}: {', '.join(about.values())}\n\n{figures.table()}")
    for what in figures.missed:
        print(f"missed: {what}")
    if arguments.json:
        write(arguments.json, f"delivery {arguments.what}", figures.measured, about=about)
    return FAILED if figures.missed else 0


def _measure(arguments: argparse.Namespace) -> Figures:
    if arguments.what == "down":
        return down.measure(arguments.updates, arguments.over, arguments.paused, _say)
    if arguments.what == "ratio":
        return ratio.measure(arguments.pairs, arguments.updates, arguments.paused, _say)
    return concurrent.measure(arguments.updates, _say)


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


def _say(message: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f} s] {message}", file=sys.stderr, flush=True)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
