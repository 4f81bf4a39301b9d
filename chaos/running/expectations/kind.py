"""What an expectation is: read from a scenario's table, told of what was seen, and judged.

Rules this module keeps:

1. A table that no expectation can be is refused when the scenario is read.
2. What could not be looked at is `unknown`, never fine.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import Cluster, Member
from chaos.faults.fault import Table
from chaos.history import History
from chaos.running.logs import Log
from chaos.running.record import RunRecord
from chaos.running.watching import Sightings
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict

TIMES_MAX_S = 86_400.0
COUNT_MAX = 1_000_000
AT_THE_END = math.inf
"""Looked at when the cluster is quiet again, before it is ended."""


@dataclass(slots=True)
class Scene:
    """All that expectations are judged by."""

    history: History
    record: RunRecord
    sightings: Sightings
    scenario: Scenario
    looked: dict[int, list[str]] = field(default_factory=dict)
    """By the expectation's place: what was found at the moment that it names."""
    logs: Mapping[str, Log] = field(default_factory=dict)
    """By node."""


Judged = tuple[Verdict, str]
FINE: Judged = (Verdict.VALID, "")


class Expects(Protocol):
    """One expectation, as read."""

    text: str
    look_at_s: float | None
    """When it has to look for itself; `AT_THE_END` before the cluster ends; None: never."""

    def look(self, cluster: Cluster) -> list[str]:
        """What it finds amiss now, one line each; nothing if all is as it should be."""

    def judge(self, scene: Scene, looked: list[str] | None) -> Judged:
        """How it came; `looked` is what `look` found, None if it never did."""


@dataclass(frozen=True, slots=True)
class ExpectationKind:
    """An expectation that scenarios can name."""

    name: str
    summary: str
    fields: Mapping[str, str]
    read: Callable[[Table, tuple[str, ...]], Expects]

    def check(self, table: Table, names: tuple[str, ...]) -> None:
        """Refuse a table that it cannot be. Raises UnreadableFaultError."""
        self.read(table, names)


@dataclass(slots=True)
class ByRecord:
    """One that looks at nothing but what was recorded."""

    text: str
    by: Callable[[Scene], Judged]
    look_at_s: float | None = None

    def look(self, _cluster: Cluster) -> list[str]:
        """Nothing has to be looked at."""
        return []

    def judge(self, scene: Scene, _looked: list[str] | None) -> Judged:
        """See `Expects`."""
        return self.by(scene)


@dataclass(slots=True)
class ByLook:
    """One that asks nodes at a moment."""

    text: str
    look_at_s: float | None
    nodes: tuple[str, ...]
    ask: Callable[[Member], str]
    """What is amiss with a node, or nothing. May raise NoAnswerError."""

    def look(self, cluster: Cluster) -> list[str]:
        """See `Expects`."""
        found = []
        for member in cluster.members:
            if member.name in self.nodes:
                try:
                    amiss = self.ask(member)
                except NoAnswerError as error:
                    amiss = f"it does not answer ({error})"
                if amiss:
                    found.append(f"{member.name}: {amiss}")
        return found

    def judge(self, _scene: Scene, looked: list[str] | None) -> Judged:
        """See `Expects`."""
        if looked is None:
            return Verdict.UNKNOWN, "nobody looked"
        return (Verdict.INVALID, "; ".join(looked)) if looked else FINE
