"""A name service that fails: who runs does not care, who restarts knows addresses, others wait."""

import json
import time
from collections.abc import Iterator
from functools import partial

import pytest

from chaos.cluster.cluster import Ability, ClusterPlan, Member
from chaos.faults.hands import start, stop
from tests.chaos.cluster.situations import (
    PATIENCE_S,
    answers,
    beliefs,
    expect_within,
    see_each_other,
)

from .situations import Scene, scene

PROMPT_S = 1.0
NEWCOMERS = {"silent": "d", "unknown": "e", "wrong": "f"}
"""A node for each way: once it has joined, it knows addresses and needs no name."""
PLAN = ClusterPlan(
    names=tuple("abcdef"),
    late=tuple(NEWCOMERS.values()),
    needs=frozenset({Ability.NAMES}),
    # Nobody knows the newcomers: they are to find the others, not the other way round.
    seeds={"a": ("b", "c"), "b": ("a", "c"), **dict.fromkeys("cdef", ("a", "b"))},
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["namespaces", "compose"])
def _six(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    with scene(request.param, tmp_path_factory.mktemp("six"), PLAN) as made:
        yield made


@pytest.fixture
def six(_six: Scene) -> Scene:
    """Three nodes that know each other by name, and three that are to come."""
    _six.notes.said.clear()
    _six.stage.held.clear()
    expect_within(PATIENCE_S, lambda: see_each_other(_six.cluster), "all see each other")
    return _six


def is_alive_and_prompt(member: Member) -> bool:
    begun = time.perf_counter()
    with member.client(timeout_s=PATIENCE_S) as client:
        return client.call("GET", "/healthz").status == 200 and (
            time.perf_counter() - begun < PROMPT_S
        )


def of_its_peers(member: Member) -> str:
    """What a node says of its peers."""
    return json.dumps(member.call("GET", "/readyz").value)


@pytest.mark.parametrize("how", list(NEWCOMERS))
def test_a_newcomer_waits_for_names_and_everybody_else_does_without(six: Scene, how: str) -> None:
    newcomer, restarted = six.member(NEWCOMERS[how]), six.member("c")

    with six.in_force("dns", {"how": how}):
        start(six.stage, newcomer.name)
        expect_within(PATIENCE_S, lambda: answers(newcomer), "the newcomer takes work")
        stop(six.stage, restarted.name)
        start(six.stage, restarted.name)
        expect_within(PATIENCE_S, lambda: answers(restarted), "who restarted takes work")
        expect_within(
            PATIENCE_S, partial(sees_alive, restarted, {"a", "b"}), "who restarted is back"
        )
        assert "no seed has answered yet" in of_its_peers(newcomer)
        assert set(beliefs(newcomer)) <= {newcomer.name}
        assert [is_alive_and_prompt(one) for one in (newcomer, restarted)] == [True, True]
        assert beliefs(six.member("a")).get(newcomer.name) is None

    expect_within(PATIENCE_S, lambda: see_each_other(six.cluster), "the newcomer has joined")
    met = next(line for line in six.notes.said if "met a lie" in line)
    assert int(met.split("; ")[1].split()[0]) > 0


def sees_alive(member: Member, names: set[str]) -> bool:
    return names <= {name for name, status in beliefs(member).items() if status == "alive"}


def test_faults_that_overlap_are_undone_one_by_one(six: Scene) -> None:
    every = six.fault("dns", {"how": "unknown", "nodes": ["a"]})
    one = six.fault("dns", {"how": "wrong", "nodes": ["a"], "names": ["b"], "to": ["c"]})
    told: list[dict[str, str | None]] = []
    for fault, act in ((every, "inject"), (one, "inject"), (every, "heal"), (one, "heal")):
        getattr(fault, act)(six.stage)
        told.append(dict(lies_of(six, "a")))

    c = six.member("c").address
    assert told == [{"*": ""}, {"*": "", "b.kith.test": c}, {"b.kith.test": c}, {}]
    one.heal(six.stage)
    assert lies_of(six, "a") == {}


def lies_of(scene: Scene, name: str) -> dict[str, str | None]:
    """What the name server was told for a node."""
    member = scene.member(name)
    equipment = vars(member)["_equipment"]
    lies = vars(vars(equipment)["_names"])["_lies"]
    return dict(lies.get(member.address, {}))
