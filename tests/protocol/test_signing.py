"""What is signed for one purpose or cluster is worth nothing in another."""

from collections import Counter

import pytest

from protocol import signing
from protocol.signing import Domain, KeyPair, Trust

from .peer_world import World, service

ALICE, BOB = KeyPair(bytes(31) + b"\1"), KeyPair(bytes(31) + b"\2")
HERE, THERE = signing.cluster_id("here"), signing.cluster_id("there")


def test_a_signature_holds_for_its_key_domain_cluster_and_payload_only() -> None:
    signature = signing.sign(ALICE, Domain.COMMIT, HERE, b"payload")

    assert signing.verify(ALICE.public_key, Domain.COMMIT, HERE, b"payload", signature)
    assert not signing.verify(BOB.public_key, Domain.COMMIT, HERE, b"payload", signature)
    assert not signing.verify(ALICE.public_key, Domain.COMMIT, THERE, b"payload", signature)
    assert not signing.verify(ALICE.public_key, Domain.COMMIT, HERE, b"payloae", signature)
    for domain in Domain:
        if domain is not Domain.COMMIT:
            assert not signing.verify(ALICE.public_key, domain, HERE, b"payload", signature)


def test_no_domain_is_the_beginning_of_another() -> None:
    values = [domain.value + b"\0" for domain in Domain]

    assert not [(a, b) for a in values for b in values if a != b and b.startswith(a)]


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65)])
def test_odd_signatures_and_keys_are_wrong_not_errors(signature: bytes) -> None:
    assert not signing.verify(ALICE.public_key, Domain.ACK, HERE, b"", signature)
    assert not signing.verify(b"", Domain.ACK, HERE, b"", signature)
    assert not signing.verify(bytes(32), Domain.ACK, HERE, b"", signature)


def test_two_members_agree_on_a_key_that_a_third_does_not_get() -> None:
    ours, theirs = ALICE.agree(BOB.public_key), BOB.agree(ALICE.public_key)
    carol = KeyPair(bytes(31) + b"\3")

    assert ours is not None
    assert ours == theirs
    assert carol.agree(ALICE.public_key) != ours
    assert signing.mac_key(ours, HERE) != signing.mac_key(ours, THERE)


LOW_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]


@pytest.mark.parametrize("point", [*LOW_ORDER, "", "ff", "ff" * 32])
def test_nobody_agrees_with_a_point_of_low_order_or_no_point(point: str) -> None:
    assert ALICE.agree(bytes.fromhex(point)) is None


def test_a_mac_holds_for_its_key_and_message_only() -> None:
    mac = signing.mac(b"k" * 32, b"message")

    assert len(mac) == signing.MAC_BYTES
    assert signing.same(mac, signing.mac(b"k" * 32, b"message"))
    assert not signing.same(mac, signing.mac(b"l" * 32, b"message"))
    assert not signing.same(mac, signing.mac(b"k" * 32, b"messagf"))


class Witness:
    """Judges as usual, and notes for what it was asked."""

    def __init__(self, *, trusting: bool = True) -> None:
        self.asked: list[Domain] = []
        self.trusting = trusting

    def verify(
        self, public_key: bytes, domain: Domain, cluster: bytes, payload: bytes, signature: bytes
    ) -> bool:
        self.asked.append(domain)
        return self.trusting and signing.verify(public_key, domain, cluster, payload, signature)


def test_trust_is_a_cluster_and_who_verifies_for_it() -> None:
    signature = signing.sign(ALICE, Domain.ACK, HERE, b"payload")
    question = ALICE.public_key, Domain.ACK, b"payload", signature

    assert Trust(HERE).verify(*question)
    assert not Trust(THERE).verify(*question)
    assert not Trust(HERE, Witness(trusting=False)).verify(*question)


def test_a_node_asks_its_verifier_of_all_that_others_signed_and_nothing_that_it_signed() -> None:
    world = World(6)
    witness = world.verifier = Witness()
    world.start_together()
    witness.asked.clear()

    world.nodes[0].propose(service())
    world.run(0.002)
    assert witness.asked == []

    world.run(0.5)
    assert Counter(witness.asked) == {Domain.COMMIT: 5, Domain.RECEIPT: 5}

    world.nodes[5].crash()
    world.run(5)
    assert set(witness.asked) == {Domain.COMMIT, Domain.RECEIPT, Domain.VOTES}


def test_what_a_verifier_refuses_is_applied_nowhere() -> None:
    world = World(6)
    world.verifier = witness = Witness()
    world.start_together()
    witness.trusting = False

    world.nodes[0].propose(service())
    world.run(2)

    assert world.holding("web") == [0]
    assert sum(node.drops.get("bad_signature", 0) for node in world.nodes[1:]) > 0
