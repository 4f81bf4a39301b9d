"""Round trips that are measured because somebody asks: docs/PROTOCOL.md, "Distances"."""

import pytest

from protocol.detector.config import MembershipConfig
from protocol.detector.detection import (
    Ack,
    Heartbeat,
    MembershipEffect,
    Ping,
    Refused,
    Status,
    Tell,
)
from protocol.detector.distances import ASKED_MAX, AT_ONCE_MAX, FRESH_S
from protocol.detector.membership import Membership
from protocol.identity import NodeId
from tests.protocol.small_world import node_id

from .peer_world import World
from .test_membership import BOB, CAROL, DAVE, ME, alice, run, votes

RICH = MembershipConfig(budget_burst=100.0)
"""Where the budget does not matter."""


def pings(effects: list[MembershipEffect]) -> dict[NodeId, Ping]:
    return {
        one.to: one.message
        for one in effects
        if isinstance(one, Tell) and isinstance(one.message, Ping)
    }


def measured(membership: Membership, node: NodeId, rtt_s: float, *, now: float) -> None:
    """One measuring ping, and its answer."""
    ping = pings(membership.measure([node], now=now))[node]
    membership.receive(Ack(ping.nonce, 1, int(now * 1_000) + 1), node, now=now + rtt_s)


def beliefs(membership: Membership) -> list[object]:
    """Of Bob and Carol: status, and whose votes stand."""
    views = [view for node in (BOB, CAROL) if (view := membership.view(node)) is not None]
    return [(view.status, view.certified, view.votes, view.since) for view in views]


def test_a_member_is_asked_once_and_its_answer_is_its_distance() -> None:
    membership = alice(BOB, CAROL)

    sent = pings(membership.measure([ME, BOB, DAVE], now=0.0))
    again = pings(membership.measure([BOB], now=0.01))
    effects = membership.receive(Ack(sent[BOB].nonce, 1, 1), BOB, now=0.02)

    assert list(sent) == [BOB], "neither ourselves nor who is no member"
    assert (sent[BOB].accused, again, effects) == (False, {}, [])
    assert [membership.distances.rtt_s(node) for node in (ME, BOB, CAROL)] == [0.0, 0.02, None]
    view = membership.view(BOB)
    assert view is not None
    assert view.rtt_s == 0.02


def test_a_distance_is_measured_again_when_it_is_old_and_smoothed_as_with_checks() -> None:
    membership = alice(BOB)
    measured(membership, BOB, 0.008, now=0.0)

    assert pings(membership.measure([BOB], now=FRESH_S)) == {}
    measured(membership, BOB, 0.016, now=FRESH_S + 0.01)

    assert membership.distances.rtt_s(BOB) == pytest.approx(0.009)


@pytest.mark.parametrize("is_answered", [True, False])
def test_no_verdict_and_no_deadline_comes_of_a_measuring_ping(is_answered: bool) -> None:
    """A node that measures believes what its twin, which does not, believes."""
    asking, twin = alice(BOB, CAROL), alice(BOB, CAROL)
    for membership in (asking, twin):
        membership.receive(Heartbeat(1, 1), BOB, now=0.1)

    sent = pings(asking.measure([BOB], now=0.1))
    deadlines = asking.next_deadline, twin.next_deadline
    for membership in (asking, twin):
        membership.receive(votes(CAROL, BOB), CAROL, now=0.15)
    if is_answered:
        asking.receive(Ack(sent[BOB].nonce, 1, 2), BOB, now=0.2)
        twin.heard(BOB, now=0.2)

    assert deadlines[0] == deadlines[1]
    assert beliefs(asking) == beliefs(twin)
    assert asking.next_deadline == twin.next_deadline
    for until in (0.5, 1.5, 3.0, 30.0):
        run(asking, until=until)
        run(twin, until=until)
        assert beliefs(asking) == beliefs(twin)
    assert asking.status(BOB) is not Status.ALIVE, "silence is seen all the same"


