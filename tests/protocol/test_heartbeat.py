"""Pulse, loss and the number of pings: docs/PROTOCOL.md, "Heartbeat" and "Check"."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.detector.config import MembershipConfig
from protocol.detector.heartbeat import LossMeter, Pulse
from protocol.detector.partition import Partition, partition_of
from tests.protocol.small_world import node_id


def test_observers_hear_in_turn_and_a_new_one_first() -> None:
    pulse = Pulse(1)
    a, b, c = (node_id(n) for n in range(3))

    assert [pulse.next_observer((a, b)) for _ in range(4)] == [a, b, a, b]
    assert [pulse.next_observer((a, b, c)) for _ in range(4)] == [c, a, b, c]
    assert pulse.next_observer(()) is None


@given(st.lists(st.integers(-1, 2**70), max_size=20))
def test_our_clock_only_rises(claims: list[int]) -> None:
    pulse = Pulse(3)
    shown = [pulse.advance()]
    for claim in claims:
        pulse.overtake(claim)
        shown.append(pulse.advance())

    assert shown == sorted(set(shown))
    assert shown[-1][0] == 3


@pytest.mark.parametrize(("loss", "pings"), [(0.0, 3), (0.05, 4), (0.1, 5), (0.3, 10), (0.9, 10)])
def test_a_check_pings_as_often_as_the_loss_demands(loss: float, pings: int) -> None:
    meter = LossMeter()
    meter.loss = loss

    assert meter.pings(MembershipConfig()) == pings


def test_gaps_between_heartbeats_tell_the_loss() -> None:
    meter = LossMeter()
    for _ in range(300):
        for gap in (4.0, 4.01, 8.0, 3.99):
            meter.arrived(gap_s=gap, cycle_s=4.0)
    assert 0.15 < meter.loss < 0.25

    meter.arrived(gap_s=10_000.0, cycle_s=4.0)
    assert meter.loss < 0.3


@pytest.mark.parametrize(
    ("reached", "known", "side"),
    [
        (1, 1, Partition.NONE),
        (8, 8, Partition.NONE),
        (5, 8, Partition.MAJORITY),
        (4, 8, Partition.EVEN),
        (1, 2, Partition.EVEN),
        (3, 8, Partition.MINORITY),
    ],
)
def test_sides_of_a_partition(reached: int, known: int, side: Partition) -> None:
    assert partition_of(reached=reached, known=known) is side


def test_majorities_are_those_of_the_design() -> None:
    lan, hostile = MembershipConfig.lan(), MembershipConfig.hostile()

    assert [lan.majority_of(k) for k in range(1, 9)] == [1, 2, 2, 3, 3, 4, 4, 5]
    assert hostile.majority_of(16) == 11
    assert all(2 * hostile.majority_of(k) > k for k in range(1, 17))


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("rings", lambda: MembershipConfig(rings=0)),
        ("majority", lambda: MembershipConfig(majority=4)),
        ("majority", lambda: MembershipConfig(majority=9)),
        ("grace_s", lambda: MembershipConfig(grace_s=0.0)),
        ("pings_min", lambda: MembershipConfig(pings_min=11)),
        ("check_error", lambda: MembershipConfig(check_error=1.0)),
        ("hold_max_s", lambda: MembershipConfig(hold_max_s=1.0)),
        ("budget_burst", lambda: MembershipConfig(budget_burst=4.0)),
        ("members_max", lambda: MembershipConfig(members_max=1)),
    ],
)
def test_a_knob_that_cannot_work_is_refused_by_name(
    field: str, make: Callable[[], MembershipConfig]
) -> None:
    with pytest.raises(ValueError, match=field):
        make()


def test_every_profile_is_valid() -> None:
    profiles = [
        MembershipConfig.local(),
        MembershipConfig.lan(),
        MembershipConfig.wan(),
        MembershipConfig.hostile(),
    ]
    assert profiles[1] == MembershipConfig()
    assert profiles[3].rings == 16
