"""Scenarios put to real clusters, and the verdicts they come to."""

from pathlib import Path

import pytest

from chaos.cluster.wires import delay_means
from chaos.running.judging import REAL
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict

from .situations import ran, scenario_of

CUT = """
title = "Two and one"
about = "A short cut."
[cluster]
nodes = 3
[workload]
writes_per_s = {writes}
lookups_per_s = {lookups}
instances = 2
documents = true
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
[[expect]]
kind = "log-has-not"
[[expect]]
kind = "memory"
mib = 400
[[expect]]
kind = "nobody-away"
[[expect]]
kind = "writes-go-on"
share = 0.8
"""

LATE = """
title = "Late"
about = "All links are 5 ms long."
[cluster]
nodes = 2
[workload]
instances = 1
[time]
faults = "2s"
settle = "500ms"
[[fault]]
kind = "delay"
at = "500ms"
for = "1s"
latency = "5ms"
"""

LIES = """
title = "Lies"
about = "Somebody with the keys of d shows two faces."
[cluster]
nodes = 4
[workload]
instances = 1
[time]
faults = "6s"
settle = "1s"
[[fault]]
kind = "forker"
at = "1s"
for = "4s"
nodes = ["d"]
per_s = 2
[[expect]]
kind = "evidence"
about = ["d"]
"""

pytestmark = pytest.mark.slow


def cut(*, writes: int = 20, lookups: int = 20, side: str = "minority") -> Scenario:
    """A short cut."""
    return scenario_of(CUT.format(writes=writes, lookups=lookups, side=side))


def test_a_cut_that_heals_is_valid(tmp_path: Path) -> None:
    record = ran(tmp_path, cut())

    assert (record.verdict, record.reason) == (Verdict.VALID, "")
    assert record.figures["updates_lost_count"] == 0
    assert record.figures["writes_acknowledged_count"] > 20
    assert record.figures["healed_s"] < 30
    healed_at_s = record.spans[0].end_s
    assert record.samples[-1].at_s > healed_at_s + REAL.registration_visible_s, "time to judge"
    assert max(one.at_s for one in record.samples if one.action != "lookup") < 9, "no more writes"
    assert 0 < record.figures["noticed_max_s"] < 6
    assert 0 <= record.figures["coverage_p50_s"] <= record.figures["coverage_p99_s"]
    assert {len(one.took_s) for one in record.coverage} == {1, 2}, "one side, and all"
    findings = {one.checker: one.verdict for one in record.findings}
    assert findings["documents"] is Verdict.VALID
    assert {one.verdict for one in record.expected} == {Verdict.VALID}
    assert {one.action for one in record.samples} > {"register", "update", "lookup", "edit"}
    assert [span.kind for span in record.spans] == ["partition", "healing"]
    assert {seen.belief for seen in record.seen} >= {"alive", "unreachable"}
    assert all((tmp_path / log).is_file() for log in record.logs.values())


def test_the_record_says_by_which_means_a_delay_was_made(tmp_path: Path) -> None:
    record = ran(tmp_path, scenario_of(LATE))

    assert record.verdict is Verdict.VALID
    assert record.means == {"delay": delay_means()}
    assert any(f"(by {record.means['delay']})" in one.text for one in record.said)


def test_roots_of_the_honest_are_compared_while_somebody_shows_two_faces(tmp_path: Path) -> None:
    record = ran(tmp_path, scenario_of(LIES), "processes")

    roots = next(one for one in record.findings if one.checker == "roots")
    assert (record.verdict, record.reason) == (Verdict.VALID, "")
    assert (roots.verdict, roots.witness) == (Verdict.VALID, "")
    assert roots.looked_at > 50, "many more than are there at the end"


def test_without_operations_nothing_is_known(tmp_path: Path) -> None:
    record = ran(tmp_path, cut(writes=0, lookups=0))

    assert record.verdict is Verdict.UNKNOWN


def test_what_was_expected_and_did_not_come_is_invalid(tmp_path: Path) -> None:
    record = ran(tmp_path, cut(side="majority"))

    assert record.verdict is Verdict.INVALID
    assert "c: says minority, not majority" in record.reason