def test_an_answer_counts_once_and_not_for_a_check() -> None:
    membership = alice(BOB)
    nonce = pings(membership.measure([BOB], now=0.0))[BOB].nonce
    ack = Ack(nonce, 1, 5)

    assert membership.receive(ack, BOB, now=0.01) == []
    assert membership.receive(ack, BOB, now=0.5) == [Refused(BOB, "stale")]
    assert membership.distances.rtt_s(BOB) == 0.01


def test_an_answer_to_a_measuring_ping_does_not_make_the_answer_to_a_check_a_replay() -> None:
    membership = alice(BOB)
    measuring = pings(membership.measure([BOB], now=0.0))[BOB]
    now, effects = 0.0, list[MembershipEffect]()
    while not pings(effects):  # its heartbeat is missed, and it is checked
        now = membership.next_deadline
        effects = membership.tick(now=now)
    check = pings(effects)[BOB]

    # The check was answered first, and that answer comes last.
    membership.receive(Ack(measuring.nonce, 1, 9), BOB, now=now)
    assert membership.receive(Ack(check.nonce, 1, 8), BOB, now=now + 0.01) == []


def test_a_late_answer_and_one_across_our_own_standstill_tell_no_distance() -> None:
    membership = alice(BOB, CAROL)
    sent = pings(membership.measure([BOB, CAROL], now=0.0))

    membership.lagged(1.0, now=1.0)
    membership.receive(Ack(sent[BOB].nonce, 1, 1), BOB, now=1.0)
    membership.receive(Ack(sent[CAROL].nonce, 1, 1), CAROL, now=2.1)

    assert [membership.distances.rtt_s(node) for node in (BOB, CAROL)] == [None, None]


def test_a_few_are_asked_at_once_those_never_measured_before_the_others() -> None:
    others = [node_id(n) for n in range(1, 21)]
    membership = alice(*others, config=RICH)
    for place, node in enumerate(others[:10]):
        measured(membership, node, 0.001, now=place / 4)
    later = FRESH_S + 10

    first = pings(membership.measure(others, now=later))
    second = pings(membership.measure(others, now=later + 1))
    third = pings(membership.measure(others, now=later + 2))

    assert len(first) == AT_ONCE_MAX
    assert set(first) | set(list(second)[:2]) == set(others[10:])
    assert [*list(second)[2:], *third] == others[:10], "the longest ago first"


def test_half_of_the_budget_stays_for_checks() -> None:
    others = [node_id(n) for n in range(1, 21)]
    membership = alice(*others)
    burst = MembershipConfig().budget_burst

    assert len(pings(membership.measure(others, now=0.0))) == burst / 2


def test_who_is_away_is_not_measured() -> None:
    membership = alice(BOB, CAROL)
    run(membership, until=20.0)

    assert membership.status(BOB) is Status.UNREACHABLE
    assert pings(membership.measure([BOB], now=20.0)) == {}


def test_the_table_of_those_asked_is_bounded_by_the_rate() -> None:
    others = [node_id(n) for n in range(1, 2_000)]
    membership = alice(*others, config=RICH)
    most = 0

    for step in range(int(2 * FRESH_S * 4)):
        membership.measure(others, now=step / 4)
        most = max(most, len(membership.distances))

    assert ASKED_MAX - AT_ONCE_MAX <= most <= ASKED_MAX


def test_peers_measure_their_distance_over_the_wire() -> None:
    world = World(3).start_joined()
    world.run(1.0)
    first, second, third = world.nodes

    first.perform(first.peer.measure([second.id], now=world.now))
    world.run(0.1)

    rtt_s = first.peer.membership.distances.rtt_s(second.id)
    assert rtt_s is not None
    assert 0.0016 <= rtt_s <= 0.004, "twice the latency of this world"
    assert first.peer.membership.distances.rtt_s(third.id) is None
