"""Steps that clusters of every kind take when they start and when they end.

Rules this module keeps:

1. Waiting ends: by what is waited for, by a node that ended, or by its time.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from .cluster import Ability, Cluster, ClusterError, ClusterPlan, Member
from .equipment import Equipment

READY_S = 60.0
POLL_S = 0.02
SEEDS = 3


class Starting(Member, Protocol):
    """A node of a cluster that starts its own."""

    def check_readiness(self) -> bool:
        """Whether it takes work. Raises ClusterError if it has ended."""


def seeds_of(plan: ClusterPlan, name: str) -> tuple[str, ...]:
    """What a node is told to ask first: by the plan, or else those that follow it in its names."""
    if name in plan.seeds:
        return plan.seeds[name]
    at, count = plan.names.index(name), len(plan.names)
    return tuple(plan.names[(at + step) % count] for step in range(1, min(SEEDS, count - 1) + 1))


def check_abilities(cluster: Cluster) -> None:
    """Raises ClusterError for the first ability that the plan needs and the cluster has not."""
    for ability in Ability:
        if ability in cluster.plan.needs and (reason := cluster.why_not(ability)):
            raise ClusterError(f"--cluster {cluster.kind} cannot do {ability.value} here: {reason}")


def start_first(members: Sequence[Starting], plan: ClusterPlan, equipment: Equipment) -> None:
    """Start all but the late ones, and wait until they take work, each with all its equipment.

    Raises ClusterError.
    """
    first = [member for member in members if member.name not in plan.late]
    for member in first:
        member.start()
    await_readiness(first)
    for member in first:
        equipment.check(member.name, member.pid)


def await_readiness(members: Sequence[Starting], seconds: float = READY_S) -> None:
    """Wait until all take work. Raises ClusterError if one ends, or the time is over."""
    waiting = list(members)
    end = time.perf_counter() + seconds
    while waiting := [member for member in waiting if not member.check_readiness()]:
        if time.perf_counter() > end:
            names = ", ".join(member.name for member in waiting)
            raise ClusterError(
                f"not ready after {seconds:g} s: {names}; logs in {waiting[0].log.parent}"
            )
        time.sleep(POLL_S)


def attempt_all(*acts: Callable[[], None]) -> None:
    """Do each, also after one of them failed. Raises ClusterError that says all that failed."""
    failed: list[str] = []
    for act in acts:
        try:
            act()
        except ClusterError as error:
            failed.append(str(error))
    if failed:
        raise ClusterError("; ".join(failed))
