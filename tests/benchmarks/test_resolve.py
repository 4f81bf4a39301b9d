"""The measurement of `resolve` runs, and prints what it says it does."""

import json

import pytest

from benchmarks import resolve


def test_a_short_run_prints_a_row_for_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    code = resolve.main(["--rounds", "2", "--json"])

    document = json.loads(capsys.readouterr().out)
    names = [name for name, _, _ in resolve.cases()]
    assert [row["what"] for row in document["rows"]] == names
    missed = [
        row for row in document["rows"] if row["goal_us"] and row["median_us"] > row["goal_us"]
    ]
    assert code == bool(missed)


def test_the_table_shows_the_goal(capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve.main(["--rounds", "1"]) in (0, 1)

    assert "resolve 10 reports" in capsys.readouterr().out


@pytest.mark.parametrize("rounds", ["0", "-1", "many", "1000001"])
def test_a_number_of_rounds_that_cannot_be_is_refused(rounds: str) -> None:
    with pytest.raises(SystemExit):
        resolve.main(["--rounds", rounds])
