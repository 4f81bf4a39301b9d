"""Small real clusters, of every kind that this machine can have."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from chaos.cluster import composed, namespaces
from chaos.cluster.client import Answer, NoAnswerError
from chaos.cluster.cluster import Ability, Cluster, ClusterPlan, Member, names_of
from chaos.cluster.kinds import make_cluster, running

PATIENCE_S = 60.0
POLL_S = 0.02
ONE, TWO, THREE = (ClusterPlan(names=names_of(count)) for count in (1, 2, 3))


def skip_unless_possible(kind: str) -> None:
    """Skip, and say so, where this machine cannot have such a cluster."""
    if kind == "namespaces" and (reason := namespaces.why_not_cached()):
        pytest.skip(f"NOT TESTED: nodes in networks of their own; {reason}")
    if kind == "compose" and (reason := composed.why_no_containers()):
        pytest.skip(f"NOT TESTED: nodes in containers; {reason}")


def skip_unless_able(cluster: Cluster, *needs: Ability) -> None:
    """Skip, and say so, where that cluster cannot have what it needs."""
    for ability in needs:
        if reason := cluster.why_not(ability):
            pytest.skip(f"NOT TESTED: {ability.value} with {cluster.kind}; {reason}")


@contextmanager
def open_cluster(
    kind: str, directory: Path, plan: ClusterPlan = THREE, *needs: Ability
) -> Iterator[Cluster]:
    """Such a cluster, started; the test is skipped where it cannot have what it needs."""
    skip_unless_possible(kind)
    cluster = make_cluster(kind, replace(plan, needs=plan.needs | set(needs)), directory)
    skip_unless_able(cluster, *needs)
    with running(cluster):
        yield cluster


def expect_within(seconds: float, holds: Callable[[], bool], what: str) -> float:
    """Look until it holds; the seconds that took."""
    begun = time.perf_counter()
    while not holds():
        took = time.perf_counter() - begun
        assert took < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_S)
    return time.perf_counter() - begun


def answers(member: Member, timeout_s: float = 2.0) -> bool:
    """Whether a node takes work."""
    try:
        with member.client(timeout_s=timeout_s) as client:
            return client.call("GET", "/readyz").status == 200
    except NoAnswerError:
        return False


def beliefs(member: Member) -> dict[str, str]:
    """What a node believes of the members it knows, by name."""
    try:
        peers = member.call("GET", "/v1/peers").rows("peers")
    except NoAnswerError:
        return {}
    return {str(peer["name"]): str(peer["status"]) for peer in peers}


def see_each_other(cluster: Cluster) -> bool:
    """Whether all nodes that run hold each other for alive."""
    members = [member for member in cluster.members if member.pid]
    names = {member.name for member in members}
    return all(
        names <= {name for name, status in beliefs(member).items() if status == "alive"}
        for member in members
    )


def register(member: Member, name: str = "web") -> Answer:
    """A service, whose answer is waited for however long a disk takes."""
    with member.client(timeout_s=PATIENCE_S) as client:
        return client.call("POST", "/v1/services", {"name": name, "port": 80})


def code(answer: Answer) -> str:
    """Of an error; empty if it is none."""
    error = answer.value.get("error")
    return str(error["code"]) if isinstance(error, dict) else ""


def ahead_s(member: Member) -> float:
    """By how much a node's wall clock is ahead of ours."""
    now = str(member.call("GET", "/v1/clock").value["now"])
    return datetime.fromisoformat(now).timestamp() - time.time_ns() / 1e9


def identity(member: Member) -> str:
    return str(member.call("GET", "/v1/node").value["id"])
