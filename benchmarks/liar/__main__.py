"""`python -m benchmarks.liar`: lie, look, and print.

Progress goes to standard error, the table to standard output. Everything is on loopback. Exit
codes: 0, or 1 if Kith did not keep what is promised, 2 if it could not be run, 130 after Ctrl-C.
All processes are ended and their data is removed in each case.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks import deployed
from benchmarks.cluster import serf
from benchmarks.cluster.fleet import BenchError
from benchmarks.cluster.kith import KithSide
from benchmarks.cluster.serf import SerfSide
from benchmarks.measuring import MISSED, cut_short_by, end_on, say, scratch
from benchmarks.report import machine, write
from node.cli.local_cluster import ClusterError

from .attacks import ATTACKS, Attack, Pace
from .report import kept, measurements, table_of
from .samples import Figures, figures
from .sides import KithTown, SerfTown, Side
from .trial import run_trial, start

NODES, NODES_MAX = 5, 8
PER_S_MAX = 50.0
FOR_S_MAX = 600.0
WIDTH = 250


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    end_on(signal.SIGINT, signal.SIGTERM)
    sides = _sides(arguments)
    found: dict[str, dict[str, list[Figures]]] = {
        name: {side: [] for side in sides} for name in arguments.attacks or ATTACKS
    }
    with cut_short_by(BenchError, ClusterError) as ending:
        deployed.prepare()
        for turn in range(arguments.rounds):
            for name, rounds in found.items():
                for side, make in sides.items():
                    say(f"round {turn + 1} of {arguments.rounds}: {name}: {side} alone")
                    rounds[side].append(_one(make, ATTACKS[name], arguments))
    versions = [KithSide.version()] + ([SerfSide.version()] if "serf" in sides else [])
    title = f"{arguments.nodes} members, a process each, one of which lies; {'; '.join(versions)}"
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(found, title))
    if arguments.json and any(rounds["kith"] for rounds in found.values()):
        about = {
            "versions": versions,
            "machine": machine.in_brief(),
            "arguments": [f"{key}={value}" for key, value in sorted(vars(arguments).items())],
            "trials": {
                name: {side: [asdict(one) for one in each] for side, each in rounds.items()}
                for name, rounds in found.items()
            },
        }
        write(arguments.json, "liar", measurements(found, versions[-1]), about=about)
        say(f"every figure of every round: {arguments.json}")
    return ending.code or (0 if kept(found) else MISSED)


def _one(
    make: Callable[[int, Path], Side], attack: Attack, arguments: argparse.Namespace
) -> Figures:
    """One attack on one fresh cluster, which is gone afterwards."""
    with scratch() as folder:
        side = make(arguments.nodes, folder)
        try:
            start(side)
            pace = Pace(arguments.per_s, arguments.seconds, arguments.watch)
            found = figures(run_trial(side, attack, pace))
        finally:
            side.fleet.stop()
    back = "not back" if found.back_s is None else f"back after {found.back_s:.1f} s"
    say(
        f"{side.name}: told {found.told} times: gone for {found.fooled} of {found.members} honest"
        f" members, {found.gone_s:.1f} s each, {back}"
    )
    return found


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.liar", description="A member says that a healthy one is dead; both sides."
    )
    parser.add_argument(
        "attacks", nargs="*", metavar="LIE", help=f"{', '.join(ATTACKS)} (all of them)"
    )
    parser.add_argument(
        "--nodes", type=_number(4, NODES_MAX, int), default=NODES, help=f"of each ({NODES})"
    )
    parser.add_argument("--rounds", type=_number(1, 20, int), default=1, help="of each lie (1)")
    parser.add_argument(
        "--per-s", type=_number(0.1, PER_S_MAX, float), default=5.0, help="lies a second (5)"
    )
    parser.add_argument(
        "--seconds", type=_number(1, FOR_S_MAX, float), default=20.0,
        help="for so long it is repeated (20)",
    )  # fmt: skip
    parser.add_argument(
        "--watch", type=_number(1, FOR_S_MAX, float), default=10.0,
        help="seconds after the last lie (10)",
    )  # fmt: skip
    parser.add_argument("--serf", choices=("auto", "off"), default="auto")
    parser.add_argument(
        "--keyring", action="store_true", help="Serf's members share a key, the liar too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to it")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.attacks if name not in ATTACKS]
    if unknown:
        parser.error(f"no such lie: {', '.join(unknown)}; there are {', '.join(ATTACKS)}")
    return arguments


def _number(low: float, high: float, kind: type[int] | type[float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(low) - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {low:g} to {high:g}")
        return value

    return read


def _sides(arguments: argparse.Namespace) -> dict[str, Callable[[int, Path], Side]]:
    sides: dict[str, Callable[[int, Path], Side]] = {"kith": KithTown}
    if serf.takes_part(arguments.serf):
        sides["serf"] = partial(SerfTown, keyring=arguments.keyring)
    return sides


if __name__ == "__main__":
    sys.exit(main())
