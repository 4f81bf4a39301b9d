"""Clusters that are cut apart while clients write on every side, and what the reports should say.

The expectation comes from the workload's own history: what each owner held when the links were cut
and when they were joined again, key by key. Nothing is written in the two seconds after that, while
nodes find each other again at different moments.
"""

from collections.abc import Mapping, Sequence
from random import Random

from protocol.agreement.report import Episode
from protocol.bodies import Body, service_key
from protocol.commits import RecordKey
from protocol.records import Kind

from .peer_world import Node, World, service

QUIET_S = 2.0
"""From the heal until somebody writes again."""

Expected = dict[tuple[int, str], str]
"""By number of the node and key: what became of the record."""


class SplitWorld(World):
    """A world with groups, and a history of what each owner wrote."""

    def __init__(self, nodes: int, *, seed: int) -> None:
        super().__init__(nodes, seed=seed)
        self.draw = Random(seed * 7919)
        self.wrote: dict[int, dict[str, int]] = {number: {} for number in range(nodes)}
        """By node and key: the version of the instance that was registered last."""
        self.at_cut: dict[int, dict[str, int]] = {}
        self._count = 0
        self._writing = False

    def divide(self, *groups: Sequence[int]) -> None:
        """Cut all links between groups, and remember how it stood."""
        side = {number: place for place, group in enumerate(groups) for number in group}
        self.cut = lambda one, other: side[one.number] != side[other.number]
        self.at_cut = {number: dict(held) for number, held in self.wrote.items()}

    def heal(self) -> Expected:
        """Join all links; what diverged, by the history."""
        self.cut = lambda _one, _other: False
        return self.expected()

    def expected(self) -> Expected:
        """What is not as it was at the cut."""
        found: Expected = {}
        for number, now in self.wrote.items():
            before = self.at_cut[number]
            for key in {**before, **now}:
                if before.get(key) != now.get(key):
                    found[number, key] = (
                        "added" if key not in before else "changed" if key in now else "removed"
                    )
        return found

    def between(self, one: Node, other: Node) -> Expected:
        """What two nodes hold differently now: another way to know what diverged."""
        found: Expected = {}
        for owner in self.nodes:
            at_one, at_other = (services_of(node, owner) for node in (one, other))
            ours = owner is one or not self.cut(owner, one)
            now, before = (at_one, at_other) if ours else (at_other, at_one)
            for key in {**before, **now}:
                if before.get(key) != now.get(key):
                    found[owner.number, key] = (
                        "added" if key not in before else "changed" if key in now else "removed"
                    )
        return found

    def write(self, node: Node) -> None:
        """Register, update or remove one instance of a node."""
        held = self.wrote[node.number]
        self._count += 1
        deed = self.draw.random()
        if held and deed < 0.35:
            name = self.draw.choice(sorted(held))
            key = RecordKey(Kind.SERVICE, name)
            node.propose(remove=(key,))
            del held[name]
            return
        port = self.draw.randrange(8000, 8012)
        record = service("web", port, version=str(self._count))
        node.propose(record)
        held[service_key("web", record.id)] = self._count

    def busy(self, seconds: float, *, each_s: float) -> None:
        """Everybody who is up writes now and then."""
        end = self.time + seconds
        while self.time < end:
            for node in self.live():
                if node.peer.ready and self.draw.random() < 0.5:
                    self.write(node)
            self.run(self.draw.uniform(0.5, 1.5) * each_s)

    def settled(self) -> bool:
        """Whether all that are up hold the same, and have concluded every report."""
        return self.converged() and not any(node.peer.episodes.open for node in self.live())


def reported(node: Node, episode: Episode, world: World) -> Expected:
    """What a report says, in the words of the history."""
    numbers = {one.id: one.number for one in world.nodes}
    return {
        (numbers[one.owner], one.key.key): one.became.name.lower()
        for one in episode.diverged.values()
    }


def newest(node: Node) -> Episode:
    """A node's newest report."""
    return next(iter(node.peer.episodes.newest()))


def sides(episode: Episode, world: World) -> Mapping[int, bool]:
    """By number of the owner whether its changes are said to be of our side."""
    numbers = {one.id: one.number for one in world.nodes}
    return {numbers[one.owner]: one.here for one in episode.diverged.values()}


def services_of(node: Node, owner: Node) -> dict[str, Body]:
    """What a node holds of an owner's services."""
    branch = node.peer.registry.branch(owner.id)
    bodies = branch.bodies if branch else {}
    return {key.key: body for key, body in bodies.items() if key.kind == Kind.SERVICE}
