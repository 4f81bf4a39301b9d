"""Whole peers in a small world: what a cluster promises, with loss, crashes, cuts and old disks."""

from dataclasses import replace
from random import Random

import pytest

from protocol.agreement.evidence import Evidence
from protocol.bodies import key_of
from protocol.detector.detection import Status
from protocol.events import Committed, ForkFound
from protocol.records import ForgetRecord, Phase
from protocol.registry import Instance

from .peer_world import Node, World, sealed, service


def joined(nodes: int = 5, *, seed: int = 1, loss: float = 0.0) -> World:
    return World(nodes, seed=seed, loss=loss).start_joined()


def split(world: World, size: int) -> None:
    """Cut the first `size` nodes off from the rest, in both directions."""
    world.cut = lambda a, b: (a.number < size) != (b.number < size)


def heal(world: World) -> None:
    world.cut = lambda _a, _b: False


def names(node: Node) -> set[str]:
    """What instances a node shows, as `name-port` ids."""
    registry = node.peer.registry
    return {i.service.id for name in registry.services() for i in registry.instances(name)}


def expect_everywhere(world: World, expected: set[str], *, within: float = 3.0) -> float:
    return world.run_until(
        lambda: world.converged() and all(names(node) == expected for node in world.live()),
        within=within,
    )


def forks(world: World) -> list[ForkFound]:
    return [e for node in world.nodes for _, e in node.events if isinstance(e, ForkFound)]


def disputed_anywhere(world: World) -> bool:
    return any(
        (branch := node.peer.registry.branch(owner)) is not None and branch.disputed
        for node in world.live()
        for owner in node.peer.registry.owners()
    )


def instance_of(node: Node, owner: Node, name: str, port: int) -> Instance | None:
    return node.peer.registry.instance(owner.id, name, f"{name}-{port}")


@pytest.mark.parametrize("seed", range(4))
def test_nodes_may_join_in_any_order_through_anybody(seed: int) -> None:
    world = World(6, seed=seed)
    order = Random(seed).sample(world.nodes, k=6)
    for place, node in enumerate(order):
        node.start()
        if place:
            node.join(order[Random(seed + place).randrange(place)])
        world.run(0.02 * seed)

    world.run_until(world.converged, within=5)

    for node in world.nodes:
        statuses = [node.peer.membership.status(other.id) for other in world.nodes]
        assert statuses == [Status.ALIVE] * 6


def test_a_hundred_nodes_that_join_one_seed_at_once_do_not_wait_for_repair() -> None:
    world = World(100).start_joined()

    # Before a newcomer looked again, those who had missed another waited six seconds for roots to
    # settle and differ twice.
    assert world.time < 2.0


def test_an_update_reaches_everybody_within_hops() -> None:
    world = joined(20)

    world.nodes[3].propose(service())

    assert world.run_until(lambda: len(world.holding("web")) == 20, within=1) < 0.05
    assert all(instance_of(node, world.nodes[3], "web", 8000) for node in world.nodes)


@pytest.mark.parametrize("loss", [0.1, 0.2, 0.3])
def test_updates_and_removals_get_through_loss(loss: float) -> None:
    world = joined(8, loss=loss)
    for port in range(10):
        world.nodes[port % 8].propose(service(port=8000 + port))
        world.run(0.05)
    world.nodes[0].propose(remove=(key_of(service(port=8000)),))

    expect_everywhere(world, {f"web-{8000 + port}" for port in range(1, 10)}, within=5)
    assert not forks(world)


def test_what_was_deregistered_never_comes_back() -> None:
    world = joined(5)
    world.nodes[0].propose(service(port=1), service(port=2))
    expect_everywhere(world, {"web-1", "web-2"})
    stale = world.nodes[4]
    stale.crash()
    disk = stale.disk.copy()
    world.run(1)
    world.nodes[0].propose(remove=(key_of(service(port=1)),))
    expect_everywhere(world, {"web-2"})

    stale.disk = disk
    stale.start()
    for node in world.nodes[:4]:
        stale.join(node)
        node.join(stale)

    for _ in range(500):
        world.run(0.02)
        assert all(names(node) == {"web-2"} for node in world.nodes[:4])
    expect_everywhere(world, {"web-2"})


