"""How commits are passed on: at once while it is quiet, by hash when it is not."""

import pytest

from protocol.commits import Commit, Dot
from protocol.dissemination import (
    ADVERT_DELAY_S,
    COALESCE_S,
    EAGER_PER_S,
    WANT_AGAIN_S,
    Dissemination,
    Told,
    pushes_of,
    want_of,
)
from protocol.identity import NodeId
from protocol.limits import DATAGRAM_MAX
from protocol.wire.messages import OVERHEAD, Advert, Advertised, Push, encode

from .author import Author
from .peer_world import service

TARGETS = tuple(NodeId(bytes((n,)) * 32) for n in range(1, 5))


def small(author: Author, number: int = 1) -> Commit:
    return author.commit(service(port=number))


def large(author: Author) -> Commit:
    return author.commit(*(service(port=port) for port in range(100, 160)))


def size(told: Told) -> int:
    return OVERHEAD + len(encode(told.message)[1])


def advert_of(commit: Commit, *, large: bool = False) -> Advertised:
    return Advertised(commit.head.owner, commit.head.dot, commit.head.hash, large)


def test_a_commit_goes_to_all_rings_at_once_and_is_advertised_after_100_ms() -> None:
    alice, out = Author(), Dissemination()
    commit = small(alice)

    assert out.fresh(commit, b"", TARGETS, now=5.0) == [Told(TARGETS, Push((commit,), ()))]

    assert out.next_deadline == 5.0 + ADVERT_DELAY_S
    assert out.tick(now=5.0 + ADVERT_DELAY_S - 0.001) == []
    advert = Advert((advert_of(commit),))
    assert out.tick(now=5.0 + ADVERT_DELAY_S) == [Told(TARGETS, advert)]
    assert out.next_deadline == float("inf")


def test_above_twenty_a_second_one_ring_is_pushed_to_and_the_others_are_told() -> None:
    alice, out = Author(), Dissemination()
    for number in range(EAGER_PER_S):
        told = out.fresh(small(alice, number + 1), b"", TARGETS, now=0.01 * number)
        assert [one.to for one in told] == [TARGETS]
    out.tick(now=0.5)

    more = [small(alice, number) for number in range(30, 33)]
    assert [out.fresh(one, b"", TARGETS, now=0.5) for one in more] == [[], [], []]

    assert out.next_deadline == 0.5 + COALESCE_S
    told = out.tick(now=0.5 + COALESCE_S)
    assert told[0] == Told(TARGETS[:1], Push(tuple(more), ()))
    newest = Advert((advert_of(more[-1]),))
    assert told[1:] == [Told(TARGETS[1:], newest)]
    assert out.fresh(small(alice, 40), b"", TARGETS, now=3.0)[0].to == TARGETS, "quiet again"


def test_what_is_coalesced_fills_datagrams_and_no_more() -> None:
    out = Dissemination()
    commits = [small(Author(number)) for number in range(1, 60)]
    told = [t for one in commits for t in out.fresh(one, b"", TARGETS, now=0.0)]
    told += out.tick(now=COALESCE_S)
    pushed = [c for one in told if isinstance(one.message, Push) for c in one.message.commits]

    assert pushed == commits
    assert all(size(one) <= DATAGRAM_MAX for one in told)
    assert len(told) < 59 + 3 * 5


def test_what_does_not_fit_a_datagram_is_only_advertised_at_once() -> None:
    alice, out = Author(), Dissemination()
    commit = large(alice)

    told = out.fresh(commit, b"", TARGETS, now=1.0)

    advert = Advert((advert_of(commit, large=True),))
    assert told == [Told(TARGETS, advert)]


@pytest.mark.parametrize("padding", range(0, 129, 4))
def test_no_push_is_larger_than_a_datagram(padding: int) -> None:
    alice, out = Author(), Dissemination()
    event = alice.chain.packed()[0]
    filler = [service(port=port) for port in range(10, 21)]
    commit = alice.commit(*filler, service(port=99, version="x" * padding))

    told = out.fresh(commit, event, TARGETS, now=0.0)

    assert all(size(one) <= DATAGRAM_MAX for one in told)


