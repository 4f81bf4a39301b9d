"""`python -m benchmarks.lookups`: measure and print.

Progress goes to standard error, the table to standard output. Exit codes: 0; 1 if something was
not answered; 2 if it could not be run; 130 after Ctrl-C. All processes are ended and their data is
removed in each case.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import deployed, grpc
from benchmarks.cluster.fleet import BenchError
from benchmarks.measuring import MISSED, NOT_RUN, cut_short_by, end_on, say, scratch
from benchmarks.registrations import load as writing
from benchmarks.registrations import sides as registered
from benchmarks.report import table
from node.cli.local_cluster import ClusterError, end_all

from . import inprocess, load, sides
from .sides import Side
from .summary import Found, figures, write_figures

WARM_UP_S = 2
STOP_GRACE_S = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    end_on(signal.SIGTERM)
    if not writing.installed():
        say(f"cannot be measured without {writing.PROGRAM}; {writing.INSTALL}")
        return NOT_RUN
    makers, about = _what_can_run()
    found = Found()
    with cut_short_by(BenchError, ClusterError) as ending:
        found.in_process_us = inprocess.lookup_us(arguments.rounds)
        _measure(makers, found, arguments)
    rows = figures(found, about)
    print(table(rows, notes=True))
    if arguments.json and rows:
        write_figures(arguments.json, found, about)
        say(f"all figures: {arguments.json}")
    failed = any(one.errors for one in (*found.kith, *found.kith_one))
    return ending.code or (MISSED if failed else 0)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.lookups", description="Lookups beside etcd's range and hypercorn."
    )
    parser.add_argument("--seconds", type=int, default=8, help="of load a stretch (8)")
    parser.add_argument("--rounds", type=int, default=5, help="stretches of each side (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    return parser.parse_args(argv)


def _what_can_run() -> tuple[list[Callable[[Path], Side]], dict[str, str]]:
    makers: list[Callable[[Path], Side]] = [sides.kith]
    about = {"clients": str(writing.CLIENTS)}
    if registered.installed():
        makers.append(sides.etcd)
        told = subprocess.run(
            [registered.PROGRAM, "--version"], capture_output=True, text=True, check=True
        )
        about["etcd"] = told.stdout.splitlines()[0].rpartition(" ")[2]
    else:
        say(f"SKIPPED: etcd is not installed: nothing to compare with; {registered.INSTALL}")
    if sides.has_hypercorn():
        makers.append(sides.hypercorn)
        about["hypercorn"] = sides.hypercorn_version()
    else:
        say(f"SKIPPED: hypercorn is not installed: no floor; {sides.INSTALL_HYPERCORN}")
    if not grpc.installed():
        say(f"SKIPPED: h2load is not installed: no gRPC; {grpc.INSTALL}")
    return makers, about


def _measure(
    makers: Sequence[Callable[[Path], Side]], found: Found, arguments: argparse.Namespace
) -> None:
    """Fill `found`."""
    deployed.prepare()
    running: list[Side] = []
    with scratch() as directory:
        try:
            for make in makers:
                running.append(make(directory))
                running[-1].start()
                say(f"{running[-1].name} is ready and filled")
            for side in running:
                load.run(side, WARM_UP_S)
            for number in range(arguments.rounds):
                _round(running, found, directory, arguments.seconds)
                say(f"round {number + 1} of {arguments.rounds} is done")
        finally:
            end_all([child for side in running for child in side.children], STOP_GRACE_S)


def _round(running: Sequence[Side], found: Found, directory: Path, seconds: int) -> None:
    """One side after the other, so that a busy minute falls on all."""
    lists = {"kith": found.kith, "etcd": found.etcd, "hypercorn": found.hypercorn}
    for side in running:
        measured = load.run(side, seconds)
        lists[side.name].append(measured)
        say(
            f"{side.name} {measured.per_s:,.0f}/s, p50 {measured.p50_ms:.2f} ms,"
            f" p99 {measured.p99_ms:.2f} ms, {measured.cpu_us:.1f} µs each"
        )
        if side.name == "kith":
            found.kith_one.append(load.run(side, seconds, names=1))
            say(f"kith, one service {found.kith_one[-1].per_s:,.0f}/s")
        elif side.name == "etcd" and grpc.installed():
            asked = ((sides.KEY % 0).encode(),)
            per_s = grpc.per_s(side.address, grpc.RANGE, asked, directory, seconds)
            found.etcd_grpc.append(per_s)
            say(f"etcd over gRPC {per_s:,.0f}/s")


if __name__ == "__main__":
    sys.exit(main())
