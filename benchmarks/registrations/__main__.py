"""`python -m benchmarks.registrations`: measure and print.

Progress goes to standard error, the table to standard output. Exit codes: 0; 1 if something was
refused or lost; 2 if it could not be run; 130 after Ctrl-C. All processes are ended and their data
is removed in each case.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import deployed, grpc
from benchmarks.cluster.fleet import BenchError
from benchmarks.cluster.report import Summary
from benchmarks.measuring import MISSED, NOT_RUN, cut_short_by, end_on, say, scratch
from benchmarks.report import machine
from node.cli.local_cluster import ClusterError, end_all

from . import load, sides, summary
from .load import Load, Measured
from .sides import Side
from .summary import Found

WARM_UP_S = 2
STOP_GRACE_S = 10.0
WIDTH = 120
ROWS = (
    ("per_s", "registrations or puts acknowledged, per second", 0),
    ("p50_ms", "50 % are answered within, ms", 2),
    ("p99_ms", "99 % are answered within, ms", 1),
    ("worst_ms", "the slowest, ms", 0),
    ("cpu_us", "processor time of the server for one, µs", 0),
    ("errors", "refused or not answered", 0),
    ("lost", "acknowledged and not there when read back", 0),
    ("load_before", "load average of the machine before", 1),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    end_on(signal.SIGTERM)
    if not load.installed():
        say(f"cannot be measured without {load.PROGRAM}; {load.INSTALL}")
        return NOT_RUN
    if not (with_etcd := sides.installed()):
        say(f"SKIPPED: etcd is not installed: nothing to compare with; {sides.INSTALL}")
    found = Found()
    if with_etcd and not grpc.installed():
        say(f"SKIPPED: h2load is not installed: no gRPC; {grpc.INSTALL}")
    about = {
        "versions": sides.versions(with_etcd=with_etcd),
        "machine": machine.in_brief(),
    }
    with cut_short_by(BenchError, ClusterError) as ending:
        about["disk"] = [f"4 KiB durable in {_measure(arguments, found, with_etcd):.2f} ms"]
    title = f"{load.CLIENTS} clients; " + "; ".join(
        word for part in about.values() for word in part
    )
    Console(width=None if sys.stdout.isatty() else WIDTH).print(_table(found.sides, title))
    if arguments.json and found.sides:
        summary.write_figures(arguments.json, found, about)
        say(f"all figures: {arguments.json}")
    failed = any(one.errors or one.lost for each in found.sides.values() for one in each)
    return ending.code or (MISSED if failed else 0)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.registrations", description="Durable registrations beside etcd's put."
    )
    parser.add_argument("--seconds", type=int, default=10, help="of load a stretch (10)")
    parser.add_argument("--rounds", type=int, default=5, help="stretches of each side (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    return parser.parse_args(argv)


def _measure(arguments: argparse.Namespace, found: Found, with_etcd: bool) -> float:
    """Fill `found`; how long the disk takes to sync, in ms."""
    deployed.prepare()
    makers = [sides.kith, sides.etcd] if with_etcd else [sides.kith]
    running: list[Side] = []
    with scratch() as directory:
        disk_ms = load.sync_ms(directory)
        try:
            for make in makers:
                running.append(make(directory))
                running[-1].child.start()
                running[-1].wait_ready()
                say(f"{running[-1].name} is ready")
            _rounds(running, found, directory, arguments)
        finally:
            end_all([side.child for side in running], STOP_GRACE_S)
    return disk_ms


def _rounds(
    running: list[Side], found: Found, directory: Path, arguments: argparse.Namespace
) -> None:
    """One side after the other, round by round, so that a busy minute falls on both."""
    loads = {side.name: Load(side) for side in running}
    for one in loads.values():
        one.run(WARM_UP_S)
    for number in range(arguments.rounds):
        for name, one in loads.items():
            measured = one.run(arguments.seconds)
            found.sides.setdefault(name, []).append(measured)
            say(
                f"round {number + 1} of {arguments.rounds}: {name} {measured.per_s:,.0f}/s,"
                f" p50 {measured.p50_ms:.2f} ms, p99 {measured.p99_ms:.1f} ms"
            )
        if len(running) > 1 and grpc.installed():
            put, address = sides.grpc_put(), running[1].address
            per_s = grpc.per_s(address, grpc.PUT, put, directory, arguments.seconds)
            found.etcd_grpc.append(per_s)
            say(f"etcd over gRPC {per_s:,.0f}/s")


def _table(found: dict[str, list[Measured]], title: str) -> Table:
    """Median, least and most of each figure; the ratio is the median of that of each round."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("")
    for name in found:
        table.add_column(f"{name} median", justify="right")
        table.add_column("min … max", justify="right", style="dim")
    table.add_column("ratio of a round", justify="right")
    for field, words, digits in ROWS:
        each = [[float(getattr(one, field)) for one in measured] for measured in found.values()]
        cells = [cell for values in each for cell in _cells(Summary.of(values), digits)]
        table.add_row(words, *cells, _ratio(each))
    return table


def _cells(summary: Summary | None, digits: int) -> list[str]:
    if summary is None:
        return ["–", ""]
    low, middle, high = (f"{x:,.{digits}f}" for x in (summary.low, summary.middle, summary.high))
    return [middle, f"{low} … {high}"]


def _ratio(each: list[list[float]]) -> str:
    """Ours by theirs, pair by pair."""
    pairs = zip(*each, strict=False) if len(each) == 2 else ()
    summary = Summary.of([ours / theirs for ours, theirs in pairs if theirs])
    if summary is None:
        return ""
    return f"{summary.middle:.2f} ({summary.low:.2f} … {summary.high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
