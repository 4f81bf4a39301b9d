"""Faults done to real nodes, each in a network of its own, and undone."""

import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest

from chaos.cluster.client import NoAnswerError, Shape
from chaos.cluster.cluster import Ability, Cluster, ClusterPlan, Member, member_named
from chaos.cluster.kinds import make_cluster, running
from chaos.faults import FAULTS
from chaos.faults.fault import Stage, Table
from chaos.history import Life, Links
from tests.chaos.cluster.situations import skip_unless_able

PATIENCE_S = 40.0
POLL_S = 0.05
NEEDS = frozenset({Ability.LINKS, Ability.BANDWIDTH, Ability.PROCESSES, Ability.DISKS})

pytestmark = pytest.mark.slow


class Told:
    """Notes that are kept."""

    def __init__(self) -> None:
        self.lives: list[tuple[str, Life]] = []
        self.states: list[Links] = []

    def life(self, node: str, life: Life) -> None:
        self.lives.append((node, life))

    def links(
        self,
        blocked: frozenset[tuple[str, str]],
        *,
        loss: float = 0.0,
        hard: bool = False,
        late: bool = False,
    ) -> None:
        self.states.append(Links(0.0, blocked, loss, hard, late))

    def villain(self, node: str) -> None:
        raise AssertionError(node)

    def say(self, text: str) -> None:
        assert text


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    plan = ClusterPlan(names=("a", "b", "c"), needs=NEEDS)
    cluster = make_cluster("namespaces", plan, tmp_path_factory.mktemp("faults"))
    skip_unless_able(cluster, Ability.LINKS)
    with running(cluster):
        yield Stage(cluster, Told(), Random(1))


@pytest.fixture
def told(stage: Stage) -> Told:
    """What this test's faults tell."""
    expect(lambda: agree(stage.cluster), "all see each other")
    notes = stage.notes = Told()
    return notes


def expect(holds: Callable[[], bool], what: str) -> None:
    """Look until it holds."""
    end = time.perf_counter() + PATIENCE_S
    while not holds():
        assert time.perf_counter() < end, what
        time.sleep(POLL_S)


def statuses(member: Member) -> dict[str, str]:
    """What a node holds of the others; nothing if it does not answer.

    Of two of one name, as after a disk was lost, what it holds of the one that lives.
    """
    try:
        rows = member.call("GET", "/v1/peers").rows("peers")
    except NoAnswerError:
        return {}
    rows.sort(key=lambda row: row["status"] == "alive")
    return {str(row["name"]): str(row["status"]) for row in rows}


def agree(cluster: Cluster) -> bool:
    """Whether all take each other for alive."""
    names = dict.fromkeys(cluster.plan.names, "alive")
    return all(statuses(member) == names for member in cluster.members)


def rules(member: Member) -> str:
    """All that stands in a node's network against packets."""
    shown = ""
    for words in (("iptables-save",), ("tc", "qdisc", "show", "dev", "eth0")):
        shown += subprocess.run(
            member.inside(*words), capture_output=True, text=True, check=True
        ).stdout
    return shown


def is_clean(stage: Stage) -> bool:
    """Whether no rule of ours is left anywhere."""
    return all(
        "KITH" not in rules(member) and "tbf" not in rules(member)
        for member in stage.cluster.members
    )


def away(stage: Stage, viewer: str, subject: str) -> bool:
    """Whether one takes the other for unreachable or dead."""
    status = statuses(member_named(stage.cluster, viewer)).get(subject)
    return status in ("unreachable", "dead")


CUTS: tuple[tuple[str, Table, tuple[tuple[str, str], ...]], ...] = (
    ("partition", {"groups": [["a", "b"], ["c"]]}, (("a", "c"), ("b", "c"), ("c", "a"))),
    ("isolate", {"nodes": ["b"]}, (("a", "b"), ("c", "b"), ("b", "a"), ("b", "c"))),
    ("one-way", {"from": ["c"], "to": ["a", "b"]}, (("a", "c"), ("b", "c"))),
)


