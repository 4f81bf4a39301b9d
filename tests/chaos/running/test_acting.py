"""Faults on a time line."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from chaos.cluster.cluster import ClusterPlan
from chaos.cluster.kinds import make_cluster
from chaos.faults.fault import Fault, FaultError, FaultKind, Stage
from chaos.running.acting import Acts
from chaos.running.journal import Journal, RunClock
from chaos.scenarios.scenario import Step


@dataclass(eq=False)
class Noted:
    """A fault that does nothing but note what is asked of it."""

    name: str
    done: list[str]
    fails: type[BaseException] | None = None
    heal_fails: list[type[BaseException]] = field(default_factory=list)

    def inject(self, _stage: Stage) -> None:
        self.done.append(f"{self.name} injected")
        if self.fails:
            raise self.fails("it cannot be")

    def heal(self, _stage: Stage) -> None:
        if self.heal_fails:
            raise self.heal_fails.pop()("not yet")
        self.done.append(f"{self.name} healed")


def acts_in(directory: Path) -> tuple[Acts, Journal]:
    clock = RunClock()
    journal = Journal(clock, lambda _text: None)
    cluster = make_cluster("processes", ClusterPlan(names=("a",)), directory)
    clock.begin()
    return Acts(Stage(cluster, journal, Random(1)), clock, journal), journal


def step(fault: Fault, at_s: float, for_s: float | None = None) -> Step:
    kind = FaultKind(
        name="noted", summary="", needs=frozenset(), fields={},
        read=lambda _table, _names: fault, victims=lambda _table, _names: (),
    )  # fmt: skip
    return Step(at_s=at_s, for_s=for_s, kind=kind, table={"x": 1}, fault=fault, victims=("a",))


def nothing(_done_s: float) -> None:
    """Nobody watches."""


def test_what_is_due_is_done_in_order_and_looks_come_first(tmp_path: Path) -> None:
    acts, journal = acts_in(tmp_path)
    done: list[str] = []
    steps = (step(Noted("one", done), 0.05, 0.1), step(Noted("two", done), 0.15))

    acts.play(steps, [(0.15, lambda: done.append("looked"))], 0.25, nothing)

    assert done == [
        "one injected", "looked", "one healed", "two injected", "two healed"
    ]  # fmt: skip
    assert acts.healed_at_s is not None
    assert acts.healed_at_s >= 0.25
    assert [(span.kind, span.text, span.nodes) for span in journal.spans] == [
        ("noted", "noted x=1", ("a",))
    ] * 2


def test_a_fault_that_cannot_be_done_is_told_and_healed_all_the_same(tmp_path: Path) -> None:
    acts, _ = acts_in(tmp_path)
    done: list[str] = []

    acts.play((step(Noted("one", done, FaultError), 0.0),), [], 0.05, nothing)

    assert acts.failed == "noted could not be done: it cannot be"
    assert done == ["one injected", "one healed"]


def test_a_fault_that_cannot_be_healed_does_not_keep_others_from_it(tmp_path: Path) -> None:
    acts, _ = acts_in(tmp_path)
    done: list[str] = []
    stuck = Noted("stuck", done, heal_fails=[FaultError])

    acts.play((step(Noted("one", done), 0.0), step(stuck, 0.0)), [], 0.05, nothing)

    assert acts.failed == "noted could not be healed: not yet"
    assert done == ["one injected", "stuck injected", "one healed"]


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_heals_whatever_was_begun_also_when_it_comes_twice(
    tmp_path: Path, signal: type[BaseException]
) -> None:
    acts, journal = acts_in(tmp_path)
    done: list[str] = []
    twice = Noted("twice", done, heal_fails=[KeyboardInterrupt])
    steps = (
        step(Noted("one", done), 0.0), step(twice, 0.0), step(Noted("three", done, signal), 0.01)
    )  # fmt: skip

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        acts.play(steps, [], 60.0, nothing)

    assert done[3:] == ["three healed", "twice healed", "one healed"]
    assert "first what was injected is healed" in [said.text for said in journal.said]


def test_without_faults_the_time_passes_all_the_same(tmp_path: Path) -> None:
    acts, _ = acts_in(tmp_path)

    acts.play((), [], 0.1, nothing)

    assert acts.clock.now_s() >= 0.1
    assert acts.healed_at_s is None
