"""Steps that clusters of every kind take when they start and when they end.

Rules this module keeps:

1. Waiting ends: by what is waited for, by a node that ended, or by its time.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from .cluster import Ability, ClusterError, ClusterPlan

READY_S = 60.0
POLL_S = 0.02
SEEDS = 3


class Starting(Protocol):
    """A node that was just started."""

    @property
    def name(self) -> str:
        """As the plan has it."""

    @property
    def log(self) -> Path:
        """Where its log is, or will be."""

    def check_readiness(self) -> bool:
        """Whether it takes work. Raises ClusterError if it has ended."""


def seeds_of(plan: ClusterPlan, name: str) -> tuple[str, ...]:
    """What a node is told to ask first: by the plan, or else those that follow it in its names."""
    if name in plan.seeds:
        return plan.seeds[name]
    at, count = plan.names.index(name), len(plan.names)
    return tuple(plan.names[(at + step) % count] for step in range(1, min(SEEDS, count - 1) + 1))


def check_abilities(kind: str, plan: ClusterPlan, why_not: Callable[[Ability], str]) -> None:
    """Raises ClusterError for the first ability that the plan needs and the cluster has not."""
    for ability in Ability:
        if ability in plan.needs and (reason := why_not(ability)):
            raise ClusterError(f"--cluster {kind} cannot do {ability.value} here: {reason}")


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
