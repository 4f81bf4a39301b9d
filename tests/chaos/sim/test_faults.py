"""Faults do what they say, add up, and leave nothing behind when they are healed, in any order."""

import itertools
from collections.abc import Iterator
from random import Random

import pytest

from chaos.history import Life
from chaos.sim.faults import Injector, pairs_of, rotate
from chaos.sim.node import SimNode
from chaos.sim.plan import Fault, FaultKind, Plan
from chaos.sim.world import World

AMOUNTS = {
    FaultKind.LOSS: 0.3, FaultKind.DELAY: 0.2, FaultKind.DUPLICATE: 0.5, FaultKind.REORDER: 0.5,
    FaultKind.REPLAY: 0.5, FaultKind.BANDWIDTH: 5_000.0, FaultKind.OLD_DISK: 1.0,
    FaultKind.HICCUPS: 0.5, FaultKind.SLOW: 0.02, FaultKind.CLOCK_JUMP: -600.0,
    FaultKind.CLOCK_DRIFT: 0.05, FaultKind.DISK_SLOW: 0.5,
}  # fmt: skip
SETTLED_S = 8.0


def test_nodes_that_rotate_are_known_by_their_new_keys_and_start_again_with_them() -> None:
    scene = Scene()
    nodes = scene.world.nodes

    fault = scene.begin(FaultKind.ROTATE)
    scene.wait(1.0)
    scene.injector.heal(fault)
    nodes[1].crash()
    nodes[1].start()
    scene.wait(SETTLED_S)

    assert {node.peer.registry.vector()[nodes[1].id].epoch for node in nodes} == {1}
    assert len({node.peer.registry.root for node in nodes}) == 1


def test_a_node_rotates_as_soon_as_it_reaches_a_majority_again() -> None:
    scene = Scene()
    node = scene.world.nodes[1]
    cut = scene.begin(FaultKind.ISOLATE)
    scene.wait(SETTLED_S)

    fault = scene.begin(FaultKind.ROTATE)
    scene.wait(2.0)
    assert node.keys.chain.epoch == 0, "it is cut off"

    scene.injector.heal(cut)
    scene.wait(SETTLED_S)
    assert node.keys.chain.epoch == 1, "and tries again"
    scene.injector.heal(fault)


def test_a_node_that_nobody_has_told_of_itself_yet_does_not_rotate() -> None:
    scene = Scene()
    node = scene.world.nodes[1]
    node.crash()
    scene.begin(FaultKind.ISOLATE)
    node.start()

    assert not node.acquainted
    assert not rotate(node)


