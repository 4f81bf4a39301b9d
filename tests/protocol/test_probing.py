"""How many tries a check makes, and when: docs/PROTOCOL.md, "Checks"."""

from random import Random

import pytest

from protocol.detector.budget import Agenda, Bucket
from protocol.detector.config import MembershipConfig
from protocol.detector.heartbeat import LossMeter
from protocol.detector.probing import Outcomes, Prober, Purpose
from tests.protocol.small_world import node_id

CONFIG = MembershipConfig()
BOB = node_id(1)


def at_loss(loss: float) -> LossMeter:
    meter = LossMeter()
    meter.loss = loss
    return meter


def tries_at(pings: int) -> list[float]:
    """When a check of so many pings makes each, with tokens enough."""
    agenda = Agenda()
    prober = Prober(CONFIG, Bucket(1000.0, 100.0, now=0.0), agenda, Random(1))
    prober.begin(BOB, Purpose.OWN, pings, now=0.0)
    times: list[float] = []
    now = 0.0
    while (check := prober.ready(now=now)) is not None:
        times.append(now)
        now = agenda.next_deadline
        agenda.pop_due(now=now)
        if check.last:
            break
        prober.overdue(BOB)
    return times


def test_where_most_checks_fail_fewer_pings_give_the_same_certainty() -> None:
    meter = at_loss(0.1)

    assert [meter.pings(CONFIG, odds=odds) for odds in (1.0, 10.0, 100.0)] == [5, 4, 2]
    assert at_loss(0.0).pings(CONFIG, odds=100.0) >= 2


def test_one_failure_makes_the_next_no_likelier_but_many_do() -> None:
    outcomes = Outcomes(now=0.0)
    assert outcomes.odds(voted=True, now=0.0) == 1.0

    for _ in range(4):
        outcomes.add(failed=True, now=1.0)

    assert outcomes.odds(voted=False, now=1.0) > 10
    assert outcomes.odds(voted=True, now=1.0) > 100
    assert outcomes.odds(voted=True, now=20.0) == 1.0


def test_one_that_comes_back_ends_the_suspicion_of_all() -> None:
    outcomes = Outcomes(now=0.0)
    for _ in range(4):
        outcomes.add(failed=True, now=0.0)

    outcomes.forget()

    assert outcomes.odds(voted=True, now=0.0) == 1.0


def test_many_pings_come_closer_so_that_a_check_stays_short() -> None:
    assert tries_at(3) == pytest.approx([0.0, 0.1, 0.2])
    assert tries_at(5)[1] == pytest.approx(0.08)
    assert tries_at(10)[1] == pytest.approx(0.05)
