"""After a cut everybody repairs, and nobody stampedes: how many syncs a node makes, counted."""

from collections import Counter

from protocol.sync.repair import RETURNS_MAX, Repair
from protocol.wire import exchange
from protocol.wire.exchange import SyncRequest

from .peer_world import Node, World, service


def syncs_of(world: World) -> Counter[int]:
    """How many SYNC requests each node made since frames are recorded."""
    assert world.frames is not None
    return Counter(
        asker.number
        for asker, _, request, _ in world.frames
        if isinstance(exchange.decode_request(request), SyncRequest)
    )


def cut_in_half(world: World) -> None:
    half = len(world.nodes) // 2
    world.cut = lambda a, b: (a.number < half) != (b.number < half)


def heal(world: World) -> None:
    world.cut = lambda _a, _b: False
    world.frames = []


def test_at_a_heal_a_node_asks_few_of_those_who_are_back_and_none_in_vain_for_long() -> None:
    world = World(30).start_together()
    world.run(3.0)
    cut_in_half(world)
    world.run(8.0)
    for node in world.nodes[::3]:
        node.propose(service(f"n{node.number}", 1))
    world.run(4.0)

    heal(world)
    took = world.run_until(world.converged, within=3)
    world.run(15.0 - took)

    syncs = syncs_of(world)
    assert max(syncs.values()) <= RETURNS_MAX + 5
    assert sum(syncs.values()) <= 4.5 * len(world.nodes)


def test_what_a_sync_brought_and_is_old_elsewhere_makes_no_roots_differ() -> None:
    world = World(3).start_joined()
    world.run(5.0)
    lonely: Node = world.nodes[0]
    world.cut = lambda a, b: lonely in (a, b)
    world.nodes[1].propose(service("news", 1))
    world.run(3.0)

    heal(world)
    world.run_until(world.converged, within=5)
    world.run(1.0)  # those that were planned when they met again
    asked = sum(syncs_of(world).values())
    world.run(20.0)

    assert sum(syncs_of(world).values()) == asked


def test_only_so_many_that_are_back_at_once_are_asked_for_it() -> None:
    world = World(RETURNS_MAX + 3)
    world.nodes[0].start()
    repair = Repair(world.nodes[0].peer.registry, rng=world.rng)
    for node in world.nodes[1:]:
        repair.returned(node.id, now=0.0)

    assert len(repair.due(now=1.0)) == RETURNS_MAX
    repair.returned(world.nodes[-1].id, now=2.5)
    assert repair.due(now=3.0) == [world.nodes[-1].id]
