"""Real nodes, backed up while they work, and put back: nothing forks, and nothing is lost."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from node.cli.local_cluster import LocalCluster

from .ledger import Client, shown
from .situations import (
    LARGE,
    NODES,
    PATIENCE_S,
    NoAnswer,
    Node,
    Town,
    clean_environment,
    expect_within,
    run_kith,
    say,
)

LATER_WRITES = 2_000 if LARGE else 30
B = NODES.index("b")

pytestmark = pytest.mark.slow


def kith(*words: object) -> subprocess.CompletedProcess[str]:
    """A command that asks no node."""
    return subprocess.run(
        [sys.executable, "-m", "node.cli", *map(str, words)], timeout=120, check=False,
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip


def restored(path: Path, data_dir: Path, *words: str) -> None:
    done = kith("restore", path, "--data-dir", data_dir, *words)
    assert done.returncode == 0, done.stderr


def backed_up(node: Node, path: Path, data_dir: Path) -> None:
    done = run_kith(node, "backup", str(path), "--data-dir", str(data_dir))
    assert done.returncode == 0, done.stderr
    assert list(data_dir.glob("backup-*")) == []


def test_an_old_backup_put_back_forks_nothing_and_loses_nothing(town: Town, tmp_path: Path) -> None:
    path, data_dir, b = tmp_path / "b.kith", town.data_dir(B), town.nodes[B]
    logs, client = town.log_sizes(), Client(b, Random(1))
    client.prepare()
    client.start()
    took = expect_within(PATIENCE_S, lambda: client.writes > 5)
    backed_up(b, path, data_dir)
    before = b.head()
    enough = client.writes + LATER_WRITES
    expect_within(120, lambda: client.writes > enough)
    client.stop()
    assert client.strange == []
    newest = b.head()
    assert newest > before
    expect_within(PATIENCE_S, lambda: all(shown(node) == client.held for node in town.nodes))
    town.kill(B)

    refused = kith("restore", path, "--data-dir", data_dir)
    assert refused.returncode == 1
    assert "newer than the backup" in refused.stderr
    restored(path, data_dir, "--force")
    ready = town.start(B)

    town.settle()
    assert b.events("waits_to_hear_of_itself")
    assert b.events("heard_of_itself")
    assert b.head() > newest
    for node in town.nodes:
        assert shown(node) == client.held, node.name
    assert town.forks(logs) == []
    b.register("after", 9999)
    expect_within(PATIENCE_S, lambda: all(n.healths("after") for n in town.nodes))
    say(
        f"backed up after {took:.2f} s; {client.writes} writes; ready {ready:.2f} s after its start"
    )


def test_restored_alone_in_the_dark_it_waits_and_comes_up_with_its_peers(
    town: Town, tmp_path: Path
) -> None:
    path, data_dir, b = tmp_path / "b.kith", town.data_dir(B), town.nodes[B]
    b.register("old", 1)
    backed_up(b, path, data_dir)
    b.register("new", 2)
    town.settle()
    expect_within(PATIENCE_S, lambda: run_kith(b, "queue").returncode == 0, "it is on their disks")
    logs = town.log_sizes()
    for index in range(len(NODES)):
        town.kill(index)
    (data_dir / "kith.db").unlink()
    restored(path, data_dir)

    town.cluster.start_node(B)
    unready = expect_within(PATIENCE_S, lambda: says_what_it_waits_for(b))
    assert b.healths("old") == {"old-1": "passing"}, "lookups are served"
    refused = b.call("POST", "/v1/services", {"name": "x", "port": 3})
    assert (refused.status, refused.code) == (503, "overloaded")
    assert "waits to hear of itself" in str(refused.value)
    expect_within(30, lambda: len(b.events("seed_does_not_answer", since=logs[B])) >= 2)
    waited = expect_within(30, lambda: uptime(b) > 6)
    assert not b.is_ready

    town.start(0)
    ready = expect_within(PATIENCE_S, lambda: b.is_ready, "b has heard of itself")
    town.start(2)
    town.settle()
    assert all(n.healths("new") == {"new-2": "passing"} for n in town.nodes)
    assert town.forks(logs) == []
    say(f"said why after {unready:.2f} s, waited {waited:.2f} s more; ready {ready:.2f} s after a")


def says_what_it_waits_for(node: Node) -> bool:
    try:
        answer = node.call("GET", "/readyz")
    except NoAnswer:
        return False
    components = answer.value["components"]
    assert isinstance(components, dict)
    gossip = components["gossip"]
    assert isinstance(gossip, dict)
    detail = str(gossip["detail"])
    return answer.status == 503 and "restored from the backup of" in detail and "--alone" in detail


def uptime(node: Node) -> float:
    seconds = node.get("/healthz")["uptime_s"]
    assert isinstance(seconds, int | float)
    return seconds


def test_the_last_of_its_cluster_goes_on_when_told_that_it_is_alone(tmp_path: Path) -> None:
    with LocalCluster(1, http_port=0) as cluster:
        cluster.start()
        cluster.wait_ready()
        only = Town(cluster)
        node, data_dir, path = only.nodes[0], only.data_dir(0), tmp_path / "a.kith"
        node.register("web", 80)
        backed_up(node, path, data_dir)
        before = node.head()
        only.kill(0)
        restored(path, data_dir)

        cluster.start_node(0)
        expect_within(PATIENCE_S, lambda: says_what_it_waits_for(node))
        assert kith("restore", "--alone", "--data-dir", data_dir).returncode == 1, "in use"
        only.end(0)
        assert kith("restore", "--alone", "--data-dir", data_dir).returncode == 0
        only.start(0)

        assert node.healths("web") == {"web-80": "passing"}
        assert node.head() > before


def test_a_backup_needs_the_credential_and_the_directory_of_that_node(
    town: Town, tmp_path: Path
) -> None:
    a = town.nodes[0]
    elsewhere = run_kith(a, "backup", str(tmp_path / "x"), "--data-dir", str(town.data_dir(B)))
    assert elsewhere.returncode == 1
    assert "which is not in" in elsewhere.stderr
    assert not (tmp_path / "x").exists()
    assert a.call("POST", "/v1/backup?x=1").status == 400

    secret = tmp_path / "secret"
    secret.write_text("correct horse battery staple")
    secret.chmod(0o600)
    with town.one_more("--token-file", str(secret)) as guarded:
        guarded.wait_ready()
        data_dir = str(guarded.data_dir)
        done = run_kith(guarded.node, "backup", str(tmp_path / "y"), "--data-dir", data_dir)
        assert done.returncode == 1
        assert "unauthenticated" in done.stderr
        assert not (tmp_path / "y").exists()
