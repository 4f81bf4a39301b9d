"""Clusters that somebody else runs: found, bent, and left as they were."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cluster import engine
from chaos.cluster.attached import PROJECT_VARIABLE, URLS_VARIABLE, attached_names
from chaos.cluster.cluster import Ability, Cluster, ClusterError
from chaos.cluster.kinds import make_cluster, running

from .situations import (
    PATIENCE_S,
    THREE,
    TWO,
    answers,
    expect_within,
    open_cluster,
    skip_unless_possible,
)

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024
PROJECT = f"kith-attach-{os.getpid()}"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _project() -> Iterator[None]:
    """As `make up`, with two nodes and a name of its own."""
    skip_unless_possible("compose")
    words = [*engine.compose(), "-p", PROJECT]
    environ = {**os.environ, "KITH_PORT": "0"}
    try:
        subprocess.run(
            [*words, "up", "-d", "--no-build", "a", "b"],
            cwd=ROOT, env=environ, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        yield
    finally:
        subprocess.run(
            [*words, "down", "--volumes", "--timeout", "5"],
            cwd=ROOT, env=environ, check=False, capture_output=True, timeout=120,
        )  # fmt: skip


@pytest.fixture
def made_up(_project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROJECT_VARIABLE, PROJECT)
    monkeypatch.delenv(URLS_VARIABLE, raising=False)
    monkeypatch.delenv("KITH_TOKEN", raising=False)
    expect_within(PATIENCE_S, lambda: is_attachable(tmp_path), "the project's nodes take work")


def is_attachable(directory: Path) -> bool:
    try:
        make_cluster("attach", TWO, directory).start()
    except ClusterError:
        return False
    return True


def nodes() -> dict[str, engine.Container]:
    found = engine.containers(f"label={engine.PROJECT_LABEL}={PROJECT}")
    return {one.service: one for one in found}


def test_a_project_that_runs_is_bent_and_left_as_it_was(made_up: None, tmp_path: Path) -> None:
    before = nodes()
    assert set(attached_names()) == {"a", "b"}

    with running(make_cluster("attach", TWO, tmp_path)) as cluster:
        a, b = cluster.members
        assert [answers(one) for one in (a, b)] == [True, True]
        a.limit(memory_bytes=100 * MIB, cpu_share=0.5)
        a.pause()
        b.stop()
        assert not answers(a, timeout_s=0.3)
        assert (nodes()["a"].memory_bytes, nodes()["b"].is_running) == (100 * MIB, False)

    after = nodes()
    assert {name: one.id for name, one in after.items()} == {n: o.id for n, o in before.items()}
    assert [one.is_running for one in after.values()] == [True, True]
    assert after["a"].init_pid == before["a"].init_pid
    assert (after["a"].memory_bytes, after["a"].cpus) == (before["a"].memory_bytes, 1.0)
    assert answers(a)
    assert "event" in b.log.read_text()


def test_what_a_running_node_cannot_be_given_is_refused(made_up: None, tmp_path: Path) -> None:
    cluster = make_cluster("attach", TWO, tmp_path)

    assert "--cluster compose" in cluster.why_not(Ability.CLOCKS)
    assert cluster.why_not(Ability.PROCESSES) == ""
    with pytest.raises(ClusterError, match="cannot do small-disks"):
        make_cluster(
            "attach", replace(TWO, needs=frozenset({Ability.SMALL_DISKS})), tmp_path
        ).start()


def test_other_nodes_than_those_of_the_plan_are_refused(made_up: None, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="the nodes there are a, b, not a, b, c"):
        make_cluster("attach", THREE, tmp_path).start()
    with pytest.raises(ClusterError, match="b should start late"):
        make_cluster("attach", replace(TWO, late=("b",)), tmp_path).start()


def test_a_project_that_is_not_there_is_named_with_what_starts_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := engine.why_not():
        pytest.skip(f"NOT TESTED: projects that are not there; {reason}")
    monkeypatch.delenv(URLS_VARIABLE, raising=False)
    monkeypatch.setenv(PROJECT_VARIABLE, "nobody-started-this")

    with pytest.raises(ClusterError, match=r"no cluster of nobody-started-this .*`make up`"):
        make_cluster("attach", TWO, tmp_path).start()


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Cluster]:
    with open_cluster("processes", tmp_path / "others", TWO) as cluster:
        yield cluster


def urls(cluster: Cluster) -> list[str]:
    return [f"{one.name}=http://{one.address}:{one.http_port}" for one in cluster.members]


def test_nodes_known_by_url_are_looked_at_and_nothing_else(
    others: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URLS_VARIABLE, ",".join(urls(others)))

    with running(make_cluster("attach", TWO, tmp_path)) as cluster:
        a, _ = cluster.members
        assert attached_names() == ("a", "b")
        assert [answers(one) for one in cluster.members] == [True, True]
        assert (a.pid, a.gossip_port) == (0, others.members[0].gossip_port)
        assert all("HTTP only" in cluster.why_not(ability) for ability in Ability)
        with pytest.raises(ClusterError, match=r"node a: .*HTTP only"):
            a.kill()
        assert not a.data_dir.exists()

    assert [answers(one) for one in others.members] == [True, True]


def test_a_url_that_leads_to_another_node_is_refused(
    others: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = (one.partition("=")[2] for one in urls(others))
    monkeypatch.setenv(URLS_VARIABLE, f"a={a},b={a}")

    with pytest.raises(ClusterError, match="is node 'a', not 'b'"):
        make_cluster("attach", TWO, tmp_path).start()


@pytest.mark.parametrize(
    "text", ["a", "a=", "=http://h:1", "a=https://h:1", "a=http://h:x", "a=http://h,a=http://i"]
)
def test_urls_that_are_none_are_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URLS_VARIABLE, text)

    with pytest.raises(ClusterError, match=r"write NAME=http://HOST:PORT"):
        make_cluster("attach", TWO, tmp_path)