class Scene:
    """Four nodes that know each other, and somebody who can do things to them."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(Plan(seed=seed, profile="test", nodes=4, joined=False))
        self.injector = Injector(self.world, Random(seed))
        self.count = itertools.count()
        for node in self.world.nodes:
            node.start()
        self.wait(SETTLED_S)

    def wait(self, seconds: float) -> None:
        self.world.timeline.run(self.world.timeline.now + seconds)

    def begin(self, kind: FaultKind, amount: float | None = None) -> Fault:
        nodes = () if kind in (FaultKind.SPLIT, FaultKind.ONE_WAY) else (1,)
        groups = ((0, 1), (2, 3)) if not nodes else ()
        at_s = self.world.timeline.now + next(self.count)  # no two are equal
        fault = Fault(kind, at_s, at_s, nodes, groups, amount or AMOUNTS.get(kind, 0.0))
        self.injector.inject(fault)
        return fault

    def left_over(self) -> list[str]:
        """All that is not as it was in the beginning."""
        network = self.world.network
        weather = network.weather
        return [
            *(["links"] if network.blocked() or network.hard else []),
            *(["weather"] if weather.loss or weather.unusual or network.loss else []),
            *(["active"] if self.injector.active else []),
            *(["down"] if any(self.injector.down.values()) else []),
            *(what for node in self.world.nodes for what in self._odd(node)),
        ]

    def _odd(self, node: SimNode) -> Iterator[str]:
        now = self.world.timeline.now
        if not node.up or node.paused or node.slow_s:
            yield f"{node.name} up={node.up} paused={node.paused} slow={node.slow_s}"
        second = node.clock.local(now + 1.0) - node.clock.local(now)
        if node.clock.jump_us or second != pytest.approx(1.0):
            yield f"{node.name} clock"
        if node.disk.full or node.disk.failing or node.disk.slow_s:
            yield f"{node.name} disk"

    def agrees(self) -> bool:
        """Whether all hold one registry and each other for alive."""
        peers = [node.peer for node in self.world.nodes]
        reached = all(
            (status := one.membership.status(other.me)) is not None and status.value == "alive"
            for one in peers
            for other in peers
        )
        return reached and len({peer.registry.root for peer in peers}) == 1


@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.value)
@pytest.mark.parametrize("lasts_s", [0.1, 3.0])
def test_a_healed_fault_leaves_nothing_and_the_cluster_agrees_again(
    kind: FaultKind, lasts_s: float
) -> None:
    scene = Scene()

    fault = scene.begin(kind)
    scene.wait(lasts_s)
    scene.injector.heal(fault)
    scene.wait(2.0)

    assert scene.left_over() == []
    scene.wait(10.0)
    assert scene.agrees()


@pytest.mark.parametrize("seed", range(8))
def test_faults_that_overlap_leave_nothing_in_whatever_order_they_are_healed(seed: int) -> None:
    scene, rng = Scene(seed), Random(seed)
    faults = []
    for kind in rng.choices(list(FaultKind), k=12):
        faults.append(scene.begin(kind))
        scene.wait(rng.uniform(0.0, 0.5))

    rng.shuffle(faults)
    for fault in faults:
        scene.injector.heal(fault)
        scene.wait(rng.uniform(0.0, 0.3))
    scene.injector.heal_all()
    scene.wait(3.0)

    assert scene.left_over() == []
    scene.wait(12.0)
    assert scene.agrees()


@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.value)
def test_all_are_healed_at_once(kind: FaultKind) -> None:
    scene = Scene()
    scene.begin(kind)
    scene.begin(kind)
    scene.wait(1.0)

    scene.injector.heal_all()

    assert scene.injector.active == []
    assert scene.world.network.blocked() == []
    assert not scene.world.network.hard


def test_a_node_that_two_faults_hold_down_starts_when_both_are_healed() -> None:
    scene = Scene()
    crash, wipe = scene.begin(FaultKind.CRASH), scene.begin(FaultKind.WIPE)
    node = scene.world.nodes[1]

    scene.injector.heal(crash)
    assert not node.up

    scene.injector.heal(wipe)
    assert node.up


@pytest.mark.parametrize("kind", [FaultKind.DISK_SLOW, FaultKind.CLOCK_DRIFT, FaultKind.SLOW])
def test_of_two_faults_of_a_kind_the_one_that_is_left_goes_on(kind: FaultKind) -> None:
    scene = Scene()
    node = scene.world.nodes[1]

    def harm() -> float:
        now = scene.world.timeline.now
        rate = node.clock.local(now + 1.0) - node.clock.local(now) - 1.0
        return node.disk.slow_s + node.slow_s + rate

    small = scene.begin(kind, 0.01)
    large = scene.begin(kind, 0.02)
    assert harm() == pytest.approx(0.03)

    scene.injector.heal(large)
    assert harm() == pytest.approx(0.01)

    scene.injector.heal(small)
    assert harm() == pytest.approx(0.0, abs=1e-12)


def test_a_full_disk_refuses_until_the_last_fault_is_healed() -> None:
    scene = Scene()
    first, second = scene.begin(FaultKind.DISK_FULL, 1.0), scene.begin(FaultKind.DISK_FULL, 2.0)

    scene.injector.heal(first)
    assert scene.world.nodes[1].disk.full

    scene.injector.heal(second)
    assert not scene.world.nodes[1].disk.full


def test_a_clock_that_jumped_is_back_when_healed() -> None:
    scene = Scene()
    node = scene.world.nodes[1]
    before = node.now.wall_us

    fault = scene.begin(FaultKind.CLOCK_JUMP)
    assert node.now.wall_us == before - 600_000_000

    scene.injector.heal(fault)
    assert node.now.wall_us == before


def test_the_history_says_who_lived_and_which_links_carried() -> None:
    scene = Scene()

    fault = scene.begin(FaultKind.WIPE)
    cut = scene.begin(FaultKind.ONE_WAY)
    scene.wait(1.0)
    scene.injector.heal(cut)
    scene.injector.heal(fault)

    history = scene.world.history
    assert [one.life for one in history.lives if one.node == "n1"] == [
        Life.STARTED,
        Life.CRASHED,
        Life.DAMAGED,
        Life.STARTED,
    ]
    assert [sorted(one.blocked) for one in history.links] == [
        [("n0", "n2"), ("n0", "n3"), ("n1", "n2"), ("n1", "n3")],
        [],
    ]


@pytest.mark.parametrize(
    ("fault", "cut"),
    [
        (Fault(FaultKind.SPLIT, 0, 0, groups=((0,), (1,), (2, 3))), 10),
        (Fault(FaultKind.ONE_WAY, 0, 0, groups=((0, 1), (2, 3))), 4),
        (Fault(FaultKind.RING, 0, 0), 4),
        (Fault(FaultKind.BRIDGE, 0, 0, nodes=(0,)), 4),
        (Fault(FaultKind.ISOLATE, 0, 0, nodes=(0, 1)), 10),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else str(value),
)
def test_a_partition_cuts_each_of_its_pairs_once(fault: Fault, cut: int) -> None:
    pairs = pairs_of(fault, 4)

    assert len(pairs) == cut
    assert len(set(pairs)) == cut
    assert all(one != other for one, other in pairs)


@pytest.mark.parametrize("nodes", [5, 8, 13])
def test_on_a_ring_everyone_reaches_a_majority_and_nobody_all(nodes: int) -> None:
    pairs = set(pairs_of(Fault(FaultKind.RING, 0, 0), nodes))

    for node in range(nodes):
        reached = [other for other in range(nodes) if (node, other) not in pairs]
        assert nodes / 2 < len(reached) < nodes


def test_only_partitions_cut_links() -> None:
    with pytest.raises(ValueError, match="crash cuts no links"):
        pairs_of(Fault(FaultKind.CRASH, 0, 0, nodes=(1,)), 4)
