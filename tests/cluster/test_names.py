"""Nodes whose seeds are host names, while the name service fails; by a real resolver."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cluster.client import Shape
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
LATER = ClusterPlan(
    names=("a", "b", "c"), late=("c",), seeds={"a": ("b", "c"), "b": ("a",), "c": ()}
)
FAR = 80
INTERVAL: Shape = {"interval": "1s", "timeout": "4s", "failures_before_critical": 1}
LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        server.accept()[0].close()
        print("asked", flush=True)
"""
PROBES = 20

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


def test_a_seed_whose_name_leads_nowhere_yet_is_found_though_another_answered(
    tmp_path: Path,
) -> None:
    with open_cluster("namespaces", tmp_path, LATER, Ability.NAMES) as cluster:
        a, _, c = cluster.members
        a.bend_names({"c": ""})
        restarted(a)
        c.start()
        expect_within(PATIENCE_S, lambda: answers(c), "c takes work")

        a.bend_names({})

        # Nobody but a knows of c, and c knows nobody.
        expect_within(PATIENCE_S, lambda: see_each_other(cluster), "a has found c")


def test_checks_of_names_that_hang_make_no_healthy_service_critical(three: Cluster) -> None:
    a = three.members[0]
    listener = subprocess.Popen(
        a.inside(sys.executable, "-c", LISTEN), stdout=subprocess.PIPE, text=True
    )
    try:
        assert listener.stdout is not None
        port, asked = int(listener.stdout.readline()), list[str]()
        threading.Thread(target=asked.extend, args=(listener.stdout,), daemon=True).start()
        register(a, "near", f"localhost:{port}", 0)
        expect_within(PATIENCE_S, lambda: health(a, "near") == "passing", "it passes")
        a.bend_names(SILENT)
        for number in range(FAR):
            register(a, "far", f"far-{number}.example.test:80", number)
        enough = len(asked) + PROBES

        def is_asked_enough() -> bool:
            assert health(a, "near") == "passing"
            return len(asked) >= enough

        expect_within(PATIENCE_S, is_asked_enough, f"it is checked {PROBES} times")
        assert a.bend_names(SILENT) > FAR, "the names of all others were asked for in vain"
        assert a.call("GET", "/healthz").status == 200
    finally:
        listener.kill()
        listener.communicate()


def register(member: Member, name: str, target: str, number: int) -> None:
    check: Shape = {"type": "tcp", "address": target, **INTERVAL}
    body: Shape = {"name": name, "id": f"{name}-{number}", "port": 80, "checks": [check]}
    assert member.call("POST", "/v1/services", body).status == 201


def health(member: Member, name: str) -> str:
    """Of the one instance of a service."""
    (row,) = member.call("GET", f"/v1/services/{name}").rows("instances")
    return str(row["health"])
