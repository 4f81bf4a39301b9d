"""Nodes in the hands of several faults at once, and what is noted of them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import Ability, ClusterPlan, Member
from chaos.cluster.limits import groups, layout
from chaos.faults.fault import FaultError, Table
from chaos.faults.hands import Watch, holding, start
from chaos.faults.recurring import Recurring
from chaos.history import Life
from tests.chaos.cluster.situations import PATIENCE_S, answers, expect_within, see_each_other

from .situations import Scene, scene

PLAN = ClusterPlan(
    names=("a", "b", "c"), late=("c",), needs=frozenset({Ability.PROCESSES, Ability.DISKS})
)
MIB = 1024 * 1024

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene("processes", tmp_path_factory.mktemp("two"), PLAN) as made:
        yield made


@pytest.fixture
def two(_two: Scene) -> Iterator[Scene]:
    """Nodes a and b run and know each other; c is late."""
    _two.notes.lives.clear()
    _two.stage.held.clear()
    yield _two
    _two.member("c").kill()
    for name in "ab":
        _two.member(name).resume()
        if not _two.member(name).pid:
            _two.member(name).start()
    expect_within(PATIENCE_S, lambda: see_each_other(_two.cluster), "whole again")


def test_two_faults_that_end_one_node_end_it_once_and_start_it_once(two: Scene) -> None:
    with two.in_force("kill", {"nodes": ["a"]}), two.in_force("stop", {"nodes": ["a"]}):
        assert two.notes.lives == [("a", Life.CRASHED)]

    assert two.notes.lives == [("a", Life.CRASHED), ("a", Life.STARTED)]


def test_healing_what_was_not_injected_or_twice_does_nothing(two: Scene) -> None:
    for kind in ("kill", "stop", "pause", "start", "wipe", "old-snapshot", "memory-pressure"):
        two.fault(kind, {"nodes": ["a"]}).heal(two.stage)
    two.fault("crash-storm").heal(two.stage)
    two.fault("restart", {"nodes": ["a"]}).heal(two.stage)
    fault = two.fault("pause", {"nodes": ["a"]})
    fault.inject(two.stage)
    fault.heal(two.stage)
    fault.heal(two.stage)

    assert two.notes.lives == [("a", Life.PAUSED), ("a", Life.RESUMED)]


def test_a_late_node_is_started_and_stays_when_that_is_healed(two: Scene) -> None:
    with two.in_force("start", {"nodes": ["c", "a"]}):
        pass

    assert two.member("c").pid
    assert two.notes.lives == [("c", Life.STARTED)]


def test_a_restart_of_all_stops_and_starts_each(two: Scene) -> None:
    pids = [two.member(name).pid for name in "ab"]
    with two.in_force("restart", {"nodes": ["a", "b"]}):
        expect_within(PATIENCE_S, lambda: len(two.notes.lives) == 4, "both are back")

    for name, pid in zip("ab", pids, strict=True):
        assert two.notes.of(name) == [Life.STOPPED, Life.STARTED]
        assert two.member(name).pid not in (0, pid)


def test_a_rolling_restart_takes_the_next_when_the_one_before_is_ready(two: Scene) -> None:
    table: Table = {"nodes": ["a", "b"], "rolling": True, "gap": "10ms"}
    with two.in_force("restart", table):
        expect_within(PATIENCE_S, lambda: ("b", Life.STOPPED) in two.notes.lives, "it is b's turn")
        assert answers(two.member("a"))
        expect_within(PATIENCE_S, lambda: ("b", Life.STARTED) in two.notes.lives, "b is back")

    lives = [Life.STOPPED, Life.STARTED]
    assert two.notes.lives == [("a", life) for life in lives] + [("b", life) for life in lives]


def test_a_storm_never_has_more_down_than_it_may_and_leaves_all_up(two: Scene) -> None:
    table: Table = {"every": "100ms", "down": "200ms", "most": 1, "nodes": ["a", "b"]}
    with two.in_force("crash-storm", table):
        expect_within(PATIENCE_S, lambda: len(two.notes.lives) >= 6, "three deaths and returns")

    down = 0
    for _, life in two.notes.lives:
        down += {Life.CRASHED: 1, Life.STARTED: -1}[life]
        assert 0 <= down <= 1
    assert down == 0
    assert all(two.member(name).pid for name in "ab")


def test_who_is_held_by_one_fault_is_not_started_by_another_meanwhile(two: Scene) -> None:
    fault = two.fault("kill", {"nodes": ["a"]})
    fault.inject(two.stage)

    def heal() -> Iterator[float]:
        fault.heal(two.stage)
        yield 0.0

    other = Recurring(heal())
    with holding(two.stage, "a"):
        other.start()
        other._thread.join(0.2)
        assert other._thread.is_alive()
        assert two.member("a").pid == 0
    expect_within(PATIENCE_S, lambda: bool(two.member("a").pid), "let go, it is started")
    other.end()


def test_who_ends_by_itself_under_watch_is_noted_once_and_started_again(two: Scene) -> None:
    watch = Watch(two.stage, ["a", "c"])
    os.kill(two.member("a").pid, signal.SIGKILL)
    expect_within(PATIENCE_S, lambda: bool(two.notes.lives), "noted while it lasts")

    watch.end()

    assert two.notes.lives == [("a", Life.CRASHED), ("a", Life.STARTED)]
    assert two.member("a").pid
    assert two.member("c").pid == 0, "it did not run, so it has not ended"


def test_an_end_by_a_fault_is_not_noted_again_by_a_watch(two: Scene) -> None:
    watch = Watch(two.stage, ["a"])
    two.fault("kill", {"nodes": ["a"]}).inject(two.stage)

    watch.end()

    assert two.notes.lives == [("a", Life.CRASHED)]
    start(two.stage, "a")


def test_what_goes_wrong_in_a_fault_that_recurs_is_raised_when_it_ends() -> None:
    def acts() -> Iterator[float]:
        yield 0.0
        raise FaultError("the hammer broke")

    going = Recurring(acts())
    going.start()

    with pytest.raises(FaultError, match="the hammer broke"):
        _end_when_it_has_failed(going)
    going.end()


def _end_when_it_has_failed(going: Recurring) -> None:
    expect_within(PATIENCE_S, lambda: not going._thread.is_alive(), "it has failed")
    going.end()


def test_two_faults_hold_one_node_and_each_heals_its_own(tmp_path: Path) -> None:
    plan = ClusterPlan(names=("a",), needs=frozenset({Ability.MEMORY, Ability.CPU}))
    with scene("processes", tmp_path, plan) as one:
        file = _memory_limit_of("a")
        free = file.read_text()
        with one.in_force("memory-pressure", {"nodes": ["a"], "mib": 300}):
            with one.in_force("cpu-starvation", {"nodes": ["a"], "share": 0.9}):
                with one.in_force("memory-pressure", {"nodes": ["a"], "mib": 400}):
                    assert int(file.read_text()) == 300 * MIB
                assert int(file.read_text()) == 300 * MIB
            assert int(file.read_text()) == 300 * MIB
        assert file.read_text() == free
    assert one.notes.lives.count(("a", Life.RESUMED)) == 2


def _memory_limit_of(node: str) -> Path:
    found = layout()
    assert found is not None
    ours = [group for group in groups() if f"-{os.getpid()}-" in group.name]
    return found.roots[0] / ours[0].name / node / found.memory_file


def test_a_node_that_its_failing_disk_ends_is_noted_and_started_again(tmp_path: Path) -> None:
    plan = ClusterPlan(names=("a",), needs=frozenset({Ability.DISK_ERRORS}))
    with scene("processes", tmp_path, plan) as one:
        with one.in_force("disk-errors", {"nodes": ["a"], "how": "syncs"}):
            with pytest.raises(NoAnswerError):
                write_on(one.member("a"))
            expect_within(PATIENCE_S, lambda: bool(one.notes.lives), "noted while it lasts")
        expect_within(PATIENCE_S, lambda: answers(one.member("a")), "it is back")

    assert one.notes.lives == [("a", Life.CRASHED), ("a", Life.STARTED)]


def write_on(member: Member) -> None:
    """Write until it answers no more; what it acknowledged is not what this is about."""
    for number in range(1_000):
        member.call("POST", "/v1/services", {"name": "shop", "id": f"i{number}", "port": 80})
