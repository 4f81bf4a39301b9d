"""Whole peers edit one document on both sides of a cut: nothing is lost, all see the same."""

import pytest

from protocol.agreement import documents
from protocol.agreement.documents import Document
from protocol.wire import json_text

from .peer_world import Node, World

KEY = "settings"
HEAL_S = 5.0


def seen_by(node: Node) -> Document:
    return documents.joined(KEY, node.peer.registry.document(KEY))


def edit(node: Node, **fields: object) -> None:
    """One write through that node, descending from all that it holds."""
    before = seen_by(node)
    made = {name: json_text.write(value) for name, value in fields.items()}
    node.propose(documents.write(before, made, node.id, node.world.now.wall_us))


def shown(node: Node) -> dict[str, object]:
    return {name: json_text.read(value) for name, value in seen_by(node).values().items()}


def all_agree(world: World) -> bool:
    return world.converged() and len({seen_by(node).version for node in world.nodes}) == 1


@pytest.fixture(params=[2, 3])
def world(request: pytest.FixtureRequest) -> World:
    """A cluster that holds one document."""
    made = World(request.param).start_together()
    made.run(2)
    edit(made.nodes[0], color="red", size=1)
    made.run_until(lambda: seen_by(made.nodes[-1]).exists and all_agree(made), within=HEAL_S)
    return made


def cut_off_the_last(world: World, edits: list[tuple[int, dict[str, object]]]) -> None:
    """The last node alone on its side, edits on both, and the link back."""
    last = world.nodes[-1]
    world.cut = lambda a, b: (a is last) != (b is last)
    world.run(3)
    for number, fields in edits:
        edit(world.nodes[number], **fields)
        world.run(0.5)
    world.cut = lambda _a, _b: False
    world.run_until(lambda: all_agree(world), within=30)


def test_different_fields_edited_on_two_sides_merge(world: World) -> None:
    cut_off_the_last(world, [(0, {"color": "blue"}), (-1, {"size": 2})])

    for node in world.nodes:
        assert shown(node) == {"color": "blue", "size": 2}
        assert not seen_by(node).conflicts


def test_one_field_edited_on_two_sides_is_the_same_conflict_everywhere(world: World) -> None:
    cut_off_the_last(world, [(0, {"color": "blue"}), (-1, {"color": "green"})])

    first = seen_by(world.nodes[0])
    assert first.conflicts["color"].rule == "later"
    assert {one.writer for one in first.fields["color"]} == {
        world.nodes[0].id, world.nodes[-1].id,
    }  # fmt: skip
    for node in world.nodes:
        document = seen_by(node)
        assert shown(node) == {"color": "green", "size": 1}
        assert document.conflicts == first.conflicts
        assert document.fields == first.fields


def test_a_later_write_settles_the_conflict_everywhere(world: World) -> None:
    cut_off_the_last(world, [(0, {"color": "blue"}), (-1, {"color": "green"})])

    edit(world.nodes[1], color="white")
    world.run(0.01)
    world.run_until(lambda: all_agree(world), within=HEAL_S)

    for node in world.nodes:
        assert shown(node) == {"color": "white", "size": 1}
        assert not seen_by(node).conflicts


def test_a_deletion_on_one_side_spares_what_the_other_wrote_meanwhile(world: World) -> None:
    last, first = world.nodes[-1], world.nodes[0]
    world.cut = lambda a, b: (a is last) != (b is last)
    world.run(3)
    first.propose(documents.delete(seen_by(first), first.id, world.now.wall_us))
    edit(last, size=2)
    world.run(0.5)
    world.cut = lambda _a, _b: False
    world.run_until(lambda: all_agree(world), within=30)

    for node in world.nodes:
        assert shown(node) == {"size": 2}
