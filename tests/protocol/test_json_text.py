"""Canonical JSON: equal values have equal bytes, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.limits import JSON_DEPTH_MAX
from protocol.wire.json_text import INTEGER_MAX, read, write

from .laws import law

TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
LEAVES = (
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@law
@given(VALUES)
def test_what_was_written_is_read_as_it_was(value: object) -> None:
    raw = write(value)

    assert read(raw) == value
    assert write(read(raw)) == raw


@law
@given(st.binary(max_size=40) | TEXTS.map(str.encode))
def test_nothing_but_canonical_text_is_read(raw: bytes) -> None:
    try:
        value = read(raw)
    except MalformedError:
        return
    assert write(value) == raw


@given(st.dictionaries(TEXTS, st.integers(0, 9), max_size=5))
def test_the_order_of_keys_makes_no_difference(pairs: dict[str, int]) -> None:
    other = dict(reversed(list(pairs.items())))
    assert write(pairs) == write(other)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" 1", b"1 ", b"01", b"1.50", b"1E5", b"-0", b"NaN", b"Infinity", b"1e999", b"'a'",
        b'"\\u0061"', b'"\\/"', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a": 1}', b"[1,]", b"\xff",
        b'"\\ud800"', b"9223372036854775808", b"1" * 5_000, b"[" * 5_000, b"[" * 17 + b"]" * 17,
        b'{"":' * 17 + b"1" + b"}" * 17,
    ],
)  # fmt: skip
def test_other_spellings_and_what_is_too_large_or_deep_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        read(raw)


def test_the_deepest_value_is_read_and_brackets_in_text_do_not_count() -> None:
    deepest = b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX
    assert write(read(deepest)) == deepest
    flat = write(["[{" * 50, '"[\\"[' * 50, *([[]] * 50)])
    assert write(read(flat)) == flat


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", 2**63, b"raw", {1: 2}, {"a": {1}}]
)
def test_what_has_no_text_is_refused(value: object) -> None:
    with pytest.raises(MalformedError):
        write(value)
    deep: object = 1
    for _ in range(JSON_DEPTH_MAX + 1):
        deep = [deep]
    with pytest.raises(MalformedError):
        write(deep)
