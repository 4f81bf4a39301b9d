"""A real node that starts with nothing beside one that holds everything: two processes, loopback.

The first finds its records on its disk, where they are written before it starts. What the newcomer
has is read off its `/telemetry`, so the times have the resolution of the looks at it.
"""

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import deployed
from benchmarks.cluster.fleet import BLOCK_PORTS, BenchError, free_block
from node import keystore
from node.cli.local_cluster import HOST, Child, end_all
from node.durability import DATABASE
from node.durability.opening import promise
from protocol.effects import Keep, KeepChain, KeepManifest
from storage import open_store

from .pair import CLUSTER, CLUSTER_NAME, Owner

LOOK_S = 0.02
WITHIN_S = 60.0
STOP_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One start of a node that fetched everything."""

    answers_s: float
    """From the start of its process until its API answered."""
    holds_s: float
    """… until it showed all records."""
    cpu_s: float
    """Processor time of its process until then, start included."""


def fetch(owners: Sequence[Owner], records: int) -> Newcomer:
    """Start both, and wait until the newcomer shows that many instances.

    Raises:
        BenchError: it did not within a minute.
    """
    first = free_block(2)
    with TemporaryDirectory() as folder:
        nodes = [_child(Path(folder), index, first) for index in range(2)]
        fill(Path(folder) / "n0", owners)
        try:
            nodes[0].start()
            wait_to_show(first, records)
            begun = time.monotonic()
            nodes[1].start()
            answers_s, holds_s = (wait_to_show(first + 1, least) - begun for least in (0, records))
            return Newcomer(answers_s, holds_s, _sum(first + 1, "process_cpu_seconds_total"))
        finally:
            end_all(nodes, STOP_GRACE_S)


def _child(folder: Path, index: int, first: int) -> Child:
    name = f"n{index}"
    data = folder / name
    data.mkdir()
    gossip, api = first + index, first + BLOCK_PORTS // 2 + index
    seed = ("--seed", f"{HOST}:{first}") if index else ()
    command = (
        *deployed.NODE, "--name", name, "--data-dir", str(data), "--cluster", CLUSTER_NAME,
        "--gossip", f"{HOST}:{gossip}", "--http", f"{HOST}:{api}", *seed,
    )  # fmt: skip
    return Child(name, command, folder / f"{name}.log")


def fill(data: Path, owners: Sequence[Owner]) -> None:
    """Write into a new data directory what these own."""
    promise(data)
    identity = keystore.load_or_create(data, CLUSTER, None)
    store = open_store(data / DATABASE, cluster=CLUSTER, node=identity.node)
    for owner in owners:
        keeps: list[Keep] = [KeepChain(owner.chain), KeepManifest(owner.manifest())]
        store.write(keeps)
    store.close()


def wait_to_show(gossip: int, least: int, within_s: float = WITHIN_S) -> float:
    """When the node of that port shows at least so many instances.

    Raises:
        BenchError: it did not in time.
    """
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if _sum(gossip, "kith_instances") >= least:
                return time.monotonic()
        except (OSError, http.client.HTTPException):
            pass  # it is not up yet
        time.sleep(LOOK_S)
    raise BenchError(f"a node did not show {least} instances within {within_s:g} s")


def _sum(gossip: int, metric: str) -> float:
    connection = http.client.HTTPConnection(HOST, gossip + BLOCK_PORTS // 2, timeout=5.0)
    try:
        connection.request("GET", "/telemetry")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    values = [line.split()[-1] for line in lines if line.split("{")[0].split(" ")[0] == metric]
    return sum(map(float, values))
