"""`python -m benchmarks.attacks`: how long other clients wait while a node is attacked.

One node with a service of 50 instances. A good client looks it up, for some seconds in calm and for
as many under attack, in turn; a round's ratio is the one between those two. Progress goes to
standard error, the table to standard output. Exit codes: 0; 1 if a lookup of the good client was
not answered or the node did not survive; 2 if it could not be run; 130 after Ctrl-C.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import deployed
from benchmarks.measuring import MISSED, cut_short_by, say
from benchmarks.report import Goal, Measurement, PeerValues, measure, quantile, write
from node.cli.local_cluster import ClusterError, LocalCluster
from node.client import ApiClient

from .probe import Waits, look_up, resident_bytes, under_attack
from .scripts import ATTACKS

INSTANCES = 50
GOAL = Goal("<=", 2.0, "ratio")


@dataclass(slots=True)
class Found:
    """Of one attack, round by round."""

    calm_ms: list[float] = field(default_factory=list)
    attacked_ms: list[float] = field(default_factory=list)
    new_calm_ms: list[float] = field(default_factory=list)
    new_attacked_ms: list[float] = field(default_factory=list)
    grown_mb: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    skipped: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    found: dict[str, Found] = {}
    with (
        cut_short_by(ClusterError) as ending,
        LocalCluster(1, http_port=0, command=deployed.NODE) as cluster,
    ):
        cluster.start()
        cluster.wait_ready()
        _attack(cluster, arguments, found)
        ending.code = MISSED if cluster.newly_fallen() else 0
    _print(found)
    if arguments.json and found:
        write(arguments.json, "attacks", _measurements(found))
    failed = any(one.failures for one in found.values())
    return ending.code or (MISSED if failed else 0)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.attacks", description="Other clients' lookups while a node is attacked."
    )
    parser.add_argument("names", nargs="*", metavar="ATTACK", help=f"{', '.join(ATTACKS)} (all)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of lookups a stretch (5)")
    parser.add_argument("--rounds", type=int, default=3, help="of each attack (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.names if name not in ATTACKS]
    if unknown:
        parser.error(f"no such attack: {', '.join(unknown)}; there are {', '.join(ATTACKS)}")
    return arguments


def _attack(cluster: LocalCluster, arguments: argparse.Namespace, found: dict[str, Found]) -> None:
    http_port = int(cluster.api_url(0).rpartition(":")[2])
    gossip_port = int(cluster.gossip_address(0).rpartition(":")[2])
    _register(cluster.api_url(0))
    look_up(http_port, 1.0)
    for number in range(arguments.rounds):
        for name in arguments.names or ATTACKS:
            one = found.setdefault(name, Found())
            calm = look_up(http_port, arguments.seconds)
            before = resident_bytes(cluster.pid(0))
            with under_attack(
                name, "127.0.0.1", http_port=http_port, gossip_port=gossip_port
            ) as attacker:
                if attacker.skipped:
                    one.skipped = attacker.skipped
                    say(f"{name}: {attacker.skipped}")
                    continue
                attacked = look_up(http_port, arguments.seconds)
                after = resident_bytes(cluster.pid(0))
            _note(one, calm, attacked, (after - before) / 1e6)
            say(f"round {number + 1}, {name}: {attacker.opened} opened, {attacker.statuses}")


def _register(url: str) -> None:
    with ApiClient(url, None, 10.0) as client:
        for number in range(INSTANCES):
            client.call("POST", "/v1/services", body={"name": "web", "port": 8_000 + number})


def _note(one: Found, calm: Waits, attacked: Waits, grown_mb: float) -> None:
    one.calm_ms.append(quantile(calm.kept_s, 0.99) * 1e3)
    one.attacked_ms.append(quantile(attacked.kept_s, 0.99) * 1e3)
    one.new_calm_ms.append(quantile(calm.new_s, 0.99) * 1e3)
    one.new_attacked_ms.append(quantile(attacked.new_s, 0.99) * 1e3)
    one.grown_mb.append(grown_mb)
    one.failures += calm.failures + attacked.failures


def _print(found: dict[str, Found]) -> None:
    print("| attack | p99 calm, ms | attacked, ms | ratio | new connection, ratio | grown, MB |")
    print("|---|---|---|---|---|---|")
    for name, one in found.items():
        if not one.calm_ms:
            print(f"| {name} | {one.skipped} | | | | |")
            continue
        ratio, new = (
            median(a / c for a, c in zip(attacked, calm, strict=True))
            for attacked, calm in (
                (one.attacked_ms, one.calm_ms),
                (one.new_attacked_ms, one.new_calm_ms),
            )
        )
        print(
            f"| {name} | {median(one.calm_ms):.2f} | {median(one.attacked_ms):.2f} | {ratio:.2f} "
            f"| {new:.2f} | {median(one.grown_mb):.1f} |"
        )
        for failure in one.failures[:5]:
            print(f"FAILED: {name}: {failure}")


def _measurements(found: dict[str, Found]) -> list[Measurement]:
    made = []
    for name, one in found.items():
        if not one.calm_ms:
            continue
        calm = PeerValues("calm", "", one.calm_ms)
        made.append(
            measure(
                f"p99 of lookups: {name}", "ms", one.attacked_ms, peer=calm, goal=GOAL,
                note=ATTACKS[name].what,
            )
        )  # fmt: skip
        made.append(measure(f"memory grown: {name}", "MB", one.grown_mb))
    return made


if __name__ == "__main__":
    sys.exit(main())
