"""Errands on streams: each ended once, bounded, and no liar is believed for ever."""

from protocol.detector.detection import Gossip
from protocol.effects import Drop, Notify, Request
from protocol.events import Joined
from protocol.identity import Address
from protocol.sync.errands import ERRANDS_MAX
from protocol.sync.outreach import ROUNDS_MAX
from protocol.wire import exchange
from protocol.wire.exchange import Bundle, SyncAnswer

from .author import Author
from .peer_world import Node, World, service

SEED = Address("192.0.2.1", 8401)


def alone() -> Node:
    world = World(1)
    world.nodes[0].start()
    world.run(0.1)
    return world.nodes[0]


def join(node: Node) -> Request:
    (request,) = node.peer.join(SEED, now=node.world.now)
    assert isinstance(request, Request)
    return request


def test_a_seed_that_always_has_more_is_believed_for_so_many_frames() -> None:
    node, author = alone(), Author()
    request = join(node)
    frames = 0
    while True:
        frames += 1
        assert frames < 100
        author.commit(service(port=frames))
        bundle = Bundle(tuple(author.chain.packed()), author.manifest())
        answer = exchange.encode_answer(SyncAnswer((bundle,), more=True, gossip=Gossip()))
        effects = node.peer.answered(request.ticket, answer, author.id, now=node.world.now)
        again = [effect for effect in effects if isinstance(effect, Request)]
        if not again:
            break
        request = again[0]

    assert frames == ROUNDS_MAX + 1
    assert Notify(Joined(SEED, author.id, ok=True)) in effects


def test_a_seed_that_says_more_and_brings_nothing_is_not_asked_again() -> None:
    node, author = alone(), Author()
    answer = exchange.encode_answer(SyncAnswer((), more=True, gossip=Gossip()))

    effects = node.peer.answered(join(node).ticket, answer, author.id, now=node.world.now)

    assert effects == [Notify(Joined(SEED, author.id, ok=True))]


def test_a_join_that_fails_or_is_answered_by_nonsense_says_so() -> None:
    node, author = alone(), Author()

    failed = node.peer.answered(join(node).ticket, None, None, now=node.world.now)
    nonsense = node.peer.answered(join(node).ticket, b"\xc1", author.id, now=node.world.now)

    assert failed == [Notify(Joined(SEED, None, ok=False))]
    assert [e.reason for e in nonsense if isinstance(e, Drop)] == ["malformed"]
    assert nonsense[-1] == Notify(Joined(SEED, author.id, ok=False))


def test_only_so_many_errands_are_under_way() -> None:
    node = alone()
    for _ in range(ERRANDS_MAX):
        join(node)

    assert node.peer.join(SEED, now=node.world.now) == [Notify(Joined(SEED, None, ok=False))]


def test_a_large_state_is_fetched_from_a_seed_of_whom_nothing_else_is_known() -> None:
    node, author = alone(), Author()
    author.commit(service())
    head = author.manifest().head
    bundle = Bundle(tuple(author.chain.packed()), head)
    answer = exchange.encode_answer(SyncAnswer((bundle,), more=False, gossip=Gossip()))

    effects = node.peer.answered(join(node).ticket, answer, author.id, now=node.world.now)

    fetches = [effect for effect in effects if isinstance(effect, Request)]
    assert [(fetch.to, fetch.expected) for fetch in fetches] == [(SEED, author.id)]
