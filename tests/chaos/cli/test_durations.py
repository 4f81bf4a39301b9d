"""Durations of the simulator are those of the rest of Kith."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chaos.cli.durations import format_s, parse_s
from node import durations

PIECES = st.sampled_from(
    ["1", "30", "0", "2.5", "0.001", ".5", "1.", "d", "h", "m", "s", "ms", " "]
)


def read(text: str) -> float | None:
    try:
        return parse_s(text)
    except ValueError:
        return None


def read_by_the_node(text: str) -> float | None:
    try:
        return durations.parse_s(text)
    except durations.DurationError:
        return None


@given(st.lists(PIECES, max_size=6).map("".join))
@example(".5d")
def test_the_grammar_is_that_of_the_node(text: str) -> None:
    theirs = read_by_the_node(text)
    if theirs is not None or (read(text) or 0) <= durations.DURATION_MAX_MS / 1_000:
        assert read(text) == theirs


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60.0), ("2m", 120.0), ("1m30s", 90.0), ("500ms", 0.5)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_s(text) == seconds


@given(st.integers(0, 10**9))
def test_what_is_written_is_read_again(milliseconds: int) -> None:
    assert parse_s(format_s(milliseconds / 1_000)) == milliseconds / 1_000
