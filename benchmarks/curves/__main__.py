"""`python -m benchmarks.curves`: measure and print.

Progress goes to standard error. Exit codes: 0; 2 if it could not be run; 130 after Ctrl-C. All
processes are ended and their data is removed in each case.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from benchmarks import deployed
from benchmarks.cluster.fleet import BenchError
from benchmarks.cluster.usage import usage_of
from benchmarks.lookups import load as lookups
from benchmarks.lookups import sides as looked_up
from benchmarks.measuring import NOT_RUN, cut_short_by, end_on, say, scratch
from benchmarks.registrations import load as registrations
from benchmarks.registrations import sides as registered
from benchmarks.report import Curve, Measurement, curve, measure, table, write
from node.cli.local_cluster import Child, ClusterError, end_all

from .stocked import stocked

CLIENTS = (1, 4, 16, 64, 256)
SERVICES = (100, 1_000, 10_000, 100_000)
WARM_UP_S = 1
STOP_GRACE_S = 10.0
ROOM = ("--http-connections-per-client-max", "1024")
"""The clients and whoever reads back come from one address, of which a node takes 256."""
LABELS = {"kith": "Kith", "etcd": "etcd"}

S = TypeVar("S")
Values: TypeAlias = dict[float, list[float]]
Rate: TypeAlias = Callable[[int], float]
"""How many a second, with so many clients."""


@dataclass(slots=True)
class Found:
    """Rounds by size, of each line of each curve."""

    lookups: dict[str, Values] = field(default_factory=dict)
    registrations: dict[str, Values] = field(default_factory=dict)
    latency: dict[str, Values] = field(default_factory=dict)
    memory: dict[str, Values] = field(default_factory=dict)

    def curves(self) -> list[Curve]:
        """The pictures of which there is anything."""
        clients = "clients, keep-alive"
        of_16 = f"{registrations.CLIENTS} clients"
        made = [
            curve(
                "lookups-by-clients", "Lookups, 10,000 services present",
                (clients, "a second"), self.lookups,
            ),
            curve(
                "registrations-by-clients", "Durable registrations",
                (clients, "a second"), self.registrations,
            ),
            curve(
                "lookup-by-services", f"A lookup, {of_16}",
                ("services, one instance each", "ms"), self.latency,
            ),
            curve(
                "memory-by-instances", "Memory of a node",
                ("instances (1: none)", "MB"), self.memory,
            ),
        ]  # fmt: skip
        return [one for one in made if one.series]

    def figures(self) -> list[Measurement]:
        """The ends of the curves, for the table."""
        found = []
        for name, unit, lines in (
            ("lookups", "1/s", self.lookups),
            ("durable registrations", "1/s", self.registrations),
        ):
            for clients, values in lines.get(LABELS["kith"], {}).items():
                if not values:
                    continue  # it ended before it came to these
                found.append(measure(f"{name}, clients: {clients:,.0f}", unit, values))
        for unit, lines in (("ms", self.latency), ("MB", self.memory)):
            for label, points in lines.items():
                for size, values in points.items():
                    found.append(measure(f"{label}, instances: {size:,.0f}", unit, values))
        return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    end_on(signal.SIGTERM)
    if not registrations.installed():
        say(f"cannot be measured without {registrations.PROGRAM}; {registrations.INSTALL}")
        return NOT_RUN
    if not registered.installed():
        say(f"SKIPPED: etcd is not installed: nothing to compare with; {registered.INSTALL}")
    found = Found()
    with cut_short_by(BenchError, ClusterError) as ending, scratch() as directory:
        deployed.prepare()
        for name, by_clients in (("read", _lookups), ("written", _registrations)):
            folder = directory / name
            folder.mkdir()
            by_clients(folder, arguments, found)
        for services in (0, *arguments.services):
            _by_services(directory, services, arguments, found)
    print(table(found.figures()))
    if arguments.json and found.curves():
        write(arguments.json, "curves", found.figures(), curves=found.curves())
    return ending.code


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.curves", description="One node by clients and services."
    )
    parser.add_argument("--seconds", type=int, default=3, help="of load a stretch (3)")
    parser.add_argument("--rounds", type=int, default=2, help="stretches of each (2)")
    parser.add_argument("--clients", type=_numbers, default=CLIENTS, metavar="1,4,16")
    parser.add_argument("--services", type=_numbers, default=SERVICES, metavar="100,1000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    return parser.parse_args(argv)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def _beside(
    kith: Callable[[Path, Sequence[str]], S], etcd: Callable[[Path], S]
) -> list[Callable[[Path], S]]:
    """A node with room for all clients, and etcd if it is installed."""
    makers: list[Callable[[Path], S]] = [lambda directory: kith(directory, ROOM)]
    return [*makers, etcd] if registered.installed() else makers


def _lookups(directory: Path, arguments: argparse.Namespace, found: Found) -> None:
    """By clients: a node and a member of etcd, both with 10,000 services."""
    children: list[Child] = []
    rates: dict[str, Rate] = {}
    try:
        for make in _beside(looked_up.kith, looked_up.etcd):
            side = make(directory)  # takes ports that are free now, so the one before has to run
            children += side.children
            side.start()
            say(f"{side.name} is filled")
            lookups.run(side, WARM_UP_S)
            rates[LABELS[side.name]] = partial(_lookup_rate, side, arguments.seconds)
        _stretches("lookups", rates, arguments, found.lookups)
    finally:
        end_all(children, STOP_GRACE_S)


def _lookup_rate(side: looked_up.Side, seconds: int, clients: int) -> float:
    return lookups.run(side, seconds, clients=clients).per_s


def _registrations(directory: Path, arguments: argparse.Namespace, found: Found) -> None:
    """By clients: a node and a member of etcd, both empty."""
    children: list[Child] = []
    rates: dict[str, Rate] = {}
    try:
        for make in _beside(registered.kith, registered.etcd):
            side = make(directory)
            children.append(side.child)
            side.child.start()
            side.wait_ready()
            load = registrations.Load(side)
            load.run(WARM_UP_S)
            rates[LABELS[side.name]] = partial(_registration_rate, load, arguments.seconds)
        _stretches("registrations", rates, arguments, found.registrations)
    finally:
        end_all(children, STOP_GRACE_S)


def _registration_rate(load: registrations.Load, seconds: int, clients: int) -> float:
    return load.run(seconds, clients).per_s


def _stretches(
    title: str, rates: Mapping[str, Rate], arguments: argparse.Namespace, into: dict[str, Values]
) -> None:
    """At each number of clients one side after the other, round by round."""
    for number in range(arguments.rounds):
        for clients in arguments.clients:
            for label, rate in rates.items():
                into.setdefault(label, {}).setdefault(clients, []).append(rate(clients))
            told = (f"{label} {into[label][clients][-1]:,.0f}/s" for label in rates)
            say(f"round {number + 1}: {title}, {clients} clients: {', '.join(told)}")


def _by_services(
    directory: Path, services: int, arguments: argparse.Namespace, found: Found
) -> None:
    side = stocked(services, directory)
    try:
        side.start()
        usage = usage_of(side.children[0].pid)
        for label, octets in (
            ("memory, resident", usage.rss_bytes),
            ("memory, proportional", usage.pss_bytes),
        ):
            # A logarithmic axis has no zero: the idle node stands at one instance.
            found.memory.setdefault(label, {}).setdefault(services or 1, []).append(octets / 1e6)
        if services:
            lookups.run(side, WARM_UP_S, names=services)
            for _ in range(arguments.rounds):
                told = lookups.run(side, arguments.seconds, names=services)
                for label, value in (("lookup, p50", told.p50_ms), ("lookup, p99", told.p99_ms)):
                    found.latency.setdefault(label, {}).setdefault(services, []).append(value)
        say(f"{services:,} services: {usage.rss_bytes / 1e6:.0f} MB")
    finally:
        end_all(list(side.children), STOP_GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
