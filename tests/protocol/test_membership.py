"""The rules of membership one by one: docs/PROTOCOL.md, "Membership"."""

from random import Random

import pytest

from protocol.detector.config import MembershipConfig
from protocol.detector.detection import (
    Ack,
    Ask,
    DetectorMessage,
    Gossip,
    Heartbeat,
    MembershipEffect,
    Ping,
    Reaped,
    RecordWanted,
    Refused,
    SignedAck,
    SignedVotes,
    Status,
    StatusChanged,
    Tell,
    TryStream,
    Vote,
)
from protocol.detector.membership import Membership
from protocol.detector.partition import Partition
from protocol.errors import ClockError
from protocol.identity import NodeId
from tests.protocol.small_world import NamedVoice, node_id

ME, BOB, CAROL, DAVE = (node_id(n) for n in range(4))


def alice(*others: NodeId, config: MembershipConfig | None = None) -> Membership:
    """A node that knows these others, all in their first incarnation, and watches them."""
    membership = Membership(
        config or MembershipConfig(),
        ME,
        incarnation=1,
        voice=NamedVoice(ME),
        rng=Random(1),
        now=0.0,
    )
    for other in others:
        membership.admit(other, incarnation=1, now=0.0)
    membership.tick(now=0.0)
    return membership


def run(membership: Membership, *, until: float) -> list[MembershipEffect]:
    """Let time pass without anything being heard."""
    effects: list[MembershipEffect] = []
    while (at := membership.next_deadline) <= until:
        # A deed may have come due while something was received: late is allowed.
        effects += membership.tick(now=max(at, membership._now))
    return effects


def answer(membership: Membership, node: NodeId, *, until: float, start: int = 1) -> int:
    """Let time pass while one member answers every ping; returns its last counter."""
    counter = start
    while (at := membership.next_deadline) <= until:
        effects = list(membership.tick(now=at))
        for effect in effects:
            if isinstance(effect, Tell) and effect.to == node and isinstance(effect.message, Ping):
                counter += 1
                ack = Ack(effect.message.nonce, 1, counter)
                effects += membership.receive(ack, node, now=at)
    return counter


def talk(
    membership: Membership, *nodes: NodeId, start: float, until: float
) -> list[MembershipEffect]:
    """Let time pass while these members are well."""
    effects: list[MembershipEffect] = []
    for step in range(int((until - start) * 5)):
        now = start + step / 5
        for node in nodes:
            effects += membership.receive(Heartbeat(1, int(now * 1_000)), node, now=now)
            effects += membership.stream_answered(node, ok=True, now=now)
        effects += run(membership, until=now)
    return effects


def told(effects: list[MembershipEffect], to: NodeId) -> list[DetectorMessage]:
    return [e.message for e in effects if isinstance(e, Tell) and e.to == to]


def acks(effects: list[MembershipEffect]) -> list[DetectorMessage]:
    return [e.message for e in effects if isinstance(e, Tell) and isinstance(e.message, Ack)]


def became(effects: list[MembershipEffect], node: NodeId) -> list[tuple[Status, bool]]:
    return [
        (e.new, e.certified) for e in effects if isinstance(e, StatusChanged) and e.node == node
    ]


def votes(author: NodeId, *subjects: NodeId, counter: int = 0, stamp: int = 1) -> Gossip:
    batch = tuple(Vote(subject, 1, counter) for subject in subjects)
    return Gossip(votes=(SignedVotes(author, 0, batch, stamp, b"by" + author),))


def signed(node: NodeId, counter: int, *, incarnation: int = 1) -> SignedAck:
    return NamedVoice(node).sign_ack(incarnation, counter)


def test_a_new_member_is_alive_until_found_otherwise() -> None:
    membership = alice()

    effects = membership.admit(BOB, incarnation=4, now=1.0)

    assert effects == [StatusChanged(BOB, None, Status.ALIVE, certified=False)]
    assert membership.members() == tuple(sorted([ME, BOB]))
    assert membership.status(ME) is membership.status(BOB) is Status.ALIVE
    assert membership.status(CAROL) is None
    assert membership.view(CAROL) is None


