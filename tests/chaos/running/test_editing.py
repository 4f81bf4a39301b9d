"""What is read of documents: who wrote what stands, and what a writer had seen."""

from chaos.cluster.client import Shape
from chaos.history import DocumentState, DocumentWrite, Outcome
from chaos.running.editing import context_of, state_of
from chaos.running.identities import Identities


def written(number: int, node: str, counter: int) -> DocumentWrite:
    return DocumentWrite(
        number, node, 1.0, 1.1, Outcome.OK, "plan", counter, ("a",), removes=False, seen=()
    )


def test_the_number_in_a_field_names_the_write_and_siblings_stand_beside_it() -> None:
    writes = {7: written(7, "a", 70), 8: written(8, "b", 80), 9: written(9, "c", 90)}
    document: Shape = {
        "value": {"x": 7, "y": 8, "z": "nobody's"},
        "conflicts": [{"field": "y", "siblings": [{"value": 8}, {"value": 9}]}],
    }

    assert state_of("plan", document, writes) == DocumentState(
        "plan", (("x", "a", 70), ("y", "b", 80), ("y", "c", 90), ("z", 'nobody ("nobody\'s")', 0))
    )
    assert state_of("plan", {}, writes).entries == ()


def test_what_was_seen_goes_by_the_names_of_writers() -> None:
    identities = Identities()
    for node, name in (("id-1", "a"), ("id-2", "b"), ("id-3", "b")):
        identities.note(node, name)
    context: Shape = {"context": {"id-1": [[1, 5], [9, 9]], "id-2": [[2, 3]], "id-3": [[7, 8]]}}

    assert context_of(context, identities) == {"a": [(1, 5), (9, 9)], "b": [(2, 3), (7, 8)]}
    assert context_of({"context": {"id-1": [["x"], 3]}}, identities) == {}
