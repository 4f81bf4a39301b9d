"""The heap of due times and the lanes before the probes, against naive models."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.checks.lanes import Lanes
from node.checks.schedule import HUSKS_MAX, Schedule

STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "pop"]), st.integers(0, 5), st.integers(0, 20)),
    max_size=60,
)


@given(steps=STEPS)
def test_schedule_gives_out_what_a_plain_dict_would(steps: list[tuple[str, int, int]]) -> None:
    schedule: Schedule[int] = Schedule()
    model: dict[int, float] = {}
    for verb, item, at in steps:
        if verb == "set":
            schedule.set(item, float(at))
            model[item] = float(at)
        elif verb == "drop":
            schedule.drop(item)
            model.pop(item, None)
        else:
            popped = schedule.pop_due(float(at))
            earliest = min(model.values(), default=99.0)
            if earliest > at:
                assert popped is None
            else:
                assert popped is not None
                assert model.pop(popped) == earliest
        assert len(schedule) == len(model)
        assert schedule.next_due() == min(model.values(), default=None)


def test_no_order_of_calls_makes_the_heap_grow() -> None:
    schedule: Schedule[int] = Schedule()
    rng = Random(7)

    for _ in range(20_000):
        item, due = rng.randrange(50), rng.uniform(0.0, 1e6)
        if rng.random() < 0.8:
            schedule.set(item, due)
        else:
            schedule.drop(item)
        assert schedule.heap_length <= 2 * len(schedule) + HUSKS_MAX


def test_lanes_keep_their_order_and_their_places() -> None:
    lanes: Lanes[str] = Lanes(running_max=2, slow_max=1)
    for item in ("slow-1", "slow-2"):
        lanes.add(item, slow=True)
    for item in ("a", "b"):
        lanes.add(item, slow=False)

    assert [lanes.take(), lanes.take(), lanes.take()] == ["a", "b", None]
    lanes.done("a")
    assert lanes.take() == "slow-1"
    lanes.done("b")
    assert lanes.take() is None, "the second place is not for the slow"
    lanes.add("c", slow=False)
    assert lanes.take() == "c"
    lanes.done("slow-1")
    assert lanes.take() == "slow-2"


def test_lanes_take_nothing_twice_and_forget_what_is_dropped() -> None:
    lanes: Lanes[str] = Lanes(running_max=5, slow_max=5)
    lanes.add("a", slow=False)
    lanes.add("a", slow=True)
    assert lanes.take() == "a"
    lanes.add("a", slow=False)
    lanes.add("b", slow=True)
    lanes.drop("b")

    assert (lanes.take(), lanes.running, lanes.waiting) == (None, 1, 0)


@pytest.mark.parametrize(("running_max", "slow_max"), [(0, 0), (1, 2), (4, 0)])
def test_lanes_refuse_numbers_that_would_stop_all_probes(running_max: int, slow_max: int) -> None:
    with pytest.raises(ValueError, match="slow_max"):
        Lanes[str](running_max=running_max, slow_max=slow_max)