def test_a_restarted_node_reads_itself_back_from_its_peers() -> None:
    world = joined(5)
    node = world.nodes[2]
    node.propose(service(port=1))
    expect_everywhere(world, {"web-1"})
    old_disk = node.disk.copy()
    node.propose(service(port=2), remove=(key_of(service(port=1)),))
    expect_everywhere(world, {"web-2"})
    before = node.peer.registry.vector()[node.id]
    node.crash()
    world.run(0.5)

    node.disk = old_disk
    node.start()
    assert names(node) == {"web-1"}
    node.join(world.nodes[0])
    node.propose(service(port=3))
    world.run_until(lambda: not node.peer.reading_back, within=4)

    expect_everywhere(world, {"web-2", "web-3"})
    assert node.peer.registry.vector()[node.id] > before
    assert not forks(world)
    world.run_until(
        lambda: all(n.peer.membership.status(node.id) is Status.ALIVE for n in world.nodes),
        within=3,
    )


def forked_world() -> tuple[World, Node]:
    """Node 2 came back with an old disk, heard nobody, and signed on."""
    world = joined(5)
    node = world.nodes[2]
    node.propose(service(port=1), service(port=2))
    expect_everywhere(world, {"web-1", "web-2"})
    old_disk = node.disk.copy()
    node.propose(service(port=2, version="cluster"), service(port=3), remove=(
        key_of(service(port=1)),
    ))  # fmt: skip
    expect_everywhere(world, {"web-2", "web-3"})
    node.crash()
    world.run(0.5)

    world.cut = lambda a, b: node in (a, b)
    node.disk = old_disk
    node.start()
    node.propose(service(port=2, version="mine"), service(port=4))
    world.run(4)
    assert names(node) == {"web-1", "web-2", "web-4"}
    return world, node


def test_a_node_that_could_not_read_itself_back_merges_its_fork_by_itself() -> None:
    world, node = forked_world()
    heal(world)

    took = expect_everywhere(world, {"web-2", "web-3", "web-4"}, within=5)
    world.run_until(lambda: not disputed_anywhere(world), within=1)

    found = instance_of(world.nodes[0], node, "web", 2)
    assert found is not None
    assert found.service.version == "mine", "keys signed since the start win"
    assert took < 2.5


@pytest.mark.parametrize("commits", [1, 5, 40])
@pytest.mark.parametrize("talks", [False, True])
def test_a_fork_of_many_commits_loses_nothing_either(commits: int, *, talks: bool) -> None:
    world, node = forked_world()
    for port in range(100, 100 + commits):
        node.propose(service(port=port))
        world.run(0.01)
    heal(world)
    if talks:
        node.propose(service(port=99))

    mine = {f"web-{port}" for port in range(100, 100 + commits)} | ({"web-99"} if talks else set())
    expect_everywhere(world, {"web-2", "web-3", "web-4"} | mine)
    assert not disputed_anywhere(world)


@pytest.mark.parametrize("commits", [1, 5, 25])
def test_a_fork_that_outlived_a_restart_loses_nothing_of_either_life(commits: int) -> None:
    world, node = forked_world()
    for port in range(100, 100 + commits):
        node.propose(service(port=port))
        world.run(0.01)
    node.crash()
    world.run(0.5)
    node.start()
    world.run(3.5)
    node.propose(service(port=5))
    world.run(0.5)
    heal(world)

    mine = {f"web-{port}" for port in range(100, 100 + commits)}
    expect_everywhere(world, {"web-2", "web-3", "web-4", "web-5"} | mine, within=5)
    found = instance_of(world.nodes[0], node, "web", 2)
    assert found is not None
    assert found.service.version == "mine", "what the life before signed in isolation wins too"
    world.run_until(lambda: not disputed_anywhere(world), within=1)


def test_a_fork_that_peers_see_is_disputed_until_its_owner_merges_it() -> None:
    world = joined(5)
    node = world.nodes[2]
    node.propose(service(port=1))
    expect_everywhere(world, {"web-1"})
    disk = node.disk.copy()
    node.propose(service(port=2))
    expect_everywhere(world, {"web-1", "web-2"})
    node.crash()
    world.run(0.2)

    world.cut = lambda _a, b: b is node
    node.disk = disk
    node.start()
    node.propose(service(port=3))
    seen = world.run_until(lambda: len({e.evidence.owner for e in forks(world)}) == 1, within=5)
    assert seen < 3.1, "as soon as it signs"
    world.run(0.1)
    others = [n for n in world.nodes if n is not node]
    assert all((b := n.peer.registry.branch(node.id)) and b.disputed for n in others)

    heal(world)
    node.propose(service(port=4))
    took = expect_everywhere(world, {f"web-{port}" for port in (1, 2, 3, 4)}, within=5)
    assert took < 1.5
    assert not disputed_anywhere(world)


