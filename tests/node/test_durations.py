"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import durations


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("0s", 0),
        ("250ms", 250),
        ("5s", 5_000),
        ("1.5s", 1_500),
        (".5s", 500),
        ("10m", 600_000),
        ("1m30s", 90_000),
        ("24h", 86_400_000),
        ("1d12h", 129_600_000),
        ("366d", durations.DURATION_MAX_MS),
    ],
)
def test_a_duration_is_numbers_with_falling_units(text: str, expected_ms: int) -> None:
    assert durations.parse_ms(text) == expected_ms
    assert durations.parse_s(text) == expected_ms / 1_000


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "5 s", "-5s", "5x", "30s1m", "5s5s", "1..5s", "5.s", "0.1ms", "1e3s", "٣s",
     "367d", "365d48h", "1" * 40 + "s"],
)  # fmt: skip
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(durations.DurationError, match="duration"):
        durations.parse_ms(text)


@given(st.integers(min_value=0, max_value=durations.DURATION_MAX_MS))
def test_what_is_written_reads_back(duration_ms: int) -> None:
    assert durations.parse_ms(durations.format_ms(duration_ms)) == duration_ms


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        assert 0 <= durations.parse_ms(text) <= durations.DURATION_MAX_MS
    except durations.DurationError:
        return


def test_the_largest_unit_that_divides_is_written() -> None:
    written = [durations.format_ms(value) for value in (0, 250, 5_000, 90_000, 600_000, 86_400_000)]
    assert written == ["0s", "250ms", "5s", "90s", "10m", "24h"]
    assert durations.format_s(0.25) == "250ms"
