"""The benchmark of memory: what its figures say of what was read."""

import pytest

from benchmarks.cluster.fleet import free_block
from benchmarks.cluster.usage import Usage
from benchmarks.memory.figures import Found, figures
from benchmarks.memory.nodes import Node
from benchmarks.report import Spread
from node.cli.local_cluster import end_all


def usage(mb: float) -> Usage:
    return Usage(cpu_ms=1.0, rss_bytes=int(mb * 1e6), pss_bytes=int(mb * 5e5))


FOUND = Found(
    own=9_900,
    start_s=[0.4, 0.5, 0.6],
    idle=[usage(50.0), usage(52.0)],
    plain=[usage(55.0)],
    owning=[usage(91.0)],
    holding={10_000: [usage(70.0), usage(90.0)]},
    answered={10_000: [usage(95.0)]},
    serf=[usage(15.0)],
    serf_version="0.9",
)


def test_figures_stand_beside_those_of_the_peers_and_their_goals() -> None:
    found = {one.name: one for one in figures(FOUND)}

    assert found["processor time to be ready"].met
    assert found["memory, idle"].ratio == Spread(3.333, 3.333, 3.333)
    assert found["memory, idle, beside etcd"].peer is None
    assert found["memory, idle, shared pages divided"].kith == Spread(25.5, 25.0, 26.0)
    assert found["memory with 9900 instances of its own"].met is False
    assert found["memory with 10000 instances of others"].met
    assert found["… for each of 10000"].kith == Spread(3.0, 2.0, 4.0)


def test_a_few_instances_are_not_held_against_the_goal_of_many() -> None:
    few = Found(
        own=500, start_s=[1.0], idle=[usage(50.0)], plain=[usage(54.0)], owning=[usage(99.0)],
        holding={1_000: [usage(99.0)]}, answered={1_000: [usage(99.0)]},
    )  # fmt: skip

    found = {one.name: one for one in figures(few)}

    assert found["memory with 500 instances of its own"].goal is None
    assert found["memory with 1000 instances of others"].goal is None


@pytest.mark.slow
def test_a_real_node_starts_with_what_is_on_its_disk_and_takes_more(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    node = Node(tmp_path_factory.mktemp("memory"), 0, free_block(1)).holding(1, 40)
    try:
        assert node.start(40) > 0
        node.register(40)
        node.look_up()
        assert node.usage().rss_bytes > 0
    finally:
        end_all([node.child], 10.0)