def test_a_dispute_ends_also_for_those_who_missed_the_merge() -> None:
    world = joined(5)
    node, late = world.nodes[2], world.nodes[4]
    disk = node.disk.copy()
    node.propose(service(port=2))
    expect_everywhere(world, {"web-2"})
    node.crash()
    world.run(0.2)
    world.cut = lambda _a, b: b is node
    node.disk = disk
    node.start()
    node.propose(service(port=3))
    world.run(3.2)
    assert (branch := late.peer.registry.branch(node.id)) is not None
    assert branch.disputed
    world.cut = lambda a, b: late in (a, b)
    node.propose(service(port=4))
    world.run(2)
    for port in range(100, 140):
        node.propose(service(port=port))
        world.run(0.02)
    assert branch.disputed

    heal(world)
    world.run_until(lambda: names(late) == names(node), within=5)
    node.propose(service(port=5))
    world.run_until(lambda: not disputed_anywhere(world), within=2)


def test_a_merge_too_large_for_a_datagram_ends_disputes_all_the_same() -> None:
    world, node = forked_world()
    node.propose(*(service(port=port) for port in range(100, 130)))
    heal(world)
    expect_everywhere(
        world, {"web-2", "web-3", "web-4"} | {f"web-{port}" for port in range(100, 130)}, within=5
    )
    world.run_until(lambda: not disputed_anywhere(world), within=2)
    (case,) = node.peer.docket.cases(node.id)
    assert isinstance(case.evidence, Evidence)
    asking = world.nodes[0]
    branch = asking.peer.registry.branch(node.id)
    assert branch is not None

    node.perform(node.peer.receive(
        sealed(asking, node, case.evidence), asking.address, now=world.now
    ))  # fmt: skip
    world.run(0.5)

    assert branch.head is not None
    assert len(branch.head.parents) == 2, "a small one, which fits"
    assert not disputed_anywhere(world)


def test_a_proof_that_comes_after_the_merge_opens_no_case() -> None:
    world, node = forked_world()
    heal(world)
    expect_everywhere(world, {"web-2", "web-3", "web-4"}, within=5)
    world.run_until(lambda: not disputed_anywhere(world), within=2)
    (case,) = node.peer.docket.cases(node.id)
    assert isinstance(case.evidence, Evidence)
    teller, late = world.nodes[0], (node, world.nodes[1])

    for hearer in late:
        hearer.peer.docket._owners.clear()
        proof = sealed(teller, hearer, case.evidence)
        hearer.perform(hearer.peer.receive(proof, teller.address, now=world.now))

    for hearer in late:
        (again,) = hearer.peer.docket.cases(node.id)
        assert not again.open


@pytest.mark.parametrize("commits", [0, 40])
def test_a_dispute_ends_also_when_its_owner_has_restarted_since_it_merged(commits: int) -> None:
    world = joined(5)
    node, late = world.nodes[2], world.nodes[4]
    disk = node.disk.copy()
    node.propose(service(port=2))
    expect_everywhere(world, {"web-2"})
    node.crash()
    world.run(0.2)
    world.cut = lambda _a, b: b is node
    node.disk = disk
    node.start()
    node.propose(service(port=3))
    world.run(3.2)
    assert (branch := late.peer.registry.branch(node.id)) is not None
    assert branch.disputed
    world.cut = lambda a, b: late in (a, b)
    node.propose(service(port=4))
    world.run(2)
    for port in range(100, 100 + commits):
        node.propose(service(port=port))
        world.run(0.02)
    node.crash()
    world.run(0.5)
    node.start()
    world.run(3.5)
    assert branch.disputed

    heal(world)
    world.run_until(lambda: names(late) == names(node), within=5)
    world.run_until(lambda: not disputed_anywhere(world), within=2)


def test_both_sides_of_a_partition_are_one_again_within_three_seconds() -> None:
    world = joined(5)
    world.nodes[0].propose(service(port=1))
    expect_everywhere(world, {"web-1"})
    split(world, 3)
    world.run(8)
    world.nodes[0].propose(service(port=2), remove=(key_of(service(port=1)),))
    world.nodes[4].propose(service(port=3))
    world.run(2)
    assert world.nodes[0].peer.registry.root != world.nodes[4].peer.registry.root

    heal(world)

    assert expect_everywhere(world, {"web-2", "web-3"}) < 3
    assert not forks(world)


