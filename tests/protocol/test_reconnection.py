"""The sides of a split find each other again, after seconds, hours, deaths and reaping.

No node here has seeds: every address is known from the registry. The time of the heal is shifted
from seed to seed, so that it falls anywhere between two tries.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from protocol.detector.detection import Status
from protocol.identity import Address

from .peer_world import Node, World, service

CONTACT_S, ROOTS_S = 2.0, 3.0
EARLIER_S, SHIFT_S = 2.0, 0.0731


def divided(groups: Sequence[Sequence[int]], seed: int, *, reap_after_s: float | None) -> World:
    world = World(sum(map(len, groups)), seed=seed)
    if reap_after_s is not None:
        world.config = replace(world.config, reap_after_s=reap_after_s)
    world.start_together()
    world.nodes[-1].propose(service("old"))
    world.run(3.0)
    side = {number: place for place, group in enumerate(groups) for number in group}
    world.cut = lambda one, other: side[one.number] != side[other.number]
    world.run(EARLIER_S)
    return world


def heal(world: World) -> tuple[float, float]:
    """Seconds from the heal until all are alive to all, and until all hold the same."""
    world.cut = lambda _one, _other: False
    start, met, equal = world.time, -1.0, -1.0
    while world.time - start < 2 * ROOTS_S and (met < 0 or equal < 0):
        world.run(0.01)
        if met < 0 and all(
            sees(one, other) is Status.ALIVE
            for one in world.nodes
            for other in world.nodes
            if one is not other
        ):
            met = world.time - start
        if equal < 0 and world.converged() and len(world.holding("old")) == len(world.nodes):
            equal = world.time - start
    return met, equal


def sees(one: Node, other: Node) -> Status | None:
    return one.peer.membership.status(other.id)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("groups", "seconds"),
    [
        (((0, 1, 2), (3, 4)), 4.0),  # noticed a moment ago
        (((0, 1, 2), (3, 4)), 60.0),  # the majority has declared the others dead
        (((0, 1), (2, 3)), 60.0),
        (((0,), (1,)), 60.0),
        (((0, 1), (2,)), 1200.0),
    ],
)
def test_both_sides_are_found_again_within_two_seconds(
    groups: Sequence[Sequence[int]], seconds: float, seed: int
) -> None:
    world = divided(groups, seed, reap_after_s=None)
    world.nodes[0].propose(service("here"))
    world.nodes[-1].propose(service("there"))
    world.run(seconds + seed * SHIFT_S)

    met, equal = heal(world)

    assert 0 < met <= CONTACT_S
    assert 0 < equal <= ROOTS_S
    assert [len(world.holding(name)) for name in ("here", "there")] == [len(world.nodes)] * 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("writes", [True, False])
def test_also_those_that_the_majority_has_reaped(writes: bool, seed: int) -> None:
    world = divided(((0, 1, 2), (3, 4)), seed, reap_after_s=40.0)
    if writes:
        world.nodes[-1].propose(service("there"))
    world.run(80.0 + seed * SHIFT_S)
    assert sees(world.nodes[0], world.nodes[-1]) is None
    assert world.holding("old") == [3, 4]

    met, equal = heal(world)

    assert 0 < met <= ROOTS_S
    assert 0 < equal <= ROOTS_S


class TryingWorld(World):
    """Remembers when somebody sent to the other side."""

    def __init__(self, nodes: int, *, seed: int) -> None:
        super().__init__(nodes, seed=seed)
        self.tries: dict[int, list[float]] = {}

    def send(self, sender: Node, to: Address, datagram: bytes) -> None:
        receiver = next((node for node in self.nodes if node.address == to), None)
        if receiver is not None and self.cut(sender, receiver):
            self.tries.setdefault(sender.number, []).append(self.time)
        super().send(sender, to, datagram)


def test_the_tries_are_spread_over_time_and_few() -> None:
    world = TryingWorld(5, seed=1)
    world.start_together()
    world.run(3.0)
    world.cut = lambda one, other: (one.number < 3) != (other.number < 3)
    world.run(60.0)
    world.tries.clear()
    world.run(60.0)

    for number in (3, 4):
        times = world.tries[number]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert max(gaps) <= world.config.reconnect_interval_s
        assert len(times) / 60.0 < 10.0, "datagrams a second"
    assert set(world.tries) == {0, 1, 2, 3, 4}, "the majority tries the dead, too"
