"""The measurement of `resolve` runs, and prints what it says it does."""

from pathlib import Path

import pytest

from benchmarks import resolve
from benchmarks.report import read


def test_a_short_run_writes_a_figure_for_each_case(tmp_path: Path) -> None:
    path = tmp_path / "found.json"

    code = resolve.main(["--rounds", "2", "--json", str(path)])

    found = read(path).measurements
    assert [one.name for one in found] == [name for name, _, _ in resolve.cases()]
    assert code == any(one.met is False for one in found)


def test_the_table_shows_the_goal(capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve.main(["--rounds", "1"]) in (0, 1)

    assert "resolve 10 reports" in capsys.readouterr().out


@pytest.mark.parametrize("rounds", ["0", "-1", "many", "1000001"])
def test_a_number_of_rounds_that_cannot_be_is_refused(rounds: str) -> None:
    with pytest.raises(SystemExit):
        resolve.main(["--rounds", rounds])
