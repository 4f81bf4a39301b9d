"""What every kind of cluster must do, on each that this machine can have."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cluster import leftovers
from chaos.cluster.cluster import Cluster, ClusterError, ClusterPlan, member_named
from chaos.cluster.kinds import KINDS, make_cluster, running
from chaos.cluster.names import owner_of

from .situations import (
    ONE,
    PATIENCE_S,
    TWO,
    answers,
    beliefs,
    expect_within,
    identity,
    open_cluster,
    see_each_other,
    skip_unless_possible,
)

MADE = ("processes", "namespaces", "compose")
PLAN = ClusterPlan(names=("a", "b", "c", "d"), late=("d",), zones={"a": "east", "d": "west"})

pytestmark = pytest.mark.slow


def our_names() -> set[str]:
    """Of clusters of this process; others may test on this machine, too."""
    owners = {one.name: owner_of(one.name) for one in leftovers.everything()}
    return {name for name, owner in owners.items() if owner and owner.pid == os.getpid()}


@pytest.fixture(scope="module", params=MADE)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    kind: str = request.param
    with open_cluster(kind, tmp_path_factory.mktemp(kind), PLAN) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test that comes next finds a, b and c as they were."""
    yield
    if "cluster" in request.fixturenames:
        opened: Cluster = request.getfixturevalue("cluster")
        for member in opened.members:
            member.resume()
            if member.name == "d":
                member.kill()
            elif not member.pid:
                member.start()
        expect_within(PATIENCE_S, lambda: see_each_other(opened), "whole again")


def test_all_but_late_nodes_are_ready_and_find_each_other(cluster: Cluster) -> None:
    a, _, _, d = cluster.members

    assert [member.name for member in cluster.members] == ["a", "b", "c", "d"]
    assert [answers(member) for member in cluster.members] == [True, True, True, False]
    assert (d.pid, d.is_paused) == (0, False)
    expect_within(PATIENCE_S, lambda: see_each_other(cluster), "all see each other")
    assert a.call("GET", "/v1/node").value["zone"] == "east"
    assert a.data_dir.is_dir()


def test_the_address_and_the_port_are_those_that_peers_are_told(cluster: Cluster) -> None:
    for member in cluster.members[:3]:
        told = member.call("GET", "/v1/node").value["address"]
        assert told == f"{member.address}:{member.gossip_port}"


def test_the_pid_is_that_of_the_node_itself(cluster: Cluster) -> None:
    for member in cluster.members[:3]:
        words = Path(f"/proc/{member.pid}/cmdline").read_bytes().split(b"\0")
        assert b"python" in Path(os.fsdecode(words[0])).name.encode()
        assert b"node" in words


def test_a_late_node_joins_when_it_is_started(cluster: Cluster) -> None:
    late = member_named(cluster, "d")

    late.start()

    expect_within(PATIENCE_S, lambda: answers(late), "ready")
    expect_within(PATIENCE_S, lambda: see_each_other(cluster), "all see each other")
    assert late.call("GET", "/v1/node").value["zone"] == "west"
    with pytest.raises(ClusterError, match="runs already"):
        late.start()


def test_a_killed_node_is_gone_and_comes_back_as_the_same(cluster: Cluster) -> None:
    victim = cluster.members[1]
    before, address, pid = identity(victim), victim.address, victim.pid

    victim.kill()

    assert victim.pid == 0
    assert not answers(victim)
    victim.kill()
    victim.start()
    expect_within(PATIENCE_S, lambda: answers(victim), "ready again")
    assert victim.pid not in (0, pid)
    assert (identity(victim), victim.address) == (before, address)


def test_a_stopped_node_says_so(cluster: Cluster) -> None:
    a, b, _, _ = cluster.members

    b.stop()

    assert b.pid == 0
    expect_within(
        # Its farewell has a bound, and may be late on a busy machine: then a misses it.
        PATIENCE_S,
        lambda: beliefs(a).get("b") in ("stopping", "left", "unreachable", "dead"),
        "a knows of b",
    )


def test_a_paused_node_answers_nobody_until_it_is_resumed(cluster: Cluster) -> None:
    victim = cluster.members[2]
    pid = victim.pid

    victim.pause()

    assert (victim.is_paused, answers(victim, timeout_s=0.3)) == (True, False)
    victim.resume()
    expect_within(PATIENCE_S, lambda: answers(victim), "answers again")
    assert (victim.is_paused, victim.pid) == (False, pid)


def test_a_paused_node_can_be_killed_and_is_not_paused_when_it_is_back(cluster: Cluster) -> None:
    victim = cluster.members[2]
    victim.pause()

    victim.kill()

    assert (victim.pid, victim.is_paused) == (0, False)
    victim.start()
    expect_within(PATIENCE_S, lambda: answers(victim), "ready again")
    assert not victim.is_paused


@pytest.mark.parametrize("kind", MADE)
def test_nothing_is_left_behind_but_logs_and_data(kind: str, tmp_path: Path) -> None:
    skip_unless_possible(kind)
    cluster = make_cluster(kind, TWO, tmp_path / "new")
    before = our_names()
    with running(cluster):
        (name,) = our_names() - before
        assert leftovers.find_of(name) != ()
        assert leftovers.find_of(name)[0] not in leftovers.find(), "whoever made it is alive"

    assert leftovers.find_of(name) == ()
    assert [member.pid for member in cluster.members] == [0, 0]
    for member in cluster.members:
        assert '"event":' in member.log.read_text()
        assert member.data_dir.is_absolute(), "it can be asked for, whatever became of it"
    cluster.close()


@pytest.mark.parametrize("kind", MADE)
def test_a_start_that_fails_half_way_says_why_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    skip_unless_possible(kind)
    plan = replace(TWO, seeds={"b": ("no address at all",)})
    cluster = make_cluster(kind, plan, tmp_path)
    before = our_names()

    with pytest.raises(ClusterError, match="node b ended"), running(cluster):
        pytest.fail("it started")

    assert our_names() == before
    assert [member.pid for member in cluster.members] == [0, 0]


def test_an_unknown_kind_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as caught:
        make_cluster("clouds", ONE, tmp_path)

    assert "clouds" in str(caught.value)
    assert [kind for kind in KINDS if kind not in str(caught.value)] == []
