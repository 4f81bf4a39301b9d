"""What is said of nodes that are frozen, or do not see whom they should; by real nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cluster.cluster import Cluster, ClusterPlan
from chaos.faults.fault import Table
from chaos.running.expectations import read
from chaos.scenarios.scenario import Expectation
from tests.chaos.cluster.situations import (
    PATIENCE_S,
    expect_within,
    open_cluster,
    see_each_other,
)

NAMES = ("a", "b", "c")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    place: Path = tmp_path_factory.mktemp("three")
    plan = ClusterPlan(names=NAMES, late=("c",))
    with open_cluster("processes", place, plan) as cluster:
        yield cluster


@pytest.fixture
def three(_three: Cluster) -> Cluster:
    """Nodes a and b, alive to each other, whatever the test before did to them; c does not run."""
    expect_within(PATIENCE_S, lambda: see_each_other(_three), "a and b see each other")
    return _three


def amiss(cluster: Cluster, kind: str, table: Table) -> list[str]:
    return read(Expectation(kind=kind, table=table), NAMES).look(cluster)


def test_whom_a_node_does_not_take_for_alive_is_named(three: Cluster) -> None:
    table: Table = {"nodes": ["a", "b"], "alive": ["a", "b"], "at": "1s"}
    assert amiss(three, "sees", table) == []

    found = amiss(three, "sees", {**table, "alive": ["a", "b", "c"]})

    assert found == ["a: does not take c for alive", "b: does not take c for alive"]


def test_a_node_that_is_frozen_or_does_not_run_is_not_prompt(three: Cluster) -> None:
    table: Table = {"nodes": ["a"], "at": "1s", "within": "30s"}
    assert amiss(three, "prompt", table) == []
    three.members[0].pause()
    try:
        (frozen,) = amiss(three, "prompt", table)
    finally:
        three.members[0].resume()
    (late,) = amiss(three, "prompt", {**table, "nodes": ["c"]})

    assert [text.partition(" (")[0] for text in (frozen, late)] == [
        "a: it does not answer", "c: it does not answer"
    ]  # fmt: skip


def test_an_answer_that_takes_longer_than_it_may_is_told_with_its_time(three: Cluster) -> None:
    (found,) = amiss(three, "prompt", {"nodes": ["b"], "at": "1s", "within": "0s"})
    assert found.startswith("b: /healthz took 0.")
