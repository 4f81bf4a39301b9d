"""One way to write each value; anything else is refused and nothing else is raised."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.wire import codec

INTEGERS = st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    INTEGERS | st.binary(max_size=40) | st.text(max_size=20) | st.booleans()
    | st.none(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(VALUES, max_size=6))
def test_what_was_written_is_read_and_writes_the_same(values: list[object]) -> None:
    packed = codec.pack(values)

    assert len(codec.read(packed, "it")) == len(values)
    assert codec.pack(values) == packed


@given(INTEGERS, INTEGERS)
def test_two_integers_in_one_go_are_the_bytes_of_each(first: int, second: int) -> None:
    each = codec.pack([first])[1:] + codec.pack([second])[1:]

    assert codec.pack_integers(first, second) == each


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        codec.read(data, "it")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",  # not an array
        b"\x91",  # cut short
        b"\x90\x00",  # bytes behind
        b"\x91\xcc\x05",  # 5 in two bytes
        b"\x91\xcd\x00\xff",
        b"\x91\xd2\x00\x00\x00\x01",
        b"\xdc\x00\x01\x05",  # a short array as a long one
        b"\x91\xc5\x00\x01a",  # short bytes as long ones
        b"\x91\xd9\x01a",
        b"\x91\xa2\xff\xff",  # no UTF-8
        b"\x91\x81\x01\x02",  # a map
        b"\x91\xd4\x05\x00",  # an extension
        b"\x91\xc1",
        b"\x91" * 2_000,
    ],
)
def test_every_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        codec.read(data, "it")


def reader(*values: object) -> codec.Reader:
    return codec.read(codec.pack(values), "it")


def test_each_field_is_checked_as_it_is_taken() -> None:
    assert reader(5).integer("n", low=5, high=5) == 5
    assert reader(b"ab").raw("b", most=2, least=2) == b"ab"
    assert reader("é").text("t", most=1) == "é"
    assert reader(*[True]).flag("f") is True
    assert reader([b"a", b""]).raws("l", most=2, each=1) == [b"a", b""]
    assert reader(["a"]).texts("l", most=1, each=1) == ["a"]


@pytest.mark.parametrize("value", [True, 4, 6, 5.0, "5", None, [5]])
def test_what_is_no_such_integer_is_refused(value: object) -> None:
    with pytest.raises(MalformedError, match=r"it\.n: not an integer in 5\.\.5"):
        reader(value).integer("n", low=5, high=5)


@pytest.mark.parametrize("value", [b"", b"abc", "ab", 7, None])
def test_what_is_no_such_bytes_is_refused(value: object) -> None:
    with pytest.raises(MalformedError):
        reader(value).raw("b", most=2, least=1)


@pytest.mark.parametrize("value", [b"a", "ab", 1])
def test_what_is_no_such_text_is_refused(value: object) -> None:
    with pytest.raises(MalformedError):
        reader(value).text("t", most=1)


@pytest.mark.parametrize("value", [0, 1, None])
def test_a_number_is_no_flag(value: object) -> None:
    with pytest.raises(MalformedError):
        reader(value).flag("f")


def test_missing_and_trailing_fields_are_refused() -> None:
    with pytest.raises(MalformedError, match="missing"):
        reader().flag("f")
    with pytest.raises(MalformedError, match="1 fields more than are due"):
        reader(1).end()
    with pytest.raises(MalformedError):
        reader([1, 2]).array("l", most=1)
    reader().end()


LAYOUT = codec.Layout(
    codec.integer("n", low=1, high=9),
    codec.text("t", most=3),
    codec.raw("b", most=3, least=1),
    codec.flag("f"),
    codec.array("l", most=2),
)
ANYTHING = (
    st.integers(-2, 12) | st.text(max_size=5) | st.binary(max_size=5) | st.booleans() | st.none()
    | st.lists(st.integers(0, 1), max_size=4)
)  # fmt: skip
RIGHT = st.tuples(
    st.integers(1, 9), st.text(max_size=3), st.binary(min_size=1, max_size=3), st.booleans(),
    st.lists(st.integers(0, 1), max_size=2),
).map(list)  # fmt: skip


@st.composite
def nearly_right(draw: st.DrawFn) -> list[object]:
    """Fields as they should be, with some of them replaced, dropped or added."""
    fields: list[object] = [*draw(RIGHT)]
    for place in draw(st.lists(st.integers(0, len(fields) - 1), max_size=2)):
        fields[place] = draw(ANYTHING)
    return fields[: draw(st.integers(3, 5))] + draw(st.lists(ANYTHING, max_size=2))


def by_reader(fields: list[object]) -> None:
    """Take each field of `LAYOUT` by itself."""
    one = codec.Reader(fields, "it")
    one.integer("n", low=1, high=9)
    one.text("t", most=3)
    one.raw("b", most=3, least=1)
    one.flag("f")
    one.array("l", most=2)
    one.end()


def outcome(check: Callable[[list[object]], None], fields: list[object]) -> str:
    """What an error says, or nothing."""
    try:
        check(fields)
    except MalformedError as error:
        return str(error)
    return ""


@given(RIGHT | nearly_right() | st.lists(ANYTHING, max_size=7))
@example([0, "", b"a", True, []])
@example([10, "", b"a", True, []])
@example([1, "abcd", b"a", True, []])
@example([1, "", b"", True, []])
@example([1, "", b"abcd", True, []])
@example([1, "", b"a", 1, []])
@example([True, "", b"a", True, [1, 2, 3]])
def test_a_layout_takes_and_refuses_what_a_reader_does(fields: list[object]) -> None:
    taken = outcome(lambda given: LAYOUT.check(given, "it"), fields)

    assert taken == outcome(by_reader, fields)


def test_what_is_no_array_has_no_layout() -> None:
    for value in (None, 5, "text", b"raw"):
        with pytest.raises(MalformedError, match="it: not an array"):
            LAYOUT.check(value, "it")


def test_items_are_checked_like_a_readers() -> None:
    assert codec.texts(["a", "bc"], "it", each=2) == ["a", "bc"]
    for wrong in ("abc", b"a", 1, None, ["a"]):
        with pytest.raises(MalformedError, match=r"it\.item: not text of at most 2 characters"):
            codec.texts(["a", wrong], "it", each=2)
