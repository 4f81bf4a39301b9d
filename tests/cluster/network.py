"""Real nodes, each in a network of its own that can be cut from the others.

Rules this module keeps:

1. What one asks a node over HTTP is asked within its own namespace, so no cut is in the way.
2. Whoever leaves `open_country`, in whatever way, leaves no process and no network behind.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from chaos.cluster.cluster import ClusterPlan, names_of
from chaos.cluster.kinds import running
from chaos.cluster.local import NAMESPACES, LocalCluster
from chaos.cluster.namespaces import Namespaces, why_not
from chaos.cluster.places import Apart
from chaos.cluster.steps import await_readiness

from .situations import PATIENCE_S, Node, expect_within, whole

AWAY = ("unreachable", "dead")
SHORT_ID = 8
"""Characters of an id in logs."""


class Country:
    """Nodes `a`, `b`, `c` …, alone on their machines as far as they can tell."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.members = cluster.members
        self.networks = _networks_of(cluster)
        self.nodes = [self._node(index) for index in range(len(self.members))]
        self.healed_ns = 0
        """Just before the last cut ended, on the clock of the logs' `mono_ns`."""

    def _node(self, index: int) -> Node:
        one = self.members[index]
        dial = partial(self.networks.open_socket, index, socket.SOCK_STREAM)
        return Node(one.name, one.http_port, one.log, host=one.address, dial=dial)

    def data_dir(self, index: int) -> Path:
        """Where a node keeps its keys and its database."""
        return self.members[index].data_dir

    def start(self, index: int) -> None:
        """Start a node again, and wait until it is ready."""
        self.members[index].start()
        await_readiness([self.members[index]])

    def kill(self, index: int) -> None:
        """Kill -9, and wait for the end."""
        self.members[index].kill()

    def running(self) -> list[Node]:
        """The nodes whose process runs."""
        pairs = zip(self.nodes, self.members, strict=True)
        return [node for node, member in pairs if member.pid]

    def cut(self, *groups: Sequence[int]) -> None:
        """Let these groups reach each other no more."""
        self.networks.cut(*groups)

    def names(self, side: Sequence[int]) -> list[str]:
        """The names of the nodes of a side."""
        return [self.nodes[index].name for index in side]

    def expect_apart(self, *sides: Sequence[int]) -> float:
        """Wait until each node reaches its own side and no other; how long that took."""

        def apart() -> bool:
            return all(
                (status == "alive" if name in self.names(side) else status in AWAY)
                for side in sides
                for index in side
                for name, status in self.nodes[index].statuses().items()
            )

        return expect_within(PATIENCE_S, apart, "each side takes the others for away")

    def heal(self) -> None:
        """Let the links carry again, and note when."""
        self.healed_ns = time.monotonic_ns()
        self.networks.heal()

    def see_each_other(self) -> bool:
        """Whether all running nodes see each other alive."""
        nodes = self.running()
        return all(node.statuses().get(other.name) == "alive" for node in nodes for other in nodes)

    def is_of_one_mind(self) -> bool:
        """Whether all running nodes hold the same root."""
        return len({node.root() for node in self.running()}) == 1

    def settle(self) -> float:
        """Wait until they see each other and hold the same."""
        return expect_within(
            PATIENCE_S * 2, lambda: self.is_of_one_mind() and self.see_each_other(), "all agree"
        )

    def contacts_s(self, ours: Sequence[int], theirs: Sequence[int]) -> list[float]:
        """For every pair across a cut: seconds from its end until one took the other for alive."""
        names = {node.id()[:SHORT_ID]: index for index, node in enumerate(self.nodes)}
        took = []
        for here, there in ((ours, theirs), (theirs, ours)):
            for index in here:
                found = {
                    names[str(line["member"])]: whole(line, "mono_ns")
                    for line in reversed(self.nodes[index].events("member_changed"))
                    if line["new"] == "alive" and whole(line, "mono_ns") > self.healed_ns
                }
                took += [(found[other] - self.healed_ns) / 1e9 for other in there]
        return took

    def sides(self) -> list[str]:
        """What each running node says of the partition, over every way in which it says it."""
        return [side_of(node) for node in self.running()]


def side_of(node: Node) -> str:
    """A node's side; it says the same of itself and with every lookup."""
    said = str(node.get("/v1/node")["partition"])
    looked_up = node.call("GET", "/v1/services/nothing").headers["x-kith-partition"]
    return said if said == looked_up else f"{said}, and {looked_up} with lookups"


def _networks_of(cluster: LocalCluster) -> Namespaces:
    place = cluster._place
    assert isinstance(place, Apart)
    return place._opened()


@contextmanager
def open_country(count: int, directory: Path, options: Sequence[str] = ()) -> Iterator[Country]:
    """So many nodes of one mind; the test is skipped where there can be no such networks."""
    if reason := why_not():
        pytest.skip(f"NOT TESTED: real networks that are cut; {reason}")
    plan = ClusterPlan(names=names_of(count), options=tuple(options))
    cluster = LocalCluster(NAMESPACES, plan, directory)
    with running(cluster):
        country = Country(cluster)
        country.settle()
        yield country
