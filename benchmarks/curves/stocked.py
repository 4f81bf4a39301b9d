"""A node that finds so many services on its disk, where they are written before it starts.

Each service has one instance, of some 190 bytes. Owners hold 10,000 records each, as many as they
may; they are no nodes: the node has met them in an earlier life.
"""

from pathlib import Path

from benchmarks import deployed
from benchmarks.cluster.fleet import BLOCK_PORTS, BenchError, free_block
from benchmarks.lookups.sides import Side
from benchmarks.registrations.sides import ask
from benchmarks.repair.pair import CLUSTER, CLUSTER_NAME, Owner
from node import keystore
from node.cli.local_cluster import HOST, Child
from node.durability import DATABASE
from node.durability.opening import promise
from protocol.effects import Keep, KeepChain, KeepManifest
from storage import open_store

OWNER_RECORDS = 10_000
NAME = "service-%d"
UNIQUE = 1_000_000_000
"""Of so many names in turn: each service is another."""


def stocked(services: int, directory: Path) -> Side:
    """The node, not started, with its disk filled."""
    data = directory / f"stocked-{services}"
    data.mkdir()
    _fill(data, services)
    port = free_block(1)  # not before: filling takes long, and others may take it meanwhile
    address = f"{HOST}:{port + BLOCK_PORTS // 2}"
    command = [
        *deployed.NODE,
        *("--name", "stocked", "--cluster", CLUSTER_NAME),
        *("--data-dir", str(data)),
        *("--http", address),
        *("--gossip", f"{HOST}:{port}"),
    ]
    child = Child("kith", command, directory / f"stocked-{services}.log")

    def check() -> None:
        if services:
            found = ask(address, "GET", f"/v1/services/{NAME % (services - 1)}")
            if not found["instances"]:
                raise BenchError(f"the node does not show what is on its disk: {found}")

    path = "/v1/services/%s"
    return Side("kith", [child], address, "/readyz", "GET", path, "", "plain", NAME, check)


def _fill(data: Path, services: int) -> None:
    promise(data)
    identity = keystore.load_or_create(data, CLUSTER, None)
    store = open_store(data / DATABASE, cluster=CLUSTER, node=identity.node)
    for number, first in enumerate(range(0, services, OWNER_RECORDS)):
        records = min(OWNER_RECORDS, services - first)
        owner = Owner(number + 1, records, services=UNIQUE, first=first)
        keeps: list[Keep] = [KeepChain(owner.chain), KeepManifest(owner.manifest())]
        store.write(keeps)
    store.close()