def test_a_lone_node_says_nothing() -> None:
    effects = run(alice(), until=60.0)

    assert effects == []
    assert alice().partition() is Partition.NONE


def test_heartbeats_go_to_observers_in_turn_twice_a_second() -> None:
    membership = alice(BOB, CAROL)

    effects = run(membership, until=3.0)

    beats = [e for e in effects if isinstance(e, Tell) and isinstance(e.message, Heartbeat)]
    assert 5 <= len(beats) <= 7
    assert [e.to for e in beats[:4]] == [*membership.observers(ME), *membership.observers(ME)]
    counters = [e.message.counter for e in beats if isinstance(e.message, Heartbeat)]
    assert counters == sorted(set(counters))


def test_a_silent_peer_of_two_is_unreachable_from_here_and_never_dead() -> None:
    membership = alice(BOB)

    effects = run(membership, until=100.0)

    assert became(effects, BOB) == [(Status.SUSPECT, False), (Status.UNREACHABLE, False)]
    assert membership.partition() is Partition.EVEN


def test_a_check_is_three_pings_at_their_spacing_and_the_last_also_by_stream() -> None:
    membership = alice(BOB, config=MembershipConfig(reconnect_interval_s=1_000.0))
    pings: list[float] = []
    streams: list[float] = []
    while (at := membership.next_deadline) <= 1.3:
        for effect in membership.tick(now=at):
            if isinstance(effect, Tell) and isinstance(effect.message, Ping):
                pings.append(at)
            if isinstance(effect, TryStream):
                streams.append(at)

    assert [round(at - pings[0], 3) for at in pings] == [0.0, 0.1, 0.2]
    assert streams == [pings[2]]
    assert round(pings[0], 2) == 0.65


def test_a_stream_that_answers_spares_the_vote() -> None:
    membership = alice(BOB)
    run(membership, until=0.9)

    membership.stream_answered(BOB, ok=True, now=0.9)
    effects = run(membership, until=1.2)

    assert became(effects, BOB) == []
    assert membership.status(BOB) is Status.ALIVE


def test_an_answered_check_gives_the_round_trip() -> None:
    membership = alice(BOB)

    answer(membership, BOB, until=5.0)

    view = membership.view(BOB)
    assert view is not None
    assert view.status is Status.ALIVE
    assert view.rtt_s == 0.0


def test_a_replayed_heartbeat_is_refused_and_changes_nothing() -> None:
    membership = alice(BOB)

    first = membership.receive(Heartbeat(1, 5), BOB, now=0.1)
    again = membership.receive(Heartbeat(1, 5), BOB, now=0.2)
    older = membership.receive(Heartbeat(1, 4), BOB, now=0.3)
    earlier_life = membership.receive(Heartbeat(0, 99), BOB, now=0.4)

    assert first == []
    assert again == older == earlier_life == [Refused(BOB, "replayed")]


def test_an_answer_to_no_question_is_refused() -> None:
    membership = alice(BOB)

    assert membership.receive(Ack(123, 1, 7), BOB, now=0.1) == [Refused(BOB, "stale")]


def test_strangers_and_those_who_left_are_not_heard() -> None:
    membership = alice(BOB)
    membership.depart(BOB, incarnation=1, leaving=True, now=0.1)

    assert membership.receive(Heartbeat(1, 5), CAROL, now=0.2) == [Refused(CAROL, "unknown_sender")]
    assert membership.receive(Heartbeat(1, 5), BOB, now=0.2) == [Refused(BOB, "stale")]
    assert membership.receive(Heartbeat(1, 5), ME, now=0.2) == [Refused(ME, "unknown_sender")]


