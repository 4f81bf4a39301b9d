"""Nodes whose seeds are host names, while the name service fails; by a real resolver."""

import json
from collections.abc import Iterator

import pytest

from chaos.cluster.cluster import Ability, Cluster, ClusterPlan, Member
from tests.chaos.cluster.situations import (
    PATIENCE_S,
    answers,
    expect_within,
    open_cluster,
    see_each_other,
)

SILENT: dict[str, str | None] = {"*": None}
THREE = ClusterPlan(names=("a", "b", "c"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("three")
    with open_cluster("namespaces", directory, THREE, Ability.NAMES) as cluster:
        yield cluster


@pytest.fixture
def three(_three: Cluster) -> Iterator[Cluster]:
    """Three nodes that have found each other by name."""
    expect_within(PATIENCE_S, lambda: see_each_other(_three), "all see each other")
    yield _three
    for member in _three.members:
        member.bend_names({})


def events(member: Member, after: int) -> list[str]:
    """What a node has logged from that line on."""
    *lines, _ = member.log.read_text("utf-8").split("\n")
    return [str(json.loads(line)["event"]) for line in lines[after:] if line.startswith("{")]


def restarted(member: Member) -> list[str]:
    """Let a node end and start; what it logged until it took work and had joined."""
    member.stop()
    before = len(member.log.read_text("utf-8").splitlines())
    member.start()
    expect_within(PATIENCE_S, lambda: answers(member), "it takes work")
    expect_within(PATIENCE_S, lambda: "joined" in events(member, before), "it has joined")
    return events(member, before)


def test_peers_of_the_last_run_are_asked_before_anything_is_signed_also_without_names(
    three: Cluster,
) -> None:
    c = three.members[2]
    c.bend_names(SILENT)

    told = restarted(c)

    # What is on its disk may be an older copy; that only its peers can tell.
    assert told.index("joined") < told.index("node_ready")
    assert c.bend_names({}) > 0
