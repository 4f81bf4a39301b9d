"""The table of what was asked for lately: bounded, and it keeps what is asked for."""

from hypothesis import given
from hypothesis import strategies as st

from node.api.answers.lately import Lately

MOST = 100


def table() -> Lately[str, bytes]:
    return Lately(MOST, len)


def test_what_is_asked_for_stays_and_what_is_not_goes() -> None:
    lately = table()
    lately.put("asked", b"x" * 10)
    lately.put("forgotten", b"x" * 10)
    for number in range(20):
        lately.put(f"other-{number}", b"x" * 10)
        assert lately.get("asked") == b"x" * 10

    assert lately.get("forgotten") is None


def test_where_all_fits_that_is_asked_for_nothing_goes() -> None:
    lately, names = table(), [f"{number}" for number in range(10)]
    for name in names:
        lately.put(name, b"x" * 10)

    for _ in range(3):
        assert [lately.get(name) for name in reversed(names)] == [b"x" * 10] * 10


def test_no_more_goes_than_must() -> None:
    lately = table()
    for name in "abcd":
        lately.put(name, b"x" * 25)

    lately.put("e", b"x" * 30)

    assert [name for name in "abcde" if lately.get(name)] == ["c", "d", "e"]


def test_a_value_replaces_the_one_before() -> None:
    lately = table()
    lately.put("a", b"old")
    lately.put("b", b"x" * 48)
    lately.put("a", b"n")

    assert (lately.get("a"), lately.bytes) == (b"n", 49)


def test_what_is_larger_than_a_half_is_not_kept_nor_is_what_it_replaces() -> None:
    lately = table()
    lately.put("a", b"x")
    lately.put("a", b"x" * 51)

    assert (lately.get("a"), lately.bytes) == (None, 0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh"), st.binary(max_size=60))))
def test_it_never_tells_what_is_stale_and_never_holds_more_than_it_may(
    steps: list[tuple[bool, str, bytes]],
) -> None:
    lately, newest = table(), dict[str, bytes]()
    for is_put, key, value in steps:
        if is_put:
            lately.put(key, value)
            newest[key] = value
        else:
            assert lately.get(key) in (newest.get(key), None)
        assert lately.bytes == sum(map(len, lately._kept.values())) <= MOST