def test_a_ping_is_answered_at_once_and_signed_only_for_the_accused() -> None:
    membership = alice(BOB)

    plain = acks(membership.receive(Ping(7, accused=False), BOB, now=0.1))
    accused = acks(membership.receive(Ping(8, accused=True), BOB, now=0.2))
    same = acks(membership.receive(Ping(9, accused=True), BOB, now=0.3))
    flood = acks(membership.receive(Ping(10, accused=True), BOB, now=0.31))

    assert plain == [Ack(7, 1, 1)]
    assert accused == [Ack(8, 1, 3, signed(ME, 2))]
    assert same == [Ack(9, 1, 4, signed(ME, 2))]
    assert flood == []


def test_a_newer_incarnation_in_a_heartbeat_makes_us_want_the_record_once_a_second() -> None:
    membership = alice(BOB)

    first = membership.receive(Heartbeat(2, 1), BOB, now=0.1)
    second = membership.receive(Heartbeat(2, 2), BOB, now=0.2)

    assert first == [RecordWanted(BOB, 2)]
    assert second == []


def test_votes_of_a_majority_certify() -> None:
    membership = alice(BOB, CAROL, DAVE)

    one = membership.receive(votes(CAROL, BOB), CAROL, now=0.1)
    two = membership.receive(votes(DAVE, BOB), DAVE, now=0.2)

    assert became(one, BOB) == [(Status.SUSPECT, False)]
    assert became(two, BOB) == [(Status.UNREACHABLE, True)]
    view = membership.view(BOB)
    assert view is not None
    assert view.votes == (CAROL, DAVE)
    assert membership.partition() is Partition.MAJORITY


def test_one_author_counts_once_however_often_it_votes() -> None:
    membership = alice(BOB, CAROL, DAVE)

    for stamp in range(5):
        gossip = votes(CAROL, BOB, counter=stamp, stamp=stamp)
        membership.receive(gossip, CAROL, now=0.1 + stamp / 100)

    assert membership.status(BOB) is Status.SUSPECT


def test_a_forged_vote_is_refused_and_blamed_on_who_passed_it_on() -> None:
    membership = alice(BOB, CAROL, DAVE)
    forged = SignedVotes(CAROL, 0, (Vote(BOB, 1, 0),), 1, b"by somebody else")

    effects = membership.receive(Gossip(votes=(forged,)), DAVE, now=0.1)

    assert effects == [Refused(DAVE, "bad_signature")]
    assert membership.status(BOB) is Status.ALIVE


def test_what_would_change_nothing_is_not_verified() -> None:
    voice = NamedVoice(ME)
    membership = Membership(
        MembershipConfig(), ME, incarnation=1, voice=voice, rng=Random(1), now=0.0
    )
    for other in (BOB, CAROL, DAVE):
        membership.admit(other, incarnation=1, now=0.0)

    for _ in range(10):
        membership.receive(votes(CAROL, BOB), DAVE, now=0.1)
        membership.receive(Gossip(acks=(signed(DAVE, 5),)), CAROL, now=0.1)

    assert voice.verified == 2


@pytest.mark.parametrize(
    "vote", [Vote(BOB, 2, 0), Vote(BOB, 1, 2**40), Vote(BOB, 1, -1), Vote(BOB, 0, 5)]
)
def test_votes_that_cannot_be_true_are_not_taken(vote: Vote) -> None:
    membership = alice(BOB, CAROL, DAVE)
    batch = SignedVotes(CAROL, 0, (vote,), 1, b"by" + CAROL)

    membership.receive(Gossip(votes=(batch,)), CAROL, now=0.1)

    assert membership.status(BOB) is Status.ALIVE


def test_a_newer_signed_ack_brings_a_certified_member_back_and_is_passed_on() -> None:
    membership = alice(BOB, CAROL, DAVE)
    membership.receive(votes(CAROL, BOB, counter=3), CAROL, now=0.1)
    membership.receive(votes(DAVE, BOB, counter=4), DAVE, now=0.2)

    same = membership.receive(Gossip(acks=(signed(BOB, 4),)), CAROL, now=0.3)
    newer = membership.receive(Gossip(acks=(signed(BOB, 5),)), CAROL, now=0.4)
    said = run(membership, until=0.7)

    assert became(same, BOB) == [(Status.UNREACHABLE, False)]
    assert became(newer, BOB) == [(Status.ALIVE, False)]
    assert any(isinstance(m, Gossip) and signed(BOB, 5) in m.acks for m in told(said, CAROL))


