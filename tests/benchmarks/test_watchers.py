"""The benchmark of watchers: what its figures are made of."""

import pytest

from benchmarks.watchers.client import field, index_of
from benchmarks.watchers.figures import Found, figures


def test_times_are_of_the_last_watcher_and_of_each() -> None:
    found = Found()
    found.add(10.0, 10.002, [10.001, 10.005, 10.004])

    assert found.all_ms == [pytest.approx(3.0)]
    assert found.all_since_sent_ms == [pytest.approx(5.0)]
    assert found.each_ms == [pytest.approx(-1.0), pytest.approx(3.0), pytest.approx(2.0)]
    assert found.acknowledged_ms == [pytest.approx(2.0)]


def test_a_watcher_woken_for_nothing_misses_the_goal() -> None:
    found = Found(woken_others=1)
    verdicts = {one.name: one.met for one in figures(found)}
    assert verdicts["answers to those who watch others"] is False
    assert verdicts["watchers woken for nothing"] is True


def test_a_header_is_found_wherever_it_stands() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Kith-Index: a-1-5\r\nContent-Length: 2\r\n\r\n{}"
    assert index_of(answer) == "a-1-5"
    assert field(answer.partition(b"\r\n\r\n")[0], b"Content-Length") == b"2"
