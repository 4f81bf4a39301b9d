"""Virtual time: events happen in their order, and each node's clocks show its own idea of it."""

import pytest

from chaos.sim.clock import WALL_START_US, Clock
from chaos.sim.timeline import Timeline


def test_events_happen_in_the_order_of_time_and_of_one_moment_in_the_order_planned() -> None:
    timeline, happened = Timeline(), list[str]()
    timeline.at(2.0, happened.append, "third")
    timeline.at(1.0, happened.append, "first")
    timeline.at(1.0, happened.append, "second")

    timeline.run(1.5)
    assert (happened, timeline.now) == (["first", "second"], 1.5)

    timeline.run(2.0)
    assert (happened[-1], timeline.now, timeline.done) == ("third", 2.0, 3)


def test_what_is_planned_in_the_past_happens_now() -> None:
    timeline, happened = Timeline(), list[float]()
    timeline.run(5.0)
    timeline.at(1.0, lambda: happened.append(timeline.now))

    timeline.run(6.0)

    assert happened == [5.0]


def test_an_event_may_plan_others_for_the_same_moment() -> None:
    timeline, happened = Timeline(), list[int]()

    def again(left: int) -> None:
        happened.append(left)
        if left:
            timeline.after(0.0, again, left - 1)

    timeline.after(1.0, again, 3)
    timeline.run(1.0)

    assert happened == [3, 2, 1, 0]


def test_a_clock_that_nobody_touched_shows_the_time_of_the_world() -> None:
    instant = Clock().instant(12.5)

    assert (instant.mono_s, instant.wall_us) == (12.5, WALL_START_US + 12_500_000)


def test_a_jump_moves_the_wall_clock_only() -> None:
    clock = Clock()
    clock.jump_us = -7_000_000

    assert clock.instant(10.0).mono_s == 10.0
    assert clock.instant(10.0).wall_us == WALL_START_US + 3_000_000


def test_a_drift_moves_both_from_then_on_and_never_back() -> None:
    clock = Clock()
    clock.run_at(1.5, 10.0)
    assert clock.local(12.0) == pytest.approx(13.0)

    clock.run_at(1.0, 12.0)
    assert clock.local(13.0) == pytest.approx(14.0)
    assert clock.world(clock.local(13.0)) == pytest.approx(13.0)