@pytest.mark.parametrize(("kind", "table", "gone"), CUTS, ids=[kind for kind, _, _ in CUTS])
def test_a_cut_is_seen_and_heals_without_a_trace(
    stage: Stage, told: Told, kind: str, table: Table, gone: tuple[tuple[str, str], ...]
) -> None:
    fault = FAULTS[kind].read(table, stage.cluster.plan.names)
    fault.inject(stage)
    try:
        for viewer, subject in gone:
            expect(partial(away, stage, viewer, subject), f"{viewer} misses {subject}")
        assert told.states[-1].blocked
    finally:
        fault.heal(stage)

    expect(lambda: agree(stage.cluster), "all see each other")
    assert told.states[-1] == Links(0.0)
    fault.heal(stage)
    assert is_clean(stage)


def test_cuts_that_overlap_are_the_sum_of_both(stage: Stage, told: Told) -> None:
    names = stage.cluster.plan.names
    first = FAULTS["isolate"].read({"nodes": ["a"]}, names)
    second = FAULTS["partition"].read({"groups": [["a", "b"], ["c"]]}, names)
    first.inject(stage)
    second.inject(stage)
    try:
        assert len(told.states[-1].blocked) == 6
        first.heal(stage)
        assert told.states[-1].blocked == {("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}
    finally:
        first.heal(stage)
        second.heal(stage)

    assert is_clean(stage)


def test_a_thin_and_lossy_line_leaves_nothing_behind(stage: Stage, told: Told) -> None:
    names = stage.cluster.plan.names
    thin = FAULTS["bandwidth"].read({"nodes": ["a"], "rate": "1mbit"}, names)
    lossy = FAULTS["loss"].read({"share": 0.2}, names)
    thin.inject(stage)
    lossy.inject(stage)
    try:
        member = member_named(stage.cluster, "a")
        assert "tbf" in rules(member)
        assert "statistic" in rules(member)
        assert (told.states[-1].loss, told.states[-1].hard) == (0.2, True)
    finally:
        thin.heal(stage)
        lossy.heal(stage)

    assert is_clean(stage)


def test_nodes_die_freeze_and_come_back(stage: Stage, told: Told) -> None:
    names = stage.cluster.plan.names
    for kind, down, up in (
        ("kill", Life.CRASHED, Life.STARTED),
        ("stop", Life.STOPPED, Life.STARTED),
        ("pause", Life.PAUSED, Life.RESUMED),
    ):
        fault = FAULTS[kind].read({"nodes": ["c"]}, names)
        fault.inject(stage)
        try:
            assert told.lives[-1] == ("c", down)
            if kind != "stop":
                expect(lambda: away(stage, "a", "c"), f"a misses c ({kind})")
        finally:
            fault.heal(stage)
        assert told.lives[-1] == ("c", up)
        expect(lambda: agree(stage.cluster), f"all see each other after {kind}")


def test_an_old_disk_comes_back_as_the_same_node(stage: Stage, told: Told) -> None:
    member = member_named(stage.cluster, "b")
    who = member.call("GET", "/v1/node").value["id"]
    fault = FAULTS["old-snapshot"].read({"nodes": ["b"]}, stage.cluster.plan.names)
    fault.inject(stage)
    expect(lambda: agree(stage.cluster), "all see each other")
    body: Shape = {"name": "late", "id": "late-1", "port": 80}
    assert member.call("POST", "/v1/services", body).status == 201
    fault.heal(stage)

    expect(lambda: agree(stage.cluster), "all see each other")
    assert [life for node, life in told.lives if node == "b"][-3:] == [
        Life.CRASHED, Life.DAMAGED, Life.STARTED,
    ]  # fmt: skip
    assert member.call("GET", "/v1/node").value["id"] == who
    expect(
        lambda: bool(member.call("GET", "/v1/services/late").rows("instances")),
        "what it wrote after the copy is back with it",
    )


def test_a_wiped_node_comes_back_as_another(stage: Stage, told: Told) -> None:
    member = member_named(stage.cluster, "c")
    who = member.call("GET", "/v1/node").value["id"]
    FAULTS["wipe"].read({"nodes": ["c"]}, stage.cluster.plan.names).inject(stage)

    expect(lambda: statuses(member).get("a") == "alive", "c has joined again")
    assert member.call("GET", "/v1/node").value["id"] != who
