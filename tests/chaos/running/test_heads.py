"""Which heads a node holds, as it tells of them."""

from collections.abc import Mapping

import pytest

from chaos.cluster.client import Answer, Json, Shape
from chaos.cluster.cluster import names_of
from chaos.running.heads import Heads, heads_of
from chaos.running.identities import Identities
from chaos.running.run import suspects_of

from .situations import scenario_of

HONEST, LIAR = "id-a", "id-e"
HOSTILE = """
title = "t"
about = "t"
[cluster]
nodes = 4
[time]
faults = "9s"
[[fault]]
kind = "forker"
at = "1s"
for = "2s"
nodes = ["d"]
[[fault]]
kind = "flooder"
at = "1s"
for = "2s"
nodes = ["c"]
stranger = true
[[fault]]
kind = "kill"
at = "5s"
for = "2s"
nodes = ["a"]
"""


class Node:
    """Answers as a node does; its root turns after so many questions."""

    def __init__(self, versions: Mapping[str, int], face: str, *, turns_after: int = 99) -> None:
        self.asked: list[str] = []
        self._versions = versions
        self._face = face
        self._turns_after = turns_after

    def call(self, method: str, path: str) -> Answer:
        assert method == "GET"
        self.asked.append(path)
        return Answer(200, self._answer(path))

    def _answer(self, path: str) -> Shape:
        if path == "/v1/root":
            return {"root": "new" if len(self.asked) > self._turns_after else "old"}
        if path == "/v1/clock":
            clock: dict[str, Json] = {
                owner: {"epoch": 0, "version": version} for owner, version in self._versions.items()
            }
            return {"clock": clock}
        assert path == f"/v1/owners/{LIAR}/log?limit=1"
        return {"commits": [{"hash": self._face}]}


def held(node: Node, *suspects: str) -> Heads:
    identities = Identities()
    identities.note(HONEST, "a")
    identities.note(LIAR, "e")
    found = heads_of(node.call, identities, suspects)
    assert found is not None
    return found


def test_two_faces_of_one_version_are_two_heads_if_the_owner_is_suspected() -> None:
    versions = {HONEST: 5, LIAR: 7}
    ours, theirs = Node(versions, "face 1"), Node(versions, "face 2")

    assert held(ours, "e").all != held(theirs, "e").all
    assert held(ours, "e").honest == held(theirs, "e").honest != held(ours, "e").all
    assert held(ours).all == held(theirs).all, "nobody asked for the face"
    assert ours.asked.count(f"/v1/owners/{LIAR}/log?limit=1") == 3


def test_another_version_is_another_head() -> None:
    assert held(Node({HONEST: 5}, "")).all != held(Node({HONEST: 6}, "")).all
    assert held(Node({HONEST: 5}, "")).root == "old"


def test_what_changed_meanwhile_has_no_root() -> None:
    found = held(Node({HONEST: 5}, "", turns_after=2))

    assert (found.root, found.dots) == ("", {HONEST: (0, 5)})


def test_a_node_that_tells_no_clock_tells_nothing() -> None:
    def call(_method: str, _path: str) -> Answer:
        return Answer(503, {"error": {"code": "starting"}})

    assert heads_of(call, Identities(), ()) is None


@pytest.mark.parametrize(("text", "expected"), [(HOSTILE, ("d",))])
def test_only_those_whose_keys_are_misused_are_suspected(
    text: str, expected: tuple[str, ...]
) -> None:
    scenario = scenario_of(text)

    assert scenario.plan.names == names_of(4)
    assert suspects_of(scenario) == expected
