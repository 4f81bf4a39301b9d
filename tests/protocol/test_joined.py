"""Peers that begin with what they have in common behave as peers that joined one another."""

from collections.abc import Callable
from random import Random

import pytest

from protocol.commits import RecordKey
from protocol.detector.detection import Status
from protocol.records import Kind
from protocol.shared.joined import Joined
from protocol.shared.layered import Layered

from .peer_world import TRUST, Node, World, service, vector

Start = Callable[[World], World]
BOTH = pytest.mark.parametrize("start", [World.start_joined, World.start_together])


def statuses(node: Node) -> dict[str, Status | None]:
    others = node.world.nodes
    return {f"n{other.number}": node.peer.membership.status(other.id) for other in others}


def test_all_know_each_other_at_once_and_none_has_anything_to_say() -> None:
    world = World(12).start_together()

    assert world.converged()
    assert all(node.peer.ready and not node.peer.reading_back for node in world.nodes)
    for node in world.nodes:
        assert set(statuses(node).values()) == {Status.ALIVE}
        assert node.peer.membership.members() == tuple(sorted(n.id for n in world.nodes))
        assert node.peer.registry.settled_root(0.0) == node.peer.registry.root
    world.run(10)
    assert world.sent == pytest.approx(12 * 2 * 10, abs=24)  # heartbeats and nothing else
    assert [node.drops for node in world.nodes] == [{}] * 12
    assert [node.events for node in world.nodes] == [[]] * 12


def test_everybody_watches_and_pushes_as_those_do_who_joined_for_real() -> None:
    real, made = World(12).start_joined(), World(12).start_together()
    made.run(0.1)

    for one, other in zip(real.nodes, made.nodes, strict=True):
        assert one.peer.membership.members() == other.peer.membership.members()
        assert sorted(one.peer.membership.subjects()) == sorted(other.peer.membership.subjects())
        for count in (1, 4):
            assert one.peer.membership.push_targets(count) == other.peer.membership.push_targets(
                count
            )
        views = [node.peer.membership.view(one.id) for node in (real.nodes[0], made.nodes[0])]
        assert len({view.observers for view in views if view}) == 1


@BOTH
def test_an_update_reaches_all_and_its_removal_too(start: Start) -> None:
    world = start(World(20))

    world.nodes[3].propose(service("web"))
    took_s = world.run_until(lambda: len(world.holding("web")) == 20, within=1)
    world.nodes[3].propose(remove=(RecordKey(Kind.SERVICE, "web/web-8000"),))
    world.run_until(lambda: not world.holding("web"), within=1)
    world.run(5)

    assert took_s < 0.1
    assert world.converged()
    assert all(vector(node) == vector(world.nodes[0]) for node in world.nodes)


@BOTH
def test_a_crash_is_seen_by_all_and_a_return_too(start: Start) -> None:
    world = start(World(16))
    world.run(3)
    lost = world.nodes[5]

    lost.crash()
    world.run_until(lambda: all(seen(n, lost) is Status.DEAD for n in world.live()), within=25)
    observers = [n.peer.membership.observers(world.nodes[0].id) for n in world.live()]
    assert len(set(observers)) == 1
    assert lost.id not in observers[0]
    lost.start()
    world.run_until(lambda: all(seen(n, lost) is Status.ALIVE for n in world.nodes), within=15)
    world.run_until(world.converged, within=15)


def seen(node: Node, other: Node) -> Status | None:
    return node.peer.membership.status(other.id)


def test_a_change_at_one_is_unknown_to_the_others_until_they_are_told() -> None:
    world = World(8).start_together()
    world.cut = lambda _sender, _receiver: True
    lonely, other = world.nodes[0], world.nodes[1]
    before = other.peer.registry.root

    lonely.propose(service("web"))
    world.run(60)

    assert world.holding("web") == [0]
    assert lonely.peer.registry.root != before
    assert {node.peer.registry.root for node in world.nodes[1:]} == {before}
    branches = [node.peer.registry.branch(lonely.id) for node in world.nodes]
    assert len({branch.dot for branch in branches if branch}) == 2
    assert {seen(lonely, node) for node in world.nodes[1:]} == {Status.UNREACHABLE}


def test_what_one_believes_of_another_is_its_own_affair() -> None:
    world = World(8).start_together()
    first, second, third = world.nodes[:3]
    view = second.peer.membership.view(third.id)

    left = first.peer.membership.depart(third.id, incarnation=9, leaving=True, now=world.time)

    assert left
    assert seen(first, third) is Status.LEFT
    assert seen(second, third) is Status.ALIVE
    assert second.peer.membership.view(third.id) == view
    assert first.peer.membership.counts()[Status.ALIVE] == 6
    assert second.peer.membership.counts()[Status.ALIVE] == 7
    ours, theirs = first.peer.membership, second.peer.membership
    assert third.id not in [o for n in world.nodes for o in ours.observers(n.id)]
    assert third.id in [o for n in world.nodes for o in theirs.observers(n.id)]


def test_one_whom_nobody_knew_joins_the_others() -> None:
    world = World(9)
    newcomer = world.nodes.pop()
    world.start_together()
    world.nodes.append(newcomer)

    newcomer.start()
    newcomer.join(world.nodes[4])

    world.run_until(world.converged, within=10)
    assert all(seen(node, newcomer) is Status.ALIVE for node in world.nodes)
    assert len({node.peer.membership.observers(newcomer.id) for node in world.nodes}) == 1


def test_a_disk_from_the_start_is_that_of_a_node_that_joined() -> None:
    world = World(6).start_together()
    node = world.nodes[2]
    node.crash()
    root = node.peer.registry.root

    node.start()

    assert node.peer.registry.root == root
    assert not node.peer.unrestored
    world.run_until(world.converged, within=20)
    assert node.peer.record.incarnation == 2
    assert all(
        n.peer.registry.node(node.id) == node.peer.registry.node(node.id) for n in world.nodes
    )


def test_two_starts_of_the_same_nodes_are_the_same() -> None:
    world = World(10)
    setups = [node.setup() for node in world.nodes]

    one, two = (Joined.of(setups, TRUST, rings=world.config.rings, now=world.now) for _ in range(2))

    assert one.stored() == two.stored()
    assert list(one.assembly.members) == list(two.assembly.members)
    assert one.holding.heads.root == two.holding.heads.root


@pytest.mark.parametrize("seed", range(20))
def test_a_layered_dict_is_in_every_respect_a_copy_of_the_shared_one(seed: int) -> None:
    rng = Random(seed)
    shared = {key: key for key in range(1, rng.randint(2, 12))}
    untouched = dict(shared)
    layered, plain = Layered(shared), dict(shared)

    for _ in range(200):
        key, value = rng.randint(1, 15), rng.randint(1, 1_000)
        if rng.random() < 0.5:
            layered[key] = plain[key] = value
        else:
            assert layered.pop(key, 0) == plain.pop(key, 0)
        assert list(layered.items()) == list(plain.items())
        assert len(layered) == len(plain)
        assert [layered.get(k) for k in range(16)] == [plain.get(k) for k in range(16)]
        assert [k in layered for k in range(16)] == [k in plain for k in range(16)]
        assert layered.get(0, -1) == -1
    assert shared == untouched
    with pytest.raises(KeyError):
        del layered[0]
    with pytest.raises(KeyError):
        layered[0]
