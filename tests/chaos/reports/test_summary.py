"""A run as text for the terminal."""

from pathlib import Path

from hypothesis import given

from chaos.reports.summary import table_of, text_of
from chaos.running.record import RunRecord

from .situations import a_bare_run, a_broken_run, a_run
from .strategies import ANY, RECORDS


def test_the_verdict_stands_first_and_last() -> None:
    lines = text_of(a_broken_run(), Path("runs/1/report.html")).splitlines()

    assert lines[0] == "INVALID  split-majority, seed 2: Three nodes and two are cut apart for 18 s"
    assert lines[1] == "  because P1 (set_full): d/shop-1/d-1 is lost"
    assert lines[-1] == "INVALID  checkers: 2 valid, 1 invalid, 1 unknown; expected: 0 of 1"
    assert lines[-3].split() == ["report", "runs/1/report.html"]
    assert lines[-2].split() == ["replay", "kith", "chaos", "run", "split-majority", "--seed", "2"]


def test_figures_have_names_and_units() -> None:
    words = " ".join(text_of(a_run()).split())

    assert "a lookup, p99 6.50 ms" in words
    assert "time to heal 0.610 s" in words
    assert "lookups 1,800" in words


def test_it_says_by_which_means_a_fault_was_made() -> None:
    record = a_run()
    assert "delay made by netem, a queue of the kernel for each link" in " ".join(
        text_of(record).split()
    )

    record.means = {"delay": "tun", "storm": "hail"}
    words = " ".join(text_of(record).split())
    assert "delay made by tun, a delay line of Kith's" in words
    assert "storm made by hail" in words


def test_advice_is_given_where_something_broke_only() -> None:
    assert "look at" not in text_of(a_run())
    assert "Acknowledged updates were lost" in text_of(a_broken_run())


def test_three_moments_are_shown_at_most() -> None:
    record = a_run()
    record.moments = record.moments * 5

    assert text_of(record).count("a takes d for unreachable") == 3


@ANY
@given(record=RECORDS)
def test_no_record_can_steer_the_terminal(record: RunRecord) -> None:
    record.reason += "\x1b[2J"

    text = text_of(record) + table_of([record])

    assert all(c.isprintable() or c == "\n" for c in text)


def test_many_runs_are_a_line_each() -> None:
    lines = table_of([a_run(), a_broken_run(), a_bare_run()]).splitlines()

    assert len(lines) == 4
    assert lines[2].split()[:5] == ["split-majority", "2", "invalid", "1.43", "s"]
