"""What the command line reads its arguments with."""

import argparse

import pytest

from node.cli.options import whole


def test_a_number_within_its_bounds_is_read() -> None:
    assert [whole(2, 64)(text) for text in ("2", "64")] == [2, 64]


@pytest.mark.parametrize("text", ["1", "65", "-2", "2.0", "two", "", "٣"])
def test_another_is_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 2 to 64"):
        whole(2, 64)(text)
