"""Who wrote what: clients of real nodes that remember what was acknowledged to them.

Each client writes with one node, under ids that nobody else uses, so what must be there in the end
follows from its own memory. Every write leaves another port, by which it is recognised.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from .situations import Node, is_shape, rows, whole

SERVICE = "shop"
PAUSE_S = 0.05
"""Between two writes of a client."""
BEFORE = 12
"""Instances of each node before anything happens."""
PORTS = 1_024


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one record, from one moment to another."""

    node: str
    """Its owner."""
    kind: str
    key: str
    change: str
    """`added`, `changed` or `removed`."""


@dataclass(slots=True)
class Client:
    """Registers, updates and deregisters at one node while it runs."""

    node: Node
    rng: Random
    held: dict[str, int] = field(default_factory=dict)
    """Id to the port that was acknowledged last."""
    writes: int = 0
    strange: list[str] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Register what is there before."""
        for number in range(BEFORE):
            self._register(f"{self.node.name}-{number}")

    def start(self) -> None:
        """Write until `stop`."""
        self._enough.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Finish the write under way, and stop."""
        self._enough.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._enough.wait(PAUSE_S):
            try:
                self._act()
            except Exception as error:
                self.strange.append(repr(error))
                return

    def _act(self) -> None:
        draw = self.rng.random()
        if draw < 0.4 or not self.held:
            self._register(f"{self.node.name}-{BEFORE + self.writes}")
        elif draw < 0.7:
            self._register(self.rng.choice(list(self.held)))
        else:
            gone = self.rng.choice(list(self.held))
            self.node.deregister(SERVICE, gone)
            del self.held[gone]
            self.writes += 1

    def _register(self, instance: str) -> None:
        self.writes += 1
        port = PORTS + self.writes
        self.node.register(SERVICE, port, id=instance)
        self.held[instance] = port


class Ledger:
    """A client at each node, and what all of them know."""

    def __init__(self, nodes: Sequence[Node], seed: int) -> None:
        self.clients = [Client(node, Random(f"{seed}/{node.name}")) for node in nodes]

    def each(self, deed: Callable[[Client], None]) -> None:
        """Let every client do it."""
        for client in self.clients:
            deed(client)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All write until the end of the block, and met nothing strange."""
        self.each(lambda client: client.start())
        try:
            yield
        finally:
            self.each(lambda client: client.stop())
        assert self.strange() == []

    def held(self) -> dict[str, int]:
        """What must be there, of all clients."""
        return {name: port for client in self.clients for name, port in client.held.items()}

    def state(self) -> list[dict[str, int]]:
        """What each client knows now; for `changes_since`."""
        return [dict(client.held) for client in self.clients]

    def changes_since(self, state: Sequence[Mapping[str, int]]) -> list[Change]:
        """What became of each record since then, all in all."""
        return [
            change
            for client, before in zip(self.clients, state, strict=True)
            for change in changes(client.node.name, before, client.held)
        ]

    def strange(self) -> list[str]:
        """Whatever no client should have met."""
        return [f"{client.node.name}: {what}" for client in self.clients for what in client.strange]

    def writes(self) -> int:
        """How many were acknowledged."""
        return sum(client.writes for client in self.clients)


def changes(node: str, before: Mapping[str, int], after: Mapping[str, int]) -> list[Change]:
    """The net changes between two states of a node's instances, in the order of their ids."""
    found = []
    for name in sorted({*before, *after}):
        key = f"{SERVICE}/{name}"
        if name not in before:
            found.append(Change(node, "service", key, "added"))
        elif name not in after:
            found.append(Change(node, "service", key, "removed"))
        elif before[name] != after[name]:
            found.append(Change(node, "service", key, "changed"))
    return found


def shown(node: Node) -> dict[str, int]:
    """The instances that a node shows: id to port."""
    found = rows(node.get(f"/v1/services/{SERVICE}"), "instances")
    return {str(one["id"]): whole(one, "port") for one in found if is_shape(one)}
