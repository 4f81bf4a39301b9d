"""`python -m benchmarks.memory`: measure and print.

Progress goes to standard error. Exit codes: 0; 2 if it could not be run; 130 after Ctrl-C. All
processes are ended and their data is removed in each case.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import deployed
from benchmarks.cluster import serf
from benchmarks.cluster.fleet import BenchError, free_block
from benchmarks.cluster.usage import Usage, usage_of
from benchmarks.measuring import cut_short_by, say, scratch
from benchmarks.registrations import sides
from benchmarks.report import table, write
from node.cli.local_cluster import ClusterError, end_all

from .figures import Found, figures
from .nodes import SERVICES, Node, registration

NODES = 3
OWN = 9_900
"""Instances that a node owns: with its own record no more than an owner may have."""
OWNED = 10_000
OWNERS = (1, 10)
QUICK_OWN, QUICK_OWNED = 500, 1_000
SETTLE_S, QUICK_SETTLE_S = 30.0, 3.0
STOP_GRACE_S = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="benchmarks.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the instances, no rests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to it")
    arguments = parser.parse_args(argv)
    own, owned = (QUICK_OWN, QUICK_OWNED) if arguments.quick else (OWN, OWNED)
    settle_s = QUICK_SETTLE_S if arguments.quick else SETTLE_S
    found = Found(own=own)
    with cut_short_by(BenchError, ClusterError) as ending:
        deployed.prepare()
        _in_folder(partial(_cluster, found=found, settle_s=settle_s))
        _in_folder(partial(_plain, found=found, settle_s=settle_s))
        for owners in OWNERS:
            _in_folder(partial(_others, found=found, owners=owners, owned=owned))
        _in_folder(partial(_peers, found=found, settle_s=settle_s))
    if ending.code:
        return ending.code
    rows = figures(found)
    print(table(rows))
    if arguments.json:
        write(arguments.json, "memory", rows)
    return 0


def _in_folder(measure: Callable[[Path], None]) -> None:
    with scratch() as folder:
        measure(folder)


def _cluster(folder: Path, found: Found, settle_s: float) -> None:
    nodes = [Node(folder, index, first) for first in [free_block(NODES)] for index in range(NODES)]
    try:
        found.start_s = [node.start() for node in nodes]
        time.sleep(settle_s)
        found.idle = [node.usage() for node in nodes]
        _tell("idle", found.idle)
        nodes[0].register(found.own)
        time.sleep(QUICK_SETTLE_S)
        found.owning = [nodes[0].usage()]
        _tell(f"owner of {found.own}", found.owning)
    finally:
        end_all([node.child for node in nodes], STOP_GRACE_S)


def _plain(folder: Path, found: Found, settle_s: float) -> None:
    node = Node(folder, 0, free_block(1), deployed.WHOLE)
    try:
        node.start()
        time.sleep(settle_s)
        found.plain = [node.usage()]
        _tell("idle, with asserts and docstrings", found.plain)
    finally:
        end_all([node.child], STOP_GRACE_S)


def _others(folder: Path, found: Found, owners: int, owned: int) -> None:
    first = free_block(2)
    old, new = Node(folder, 0, first).holding(owners, owned), Node(folder, 1, first)
    instances = owners * owned
    try:
        old.start(instances)
        new.start(instances)
        time.sleep(QUICK_SETTLE_S)
        found.holding[instances] = [old.usage(), new.usage()]
        _tell(f"{instances} of others", found.holding[instances])
        new.look_up()
        found.answered[instances] = [new.usage()]
        _tell("… each service asked for", found.answered[instances])
    finally:
        end_all([node.child for node in (old, new)], STOP_GRACE_S)


def _peers(folder: Path, found: Found, settle_s: float) -> None:
    if serf.installed():
        agents = serf.SerfSide(NODES, folder)
        try:
            for index in range(NODES):
                agents.fleet.start(index)
            time.sleep(settle_s)
            found.serf = [usage_of(pid) for pid in agents.fleet.pids()]
        finally:
            agents.fleet.stop()
        found.serf_version = serf.SerfSide.version()
        _tell("serf", found.serf)
    else:
        say(f"SKIPPED: Serf is not installed; {serf.INSTALL}")
    if sides.installed():
        member = sides.etcd(folder)
        try:
            member.child.start()
            member.wait_ready()
            found.etcd = [usage_of(member.child.pid)]
            for number in range(found.own):
                _put(member, number)
            found.etcd_owning = [usage_of(member.child.pid)]
        finally:
            end_all([member.child], STOP_GRACE_S)
        found.etcd_version = sides.versions(with_etcd=True)[-1]
        _tell(f"etcd, then with {found.own} keys", [*found.etcd, *found.etcd_owning])
    else:
        say("SKIPPED: etcd is not installed; on Debian: apt-get install etcd-server")


def _put(member: sides.Side, number: int) -> None:
    key = f"service-{number % SERVICES}/i-{number}"
    value = str(registration(number))
    body = {"key": sides.encoded(key), "value": sides.encoded(value)}
    sides.ask(member.address, "POST", member.path, body)


def _tell(what: str, usages: Sequence[Usage]) -> None:
    say(f"{what}: " + ", ".join(f"{one.rss_bytes / 1e6:.1f} MB" for one in usages))


if __name__ == "__main__":
    sys.exit(main())
