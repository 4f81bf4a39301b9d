"""What a node replaced by a state without steps is kept for its owner, who may have lost it."""

from random import Random

import pytest

from protocol import limits
from protocol.bodies import key_of
from protocol.commits import Head
from protocol.detector.detection import Status
from protocol.identity import NodeId
from protocol.sync import displaced
from protocol.sync.displaced import KEPT_S, LIFE_S, TELL_EVERY_S, TELLS, Displaced
from protocol.sync.repair import Repair
from protocol.wire.exchange import (
    FetchAnswer,
    FetchRequest,
    Part,
    StreamAnswer,
    SyncAnswer,
    decode_answer,
    encode_request,
    head_of,
)
from protocol.wire.messages import Advert

from .author import Author
from .peer_world import Node, World, service
from .test_peer import expect_everywhere, heal, joined, names
from .test_repair import holding


def alive(_node: NodeId) -> Status:
    return Status.ALIVE


def away(_node: NodeId) -> Status:
    return Status.UNREACHABLE


def told_world(commits: int) -> tuple[World, Node, Node]:
    """Node 2 forgot its first life, and node 4, which had missed that life, knows the second.

    The others hold the first life, and nobody reaches node 2 any more.
    """
    world = joined(5)
    owner, bearer = world.nodes[2], world.nodes[4]
    owner.propose(service(port=1))
    expect_everywhere(world, {"web-1"})
    old_disk = owner.disk.copy()
    world.cut = lambda a, b: bearer in (a, b)
    owner.propose(service(port=2), service(port=3), remove=(key_of(service(port=1)),))
    world.run(2.5)
    owner.crash()
    world.run(0.5)

    world.cut = lambda a, b: (owner in (a, b)) != (bearer in (a, b))
    owner.disk = old_disk
    owner.start()
    world.run(3.5)
    for port in range(100, 100 + commits):
        owner.propose(service(port=port))
        world.run(0.02)
    world.run(1)
    assert names(bearer) == {"web-1"} | {f"web-{port}" for port in range(100, 100 + commits)}
    world.cut = lambda a, b: owner in (a, b)
    return world, owner, bearer


@pytest.mark.parametrize("commits", [2, 40])
def test_a_life_that_its_owner_forgot_survives_those_who_bear_the_next_one(commits: int) -> None:
    world, _, bearer = told_world(commits)
    world.run(6)
    others = [node for node in world.nodes[:4] if node.number != 2]
    mine = {f"web-{port}" for port in range(100, 100 + commits)}
    assert all(names(node) == {"web-1"} | mine for node in others), "no fork was to be seen"

    heal(world)

    expect_everywhere(world, {"web-2", "web-3"} | mine, within=8)
    assert names(bearer) == names(others[0])


def shown(answer: StreamAnswer) -> list[Head | None]:
    assert isinstance(answer, SyncAnswer)
    return [head_of(bundle.content) for bundle in answer.bundles]


def test_who_reads_itself_back_shows_nothing_of_its_own_to_who_holds_what_it_forgot() -> None:
    world = joined(3)
    asker, other, owner = world.nodes
    old_disk = owner.disk.copy()
    owner.propose(service(port=2))
    expect_everywhere(world, {"web-2"})
    owner.crash()
    world.cut = lambda a, b: owner in (a, b)
    owner.disk = old_disk
    owner.start()
    world.run(3.5)
    for port in range(100, 140):
        owner.propose(service(port=port))
        world.run(0.02)
    owner.crash()
    owner.start()
    assert owner.peer.reading_back

    held, ours = (one.peer.registry.branch(owner.id) for one in (asker, owner))
    assert held is not None
    assert held.head is not None
    assert ours is not None
    assert held.dot < ours.dot
    asked = Repair(asker.peer.registry, rng=Random(1)).sync_request(None)
    for request in (asked, FetchRequest(owner.id, held.dot, held.head.hash, b"", 0)):
        body = encode_request(request)
        frame, _ = owner.peer.serve(body, asker.id, asker.address, now=world.now)
        assert frame is not None
        answer = decode_answer(frame)
        assert answer == FetchAnswer(None) or ours.head not in shown(answer)

    heal(world)
    mine = {f"web-{port}" for port in range(100, 140)}
    expect_everywhere(world, {"web-2"} | mine, within=8)
    assert names(other) == names(asker)


def test_an_owner_is_told_while_it_is_reached_and_a_few_times() -> None:
    author, kept = Author(), Displaced()
    author.commit(service())
    assert author.branch.head is not None
    kept.note(author.branch.head, author.branch.tree, now=10.0)
    kept.note(author.branch.head, author.branch.tree, now=10.0)
    assert len(kept) == 1
    assert kept.next_deadline == 10.0

    assert kept.due(away, now=10.0) == []
    times = []
    for step in range(1, 20):
        now = 10.0 + step * TELL_EVERY_S
        for told in kept.due(alive, now=now):
            times.append(now)
            assert told.to == (author.id,)
            assert isinstance(told.message, Advert)
            assert told.message.items[0].hash == author.branch.head.hash

    assert times == [11.0, 12.0, 13.0]
    assert len(times) == TELLS
    assert kept.manifest(author.branch.head.hash) == author.manifest()
    assert kept.due(alive, now=13.0 + KEPT_S) == []
    assert len(kept) == 0
    assert kept.next_deadline == float("inf")


def test_an_owner_that_stays_away_is_not_waited_for_for_ever() -> None:
    author, kept = Author(), Displaced()
    author.commit(service())
    assert author.branch.head is not None
    kept.note(author.branch.head, author.branch.tree, now=0.0)

    assert kept.due(away, now=LIFE_S - 1) == []
    assert len(kept) == 1
    assert kept.due(away, now=LIFE_S) == []
    assert len(kept) == 0


def test_what_is_kept_is_bounded_in_states_and_in_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displaced, "DISPLACED_MAX", 3)
    monkeypatch.setattr(displaced, "DISPLACED_RECORDS_MAX", 10)
    kept = Displaced()
    for number in range(5):
        author = Author(number)
        author.commit(service())
        assert author.branch.head is not None
        kept.note(author.branch.head, author.branch.tree, now=0.0)
    assert len(kept) == 3
    large = Author(9)
    large.commit(*(service(port=port) for port in range(1, 10)))
    assert large.branch.head is not None
    kept.note(large.branch.head, large.branch.tree, now=0.0)
    assert len(kept) == 2, "nine records, and one more"
    larger = Author(10)
    larger.commit(*(service(port=port) for port in range(1, 12)))
    assert larger.branch.head is not None
    kept.note(larger.branch.head, larger.branch.tree, now=0.0)
    assert kept.manifest(larger.branch.head.hash) is None
    assert limits.RECORDS_PER_OWNER_MAX < 50_000


def test_a_replaced_state_is_shown_to_whoever_names_its_commit() -> None:
    author = Author()
    author.commit(service())
    there, registry = holding(author)
    old = registry.branch(author.id)
    assert old is not None
    assert old.head is not None
    there.displaced.note(old.head, old.tree, now=0.0)
    was = author.manifest()
    author.commit(service(port=2))
    registry.adopt(author.manifest(), now=0.0)
    here = Repair(registry, rng=Random(1))
    fetching = here.start_fetch(author.id, whole=True, at=was.head.hash)
    assert fetching is not None
    request = fetching.request()
    assert isinstance(request, FetchRequest)

    answer = there.answer_fetch(request)

    assert answer.bundle is not None
    assert answer.bundle.content == Part(was.head, len(was.records), 0, was.records)
    assert here.collect(fetching, answer.bundle) is not None
