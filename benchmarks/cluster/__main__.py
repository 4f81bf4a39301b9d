"""`python -m benchmarks.cluster`: measure and print.

Progress goes to standard error, the table to standard output. Exit codes: 0, or 1 if something was
missed on our side, 2 if it could not be run, 130 after Ctrl-C. All processes are ended and their
data is removed in each case.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

from rich.console import Console

from benchmarks import deployed
from benchmarks.measuring import MISSED, NOT_RUN, cut_short_by, end_on, say, scratch
from benchmarks.report import machine
from node.cli.local_cluster import ClusterError
from node.cli.options import whole

from . import serf, summary, traffic
from .fleet import BenchError
from .kith import KithSide
from .measure import Amounts, Findings, run_block
from .report import table_of
from .serf import SerfSide
from .sides import Side

NODES_MAX = 64
ROUNDS = 2
IDLE_S = 30.0
SIZE_UPDATES = 15
WIDTH = 140


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    end_on(signal.SIGTERM)
    sides = _sides(arguments.serf, arguments.serf_profile)
    if not sides:
        return NOT_RUN
    blocks: dict[str, list[Findings]] = {name: [] for name in sides}
    sizes: dict[int, dict[str, list[Findings]]] = {}
    with cut_short_by(BenchError, ClusterError, traffic.TrafficError) as ending:
        _run(sides, arguments, blocks)
        for nodes in arguments.sizes:
            sizes[nodes] = {name: [] for name in sides}
            _size(sides, arguments, nodes, sizes[nodes])
    about = _about(sides, arguments)
    findings = {name: Findings.joined(each) for name, each in blocks.items()}
    title = f"{arguments.nodes} nodes, a process each; " + "; ".join(about["versions"])
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table_of(findings, title))
    for name, found in findings.items():
        for what in found.missed:
            print(f"{name}: missed: {what}")
    if arguments.json and blocks["kith"]:
        summary.write_figures(arguments.json, blocks, sizes, about, arguments.nodes)
        say(f"every single measurement: {arguments.json}")
    return ending.code or (MISSED if findings["kith"].missed else 0)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.cluster", description="Real nodes beside Serf agents, in one run."
    )
    parser.add_argument("--nodes", type=whole(2, NODES_MAX), default=32, help="of each (32)")
    parser.add_argument("--updates", type=whole(0, 1_000), default=30, help="of each (30)")
    parser.add_argument("--kills", type=whole(0, 1_000), default=10, help="of each (10)")
    parser.add_argument(
        "--rounds", type=whole(1, 20), default=ROUNDS, help=f"blocks of each ({ROUNDS})"
    )
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds a block; 0: none (30)")
    parser.add_argument(
        "--sizes", type=_sizes, default=[], metavar="4,8,16", help="updates by cluster size too"
    )
    parser.add_argument("--serf", choices=("auto", "off"), default="auto")
    parser.add_argument(
        "--serf-profile", choices=serf.PROFILES, default=serf.PROFILES[0], help="its pace (lan)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn by lot (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to it")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs and data there")
    return parser.parse_args(argv)


def _sizes(text: str) -> list[int]:
    return [whole(2, NODES_MAX)(word) for word in text.split(",")]


def _sides(wish: str, profile: str) -> dict[str, Callable[[int, Path], Side]]:
    sides: dict[str, Callable[[int, Path], Side]] = {"kith": KithSide}
    if serf.takes_part(wish):
        sides["serf"] = partial(SerfSide, profile=profile)
    return sides


def _run(
    sides: dict[str, Callable[[int, Path], Side]],
    arguments: argparse.Namespace,
    blocks: dict[str, list[Findings]],
) -> None:
    counts = traffic.available()
    if not counts:
        say(f"SKIPPED: idle traffic is not counted: {traffic.INSTALL}")
    deployed.prepare()
    rounds: int = arguments.rounds
    for number in range(rounds):
        amounts = Amounts(
            updates=_share(arguments.updates, rounds, number),
            kills=_share(arguments.kills, rounds, number),
            idle_s=arguments.idle,
            counts_traffic=counts,
        )
        for name, make in sides.items():
            say(f"— block {number + 1} of {rounds}: {name} alone —")
            rng = Random(arguments.seed * 1_000 + number)
            blocks[name].append(Findings())
            with scratch(arguments.keep) as directory:
                _block(make(arguments.nodes, directory), amounts, blocks[name][-1], rng)


def _size(
    sides: dict[str, Callable[[int, Path], Side]],
    arguments: argparse.Namespace,
    nodes: int,
    blocks: dict[str, list[Findings]],
) -> None:
    """Updates alone, in clusters of another size: one block of each."""
    amounts = Amounts(updates=SIZE_UPDATES, kills=0, idle_s=0.0, counts_traffic=False)
    for name, make in sides.items():
        say(f"— {nodes} nodes: {name} alone —")
        blocks[name].append(Findings())
        with scratch(arguments.keep) as directory:
            rng = Random(arguments.seed * 1_000 + nodes)
            _block(make(nodes, directory), amounts, blocks[name][-1], rng)


def _block(side: Side, amounts: Amounts, found: Findings, rng: Random) -> None:
    try:
        run_block(side, amounts, found, rng, say)
    finally:
        side.fleet.stop()


def _share(total: int, rounds: int, number: int) -> int:
    """Of `total`, what falls to the round of that number."""
    return total // rounds + (number < total % rounds)


def _about(
    sides: dict[str, Callable[[int, Path], Side]], arguments: argparse.Namespace
) -> dict[str, list[str]]:
    versions = [KithSide.version()] + ([SerfSide.version()] if "serf" in sides else [])
    return {
        "versions": versions,
        "machine": machine.in_brief(),
        "arguments": [f"{key}={value}" for key, value in sorted(vars(arguments).items())],
    }


if __name__ == "__main__":
    sys.exit(main())
