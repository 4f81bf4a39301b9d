"""What changed lately: net, exact where the steps lead without a gap, bounded."""

from protocol.agreement.changelog import LOG_MAX, WINDOW_S, Became, ChangeLog, Difference
from protocol.bodies import Body, key_of
from protocol.commits import NOTHING, Dot
from protocol.history.outcomes import AppliedStep, Delta
from protocol.identity import NodeId

from .peer_world import service

ALICE = NodeId(b"a" * 32)
ONE, TWO = service(port=1), service(port=1, version="2")
OTHER = service(port=2)


def noted(log: ChangeLog, before: int, after: int, *deltas: Delta, at_s: float = 0.0) -> None:
    first = Dot(0, before) if before else NOTHING
    log.note(AppliedStep(ALICE, deltas, (), (), first), Dot(0, after), now=at_s)


def delta(old: Body | None, new: Body | None) -> Delta:
    body = new or old
    assert body is not None
    return Delta(key_of(body), old, new)


def net(log: ChangeLog, since: int, until: int) -> tuple[list[Difference], bool]:
    return log.net({ALICE: Dot(0, since)}, {ALICE: Dot(0, until)}, log.position)


def test_what_was_held_already_is_left_out_and_the_rest_is_net() -> None:
    log = ChangeLog()
    noted(log, 1, 2, delta(None, ONE))
    noted(log, 2, 3, delta(ONE, TWO), delta(None, OTHER))
    noted(log, 3, 4, delta(OTHER, None))

    assert net(log, 1, 4) == ([Difference(ALICE, key_of(ONE), Became.ADDED, 3)], True)
    assert net(log, 2, 4) == ([Difference(ALICE, key_of(ONE), Became.CHANGED, 3)], True)
    assert net(log, 3, 4) == ([Difference(ALICE, key_of(OTHER), Became.REMOVED, 4)], True)
    assert net(log, 4, 4) == ([], True)


def test_it_is_not_exact_where_steps_are_missing() -> None:
    log = ChangeLog()
    noted(log, 2, 3, delta(None, ONE))
    noted(log, 5, 7, delta(ONE, TWO))

    for since, until, exact in ((2, 3, True), (1, 3, False), (2, 7, False), (6, 7, False),
                                (5, 7, True), (5, 9, False)):  # fmt: skip
        mark = 1 if until == 3 else log.position
        _, found = log.net({ALICE: Dot(0, since)}, {ALICE: Dot(0, until)}, mark)
        assert found == exact, (since, until)


def test_steps_are_forgotten_after_the_window_unless_they_are_to_be_kept() -> None:
    log = ChangeLog()
    noted(log, 1, 2, delta(None, ONE), at_s=0.0)
    noted(log, 2, 3, delta(ONE, TWO), at_s=WINDOW_S + 1)
    assert not log.reaches(0)
    assert log.reaches(1)

    log.keep(WINDOW_S, lasting=False, now=WINDOW_S + 1)
    noted(log, 3, 4, delta(TWO, None), at_s=10 * WINDOW_S)
    assert log.reaches(1)


def test_a_long_split_merges_steps_and_stays_exact() -> None:
    log = ChangeLog()
    log.keep(0.0, lasting=False, now=0.0)
    noted(log, 1, 2, delta(None, ONE))
    log.seal()
    old, new = ONE, TWO
    for version in range(2, LOG_MAX):
        noted(log, version, version + 1, delta(old, new))
        old, new = new, old

    assert len(log) <= LOG_MAX
    assert not log.overflown
    _, exact = net(log, 2, LOG_MAX)
    assert exact
    assert net(log, 1, LOG_MAX)[0][0].became is Became.ADDED


def test_more_records_than_there_is_room_for_end_the_log_until_the_split_is_over() -> None:
    log = ChangeLog()
    log.keep(0.0, lasting=False, now=0.0)
    many = [delta(None, service(port=1 + number)) for number in range(LOG_MAX)]
    noted(log, 1, 2, *many)
    assert log.overflown
    noted(log, 2, 3, delta(None, ONE))
    assert len(log) <= 2 * LOG_MAX
    assert not net(log, 1, 3)[1]

    log.keep(float("inf"), lasting=False, now=1.0)
    noted(log, 3, 4, delta(ONE, TWO), at_s=1.0)
    assert net(log, 3, 4) == ([Difference(ALICE, key_of(ONE), Became.CHANGED, 4)], True)


def test_what_was_held_at_a_mark_is_found_again() -> None:
    log = ChangeLog()
    noted(log, 1, 2, delta(None, ONE))
    mark = log.position
    noted(log, 2, 3, delta(ONE, TWO))

    assert log.vector_at(mark, {ALICE: Dot(0, 3)}) == {ALICE: Dot(0, 2)}
    assert log.held_at({ALICE: mark}, {ALICE: Dot(0, 3)}) == {ALICE: Dot(0, 2)}


def test_who_was_first_met_in_the_time_did_not_change_in_it() -> None:
    log = ChangeLog()
    noted(log, 0, 1, delta(None, ONE))
    noted(log, 1, 2, delta(ONE, TWO))
    noted(log, 2, 3, delta(None, OTHER))

    assert log.changed_between(0, 3) == {}
    assert log.changed_between(1, 3) == {ALICE: None}
    assert log.changed_between(1, 1) == {}
