"""Stages for faults: real networks with or without nodes, notes that remember, small probes."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from chaos.cluster.cluster import Cluster, ClusterPlan, Member, names_of
from chaos.cluster.commands import run
from chaos.cluster.local import LocalCluster
from chaos.cluster.places import Apart
from chaos.faults import FAULTS
from chaos.faults.fault import Fault, Stage, Table
from chaos.history import Life
from tests.chaos.cluster.situations import open_cluster

SOON_S, NEVER_S = 5.0, 0.2
PORT = 4_000
SO_RCVBUFFORCE = 33
EAR_BYTES = 8 * 1024 * 1024
"""So much that no datagram is lost where none is to be lost."""


@dataclass
class Remembered:
    """All that was told, in order."""

    lives: list[tuple[str, Life]] = field(default_factory=list)
    links_: list[tuple[frozenset[tuple[str, str]], float, bool, bool]] = field(default_factory=list)
    villains: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def life(self, node: str, life: Life) -> None:
        self.lives.append((node, life))

    def links(
        self,
        blocked: frozenset[tuple[str, str]],
        *,
        loss: float = 0.0,
        hard: bool = False,
        late: bool = False,
    ) -> None:
        self.links_.append((blocked, loss, hard, late))

    def villain(self, node: str) -> None:
        self.villains.append(node)

    def say(self, text: str) -> None:
        self.said.append(text)

    def of(self, node: str) -> list[Life]:
        return [life for name, life in self.lives if name == node]


@dataclass
class Scene:
    """A cluster, its stage, and what was noted."""

    cluster: Cluster
    stage: Stage
    notes: Remembered

    def fault(self, kind: str, table: Table | None = None) -> Fault:
        return FAULTS[kind].read(table or {}, self.cluster.plan.names)

    @contextmanager
    def in_force(self, kind: str, table: Table | None = None) -> Iterator[Fault]:
        fault = self.fault(kind, table)
        try:
            fault.inject(self.stage)
            yield fault
        finally:
            fault.heal(self.stage)

    def member(self, name: str) -> Member:
        return self.cluster.members[self.cluster.plan.names.index(name)]

    def inside(self, name: str, *words: str) -> str:
        return run(self.member(name).inside(*words))

    def socket_in(self, name: str, kind: socket.SocketKind) -> socket.socket:
        assert isinstance(self.cluster, LocalCluster)
        place = self.cluster._place
        assert isinstance(place, Apart)
        return place._opened().open_socket(self.cluster.plan.names.index(name), kind)


@contextmanager
def scene(kind: str, directory: Path, plan: ClusterPlan) -> Iterator[Scene]:
    with open_cluster(kind, directory, plan, *plan.needs) as cluster:
        notes = Remembered()
        yield Scene(cluster, Stage(cluster, notes, Random(1)), notes)


@contextmanager
def empty_networks(count: int, directory: Path) -> Iterator[Scene]:
    """Networks in which no node runs: all are late."""
    names = names_of(count)
    with scene("namespaces", directory, ClusterPlan(names=names, late=names)) as made:
        yield made


def hears(scene: Scene, sender: str, receiver: str, wait_s: float) -> bool:
    """Whether a datagram from one arrives at the other."""
    return arrivals(scene, sender, receiver, count=1, wait_s=wait_s) == 1


def arrivals(
    scene: Scene, sender: str, receiver: str, *, count: int, wait_s: float, most: int = 0
) -> int:
    """How often one of so many datagrams arrives; it waits so long after the last that did.

    It looks no further when all have arrived, or `most`.
    """
    address = (scene.member(receiver).address, PORT)
    heard = 0
    with (
        contextlib.closing(scene.socket_in(receiver, socket.SOCK_DGRAM)) as ear,
        contextlib.closing(scene.socket_in(sender, socket.SOCK_DGRAM)) as mouth,
    ):
        ear.bind(address)
        ear.settimeout(wait_s)
        ear.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, EAR_BYTES)
        with contextlib.suppress(TimeoutError):
            for number in range(count):
                mouth.sendto(number.to_bytes(4, "big"), address)
            while heard < (most or count) and ear.recv(16):
                heard += 1
    return heard


def reach(scene: Scene) -> set[str]:
    """The directed pairs between which datagrams pass, each as two letters."""
    names = scene.cluster.plan.names
    return {
        a + b
        for a in names
        for b in names
        if a != b and hears(scene, a, b, SOON_S if _is_told_open(scene, a, b) else NEVER_S)
    }


def _is_told_open(scene: Scene, sender: str, receiver: str) -> bool:
    """What was noted decides how long a datagram is waited for, not what is found."""
    told = scene.notes.links_
    return not told or (sender, receiver) not in told[-1][0]


def traces(scene: Scene) -> list[str]:
    """What faults of links have left in the members' networks."""
    found: list[str] = []
    for name in scene.cluster.plan.names:
        for words in (("iptables-save",), ("ip", "rule"), ("ip", "link"), ("tc", "qdisc")):
            said = scene.inside(name, *words).lower().replace("link-netns kith-", "")
            found += [
                f"{name}: {line}"
                for line in said.splitlines()
                if "kith" in line or "tbf" in line or "netem" in line or "fwmark" in line
            ]
    return found
