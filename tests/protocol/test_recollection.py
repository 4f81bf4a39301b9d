"""A node whose disk is not the newest signs nothing before a peer has shown what it holds of it."""

from dataclasses import replace

import pytest

from protocol.bodies import key_of
from protocol.commits import Dot
from protocol.errors import ProposalError
from protocol.sync.recollection import READ_BACK_S, Hearing, Recollection

from .author import Author
from .peer_world import Node, World, service
from .test_peer import expect_everywhere, forks, heal, joined, names

BULK = 2_000
"""More records than a frame holds: the state is fetched in parts."""


def restored(world: World, records: int = 1) -> Node:
    """Node 2 is back with an old disk, cut off from all, and has to hear of itself."""
    node = world.nodes[2]
    node.propose(*(service("old", port) for port in range(1, records + 1)))
    old = {f"old-{port}" for port in range(1, records + 1)}
    expect_everywhere(world, old, within=10)
    disk = node.disk.copy()
    for port in range(1, 50):
        node.propose(service("new", port))
        world.run(0.01)
    node.propose(remove=(key_of(service("old", 1)),))
    expect_everywhere(world, old - {"old-1"} | {f"new-{port}" for port in range(1, 50)}, within=10)
    node.crash()
    world.run(0.5)
    world.cut = lambda a, b: node in (a, b)
    node.disk, node.hearing = disk, Hearing.SURELY
    node.start()
    return node


def ask(world: World, node: Node, *others: Node) -> None:
    """One round, as a node asks all whom it knows."""
    for other in others:
        node.join(other)
    world.run(0.5)
    node.perform(node.peer.read_back(now=world.now))


def head(node: Node) -> Dot:
    return node.peer.registry.vector()[node.id]


@pytest.mark.parametrize("records", [1, 150, BULK])
def test_it_waits_as_long_as_it_takes_and_then_goes_on_from_its_newest_state(records: int) -> None:
    world = joined(4)
    node = restored(world, records)
    before = head(node)
    newest = world.nodes[0].peer.registry.vector()[node.id]
    for _ in range(20):
        ask(world, node, *world.nodes[:2])
        world.run(2)
    assert node.peer.reading_back
    assert head(node) == before < newest
    assert "old-1" in names(node), "lookups are served"
    with pytest.raises(ProposalError) as error:
        node.propose(service("mine"))
    assert error.value.field == "waiting"

    heal(world)
    ask(world, node, *world.nodes[:2])
    world.run_until(lambda: node.peer.ready, within=3)

    node.propose(service("mine"))
    old = {f"old-{port}" for port in range(2, records + 1)}
    new = {f"new-{port}" for port in range(1, 50)}
    expect_everywhere(world, {"mine-8000", *old, *new}, within=5)
    assert head(node) > newest
    assert not forks(world)


def test_a_peer_that_does_not_know_it_is_not_enough() -> None:
    world = joined(4)
    node = restored(world)
    stranger = world.nodes[0]
    stranger.crash()
    stranger.disk.branches.clear()
    stranger.start()
    world.cut = lambda a, b: a is not b and {a, b} != {node, stranger}
    for _ in range(3):
        ask(world, node, stranger)
        assert node.peer.reading_back
        assert not node.peer.recollection.is_known

    heal(world)
    ask(world, node, world.nodes[1])
    world.run_until(lambda: node.peer.ready, within=3)
    assert [fork for fork in forks(world) if fork.evidence.owner == node.id] == []


def test_peers_that_hold_the_very_same_are_enough() -> None:
    world = joined(3)
    node = world.nodes[2]
    node.crash()
    node.hearing = Hearing.SURELY
    node.start()

    ask(world, node, world.nodes[0])

    world.run_until(lambda: node.peer.ready, within=1)
    expect_everywhere(world, set())
    assert not forks(world)


def test_a_branch_that_the_cluster_holds_beside_ours_is_merged() -> None:
    """The copy has a commit that the cluster never saw, and the cluster one that it lacks."""
    world = joined(4)
    node = world.nodes[2]
    disk = node.disk.copy()
    world.cut = lambda a, b: node in (a, b)
    node.propose(service("unseen"))
    world.run(0.1)
    copy = node.disk.copy()
    node.crash()
    node.disk = disk
    heal(world)
    node.start()
    node.join(world.nodes[0])
    node.propose(service("seen"))
    expect_everywhere(world, {"seen-8000"})
    node.crash()
    world.run(0.5)

    node.disk, node.hearing = copy, Hearing.SURELY
    node.start()
    ask(world, node, world.nodes[0])
    world.run_until(lambda: node.peer.ready, within=3)

    world.run_until(world.converged, within=5)
    assert all("seen-8000" in names(one) for one in world.nodes)


def recollection(hearing: Hearing) -> tuple[Recollection, Author]:
    author = Author()
    author.commit(service())
    return Recollection(hearing, author.branch, now=10.0), author


def test_what_a_peer_shows_counts_only_if_we_signed_it() -> None:
    waiting, author = recollection(Hearing.SURELY)
    waiting.asked = True
    draft = author.draft(service(port=1))
    own = author.branch.head
    assert own is not None

    waiting.shown(replace(draft.head, signature=bytes(64)))
    assert not waiting.is_known
    waiting.shown(own)
    assert waiting.is_over(coming=False, forked=False, now=11.0)
    waiting.shown(draft.head)
    assert not waiting.is_over(coming=False, forked=False, now=1e9), "there is something newer"
    assert waiting.is_over(coming=False, forked=True, now=11.0)
    assert not waiting.is_over(coming=True, forked=True, now=11.0)
    waiting.shown(own)
    assert not waiting.is_over(coming=False, forked=False, now=11.0), "the newest shown counts"


def test_a_whole_disk_waits_for_a_while_and_a_new_identity_not_at_all() -> None:
    briefly, _ = recollection(Hearing.BRIEFLY)
    assert not briefly.is_over(coming=False, forked=False, now=10 + READ_BACK_S - 0.1)
    assert briefly.is_over(coming=True, forked=False, now=10 + READ_BACK_S)
    briefly.asked = True
    assert briefly.is_over(coming=False, forked=False, now=10.0)
    anew, _ = recollection(Hearing.NOTHING)
    assert anew.is_over(coming=False, forked=False, now=10.0)
    surely, _ = recollection(Hearing.SURELY)
    assert not surely.is_over(coming=False, forked=False, now=1e9)
