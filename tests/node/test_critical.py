"""Critical changes are refused where this node does not reach the majority."""

import pytest

from node.agreement.critical import require_majority
from node.http import ApiError
from protocol.detector.partition import Partition
from protocol.records import ForgetRecord
from tests.protocol.peer_world import Node, World, service


def isolated(world: World, alone: list[int]) -> list[Node]:
    """The nodes on one side of a cut that has been seen."""
    side = [node for node in world.nodes if node.number in alone]
    world.cut = lambda a, b: (a in side) != (b in side)
    world.run(8)
    return side


def test_with_everybody_here_a_critical_change_is_taken() -> None:
    world = World(3).start_together()
    world.run(2)

    for node in world.nodes:
        require_majority(node.peer, "a change")


def test_the_minority_is_refused_and_the_majority_is_not() -> None:
    world = World(3).start_together()
    world.run(2)

    (lone,) = isolated(world, [2])

    with pytest.raises(ApiError, match="a change needs the majority") as refused:
        require_majority(lone.peer, "a change")
    assert (refused.value.status, refused.value.code) == (503, "minority")
    assert "fewer than half" in str(refused.value)
    assert "(minority: 1 of 3)" in str(refused.value)
    for node in world.nodes[:2]:
        require_majority(node.peer, "a change")


@pytest.mark.parametrize("half", [1, 2, 4])
def test_both_halves_of_an_even_split_are_refused_and_registrations_go_on(half: int) -> None:
    world = World(2 * half).start_together()
    world.run(2)

    isolated(world, list(range(half)))

    for node in world.nodes:
        assert node.peer.membership.partition() is Partition.EVEN
        with pytest.raises(ApiError, match="only half") as refused:
            require_majority(node.peer, "a change")
        assert refused.value.code == "minority"
        assert f"(even: {half} of {2 * half})" in str(refused.value)
    world.nodes[0].propose(service("web", 1))
    world.nodes[-1].propose(service("web", 2))
    world.run(1)
    for node in world.nodes:
        assert len(list(node.peer.registry.instances("web"))) == 1


def test_who_forgets_the_other_half_is_the_majority_again() -> None:
    world = World(4).start_together()
    world.run(2)
    isolated(world, [0, 1])

    for away in world.nodes[2:]:
        view = world.nodes[0].peer.membership.view(away.id)
        assert view is not None
        word = ForgetRecord(node=away.id, incarnation=view.incarnation, asked_at=1)
        world.nodes[0].propose(word)
    world.run(1)

    for node in world.nodes[:2]:
        require_majority(node.peer, "a change")
    assert all(node.peer.membership.partition() is Partition.EVEN for node in world.nodes[2:])
