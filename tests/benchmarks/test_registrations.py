"""The benchmark of registrations notices what was acknowledged and is not there."""

from benchmarks.registrations.load import missing

KEYS = 10


def test_all_is_there_if_the_newest_stands_under_each_key() -> None:
    assert missing(range(15, 25), 25, KEYS) == set()
    assert missing(range(7), 7, KEYS) == set()


def test_an_older_one_under_a_key_and_a_key_that_is_gone_are_noticed() -> None:
    kept = [number for number in range(15, 25) if number not in {17, 20}]

    assert missing([*kept, 7], 25, KEYS) == {17, 20}
    assert missing([], 3, KEYS) == {0, 1, 2}
