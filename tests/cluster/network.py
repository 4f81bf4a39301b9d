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
from signal import SIGKILL, SIGTERM

import pytest

from chaos.cluster.namespaces import Namespaces, why_not
from node.cli.local_cluster import LOG_LINES_SHOWN, NODE_COMMAND, Child, end_all, name_of

from .situations import PATIENCE_S, Node, expect_within, say, whole

HTTP_PORT, GOSSIP_PORT = 8400, 8401
SEEDS_MAX = 3
AWAY = ("unreachable", "dead")
SHORT_ID = 8
"""Characters of an id in logs."""


class Country:
    """Nodes `a`, `b`, `c` …, alone on their machines as far as they can tell."""

    def __init__(self, networks: Namespaces, directory: Path, options: Sequence[str]) -> None:
        self.networks = networks
        self.directory = directory
        self._options = tuple(options)
        self.nodes = [self._node(index) for index in range(len(networks))]
        self.children = [self._child(index) for index in range(len(networks))]
        self.healed_ns = 0
        """Just before the last cut ended, on the clock of the logs' `mono_ns`."""

    def _node(self, index: int) -> Node:
        name = name_of(index)
        dial = partial(self.networks.open_socket, index, socket.SOCK_STREAM)
        log = self.directory / f"{name}.log"
        return Node(name, HTTP_PORT, log, host=self.networks.address(index), dial=dial)

    def _child(self, index: int) -> Child:
        address, name = self.networks.address(index), name_of(index)
        others = [one for one in range(len(self.networks)) if one != index][:SEEDS_MAX]
        seeds = [f"{self.networks.address(one)}:{GOSSIP_PORT}" for one in others]
        words = [
            *NODE_COMMAND,
            *("--name", name, "--data-dir", str(self.data_dir(index))),
            *("--http", f"{address}:{HTTP_PORT}", "--gossip", f"{address}:{GOSSIP_PORT}"),
            *(word for seed in seeds for word in ("--seed", seed)),
            *self._options,
        ]
        return Child(name, self.networks.command(index, *words), self.nodes[index].log)

    def data_dir(self, index: int) -> Path:
        """Where a node keeps its keys and its database."""
        return self.directory / name_of(index)

    def start(self, *indexes: int) -> float:
        """Start these nodes; the seconds until they are ready."""
        for index in indexes:
            self.children[index].start()
        try:
            return expect_within(
                PATIENCE_S * 2,
                lambda: all(self.nodes[index].is_ready for index in indexes),
                "ready",
            )
        except AssertionError:
            for index in indexes:
                say("\n".join(self.nodes[index].log.read_text().splitlines()[-LOG_LINES_SHOWN:]))
            raise

    def end(self, index: int, number: int = SIGTERM) -> None:
        """Signal a node, and wait for its end."""
        self.children[index].send(number)
        assert self.children[index].ended_by(time.monotonic() + PATIENCE_S)  # noqa: TID251

    def kill(self, index: int) -> None:
        """Kill -9, and wait for the end."""
        self.end(index, SIGKILL)

    def running(self) -> list[Node]:
        """The nodes whose process runs."""
        pairs = zip(self.nodes, self.children, strict=True)
        return [node for node, child in pairs if child.pid]

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


@contextmanager
def open_country(count: int, directory: Path, options: Sequence[str] = ()) -> Iterator[Country]:
    """So many nodes of one mind; the test is skipped where there can be no such networks."""
    if reason := why_not():
        pytest.skip(f"NOT TESTED: real networks that are cut; {reason}")
    with Namespaces(count) as networks:
        country = Country(networks, directory, options)
        try:
            country.start(*range(count))
            country.settle()
            yield country
        finally:
            end_all(country.children)
