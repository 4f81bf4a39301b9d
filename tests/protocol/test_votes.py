"""Votes, what voids them, and how slanderers are put on hold: docs/PROTOCOL.md, "Vote"."""

from protocol.detector.config import MembershipConfig
from protocol.detector.detection import Vote
from protocol.detector.votes import HOLDS_MAX, Ballots
from tests.protocol.small_world import node_id

ME, X, Y = node_id(0), node_id(1), node_id(2)
OBSERVERS = tuple(node_id(n) for n in range(10, 18))
A, B = OBSERVERS[:2]


def vote_on(counter: int, *, incarnation: int = 1) -> Vote:
    return Vote(X, incarnation, counter)


def empty() -> Ballots:
    return Ballots(MembershipConfig(), ME)


def cast_and_refute(ballots: Ballots, counter: int, *, now: float) -> None:
    ballots.cast(A, vote_on(counter), carrier=None, now=now)
    ballots.void(X, (1, counter + 1), now=now + 0.1)


def test_only_observers_votes_are_counted() -> None:
    ballots = empty()
    for author in (A, B, Y):
        ballots.cast(author, vote_on(5), carrier=None, now=0.0)

    ballot = ballots.of(X)
    assert ballot is not None
    assert ballot.count(OBSERVERS) == 2


def test_a_newer_pair_voids_older_votes_and_no_others() -> None:
    ballots = empty()
    ballots.cast(A, vote_on(5), carrier=None, now=0.0)
    ballots.cast(B, vote_on(7), carrier=None, now=0.0)

    assert ballots.void(X, (1, 5), now=1.0) == []
    assert ballots.void(X, (1, 6), now=1.0) == [A]
    assert ballots.voted(B, X)
    assert ballots.void(X, (2, 0), now=1.0) == [B]
    assert X not in ballots


def test_a_vote_refuted_soon_is_held_for_two_seconds_then_four() -> None:
    ballots = empty()

    cast_and_refute(ballots, 5, now=0.0)
    assert not ballots.admits(A, vote_on(6), OBSERVERS, now=1.6)
    assert ballots.admits(A, vote_on(6), OBSERVERS, now=2.2)
    cast_and_refute(ballots, 6, now=2.2)
    assert not ballots.admits(A, vote_on(7), OBSERVERS, now=5.4)
    assert ballots.admits(A, vote_on(7), OBSERVERS, now=5.6)


def test_holds_end_at_a_minute_and_are_forgotten_after_two() -> None:
    ballots = empty()
    now = 0.0
    for counter in range(20):
        cast_and_refute(ballots, counter, now=now)
        now = ballots.held_until(A, X) + 0.1
    assert ballots.held_until(A, X) <= now + 60

    now += 200
    cast_and_refute(ballots, 99, now=now)
    assert ballots.held_until(A, X) < now + 2


def test_a_held_author_is_believed_if_another_observer_agrees() -> None:
    ballots = empty()
    cast_and_refute(ballots, 5, now=0.0)

    ballots.cast(B, vote_on(6), carrier=None, now=0.5)

    assert ballots.admits(A, vote_on(6), OBSERVERS, now=0.5)


def test_two_held_authors_do_not_vouch_for_each_other() -> None:
    ballots = empty()
    for author in (A, B):
        ballots.cast(author, vote_on(5), carrier=None, now=0.0)
    ballots.void(X, (1, 6), now=0.1)
    ballots.cast(A, vote_on(6), carrier=None, now=0.2)

    assert not ballots.admits(B, vote_on(6), OBSERVERS, now=0.2)


def test_a_vote_that_stood_for_long_is_refuted_without_blame() -> None:
    ballots = empty()
    ballots.cast(A, vote_on(5), carrier=None, now=0.0)

    ballots.void(X, (1, 6), now=8.0)

    assert ballots.admits(A, vote_on(6), OBSERVERS, now=8.1)


def test_outsiders_are_heard_only_where_nobody_voted_and_not_often() -> None:
    ballots = empty()
    assert ballots.admits(Y, vote_on(5), OBSERVERS, now=0.0)
    ballots.cast(A, vote_on(5), carrier=None, now=0.0)
    assert not ballots.admits(Y, vote_on(5), OBSERVERS, now=0.0)

    for number in range(8):
        ballots.cast(Y, Vote(node_id(50 + number), 1, 1), carrier=None, now=0.0)
    assert not ballots.admits(Y, Vote(node_id(99), 1, 1), OBSERVERS, now=0.0)


def test_the_tables_are_bounded() -> None:
    ballots = empty()
    for number in range(HOLDS_MAX + 10):
        author = node_id(1_000 + number)
        ballots.cast(author, vote_on(1), carrier=None, now=0.0)
        ballot = ballots.of(X)
        assert ballot is not None
        assert len(ballot.findings) <= 17
        ballots.void(X, (1, 2), now=0.1)

    assert len(ballots._holds) == HOLDS_MAX
