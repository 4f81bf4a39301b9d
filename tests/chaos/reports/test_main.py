"""`python -m chaos.reports`."""

from pathlib import Path

import pytest

from chaos.reports import document
from chaos.reports.__main__ import main

from .situations import a_broken_run, a_run


def test_each_run_has_its_page_and_all_have_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, record in (("1", a_run()), ("2", a_broken_run())):
        (tmp_path / name).mkdir()
        document.save(record, tmp_path / name / document.RECORD)

    assert main([str(tmp_path)]) == 0

    assert (tmp_path / "1" / "report.html").is_file()
    assert 'href="2/report.html"' in (tmp_path / "index.html").read_text()
    assert "split-majority  2     invalid" in capsys.readouterr().out


def test_what_cannot_be_read_is_named_and_the_rest_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / document.RECORD).write_text("{}")

    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "nowhere")]) == 64

    said = capsys.readouterr().err
    assert "record.json: it is missing, so this is no record of a run" in said
    assert "No such file" in said
