"""Commits: signed bytes are kept as they are; what is not canonical is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.commits import (
    Change,
    Commit,
    decode_changes,
    decode_head,
    digest,
    encode_changes,
    unpack_commit,
    unpack_head,
)
from protocol.errors import MalformedError
from protocol.signing import Trust, cluster_id
from protocol.wire import codec

from .author import Author
from .peer_world import TRUST, service

CHANGES = st.lists(
    st.builds(
        Change,
        st.integers(0, 4),
        st.text(min_size=1, max_size=20),
        st.none() | st.binary(min_size=1, max_size=60),
    ),
    max_size=12,
    unique_by=lambda change: (change.kind, change.key),
)
AUTHOR = Author()
COMMIT = AUTHOR.commit(service())


@given(CHANGES)
def test_changes_have_one_order_and_are_read_as_written(changes: list[Change]) -> None:
    encoded = encode_changes(changes)

    assert encode_changes(reversed(changes)) == encoded
    assert list(decode_changes(encoded)) == sorted(changes, key=lambda c: (c.kind, c.key))


def test_a_commit_and_its_head_are_read_as_written() -> None:
    packed = COMMIT.pack()

    assert unpack_commit(packed) == COMMIT
    assert unpack_head(COMMIT.head.pack()) == COMMIT.head
    assert unpack_commit(packed).pack() == packed
    assert COMMIT.head.hash == digest(COMMIT.head.encoded)
    assert COMMIT.head.changes_hash == digest(COMMIT.changes_encoded)
    assert COMMIT.changes()[0].key == "web/web-8000"


def test_a_head_is_signed_by_one_key_for_one_cluster() -> None:
    head = COMMIT.head

    assert head.signed_by(AUTHOR.key(0).public_key, TRUST)
    assert not head.signed_by(AUTHOR.key(1).public_key, TRUST)
    assert not head.signed_by(AUTHOR.key(0).public_key, Trust(cluster_id("other")))
    assert not replace(head, encoded=head.encoded + b"\0").signed_by(
        AUTHOR.key(0).public_key, TRUST
    )


@pytest.mark.parametrize(
    "changes",
    [
        [[1, "b", b"x"], [1, "a", b"x"]],
        [[1, "a", b"x"], [1, "a", b"x"]],
        [[2, "a", b"x"], [1, "b", b"x"]],
        [[5, "a", b"x"]],
        [[-1, "a", b"x"]],
        [[1, "a" * 258, b"x"]],
        [[1, "a", bytes(limits.RECORD_BYTES_MAX + 1)]],
        [[1, "a"]],
        [[1, "a", b"x", 0]],
        [[1, "a", "x"]],
        [[1, "a", None]],
        [1],
    ],
)
def test_unsorted_doubled_or_oversized_changes_are_refused(changes: list[object]) -> None:
    with pytest.raises(MalformedError):
        decode_changes(codec.pack(changes))


def test_changes_up_to_every_limit_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = [[1, "a" * 257, bytes(limits.RECORD_BYTES_MAX)]]
    assert len(decode_changes(codec.pack(largest))) == 1
    monkeypatch.setattr(limits, "CHANGES_PER_COMMIT_MAX", 2)
    assert len(decode_changes(codec.pack([[1, str(n), b"x"] for n in range(2)]))) == 2
    with pytest.raises(MalformedError):
        decode_changes(codec.pack([[1, str(n), b"x"] for n in range(3)]))


FIELDS: list[object] = [1, AUTHOR.id, 0, 1, [bytes(32)], 5, bytes(32), bytes(32)]


def with_field(place: int, value: object) -> list[object]:
    return [*FIELDS[:place], value, *FIELDS[place + 1 :]]


def test_a_header_of_these_fields_is_one() -> None:
    assert decode_head(codec.pack(FIELDS), bytes(64)).parents == (bytes(32),)
    two = with_field(4, [bytes(32), b"\1" * 32])
    assert len(decode_head(codec.pack(two), bytes(64)).parents) == 2
    newest = with_field(3, limits.VERSION_MAX)
    assert decode_head(codec.pack(newest), bytes(64)).version == limits.VERSION_MAX


@pytest.mark.parametrize(
    "fields",
    [
        with_field(0, 2), with_field(1, bytes(31)), with_field(2, -1), with_field(3, 0),
        with_field(3, limits.VERSION_MAX + 1), with_field(4, [bytes(31)]),
        with_field(4, [bytes(32)] * 2), with_field(4, [bytes(32), b"\1" * 32, b"\2" * 32]),
        with_field(5, -1), with_field(6, b""), with_field(7, bytes(33)), FIELDS[:-1], [*FIELDS, 0],
    ],
)  # fmt: skip
def test_a_header_that_is_wrong_in_one_field_is_refused(fields: list[object]) -> None:
    with pytest.raises(MalformedError):
        decode_head(codec.pack(fields), bytes(64))


def test_sizes_are_checked_first() -> None:
    with pytest.raises(MalformedError, match="wrong size"):
        decode_head(bytes(401), bytes(64))
    with pytest.raises(MalformedError, match="wrong size"):
        decode_head(codec.pack(FIELDS), bytes(63))
    with pytest.raises(MalformedError):
        unpack_commit(Commit(COMMIT.head, b"").pack()[:-1])