def test_a_vote_against_us_is_answered_by_a_newer_signed_ack() -> None:
    membership = alice(BOB, CAROL)

    membership.receive(votes(CAROL, ME, counter=1_000), BOB, now=0.1)
    said = run(membership, until=0.4)

    said_acks = [a for m in told(said, BOB) if isinstance(m, Gossip) for a in m.acks]
    assert said_acks
    assert all(ack.pair > (1, 1_000) for ack in said_acks)
    assert any(isinstance(m, Ping) for m in told(said, CAROL)), "it looks at the author too"


def test_who_pings_us_as_accused_is_looked_at_in_return() -> None:
    membership = alice(BOB, CAROL)

    plain = membership.receive(Ping(1, accused=False), BOB, now=0.1)
    accused = membership.receive(Ping(1, accused=True), CAROL, now=0.1)

    assert not [m for m in told(plain, BOB) if isinstance(m, Ping)]
    assert [m for m in told(accused, CAROL) if isinstance(m, Ping)]


def test_an_observer_votes_again_as_late_as_another_did() -> None:
    membership = alice(BOB, CAROL, DAVE)
    for beat in range(1, 14):
        membership.receive(Heartbeat(1, beat), CAROL, now=beat / 10)
        run(membership, until=beat / 10)
    counters = [
        vote.counter
        for effect in [
            *run(membership, until=3.2),
            *membership.receive(Heartbeat(1, 50), CAROL, now=3.2),
            *membership.receive(votes(CAROL, BOB, counter=33), CAROL, now=3.2),
            *run(membership, until=3.9),
            *membership.receive(Heartbeat(1, 51), CAROL, now=3.9),
            *run(membership, until=5.0),
        ]
        if isinstance(effect, Tell) and isinstance(effect.message, Gossip)
        for batch in effect.message.votes
        if batch.author == ME
        for vote in batch.votes
        if vote.subject == BOB
    ]

    assert 0 in counters
    assert counters[-1] == 33


def authors_said(effects: list[MembershipEffect]) -> list[NodeId]:
    messages = [e.message for e in effects if isinstance(e, Tell)]
    return [b.author for m in messages if isinstance(m, Gossip) for b in m.votes]


def test_votes_short_of_a_majority_are_said_again_and_again() -> None:
    others = [node_id(n) for n in range(2, 6)]
    membership = alice(BOB, *others)
    membership.receive(votes(CAROL, BOB), CAROL, now=0.1)
    talk(membership, *others, start=0.4, until=3.0)

    later = talk(membership, *others, start=3.0, until=9.0)

    assert membership.status(BOB) is Status.UNREACHABLE
    assert {CAROL, ME} <= set(authors_said(later))


def test_who_holds_a_certificate_answers_votes_that_fall_short() -> None:
    membership = alice(BOB, CAROL, DAVE)
    for author in (CAROL, DAVE):
        membership.receive(votes(author, BOB), author, now=0.1)
    talk(membership, CAROL, DAVE, start=0.4, until=5.0)
    quiet = talk(membership, CAROL, DAVE, start=5.0, until=6.0)

    answer_to_carol = membership.receive(votes(CAROL, BOB), CAROL, now=6.0)
    certificate = [e for e in answer_to_carol if isinstance(e, Tell) and e.to == CAROL]

    assert authors_said(quiet) == []
    assert {CAROL, DAVE} <= {author for tell in certificate for author in authors_said([tell])}


def test_the_same_vote_against_us_is_answered_once_in_five_seconds() -> None:
    membership = alice(BOB, CAROL)
    said: list[MembershipEffect] = []
    for step in range(40):
        at = 0.1 + step / 10
        said += membership.receive(votes(CAROL, ME, counter=10), BOB, now=at)
        said += run(membership, until=at)

    said_acks = [a for m in told(said, BOB) if isinstance(m, Gossip) for a in m.acks]
    assert len(dict.fromkeys(a.pair for a in said_acks)) <= 2
    assert len(said_acks) <= 6


