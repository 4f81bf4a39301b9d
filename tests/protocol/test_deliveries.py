"""The retry queue by itself: rows, tries, the outbox and what is written of them."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.clocks import Instant
from protocol.commits import NOTHING, Dot
from protocol.delivery import deliveries as module
from protocol.delivery.attempts import BACKOFF_MAX_S, BREAKER_FAILURES, JITTER, Attempts
from protocol.delivery.deliveries import LANE_MAX, PROBES_MAX, ROWS_MAX, Deliveries
from protocol.delivery.outbox import Outbox
from protocol.delivery.receipts import AGAIN_S, OWED_MAX, SPACING_S, Receipts
from protocol.delivery.standing import SCORE_MAX, Breaker, Delivery, OutboxEntry, Priority
from protocol.effects import DropDelivery, KeepDelivery, Store, TrimOutbox
from protocol.identity import NodeId
from tests.protocol.peer_world import Node, World


def node(number: int) -> NodeId:
    return NodeId(number.to_bytes(32, "big"))


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_700_000_000_000_000 + round(seconds * 1e6))


def dot(version: int) -> Dot:
    return Dot(0, version)


def entry(version: int, priority: Priority = Priority.NORMAL, size: int = 100) -> OutboxEntry:
    return OutboxEntry(dot(version), version.to_bytes(32, "big"), priority, size)


def parent(version: int) -> bytes:
    return (version - 1).to_bytes(32, "big") if version > 1 else b""


def commit(
    queue: Deliveries, version: int, now: float, priority: Priority = Priority.NORMAL
) -> None:
    queue.committed(entry(version, priority), parent(version), at(now))


def queue_of(peers: int, outbox: Outbox | None = None) -> Deliveries:
    """With so many peers, all of whom hold the first commit."""
    queue = Deliveries(Random(1), outbox)
    queue.watch(tuple(node(n) for n in range(peers)), at(0))
    commit(queue, 1, 0)
    for number in range(peers):
        queue.acknowledged(node(number), dot(1), at(0.01), stored=True)
    return queue


def kept(queue: Deliveries, now: float) -> list[object]:
    effects = queue.written(at(now))
    return [effect.keep for effect in effects if isinstance(effect, Store)]


def test_a_peer_is_tried_when_its_acknowledgement_is_overdue_and_not_before() -> None:
    queue = queue_of(2)
    commit(queue, 2, 10)
    queue.acknowledged(node(0), dot(2), at(10.01))

    assert queue.due(at(10.9)) == []
    assert queue.due(at(11.3)) == [node(1)]
    assert queue.due(at(11.3)) == []


def test_a_commit_that_lets_somebody_go_waits_for_those_who_stay() -> None:
    queue = queue_of(2)
    queue.watch((node(0),), at(10))

    commit(queue, 2, 10)

    (stays,) = queue.standings()
    assert (stays.peer, stays.waiting, stays.behind) == (node(0), 1, False)


def test_who_fell_out_of_the_audience_is_tried_sooner_too_and_let_go_when_it_has_all() -> None:
    queue = queue_of(2, Outbox(commits_max=3))
    commit(queue, 2, 10, Priority.BACKGROUND)
    queue.watch((node(0),), at(10))

    commit(queue, 3, 10.1, Priority.CRITICAL)

    assert sorted(queue.due(at(10.6))) == [node(0), node(1)]
    for version in (4, 5, 6):
        commit(queue, version, 10.7)
    assert len(queue.outbox) == 3
    for number in range(2):
        queue.acknowledged(node(number), dot(6), at(10.8))
    commit(queue, 7, 11)
    assert [one.peer for one in queue.standings()] == [node(0)]


def test_critical_commits_are_tried_sooner_and_first() -> None:
    queue = queue_of(3)
    commit(queue, 2, 10, Priority.BACKGROUND)
    queue.acknowledged(node(2), dot(2), at(10.0))
    commit(queue, 3, 10.1, Priority.CRITICAL)
    queue.acknowledged(node(0), dot(3), at(10.11))

    assert queue.due(at(10.5)) == [node(1), node(2)]


def test_an_answer_that_leaves_something_lacking_is_followed_up() -> None:
    queue = queue_of(1)
    commit(queue, 2, 10)
    commit(queue, 3, 10)
    assert queue.due(at(12)) == [node(0)]

    queue.acknowledged(node(0), dot(2), at(12.1))
    queue.ended(node(0), at(12.1), ok=True)

    assert queue.due(at(12.2)) == []
    assert queue.due(at(14)) == [node(0)]


def test_backoff_doubles_to_a_minute_whatever_the_history() -> None:
    tries = Attempts()
    waits = []
    for _ in range(12):
        tries.begin()
        tries.failed()
        waits.append(tries.backoff_s(Random(0)))

    assert waits[0] <= 1.0 * 2 * (1 + JITTER)
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert waits[-1] == BACKOFF_MAX_S


def test_three_failures_open_the_breaker_and_one_answer_closes_it() -> None:
    tries = Attempts()
    states = []
    for _ in range(BREAKER_FAILURES):
        tries.begin()
        tries.failed()
        states.append(tries.breaker)
    tries.begin()
    states.append(tries.breaker)
    tries.failed()
    states.append(tries.breaker)
    tries.begin()
    tries.answered()
    states.append(tries.breaker)

    assert states == [
        Breaker.CLOSED, Breaker.CLOSED, Breaker.OPEN, Breaker.HALF_OPEN, Breaker.OPEN,
        Breaker.CLOSED,
    ]  # fmt: skip


@given(st.lists(st.booleans(), max_size=200))
def test_a_score_stays_between_never_and_always(answers: list[bool]) -> None:
    tries = Attempts()
    for ok in answers:
        before = tries.score
        if ok:
            tries.answered()
        else:
            tries.failed()
        assert 0 <= tries.score <= SCORE_MAX
        assert tries.score >= before if ok else tries.score <= before


def test_those_that_do_not_answer_never_hold_the_places_of_those_that_do() -> None:
    """Also at the limit: so many dead peers, each with an open breaker, and one that lives."""
    queue = queue_of(200)
    dead = [node(n) for n in range(199)]
    commit(queue, 2, 10)
    now = 12.0
    for _ in range(40):
        for peer in queue.due(at(now)):
            queue.ended(peer, at(now), ok=peer not in dead)
            if peer not in dead:
                queue.acknowledged(peer, dot(2), at(now))
        now += 1.0
    now += 200
    under_way = queue.due(at(now))
    assert len(under_way) == PROBES_MAX

    commit(queue, 3, now)

    assert queue.due(at(now + 3)) == [node(199)]


def test_no_more_than_its_places_are_tried_at_once() -> None:
    queue = queue_of(LANE_MAX + 1)
    commit(queue, 2, 10)

    first = queue.due(at(20))
    assert len(first) == LANE_MAX
    assert queue.due(at(21)) == []
    queue.ended(first[0], at(21), ok=False)
    left = [node(n) for n in range(LANE_MAX + 1) if node(n) not in first]
    assert queue.due(at(21.2)) == left


def test_rows_are_bounded() -> None:
    queue = Deliveries(Random(1))
    queue.watch(tuple(node(n) for n in range(ROWS_MAX + 1)), at(0))

    assert len(queue.standings()) == ROWS_MAX


def test_a_row_is_written_a_second_after_it_changed_and_then_no_more() -> None:
    queue = queue_of(1)
    kept(queue, 5)
    commit(queue, 2, 10)
    queue.acknowledged(node(0), dot(2), at(10.01), stored=True)

    assert queue.next_deadline == pytest.approx(11.01)
    assert kept(queue, 11) == []
    assert kept(queue, 11.02) == [
        KeepDelivery(Delivery(peer=node(0), held=dot(2), stored=dot(2), latency_us=10_000)),
        TrimOutbox(dot(2)),
    ]
    assert queue.next_deadline == float("inf")


def test_what_is_restored_goes_on_where_it_was() -> None:
    queue = queue_of(2)
    commit(queue, 2, 10)
    queue.acknowledged(node(0), dot(2), at(10.01))
    for now in (12.0, 20.0, 40.0):
        assert queue.due(at(now)) == [node(1)]
        queue.ended(node(1), at(now), ok=False)
    rows = [keep.delivery for keep in kept(queue, 50) if isinstance(keep, KeepDelivery)]

    again = Deliveries(Random(2))
    again.outbox.restore([entry(2)], dot(1), None)
    again.restore(rows, at(50))

    found = again.standing(node(1))
    assert found is not None
    assert (found.waiting, found.attempts, found.breaker) == (1, 3, Breaker.OPEN)
    assert found.since_us == at(10).wall_us
    lacks_nothing = again.standing(node(0))
    assert lacks_nothing is not None
    assert lacks_nothing.waiting == 0


def test_receipts_of_one_that_was_taken_for_dead_count_when_it_is_back() -> None:
    queue = queue_of(2)
    commit(queue, 2, 10)
    queue.watch((node(0),), at(30))  # the dead are in no audience
    queue.acknowledged(node(1), dot(2), at(40), stored=True)
    queue.watch((node(0), node(1)), at(40.1))

    assert queue.stored(node(1)) == dot(2)
    found = queue.standing(node(1))
    assert found is not None
    assert found.since_us == 0, "nobody need ask it again"


def test_who_left_the_audience_and_lacks_nothing_is_let_go_at_the_next_commit() -> None:
    queue = queue_of(2)
    commit(queue, 2, 10)

    queue.watch((node(0),), at(10.1))
    commit(queue, 3, 10.15)
    assert queue.standing(node(1)) is not None
    queue.acknowledged(node(1), dot(3), at(10.2))
    commit(queue, 4, 10.3)

    assert queue.standing(node(1)) is None
    assert DropDelivery(node(1)) in kept(queue, 20)


def test_who_left_the_audience_makes_room_for_those_who_came() -> None:
    queue = queue_of(2)
    came = tuple(node(n) for n in range(2, ROWS_MAX + 1))

    queue.watch(came, at(10))

    assert queue.standing(node(1)) is None
    assert queue.standing(came[-1]) is not None


def test_a_peer_cannot_acknowledge_what_was_never_committed() -> None:
    queue = queue_of(1)
    commit(queue, 2, 10)

    assert queue.acknowledged(node(0), dot(99), at(10.1), stored=True) == []
    assert not queue.stores(node(0), 2)


def test_the_heap_of_what_is_due_stays_bounded() -> None:
    queue = queue_of(3)
    for version in range(2, 10_000):
        commit(queue, version, 10 + version / 100)
        for number in range(3):
            queue.acknowledged(node(number), dot(version), at(10 + version / 100))

    assert len(queue._due) <= module._DUE_MAX + 3
    assert queue.due(at(10_000)) == []


# The outbox


def chain(count: int, outbox: Outbox) -> Outbox:
    for version in range(1, count + 1):
        outbox.add(entry(version), parent(version))
    return outbox


def test_the_outbox_drops_its_oldest_at_the_limit_and_says_so() -> None:
    at_limit = chain(10, Outbox(commits_max=10))
    beyond = chain(11, Outbox(commits_max=10))

    assert (len(at_limit), at_limit.floor, at_limit.overflowed) == (10, NOTHING, 0)
    assert (len(beyond), beyond.floor, beyond.overflowed) == (10, dot(1), 1)
    assert at_limit.shows(NOTHING)
    assert not beyond.shows(NOTHING)
    assert beyond.shows(dot(1))


def test_the_outbox_is_bounded_in_bytes_but_holds_the_newest() -> None:
    outbox = Outbox(bytes_max=250)
    for version in (1, 2, 3):
        outbox.add(entry(version), parent(version))
    assert len(outbox) == 2
    outbox.add(entry(4, size=1_000), parent(4))

    assert (len(outbox), outbox.bytes, outbox.floor) == (1, 1_000, dot(3))


def test_a_merge_starts_the_outbox_anew() -> None:
    outbox = chain(5, Outbox())

    outbox.add(entry(9), b"the head of a life that we had forgotten")

    assert (len(outbox), outbox.floor) == (1, dot(8))
    assert not outbox.shows(dot(5))


def test_what_is_on_disk_counts_only_if_it_leads_to_our_head() -> None:
    [head] = [n.peer.registry.branch(n.id) for n in [alone()]]
    assert head is not None
    outbox = Outbox()

    outbox.restore([entry(1), entry(2)], NOTHING, head.head)

    assert (len(outbox), outbox.floor) == (0, head.dot)


@given(st.lists(st.sampled_from([*range(1, 40)]), max_size=30), st.integers(1, 60))
def test_trimming_never_touches_what_somebody_lacks(held: list[int], count: int) -> None:
    outbox = chain(count, Outbox())
    lowest = dot(min(held)) if held else NOTHING

    outbox.trim(lowest)

    for one in held:
        waiting, oldest, newest = outbox.waiting(dot(one))
        assert waiting == max(0, count - one)
        if waiting:
            assert (oldest, newest) == (dot(one + 1), dot(count))


def alone() -> Node:
    world = World(1)
    world.nodes[0].start()
    world.run(1)
    return world.nodes[0]


# Receipts


def test_one_mark_is_under_way_at_a_time_and_answers_for_all_up_to_it() -> None:
    branch = alone().peer.registry.branch(alone().id)
    assert branch is not None
    assert branch.head is not None
    receipts = Receipts()
    receipts.owe(branch.head)

    first = receipts.mark(now=1.0)
    receipts.owe(branch.head)
    assert len(first) == 1
    assert receipts.mark(now=1.0) == []
    assert receipts.stored(1) == [branch.head]
    assert receipts.next_deadline == 1.0 + SPACING_S
    assert receipts.mark(now=1.0 + SPACING_S) != []


def test_what_could_not_be_stored_is_stored_anew_before_it_is_vouched_for() -> None:
    branch = alone().peer.registry.branch(alone().id)
    assert branch is not None
    assert branch.head is not None
    receipts = Receipts()
    receipts.owe(branch.head)
    receipts.mark(now=1.0)

    assert receipts.lost(1, now=1.1) == [branch.head]
    assert receipts.stored(1) == []
    receipts.owe(branch.head)
    assert receipts.mark(now=1.2) == []
    assert len(receipts.mark(now=1.1 + AGAIN_S)) == 1


def test_receipts_owed_are_bounded() -> None:
    branch = alone().peer.registry.branch(alone().id)
    assert branch is not None
    assert branch.head is not None
    receipts = Receipts()
    for number in range(OWED_MAX + 1):
        receipts.owe(replace(branch.head, owner=node(number)))
    receipts.mark(now=0.0)

    assert len(receipts.stored(1)) == OWED_MAX
