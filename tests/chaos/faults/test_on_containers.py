"""Delays and hostile programs in containers' networks, which end and begin anew with the nodes."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from chaos.cluster.client import Shape
from chaos.cluster.cluster import Ability, ClusterPlan, Member
from chaos.faults.hands import kill, start
from tests.chaos.cluster.situations import (
    PATIENCE_S,
    answers,
    expect_within,
    identity,
    see_each_other,
)
from tests.chaos.hostile.test_on_a_cluster import proofs

from .situations import Scene, scene

LATENCY_S = 0.15
NEEDS = frozenset({Ability.DELAY, Ability.BANDWIDTH, Ability.HOSTILE})
PLAN = ClusterPlan(names=("a", "b", "c"), needs=NEEDS)
CONNECT = """
import socket, sys, time
begun = time.perf_counter()
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20).close()
print(time.perf_counter() - begun)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene("compose", tmp_path_factory.mktemp("three"), PLAN) as made:
        yield made


@pytest.fixture
def three(_three: Scene) -> Scene:
    """Three nodes in containers that hold each other for alive."""
    _three.notes.said.clear()
    _three.notes.villains.clear()
    _three.stage.held.clear()
    expect_within(PATIENCE_S, lambda: see_each_other(_three.cluster), "all see each other")
    return _three


def connect_s(scene: Scene, sender: str, receiver: str) -> float:
    """How long a connection takes from one node's network to the other's gossip port."""
    to = scene.member(receiver)
    words = (sys.executable, "-c", CONNECT, to.address, str(to.gossip_port))
    return float(scene.inside(sender, *words))


def remains(member: Member) -> list[str]:
    """Devices and rules of a delay line, in a node's network."""
    found: list[str] = []
    for words in (("ip", "link"), ("ip", "rule"), ("tc", "qdisc")):
        said = subprocess.run(member.inside(*words), capture_output=True, text=True, check=True)
        found += [
            line
            for line in said.stdout.splitlines()
            if "kith" in line or "fwmark" in line or "netem" in line or "tbf" in line
        ]
    return found


def test_what_a_container_sends_is_late_also_after_its_restart(three: Scene) -> None:
    assert connect_s(three, "a", "b") < LATENCY_S

    with three.in_force("delay", {"latency": "150ms", "groups": [["a"], ["b", "c"]]}):
        # A request and its answer: each direction adds its own.
        assert connect_s(three, "a", "b") >= 2 * LATENCY_S
        assert connect_s(three, "b", "c") < LATENCY_S
        kill(three.stage, "a")
        start(three.stage, "a")
        expect_within(PATIENCE_S, lambda: answers(three.member("a")), "a is back")
        assert connect_s(three, "a", "b") >= 2 * LATENCY_S

    assert connect_s(three, "a", "b") < LATENCY_S
    assert [remains(member) for member in three.cluster.members] == [[], [], []]


def test_a_container_that_does_not_run_meanwhile_is_no_error_and_gets_its_share_later(
    three: Scene,
) -> None:
    kill(three.stage, "c")
    with (
        three.in_force("delay", {"latency": "150ms"}),
        three.in_force("bandwidth", {"nodes": ["c"], "rate": "2mbit"}),
    ):
        assert connect_s(three, "a", "b") >= 2 * LATENCY_S
        start(three.stage, "c")
        expect_within(PATIENCE_S, lambda: answers(three.member("c")), "c is back")
        assert connect_s(three, "c", "a") >= 2 * LATENCY_S
        assert any("tbf" in line for line in remains(three.member("c")))

    assert [remains(member) for member in three.cluster.members] == [[], [], []]


def test_the_keys_of_a_container_are_misused_and_the_others_have_proof(three: Scene) -> None:
    owner = identity(three.member("c"))
    honest = [three.member(name) for name in "ab"]

    with three.in_force("forker", {"nodes": ["c"], "per_s": 2}):
        expect_within(
            PATIENCE_S, lambda: all(proofs(one, owner) for one in honest), "both have a proof"
        )
    with three.in_force("slanderer", {"nodes": ["c"], "per_s": 10}):
        body: Shape = {"name": "shop", "port": 80}
        assert [one.call("POST", "/v1/services", body).status for one in honest] == [201, 201]

    assert three.notes.villains == ["c", "c"]
    assert any("forks" in line for line in three.notes.said)
    assert "batches" in three.notes.said[-1]