def test_an_inception_event_travels_with_the_first_commit() -> None:
    alice, out = Author(), Dissemination()
    commit, event = small(alice), alice.chain.packed()[0]

    told = out.fresh(commit, event, TARGETS, now=0.0)

    assert told == [Told(TARGETS, Push((commit,), (event,)))]
    assert isinstance(told[0].message, Push)
    assert told[0].message.inception_of(alice.id) == (event,)


def test_nothing_is_asked_for_twice_within_its_time_whoever_advertises_it() -> None:
    alice, out = Author(), Dissemination()
    first, second = advert_of(small(alice)), advert_of(small(alice, 2))

    assert not out.wants(first, first.dot, now=0.0), "we hold it"
    assert not out.wants(first, second.dot, now=0.0), "we hold something newer"
    assert out.wants(first, Dot(0, 0), now=0.0)
    assert not out.wants(first, Dot(0, 0), now=WANT_AGAIN_S - 0.01)
    assert out.wants(second, Dot(0, 0), now=0.1), "something newer yet"
    assert not out.wants(first, Dot(0, 0), now=0.25)
    assert out.wants(first, Dot(0, 0), now=0.1 + WANT_AGAIN_S)
    out.got(alice.id)
    assert out.wants(first, Dot(0, 0), now=0.1 + WANT_AGAIN_S)


def test_every_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.dissemination._PENDING_MAX", 8)
    alice, out = Author(), Dissemination()
    for number in range(1, 80):
        out.fresh(small(alice, number), b"", TARGETS, now=0.0)
    for number in range(100):
        item = Advertised(NodeId(bytes((number,)) * 32), Dot(0, 1), bytes(32), large=False)
        out.wants(item, Dot(0, 0), now=0.0)

    pushed = sum(
        len(told.message.commits) for told in out.tick(now=1.0) if isinstance(told.message, Push)
    )
    assert pushed <= 8
    assert len(out._wanted) <= 8


def test_adverts_fit_datagrams_however_many_are_due() -> None:
    out = Dissemination()
    for number in range(1, 101):
        head = small(Author(number)).head
        out.advertise(head, TARGETS[:1], now=0.0, large=False)

    told = out.tick(now=0.0)

    assert all(size(one) <= DATAGRAM_MAX for one in told)
    assert sum(len(one.message.items) for one in told if isinstance(one.message, Advert)) == 100


def test_what_was_asked_for_by_datagram_is_fetched_at_once_when_it_is_said_to_be_large() -> None:
    out = Dissemination()
    commit = small(Author())
    by_datagram, by_stream = advert_of(commit), advert_of(commit, large=True)

    assert out.wants(by_datagram, Dot(0, 0), now=0.0)
    assert out.wants(by_stream, Dot(0, 0), now=0.01)
    assert not out.wants(by_stream, Dot(0, 0), now=0.02)
    assert not out.wants(by_datagram, Dot(0, 0), now=0.03)


def test_what_was_wanted_is_sent_in_as_few_datagrams_as_hold_it() -> None:
    alice = Author()
    commits = [small(alice, number) for number in range(1, 31)]

    messages = pushes_of(commits, b"")

    assert [c for one in messages if isinstance(one, Push) for c in one.commits] == commits
    assert all(OVERHEAD + len(encode(one)[1]) <= DATAGRAM_MAX for one in messages)
    assert len(messages) < 15
    cut = [*commits[:2], large(alice), *commits[2:]]
    sent = [c for one in pushes_of(cut, b"") if isinstance(one, Push) for c in one.commits]
    assert sent == commits[:2], "what follows would be a gap"
    assert pushes_of([], b"") == []
    assert want_of(alice.id, b"k").items == ((alice.id, b"k"),)


def test_without_anybody_to_tell_nothing_is_kept() -> None:
    out = Dissemination()

    assert out.fresh(small(Author()), b"", (), now=0.0) == []
    assert out.next_deadline == float("inf")