def test_nothing_acknowledged_is_lost_when_its_node_crashes_under_load() -> None:
    world = joined(5)
    node = world.nodes[1]
    rng = Random(7)
    port = 0
    for _ in range(6):
        for _ in range(rng.randrange(5, 30)):
            port += 1
            node.propose(service(port=port), ticket=port)
            world.run(rng.random() * 0.002)
        node.crash()
        acknowledged = {
            ticket for _, e in node.events if isinstance(e, Committed) for ticket in e.tickets
        }
        world.run(0.1)
        node.start()
        node.join(world.nodes[0])
        world.run_until(lambda: node.peer.ready, within=4)
        assert {f"web-{ticket}" for ticket in acknowledged} <= names(node)

    expect_everywhere(world, names(node))
    assert not forks(world)


def test_a_node_that_stopped_is_left_in_peace_and_taken_back() -> None:
    world = joined(4)
    node = world.nodes[3]
    node.propose(service())
    expect_everywhere(world, {"web-8000"})

    node.propose(replace(node.peer.record, phase=Phase.STOPPING))
    world.run(0.1)
    node.crash()
    world.run(5)
    assert {n.peer.membership.status(node.id) for n in world.live()} == {Status.STOPPING}
    assert {tuple(names(n)) for n in world.live()} == {("web-8000",)}

    node.start()
    node.join(world.nodes[0])
    world.run_until(
        lambda: all(n.peer.membership.status(node.id) is Status.ALIVE for n in world.live()),
        within=5,
    )
    expect_everywhere(world, {"web-8000"})


def test_an_older_disk_from_an_earlier_life_does_not_keep_a_node_out() -> None:
    world = joined(5)
    node = world.nodes[2]
    disk = node.disk.copy()
    for _ in range(3):
        node.crash()
        world.run(0.3)
        node.start()
        node.join(world.nodes[0])
        world.run(4)
    node.crash()
    node.disk = disk
    world.run(0.3)

    node.start()
    node.join(world.nodes[0])
    world.run(6)

    statuses = [n.peer.membership.status(node.id) for n in world.nodes]
    assert statuses == [Status.ALIVE] * 5
    assert world.converged()


def test_a_member_that_left_is_gone_for_everybody() -> None:
    world = joined(4)
    node = world.nodes[3]

    node.propose(replace(node.peer.record, phase=Phase.LEFT))
    world.run(0.1)
    node.crash()
    world.run(5)

    assert {n.peer.membership.status(node.id) for n in world.live()} == {Status.LEFT}


def test_forgotten_members_are_reaped_and_may_return() -> None:
    world = joined(4)
    node = world.nodes[3]
    node.propose(service())
    expect_everywhere(world, {"web-8000"})
    node.crash()
    world.run_until(
        lambda: all(
            n.peer.membership.status(node.id) in (Status.UNREACHABLE, Status.DEAD)
            for n in world.live()
        ),
        within=10,
    )
    root = world.nodes[0].peer.registry.root

    for asked_at in (1, 2):  # the first buries, the second reaps
        world.nodes[0].propose(ForgetRecord(node=node.id, incarnation=1, asked_at=asked_at))
        world.run(1)

    assert {n.peer.membership.status(node.id) for n in world.live()} == {None}
    assert all(not names(n) for n in world.live())
    assert root != world.nodes[0].peer.registry.root, "of the one who asked only"
    node.start()
    node.join(world.nodes[0])
    expect_everywhere(world, {"web-8000"}, within=8)
    assert all(n.peer.membership.status(node.id) is Status.ALIVE for n in world.live())


def test_a_state_of_ten_thousand_records_reaches_a_newcomer_while_its_owner_goes_on() -> None:
    world = World(3)
    big, small, late = world.nodes
    for node in (big, small):
        node.start()
    world.run(0.1)
    padding = (("padding", "x" * 400),)
    for first in range(1, 9_000, 1_000):
        bodies = [replace(service(port=p), metadata=padding) for p in range(first, first + 1_000)]
        big.propose(*bodies)
        world.run(0.1)
    small.join(big)
    late.start()
    late.join(small)

    for port in range(20_000, 20_300):
        big.propose(service(port=port))
        world.run(0.01)

    expect_everywhere(world, names(big), within=10)
    assert len(names(late)) == 9_300
