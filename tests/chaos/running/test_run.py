"""Scenarios put to real clusters, and the verdicts they come to."""

from pathlib import Path

import pytest

from chaos.cluster.cluster import Ability
from chaos.cluster.kinds import make_cluster
from chaos.faults import FAULTS
from chaos.running.expectations import EXPECTATIONS
from chaos.running.record import RunRecord
from chaos.running.run import run
from chaos.scenarios.reading import Vocabulary, read
from chaos.verdict import Verdict

CUT = """
title = "Two and one"
about = "A short cut."
[cluster]
nodes = 3
[workload]
writes_per_s = {writes}
lookups_per_s = {lookups}
instances = 2
[time]
faults = "8s"
settle = "1s"
[[fault]]
kind = "partition"
at = "1s"
for = "6s"
groups = [["a", "b"], ["c"]]
[[expect]]
kind = "sides"
at = "6500ms"
sides = {{ a = "majority", c = "{side}" }}
[[expect]]
kind = "updates-lost"
"""

pytestmark = pytest.mark.slow


class Quiet:
    """A teller that keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, name: str, total_s: float) -> None:
        assert total_s >= 0
        self.phases.append(name)

    def progress(self, done_s: float) -> None:
        assert done_s >= 0

    def say(self, text: str) -> None:
        assert text


def ran(
    directory: Path, *, writes: int = 20, lookups: int = 20, side: str = "minority"
) -> RunRecord:
    """A short cut, run."""
    text = CUT.format(writes=writes, lookups=lookups, side=side)
    scenario = read("cut", text, Vocabulary(FAULTS, EXPECTATIONS))
    cluster = make_cluster("namespaces", scenario.plan, directory)
    if reason := cluster.why_not(Ability.LINKS):
        pytest.skip(f"NOT TESTED: scenarios on real networks; {reason}")
    return run(scenario, cluster, seed=1, teller=Quiet(), replay="again")


def test_a_cut_that_heals_is_valid(tmp_path: Path) -> None:
    record = ran(tmp_path)

    assert (record.verdict, record.reason) == (Verdict.VALID, "")
    assert record.figures["updates_lost_count"] == 0
    assert record.figures["writes_acknowledged_count"] > 20
    assert record.figures["healed_s"] < 30
    assert [span.kind for span in record.spans] == ["partition", "healing"]
    assert {seen.belief for seen in record.seen} >= {"alive", "unreachable"}
    assert all((tmp_path / log).is_file() for log in record.logs.values())


def test_without_operations_nothing_is_known(tmp_path: Path) -> None:
    record = ran(tmp_path, writes=0, lookups=0)

    assert record.verdict is Verdict.UNKNOWN


def test_what_was_expected_and_did_not_come_is_invalid(tmp_path: Path) -> None:
    record = ran(tmp_path, side="majority")

    assert record.verdict is Verdict.INVALID
    assert "c: says minority, not majority" in record.reason
