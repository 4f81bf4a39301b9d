"""Simulated nodes have real keys; what was worked out once is what would come out again."""

from random import Random

import pytest

from chaos.sim.identities import Identities
from chaos.sim.memory import Memo, MemoVerifier, remembering
from protocol import bodies, signing
from protocol.bodies import record_of
from protocol.errors import MalformedError, RefusedError
from protocol.identity import verify_chain
from protocol.records import ServiceRecord
from protocol.signing import Domain, Trust
from protocol.wire.messages import DatagramKind, Push, decode, encode
from tests.protocol.author import Author
from tests.protocol.peer_world import World, service

HERE = signing.cluster_id("here")


def test_a_number_is_one_identity_in_every_world_and_another_in_another_cluster() -> None:
    signer, chain = Identities(HERE).of(7)
    again, same = Identities(HERE).of(7)
    _, elsewhere = Identities(signing.cluster_id("elsewhere")).of(7)

    assert verify_chain(chain.packed(), Trust(HERE)) == chain
    assert chain.key_of(0) == signer.public_key
    assert (again.public_key, same) == (signer.public_key, chain)
    assert Identities(HERE).of(8)[1].node != chain.node
    assert elsewhere.events[0].signature != chain.events[0].signature
    assert len({Identities(HERE).signer(7, epoch).public_key for epoch in range(4)}) == 4


def test_both_ends_agree_on_what_the_real_keys_agree_on() -> None:
    identities = Identities(HERE)
    one, two = identities.signer(1, 0), identities.signer(2, 0)
    real = signing.KeyPair((1).to_bytes(16, "big") + bytes(16))

    assert one.public_key == real.public_key
    assert one.agree(two.public_key) == two.agree(one.public_key) == real.agree(two.public_key)
    assert one.agree(identities.signer(3, 0).public_key) != one.agree(two.public_key)
    for junk in (bytes(32), b"", b"\xff" * 32):
        assert one.agree(junk) is None
        assert one.agree(junk) is None


def test_a_remembered_verdict_is_the_real_one_whatever_is_changed() -> None:
    verifier = MemoVerifier()
    signer = Identities(HERE).signer(1, 0)
    signature = signing.sign(signer, Domain.ACK, HERE, b"payload")
    good = (signer.public_key, Domain.ACK, HERE, b"payload", signature)
    questions = [
        good,
        (Identities(HERE).signer(2, 0).public_key, *good[1:]),
        (good[0], Domain.VOTES, *good[2:]),
        (*good[:2], signing.cluster_id("elsewhere"), *good[3:]),
        (*good[:3], b"payloae", good[4]),
        (*good[:4], bytes(64)),
        (*good[:4], b""),
    ]
    asked = [*questions, *questions, *questions]
    Random(1).shuffle(asked)

    for question in asked:
        assert verifier.verify(*question) == signing.verify(*question) == (question == good)
    assert len(verifier) == len(questions)


def test_tables_are_bounded_and_go_on_to_be_right() -> None:
    memo: Memo[int, int] = Memo(3)
    asked: list[int] = []

    def square(number: int) -> int:
        def find() -> int:
            asked.append(number)
            return number * number

        return memo.recall(number, find)

    assert [square(n) for n in (1, 2, 3, 1, 4, 1)] == [1, 4, 9, 1, 16, 1]
    assert asked == [1, 2, 3, 4, 1]
    assert len(memo) == 3


def test_a_remembered_reading_is_the_real_one_and_shared() -> None:
    reading = remembering()
    author = Author(3)
    commit = author.commit(service())
    kind, body = encode(Push((commit,), ()))

    first, second = reading.message(kind, body), reading.message(kind, bytes(bytearray(body)))
    record = record_of(service())

    assert first == decode(kind, body) == Push((commit,), ())
    assert second is first
    assert reading.body(record) == bodies.decode(record) == service()
    assert reading.body(record) is reading.body(record_of(service()))


def test_what_is_refused_is_refused_each_time() -> None:
    reading = remembering()
    spoiled = record_of(ServiceRecord(name="web", id="web", address="127.0.0.1", port=0))

    for _ in range(3):
        with pytest.raises(RefusedError):
            reading.body(spoiled)
        for kind in DatagramKind:
            with pytest.raises(MalformedError):
                reading.message(kind, b"junk")


def lives_of_a_world(*, remembered: bool) -> str:
    world = World(10, seed=3, loss=0.05)
    world.traced = True
    if remembered:
        world.verifier, world.reading = MemoVerifier(), remembering()
    world.start_joined()
    for number in range(12):
        world.nodes[number % 10].propose(service("web", 8000 + number))
        world.run(0.2)
    world.nodes[4].crash()
    world.run(4)
    world.nodes[4].start()
    world.run(4)
    return world.trace_hash.hexdigest()


def test_a_world_whose_nodes_remember_runs_as_one_whose_nodes_do_not() -> None:
    assert lives_of_a_world(remembered=True) == lives_of_a_world(remembered=False)
