"""A runner that says valid to whatever happens is worth nothing: it is lied to, and has to see."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chaos.cluster.cluster import Cluster, member_named
from chaos.faults.cuts import Cut
from chaos.faults.fault import Stage
from chaos.faults.links import Effect, between
from chaos.verdict import Verdict

from .situations import ran, scenario_of, with_fault

CALM = """
title = "Three nodes"
about = "Nothing happens to them that the file tells of."
[cluster]
nodes = 3
[workload]
writes_per_s = 15
lookups_per_s = 30
instances = 2
[time]
faults = "{faults}"
settle = "1s"
steady_within = "6s"
"""

pytestmark = pytest.mark.slow


@dataclass(eq=False)
class NeverHealed:
    """A cut that stays."""

    cut: Cut = field(
        default_factory=lambda: Cut(Effect(between((("a", "b"), ("c",)))), "cut for good")
    )

    def inject(self, stage: Stage) -> None:
        self.cut.inject(stage)

    def heal(self, stage: Stage) -> None:
        stage.notes.links(frozenset())


@dataclass(eq=False)
class Robbed:
    """Somebody deregisters all that clients registered with one node, and tells nobody."""

    node: str
    robbed: int = 0

    def inject(self, stage: Stage) -> None:
        member = member_named(stage.cluster, self.node)
        for number in range(10):
            service = f"shop-{number}"
            for one in member.call("GET", f"/v1/services/{service}").rows("instances"):
                if one.get("node") == self.node:
                    path = f"/v1/services/{service}/{one['id']}"
                    self.robbed += member.call("DELETE", path).status == 200

    def heal(self, stage: Stage) -> None:
        stage.notes.say("nobody undoes it")


@dataclass(eq=False)
class PausedInSecret:
    """A node is frozen, and nobody says so: to the checkers it is alive and well."""

    node: str

    def inject(self, stage: Stage) -> None:
        member_named(stage.cluster, self.node).pause()

    def heal(self, stage: Stage) -> None:
        member_named(stage.cluster, self.node).resume()


@dataclass(eq=False)
class Interrupted:
    """Somebody presses Ctrl-C."""

    cluster: Cluster | None = None

    def inject(self, stage: Stage) -> None:
        self.cluster = stage.cluster
        raise KeyboardInterrupt

    def heal(self, stage: Stage) -> None:
        stage.notes.say("nothing to heal")


def test_ctrl_c_ends_clients_and_nodes(tmp_path: Path) -> None:
    pressed = Interrupted()
    scenario = with_fault(scenario_of(CALM.format(faults="30s")), pressed, at_s=0.5, for_s=None)

    with pytest.raises(KeyboardInterrupt):
        ran(tmp_path, scenario, "processes")

    assert pressed.cluster is not None
    assert not any(member.pid for member in pressed.cluster.members)
    assert not [one.name for one in threading.enumerate() if one.name.startswith("kith-chaos")]


def test_a_fault_that_was_not_healed_is_seen(tmp_path: Path) -> None:
    scenario = with_fault(scenario_of(CALM.format(faults="3s")), NeverHealed(), at_s=1.0, for_s=1.5)

    record = ran(tmp_path, scenario)

    assert record.verdict is Verdict.INVALID
    assert "healed_s" not in record.figures
    assert [one.text for one in record.expected] == ["steady after healing"]


def test_writes_that_are_gone_behind_everybodys_back_are_seen(tmp_path: Path) -> None:
    robbed = Robbed("a")
    scenario = with_fault(scenario_of(CALM.format(faults="3s")), robbed, at_s=3.0, for_s=None)

    record = ran(tmp_path, scenario, "processes")

    assert robbed.robbed
    assert record.verdict is Verdict.INVALID
    assert record.reason.startswith("P1 (set_full)")
    assert record.figures["updates_lost_count"] > 0
    assert record.moments[0].log


def test_a_live_node_that_is_taken_for_gone_is_seen(tmp_path: Path) -> None:
    paused = PausedInSecret("c")
    scenario = with_fault(scenario_of(CALM.format(faults="12s")), paused, at_s=1.0, for_s=10.0)

    record = ran(tmp_path, scenario, "processes")

    assert record.verdict is Verdict.INVALID
    assert "P4" in record.reason
    assert " c for unreachable" in record.reason