def test_an_observer_that_is_asked_checks_unless_it_just_heard() -> None:
    membership = alice(BOB, CAROL)

    asked = membership.receive(Ask(BOB), CAROL, now=0.1)
    nonce = next(m.nonce for m in told(asked, BOB) if isinstance(m, Ping))
    membership.receive(Ack(nonce, 1, 1), BOB, now=0.11)
    again = membership.receive(Ask(BOB), CAROL, now=0.3)

    assert told(again, BOB) == []


def test_a_certified_member_is_dead_after_fifteen_seconds() -> None:
    membership = alice(BOB, CAROL, DAVE)
    membership.receive(votes(CAROL, BOB, DAVE), CAROL, now=0.1)
    membership.receive(votes(DAVE, BOB), DAVE, now=0.2)

    before = talk(membership, CAROL, DAVE, start=0.4, until=15.0)
    after = talk(membership, CAROL, DAVE, start=15.0, until=16.0)

    assert Status.DEAD not in [status for status, _ in became(before, BOB)]
    assert became(after, BOB) == [(Status.DEAD, True)]
    assert BOB not in membership.observers(ME)
    assert membership.partition() is Partition.NONE


def test_who_reaches_no_majority_declares_nobody_dead() -> None:
    membership = alice(BOB, CAROL, DAVE)
    for counter, author in enumerate((CAROL, DAVE)):
        membership.receive(votes(author, BOB), author, now=0.1 + counter / 10)

    effects = run(membership, until=120.0)

    assert membership.partition() is Partition.MINORITY
    assert Status.DEAD not in [e.new for e in effects if isinstance(e, StatusChanged)]


def test_a_deaf_node_keeps_its_votes_to_itself() -> None:
    membership = alice(BOB, CAROL, DAVE)

    effects = run(membership, until=20.0)

    assert membership.counts()[Status.UNREACHABLE] == 3
    said = [e for e in effects if isinstance(e, Tell) and isinstance(e.message, Gossip)]
    assert said == []


def test_a_restart_brings_back_whatever_was_believed() -> None:
    membership = alice(BOB, CAROL, DAVE)
    membership.receive(votes(CAROL, BOB), CAROL, now=0.1)
    membership.receive(votes(DAVE, BOB), DAVE, now=0.2)

    same = membership.admit(BOB, incarnation=1, now=0.3)
    newer = membership.admit(BOB, incarnation=2, now=0.4)

    assert became(same, BOB) == []
    assert became(newer, BOB) == [(Status.ALIVE, False)]


def test_a_stopping_member_is_left_in_peace_then_dead_without_votes() -> None:
    membership = alice(BOB, CAROL)

    stopping = membership.depart(BOB, incarnation=1, leaving=False, now=0.1)
    quiet = membership.receive(votes(CAROL, BOB), CAROL, now=0.2)
    peace = run(membership, until=59.0)

    assert became(stopping, BOB) == [(Status.STOPPING, True)]
    assert became(quiet, BOB) == became(peace, BOB) == []
    assert not [m for m in told(peace, BOB) if isinstance(m, Ping)]
    ended = run(membership, until=80.0)
    assert became(ended, BOB) == [(Status.UNREACHABLE, True), (Status.DEAD, True)]
    assert membership.admit(BOB, incarnation=1, now=81.0) == []
    assert became(membership.admit(BOB, incarnation=2, now=82.0), BOB) == [(Status.ALIVE, False)]


def test_stopped_members_do_not_make_the_rest_a_minority() -> None:
    membership = alice(BOB, CAROL, DAVE)
    for node in (BOB, CAROL, DAVE):
        membership.depart(node, incarnation=1, leaving=False, now=0.1)

    run(membership, until=70.0)

    assert membership.partition() is Partition.NONE


