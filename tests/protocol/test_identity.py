"""Key chains: an id outlives its keys, and a stolen key cannot take it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import signing
from protocol.errors import BadKeyEventError, MalformedError
from protocol.identity import (
    INCEPTION,
    KEY_EVENTS_MAX,
    REVOCATION,
    ROTATION,
    Address,
    KeyEvent,
    NodeId,
    commitment,
    id_text,
    make_event,
    parse_id,
    short_id,
    unpack_event,
    verify_chain,
)
from protocol.wire import codec

CLUSTER = signing.cluster_id("test")


def key(epoch: int) -> signing.KeyPair:
    return signing.KeyPair(b"\7" * 30 + epoch.to_bytes(2, "big"))


def following(previous: KeyEvent | None, *, kind: int, epoch: int) -> KeyEvent:
    return make_event(
        kind, previous=previous, key=key(epoch), cluster=CLUSTER,
        next_commitment=commitment(key(epoch + 1).public_key),
    )  # fmt: skip


def chain(*kinds: int) -> list[KeyEvent]:
    events: list[KeyEvent] = []
    for epoch, kind in enumerate(kinds):
        events.append(following(events[-1] if events else None, kind=kind, epoch=epoch))
    return events


def packed(events: Sequence[KeyEvent]) -> list[bytes]:
    return [event.pack() for event in events]


def expect_refusal(events: Sequence[KeyEvent], reason: str, *, cluster: bytes = CLUSTER) -> None:
    with pytest.raises(BadKeyEventError, match=reason):
        verify_chain(packed(events), signing.Trust(cluster))


def test_the_id_is_the_hash_of_the_inception_and_outlives_every_rotation() -> None:
    events = chain(INCEPTION, ROTATION, ROTATION)

    found = verify_chain(packed(events), signing.Trust(CLUSTER))

    assert found.node == events[0].hash
    assert found.epoch == 2
    assert [found.key_of(epoch) for epoch in range(4)] == [
        key(0).public_key, key(1).public_key, key(2).public_key, None
    ]  # fmt: skip
    assert found.key_of(-1) is None
    assert found.packed() == packed(events)


def test_after_a_revocation_no_key_stands_and_nothing_follows() -> None:
    events = chain(INCEPTION, REVOCATION)

    found = verify_chain(packed(events), signing.Trust(CLUSTER))

    assert found.revoked
    assert found.key_of(1) is None
    assert found.key_of(0) == key(0).public_key
    last = following(events[-1], kind=ROTATION, epoch=2)
    expect_refusal([*events, last], "none follows a revocation")


def test_a_stolen_current_key_cannot_rotate() -> None:
    events = chain(INCEPTION)
    for thief in (key(0), key(9)):
        theft = make_event(
            ROTATION, previous=events[0], key=thief, cluster=CLUSTER,
            next_commitment=commitment(key(9).public_key),
        )  # fmt: skip
        expect_refusal([*events, theft], "not the one that was committed to")


def test_every_broken_rule_refuses_the_whole_chain() -> None:
    one, two, three = chain(INCEPTION, ROTATION, ROTATION)

    expect_refusal([], "0 events is not in")
    expect_refusal([two], "starts with an inception")
    expect_refusal([one, one], "one by one")
    expect_refusal([one, three], "one by one")
    expect_refusal([following(None, kind=ROTATION, epoch=0)], "starts with an inception")
    other = make_event(
        INCEPTION, previous=None, key=key(5), cluster=CLUSTER,
        next_commitment=commitment(key(1).public_key),
    )  # fmt: skip
    expect_refusal([other, two], "names the hash of the one before")
    expect_refusal([one], "wrong signature", cluster=signing.cluster_id("other"))
    forged = KeyEvent(one.kind, 0, b"", one.public_key, one.next_commitment, one.encoded, bytes(64))
    expect_refusal([forged], "wrong signature")


def test_a_chain_beyond_the_limit_is_refused_before_any_of_it_is_judged() -> None:
    with pytest.raises(BadKeyEventError, match="1001 events"):
        verify_chain([b"junk"] * (KEY_EVENTS_MAX + 1), signing.Trust(CLUSTER))


def test_an_event_of_the_wrong_shape_is_malformed() -> None:
    event = chain(INCEPTION)[0]
    for raw in (b"", event.pack()[:-1], codec.pack([event.encoded]),
                codec.pack([event.encoded + b"\0", event.signature]),
                codec.pack([event.encoded, event.signature, 1])):  # fmt: skip
        with pytest.raises(MalformedError):
            unpack_event(raw)
    assert unpack_event(event.pack()) == event


@given(st.binary(min_size=32, max_size=32))
def test_an_id_is_read_back_from_its_text_and_from_nothing_else(raw: bytes) -> None:
    text = id_text(NodeId(raw))

    assert len(text) == 52
    assert text == text.lower()
    assert parse_id(text) == raw
    assert short_id(NodeId(raw)) == text[:8]
    for wrong in (text.upper(), text[:-1], text + "a", text[:-1] + "1", " " + text[1:], ""):
        if wrong != text:
            with pytest.raises(MalformedError):
                parse_id(wrong)


def test_ids_of_people_with_odd_letters_are_no_ids() -> None:
    for text in ("é" * 52, "a" * 51 + "ı", "=" * 52, "a" * 51 + "b"):
        with pytest.raises(MalformedError):
            parse_id(text)


def test_addresses_are_shown_as_one_types_them() -> None:
    assert str(Address("10.0.0.1", 80)) == "10.0.0.1:80"
    assert str(Address("::1", 80)) == "[::1]:80"
