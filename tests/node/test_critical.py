"""Critical changes are refused where this node does not reach the majority."""

import pytest

from node.critical import require_majority
from node.http import ApiError
from tests.protocol.peer_world import Node, World


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
    for node in world.nodes[:2]:
        require_majority(node.peer, "a change")


def test_both_halves_of_an_even_split_are_refused() -> None:
    world = World(4).start_together()
    world.run(2)

    isolated(world, [2, 3])

    for node in world.nodes:
        with pytest.raises(ApiError, match="only half") as refused:
            require_majority(node.peer, "a change")
        assert refused.value.code == "minority"