def test_who_left_returns_only_by_a_higher_incarnation() -> None:
    membership = alice(BOB, CAROL)
    left = membership.depart(BOB, incarnation=1, leaving=True, now=0.1)

    assert became(left, BOB) == [(Status.LEFT, True)]
    assert membership.admit(BOB, incarnation=1, now=0.2) == []
    assert membership.depart(BOB, incarnation=1, leaving=False, now=0.2) == []
    membership.receive(Gossip(acks=(signed(BOB, 50),)), CAROL, now=0.3)
    assert membership.status(BOB) is Status.LEFT
    assert became(membership.admit(BOB, incarnation=2, now=0.4), BOB) == [(Status.ALIVE, False)]


def test_forgetting_buries_the_unreachable_and_reaps_the_dead_only() -> None:
    membership = alice(BOB)
    assert membership.forget(BOB, incarnation=1, now=0.0) == []
    run(membership, until=5.0)

    outdated = membership.forget(BOB, incarnation=0, now=5.0)
    buried = membership.forget(BOB, incarnation=1, now=5.0)
    reaped = membership.forget(BOB, incarnation=1, now=5.0)

    assert outdated == []
    assert became(buried, BOB) == [(Status.DEAD, False)]
    assert reaped == [Reaped(BOB)]
    assert membership.members() == (ME,)


def test_the_dead_are_tried_every_ten_seconds_and_reaped_after_a_day() -> None:
    config = MembershipConfig(reap_after_s=100.0)
    membership = alice(BOB, config=config)
    run(membership, until=5.0)
    membership.forget(BOB, incarnation=1, now=5.0)

    effects = run(membership, until=104.0)
    reaped = run(membership, until=106.0)

    assert 9 <= sum(isinstance(m, Ping) for m in told(effects, BOB)) <= 11
    assert reaped == [Reaped(BOB)]


def test_one_answer_revives_the_dead() -> None:
    membership = alice(BOB)
    run(membership, until=5.0)
    membership.forget(BOB, incarnation=1, now=5.0)

    answer(membership, BOB, until=16.0)

    assert membership.status(BOB) is Status.ALIVE


def test_after_a_lag_deadlines_move_and_nobody_is_blamed() -> None:
    membership = alice(BOB)
    run(membership, until=0.8)

    membership.lagged(8.0, now=8.8)
    membership.receive(Heartbeat(1, 1), BOB, now=8.8)
    effects = run(membership, until=9.2)

    assert became(effects, BOB) == []
    assert membership.status(BOB) is Status.ALIVE


def test_pushes_skip_those_who_are_away() -> None:
    membership = alice(BOB, CAROL, DAVE)
    assert sorted(membership.push_targets(4)) == sorted([BOB, CAROL, DAVE])

    membership.depart(BOB, incarnation=1, leaving=False, now=0.1)

    assert sorted(membership.push_targets(4)) == sorted([CAROL, DAVE])


def test_no_more_members_than_the_limit_are_taken_in() -> None:
    membership = alice(config=MembershipConfig(members_max=5))
    for number in range(1, 10):
        membership.admit(node_id(number), incarnation=1, now=0.0)

    assert len(membership.members()) == 5


def test_a_clock_that_goes_back_is_the_callers_fault() -> None:
    membership = alice(BOB)
    run(membership, until=1.0)

    with pytest.raises(ClockError):
        membership.heard(BOB, now=0.1)


def test_standing_votes_and_fresh_refutations_travel_in_syncs() -> None:
    membership = alice(BOB, CAROL, DAVE)
    membership.receive(votes(CAROL, BOB), CAROL, now=0.1)
    membership.receive(Gossip(acks=(signed(DAVE, 5),)), CAROL, now=0.2)
    newcomer = alice(BOB, CAROL, DAVE)

    effects = newcomer.take_standing(membership.standing(), CAROL, now=0.3)

    assert became(effects, BOB) == [(Status.SUSPECT, False)]
    assert newcomer.standing() == membership.standing()
    run(membership, until=0.25)
    assert membership.standing()[0] == signed(DAVE, 5)
