"""How figures are kept, taken up again, written and drawn."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from benchmarks.measuring import NOT_RUN
from benchmarks.report.drawing import DrawingError
from benchmarks.simulation import cluster, page
from benchmarks.simulation.__main__ import OUT, PAGE, main
from benchmarks.simulation.drawing import draw_curve
from benchmarks.simulation.journal import Journal, code_hash
from benchmarks.simulation.tables import Column, Row, quantile, table_of
from benchmarks.simulation.trials import Kind, TrialError, carry_out

ROWS: list[Row] = [
    {
        "nodes": nodes,
        "loss_percent": 0.0,
        "updates": 1,
        "half_ms": 3.0,
        "most_ms": 4.0,
        "all_ms": 4.5,
        "all_worst_ms": 5.0,
        "missed": 0,
        "datagrams": 7.5,
        "bytes": 2_000.0,
        "idle_datagrams": 2.0,
    }
    for nodes in (10, 100)
]


@dataclass(frozen=True, slots=True)
class Asked:
    number: int


@dataclass(frozen=True, slots=True)
class Answered:
    square: int
    process: int


def answer(asked: Asked) -> Answered:
    if asked.number < 0:
        raise ValueError(asked.number)
    return Answered(asked.number**2, os.getpid())


def revive(written: bytes) -> Answered:
    return Answered(**orjson.loads(written))


SQUARES = Kind("squares", answer, revive)
THREE = [Asked(3), Asked(1), Asked(2)]


# Kept results


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "squares.jsonl"
    Journal(path, "this").add(Asked(3), Answered(-1, 0))

    results = carry_out(SQUARES, THREE, Journal(path, "this"), jobs=1)

    assert [one.square for one in results] == [-1, 1, 4]
    assert len(path.read_bytes().splitlines()) == 3


def test_results_of_other_code_count_only_if_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "squares.jsonl"
    Journal(path, "other").add(Asked(3), Answered(9, 0))

    assert Journal(path, "this").find(Asked(3)) is None
    assert Journal(path, "this").stale == 1
    assert Journal(path, "this", any_code=True).find(Asked(3)) is not None


def test_a_torn_line_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "squares.jsonl"
    Journal(path, "this").add(Asked(3), Answered(9, 0))
    path.write_bytes(path.read_bytes()[:-9])

    assert Journal(path, "this").find(Asked(3)) is None


def test_the_hash_of_the_code_is_one_of_its_bytes() -> None:
    assert code_hash() == code_hash()
    assert len(code_hash()) == 16


def test_several_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    results = carry_out(SQUARES, THREE, Journal(tmp_path / "two.jsonl", "this"), jobs=2)

    assert [one.square for one in results] == [9, 1, 4]
    assert os.getpid() not in [one.process for one in results]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_fails_is_named_and_what_came_before_is_kept(
    tmp_path: Path, jobs: int
) -> None:
    path = tmp_path / "squares.jsonl"
    journal = Journal(path, "this")
    carry_out(SQUARES, THREE, journal, jobs=1)

    with pytest.raises(TrialError, match="-1"):
        carry_out(SQUARES, [*THREE, Asked(-1), Asked(-1)], journal, jobs=jobs)

    assert len(path.read_bytes().splitlines()) == 3


# Tables and pages


def test_a_quantile_is_the_smallest_value_that_so_many_do_not_exceed() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]

    found = [quantile(values, share) for share in (0.0, 0.2, 0.5, 0.99, 1.0)]

    assert found == [1.0, 1.0, 3.0, 5.0, 5.0]
    assert quantile([], 0.5) is None


def test_a_table_shows_a_dash_where_there_is_no_value() -> None:
    columns = [Column("who", "who"), Column("long_s", "s", ".1f")]

    assert table_of(columns, [{"who": "a", "long_s": 1.25}, {"who": "b", "long_s": None}]) == (
        "| who | s |\n| --- | ---: |\n| a | 1.2 |\n| b | – |"
    )


def test_a_page_gets_its_tables_from_the_documents(tmp_path: Path) -> None:
    figures = page.Figures({"seeds": [1]}, {"curve": ROWS})
    figures.save(tmp_path / "curve.json")

    text = page.filled("before\n<!-- curve -->\nold\n<!-- end -->\nafter\n", tmp_path)

    assert text == f"before\n<!-- curve -->\n{figures.text()}\n<!-- end -->\nafter\n"
    assert page.filled(text, tmp_path) == text
    assert page.load(tmp_path / "curve.json") == figures


@pytest.mark.parametrize("text", ["<!-- loss -->\n<!-- end -->", "<!-- curve -->\nopen"])
def test_a_page_without_its_document_or_an_end_is_refused(tmp_path: Path, text: str) -> None:
    page.Figures({}, {"curve": ROWS}).save(tmp_path / "curve.json")

    with pytest.raises(page.PageError):
        page.filled(text, tmp_path)


# Real figures


def test_real_medians_are_read_from_documents_and_single_figures(tmp_path: Path) -> None:
    path = tmp_path / "real.json"
    medians = {"update_all_ms": 27.0, "idle_bytes": 171.0}
    document = {
        "about": {"arguments": ["kills=10", "nodes=32"], "medians": {"kith": medians}},
    }
    path.write_bytes(orjson.dumps(document))

    real = cluster.real_of([path], ["32:update_all_ms=30", "8:detect_all_s=1.5"])

    assert real == {32: {"update_all_ms": 30.0, "idle_bytes": 171.0}, 8: {"detect_all_s": 1.5}}


@pytest.mark.parametrize("figure", ["32:speed=1", "update_all_ms=1", "x:update_all_ms=1", ""])
def test_a_real_figure_of_another_form_is_refused(figure: str) -> None:
    with pytest.raises(cluster.RealError):
        cluster.real_of([], [figure])


def test_a_file_that_is_no_document_of_real_figures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")

    for name in ("bad.json", "missing.json"):
        with pytest.raises(cluster.RealError, match=name):
            cluster.real_of([tmp_path / name], [])


# The picture


def test_without_matplotlib_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(DrawingError, match="pip install"):
        draw_curve(ROWS, tmp_path / "curve.svg")


@pytest.mark.filterwarnings("ignore")
def test_the_same_figures_draw_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    for name in ("one.svg", "two.svg"):
        draw_curve(ROWS, tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert b"half of the nodes" in (tmp_path / "one.svg").read_bytes()


# The command


def test_one_command_measures_prints_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]

    code = main(["loss", "--nodes", "5", "--loss", "0", "--seeds", "1..1", *places])

    found = page.load(tmp_path / "out" / "loss.json")
    assert code == 0
    assert found.about == {"loss": [0.0], "nodes": [5], "seeds": [1]}
    assert capsys.readouterr().out == found.text() + "\n"


def test_real_figures_that_cannot_be_read_stop_it_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]

    code = main(["cluster", "--real", str(tmp_path / "no.json"), *places])

    assert code == NOT_RUN
    assert "no.json" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "words", [["curve", "--nodes", "1"], ["loss", "--loss", "1"], ["loss", "--seeds", "2..1"], []]
)
def test_wrong_values_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_page_shows_what_the_documents_hold() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert page.filled(text, OUT) == text
    assert list(page.names_in(text)) == list(page.TABLES)
