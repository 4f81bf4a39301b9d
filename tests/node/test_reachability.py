"""Strikes, score and history of peers over streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import reachability
from node.reachability import HISTORY_MAX, Attempt, Reachability
from protocol.identity import Address

PEER = Address("10.0.0.2", 8401)


def attempt(*, ok: bool) -> Attempt:
    return Attempt(0, ok, 0.001, "" if ok else "refused")


def after(outcomes: str) -> Reachability:
    """Experience after requests that were answered (.) or failed (x)."""
    known = Reachability()
    for outcome in outcomes:
        known.note(PEER, attempt(ok=outcome == "."), now=100.0)
    return known


def test_two_strikes_are_forgiven_and_the_third_bars_the_peer_for_a_second() -> None:
    assert not after("xx").barred(PEER, now=100.0)

    struck = after("xxx")
    assert struck.barred(PEER, now=100.9)
    assert not struck.barred(PEER, now=101.0)


@pytest.mark.parametrize(
    ("failures", "pause_s"), [(3, 1), (4, 2), (5, 4), (8, 32), (9, 60), (99, 60)]
)
def test_each_further_failure_doubles_the_pause_up_to_a_minute(failures: int, pause_s: int) -> None:
    struck = after("x" * failures)

    assert struck.barred(PEER, now=100.0 + pause_s - 0.01)
    assert not struck.barred(PEER, now=100.0 + pause_s)


def test_one_answer_ends_all_strikes() -> None:
    known = after("xxxx.")

    experience = known.of(PEER)
    assert experience is not None
    assert (experience.strikes, known.barred(PEER, now=100.0)) == (0, False)


def test_a_peer_that_shows_itself_another_way_is_forgiven_but_keeps_its_score() -> None:
    known = after("xxx")

    known.forgive(PEER)

    experience = known.of(PEER)
    assert experience is not None
    assert not known.barred(PEER, now=100.0)
    assert experience.score < 1.0


def test_a_peer_that_was_never_asked_is_neither_barred_nor_known() -> None:
    assert not Reachability().barred(PEER, now=0.0)
    assert Reachability().of(PEER) is None


def test_addresses_are_bounded_and_the_one_not_asked_for_longest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reachability, "ADDRESSES_MAX", 2)
    known = Reachability()
    for port in (1, 2, 1, 3):
        known.note(Address("h", port), attempt(ok=True), now=0.0)

    assert [known.of(Address("h", port)) is not None for port in (1, 2, 3)] == [True, False, True]


@given(outcomes=st.text(".x", min_size=1, max_size=60))
def test_the_score_is_a_share_and_the_history_is_short(outcomes: str) -> None:
    experience = after(outcomes).of(PEER)

    assert experience is not None
    assert 0.0 <= experience.score <= 1.0
    assert len(experience.history) <= HISTORY_MAX
    assert experience.history[-1].ok == (outcomes[-1] == ".")
