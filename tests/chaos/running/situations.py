"""Scenarios that are run in tests, and who is told of them."""

from dataclasses import replace
from pathlib import Path

from chaos.cluster.cluster import Ability
from chaos.cluster.kinds import make_cluster
from chaos.faults import FAULTS
from chaos.faults.fault import Fault, FaultKind
from chaos.running.expectations import EXPECTATIONS
from chaos.running.record import RunRecord
from chaos.running.run import run
from chaos.scenarios.reading import Vocabulary, read
from chaos.scenarios.scenario import Scenario, Step
from tests.chaos.cluster.situations import skip_unless_able

VOCABULARY = Vocabulary(FAULTS, EXPECTATIONS)


class Quiet:
    """A teller that keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.said: list[str] = []

    def phase(self, name: str, total_s: float) -> None:
        assert total_s >= 0
        self.phases.append(name)

    def progress(self, done_s: float) -> None:
        assert done_s >= 0

    def say(self, text: str) -> None:
        assert text
        self.said.append(text)


def scenario_of(text: str) -> Scenario:
    return read("test", text, VOCABULARY)


def with_fault(scenario: Scenario, fault: Fault, *, at_s: float, for_s: float | None) -> Scenario:
    """The same with one more fault, that no file can name."""
    kind = FaultKind(
        name="planted", summary="planted", needs=frozenset(), fields={},
        read=lambda _table, _names: fault, victims=lambda _table, _names: (),
    )  # fmt: skip
    step = Step(at_s=at_s, for_s=for_s, kind=kind, table={}, fault=fault, victims=())
    return replace(scenario, steps=(*scenario.steps, step))


def ran(directory: Path, scenario: Scenario, kind: str = "namespaces") -> RunRecord:
    """Run it; the test is skipped where this machine cannot."""
    cluster = make_cluster(kind, scenario.plan, directory)
    skip_unless_able(cluster, *scenario.plan.needs, Ability.PROCESSES)
    return run(scenario, cluster, seed=1, teller=Quiet(), replay="again")
