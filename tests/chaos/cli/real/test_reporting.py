"""`kith chaos report`: pages from the records of runs."""

from pathlib import Path

import pytest

from chaos.reports import document
from node.cli import main
from tests.chaos.reports.situations import a_broken_run, a_run


def test_each_run_has_its_page_and_all_have_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, record in (("1", a_run()), ("2", a_broken_run())):
        (tmp_path / name).mkdir()
        document.save(record, tmp_path / name / document.RECORD)

    assert main(["chaos", "report", str(tmp_path)]) == 0

    assert (tmp_path / "1" / "report.html").is_file()
    assert 'href="2/report.html"' in (tmp_path / "index.html").read_text()
    assert "split-majority  2     invalid" in capsys.readouterr().out


def test_what_cannot_be_read_is_named_and_the_rest_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / document.RECORD).write_text("{}")

    for directory in (tmp_path, tmp_path / "1"):
        assert main(["chaos", "report", str(directory)]) == 2
        said = capsys.readouterr().out
        assert "record.json: it is missing, so this is no record of a run" in said
    assert main(["chaos", "report", str(tmp_path / "nowhere")]) == 2
    assert "No such file" in capsys.readouterr().err
