"""Datagrams: small, authenticated, read as written, refused with the right code."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, signing
from protocol.agreement.evidence import fork_of, key_fork_of
from protocol.commits import Dot
from protocol.detector.detection import (
    GOSSIP_BYTES_MAX,
    VOTES_PER_BATCH_MAX,
    Ack,
    Ask,
    Gossip,
    Heartbeat,
    Ping,
    SignedAck,
    SignedVotes,
    Vote,
    gossip_bytes,
)
from protocol.errors import MalformedError, RefusedError
from protocol.identity import ROTATION, KeyEvent, NodeId, make_event
from protocol.wire.messages import (
    BODY_MAX,
    OVERHEAD,
    Advert,
    Advertised,
    Beat,
    DatagramKind,
    Keys,
    Message,
    Push,
    Receipt,
    Want,
    decode,
    decode_gossip,
    encode,
    encode_gossip,
    inspect,
    seal,
    unseal,
)

from .author import Author
from .peer_world import CLUSTER, service

KEY = b"k" * 32
INT_MAX = 2**62 - 1
IDS = st.binary(min_size=32, max_size=32).map(NodeId)
COUNTERS = st.integers(0, INT_MAX)
INCARNATIONS = st.integers(0, 2**32 - 1)
SIGNATURES = st.binary(min_size=64, max_size=64)
EPOCHS = st.integers(0, 1_000)
ACKS = st.builds(SignedAck, IDS, EPOCHS, INCARNATIONS, COUNTERS, SIGNATURES)
VOTES = st.builds(Vote, IDS, INCARNATIONS, COUNTERS)
BATCHES = st.builds(
    SignedVotes, IDS, EPOCHS, st.lists(VOTES, max_size=4).map(tuple), COUNTERS, SIGNATURES
)
AUTHOR = Author()
COMMITS = [AUTHOR.commit(service(port=port)) for port in range(1, 4)]
EVIDENCE = fork_of(AUTHOR.draft(service(port=8)).head, AUTHOR.draft(service(port=9)).head)
assert EVIDENCE is not None


def rotation(promised: bytes) -> KeyEvent:
    return make_event(
        ROTATION, previous=AUTHOR.events[0], key=AUTHOR.key(1), next_commitment=promised,
        cluster=CLUSTER,
    )  # fmt: skip


KEYS = Keys(AUTHOR.id, rotation(bytes(32)))
KEY_FORK = key_fork_of(AUTHOR.id, rotation(bytes(32)), rotation(b"\1" * 32))
assert KEY_FORK is not None
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Beat,
        st.builds(Heartbeat, INCARNATIONS, COUNTERS),
        st.binary(min_size=6, max_size=6),
    ),
    st.builds(Ping, COUNTERS, st.booleans()),
    st.builds(Ack, COUNTERS, INCARNATIONS, COUNTERS, st.none() | ACKS),
    st.builds(Ask, IDS),
    st.builds(
        Gossip, st.lists(ACKS, max_size=3).map(tuple), st.lists(BATCHES, max_size=3).map(tuple)
    ),
    st.builds(
        Push,
        st.lists(st.sampled_from(COMMITS), max_size=3).map(tuple),
        st.lists(st.just(AUTHOR.chain.packed()[0]), max_size=1).map(tuple),
    ),
    st.builds(
        Advert,
        st.lists(
            st.builds(Advertised, IDS, st.builds(Dot, EPOCHS, COUNTERS), IDS, st.booleans()),
            max_size=4,
        ).map(tuple),
    ),
    st.builds(
        Want, st.lists(st.tuples(IDS, st.sampled_from([b"", bytes(32)])), max_size=4).map(tuple)
    ),
    st.just(EVIDENCE),
    st.just(KEY_FORK),
    st.just(KEYS),
    st.builds(Receipt, st.builds(Dot, EPOCHS, COUNTERS), IDS, EPOCHS, SIGNATURES),
)


@given(MESSAGES)
def test_every_kind_is_read_as_it_was_written(message: Message) -> None:
    kind, body = encode(message)
    datagram = seal(AUTHOR.id, KEY, kind, body)

    assert inspect(datagram) == (kind, AUTHOR.id[:16])
    assert unseal(datagram, KEY) == body
    assert decode(kind, body) == message


def test_there_is_an_example_of_every_kind() -> None:
    messages: list[Message] = [
        Beat(Heartbeat(1, 1), bytes(6)), Ping(1, accused=True), Ack(1, 1, 1), Ask(AUTHOR.id),
        Gossip(), Push((), ()), Advert(()), Want(()),
    ]  # fmt: skip
    assert EVIDENCE is not None
    assert KEY_FORK is not None
    messages += [EVIDENCE, KEY_FORK, KEYS, Receipt(Dot(0, 1), bytes(32), 0, bytes(64))]
    assert {encode(one)[0] for one in messages} == set(DatagramKind)


def test_a_heartbeat_is_small_whatever_it_counts() -> None:
    beat = Beat(Heartbeat(2**32 - 1, INT_MAX), b"\xff" * 6)

    assert len(seal(AUTHOR.id, KEY, *encode(beat))) <= 64


def vote(number: int) -> Vote:
    return Vote(NodeId(bytes((number,)) * 32), 2**32 - 1, INT_MAX)


def test_full_gossip_fits_a_datagram_as_its_sizes_promise() -> None:
    votes = tuple(vote(number) for number in range(VOTES_PER_BATCH_MAX))
    batch = SignedVotes(AUTHOR.id, 1_000, votes, INT_MAX, bytes(64))
    ack = SignedAck(AUTHOR.id, 1_000, 2**32 - 1, INT_MAX, bytes(64))
    acks = (ack,) * (GOSSIP_BYTES_MAX // gossip_bytes(ack))
    for gossip in (Gossip(votes=(batch,)), Gossip(acks=acks)):
        body = encode_gossip(gossip)
        assert len(body) + OVERHEAD <= limits.DATAGRAM_MAX
        assert decode_gossip(body) == gossip


def test_evidence_and_a_signed_ack_fit_a_datagram() -> None:
    assert EVIDENCE is not None
    assert len(encode(EVIDENCE)[1]) <= BODY_MAX
    assert KEY_FORK is not None
    assert len(encode(KEY_FORK)[1]) <= BODY_MAX
    signed = SignedAck(AUTHOR.id, 1_000, 2**32 - 1, INT_MAX, bytes(64))
    assert len(encode(Ack(INT_MAX, 2**32 - 1, INT_MAX, signed))[1]) <= BODY_MAX


GOOD = seal(AUTHOR.id, KEY, *encode(Ping(1, accused=False)))


@pytest.mark.parametrize(
    ("datagram", "code"),
    [
        (b"", "malformed"),
        (GOOD[: OVERHEAD - 1], "malformed"),
        (b"\0" + GOOD[1:], "unknown_version"),
        (b"\2" + GOOD[1:], "unknown_version"),
        (b"\1\0" + GOOD[2:], "malformed"),
        (b"\1\x0c" + GOOD[2:], "malformed"),
        (GOOD + bytes(limits.DATAGRAM_MAX + 1 - len(GOOD)), "oversized"),
    ],
)
def test_an_envelope_is_judged_before_anything_is_believed(datagram: bytes, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        inspect(datagram)
    assert refused.value.code == code


def test_a_datagram_of_exactly_the_limit_is_taken() -> None:
    datagram = seal(AUTHOR.id, KEY, DatagramKind.PUSH, bytes(BODY_MAX))

    assert len(datagram) == limits.DATAGRAM_MAX
    assert inspect(datagram)[0] is DatagramKind.PUSH


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 7))
def test_one_flipped_bit_anywhere_breaks_the_mac(place: int, bit: int) -> None:
    damaged = bytearray(GOOD)
    damaged[place] ^= 1 << bit

    with pytest.raises(RefusedError) as refused:
        unseal(bytes(damaged), KEY)
    assert refused.value.code == "bad_mac"


def test_the_key_of_another_cluster_or_peer_is_a_bad_mac() -> None:
    alice, bob = Author(1).key(0), Author(2).key(0)
    secret = alice.agree(bob.public_key)
    assert secret is not None
    here, there = (signing.mac_key(secret, signing.cluster_id(name)) for name in ("a", "b"))
    datagram = seal(AUTHOR.id, here, DatagramKind.PING, b"")

    assert unseal(datagram, here) == b""
    for other in (there, KEY):
        with pytest.raises(RefusedError, match="not authenticated"):
            unseal(datagram, other)


@given(st.sampled_from(DatagramKind), st.binary(max_size=200))
def test_no_body_makes_reading_raise_anything_else(kind: DatagramKind, body: bytes) -> None:
    with contextlib.suppress(MalformedError):
        decode(kind, body)


@given(MESSAGES, st.data())
def test_no_damaged_body_makes_reading_raise_anything_else(
    message: Message, data: st.DataObject
) -> None:
    kind, body = encode(message)
    place = data.draw(st.integers(0, max(0, len(body) - 1)))
    damaged = body[:place] + data.draw(st.binary(max_size=3)) + body[place + 1 :]

    with contextlib.suppress(MalformedError):
        decode(data.draw(st.sampled_from([kind, *DatagramKind])), damaged)


def test_more_items_than_a_datagram_may_hold_are_refused() -> None:
    wants = Want(((AUTHOR.id, b""),) * 65)
    with pytest.raises(MalformedError):
        decode(*encode(wants))
    with pytest.raises(MalformedError):
        decode(*encode(Gossip(votes=(SignedVotes(AUTHOR.id, 0, (vote(1),) * 65, 0, bytes(64)),))))
