"""`kith chaos gradual` and `blast` as a person types them."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.cli.real import climbing, directories
from chaos.cli.real.running import Told
from chaos.cluster.cluster import Ability
from chaos.cluster.kinds import make_cluster
from chaos.reports import document, page
from chaos.reports.series.document import load
from chaos.running.record import RunRecord
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict
from node.cli import main
from tests.chaos.cluster.situations import THREE, skip_unless_able
from tests.chaos.reports.situations import a_run

REFUSED = (
    (("gradual",), "ramp"),
    (("gradual", "loss", "--rates", "5"), "--rates: '5': a share is a number and %"),
    (("gradual", "loss", "--rates", "100%"), "--rates: '100%': "),
    (("gradual", "delay", "--rates", "fast"), "--rates: 'fast': a duration is a number and a unit"),
    (("gradual", "loss", "--nodes", "1"), "1 is not in 2.."),
    (("blast", "--ways", "kill,smile"), "--ways: 'smile' is no way to fail"),
    (("blast", "z"), "'z' is no node of this cluster"),
)
Made = Callable[[Scenario], RunRecord]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_wrong_usage_is_refused_before_anything_starts(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)

    assert main(["chaos", *words, "--cluster", "processes"]) == 64
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_cannot_do_it_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    place = ("--cluster", "processes", "--dir", str(runs))

    assert main(["chaos", "gradual", "loss", *place]) == 2
    assert "gradual loss cannot be done on --cluster processes: nodes on" in capsys.readouterr().err
    assert main(["chaos", "blast", "--ways", "isolate", *place]) == 2
    assert "no way to fail can be tried on --cluster processes" in capsys.readouterr().err
    assert not runs.exists()


def performing(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    """Let runs be made so, without a cluster; all else is as ever."""

    def perform(
        scenario: Scenario, seed: int, arguments: argparse.Namespace, replay: str, told: Told
    ) -> tuple[RunRecord, Path]:
        record = made(scenario)
        record.replay = replay
        assert arguments.seed == seed
        told.directory.mkdir()
        document.save(record, told.directory / document.RECORD)
        return record, page.write(record, told.directory)

    monkeypatch.setattr(climbing, "perform", perform)


def verdicts(*each: Verdict) -> Made:
    left = list(each)

    def made(scenario: Scenario) -> RunRecord:
        if not left:
            raise KeyboardInterrupt
        verdict = left.pop(0)
        return a_run(verdict=verdict, reason="" if verdict is Verdict.VALID else "P1: it is lost")

    return made


GOOD, BAD, ODD = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("each", "code", "borne", "interrupted"),
    [
        ((GOOD, GOOD, BAD), 0, "4 s", False), ((BAD,), 1, "", False),
        ((GOOD, ODD), 2, "8 s", False),
        ((GOOD, GOOD, GOOD), 0, "2 s", False), ((GOOD,), 130, "8 s", True), ((), 130, "", True),
    ],
)  # fmt: skip
def test_the_exit_code_of_a_climb_says_whether_anything_was_borne(
    each: tuple[Verdict, ...], code: int, borne: str, interrupted: bool, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    performing(monkeypatch, verdicts(*each))
    words = ("gradual", "crashes", "--rates", "8s,4s,2s", "--cluster", "processes", "--json")

    assert main(["chaos", *words, "--dir", str(tmp_path)]) == code

    told = json.loads(capsys.readouterr().out)
    (directory,) = tmp_path.iterdir()
    assert (told["borne"], told["interrupted"]) == (borne, interrupted)
    assert [one["verdict"] for one in told["steps"]] == [one.value for one in each]
    assert told["page"] == str(directory / "report.html")
    assert "<svg" in (directory / "report.html").read_text() or not each
    assert told["replay"] == (
        "kith chaos gradual crashes --rates 8s,4s,2s --nodes 5 --seed 1 --cluster processes"
    )
    for one in told["steps"]:
        assert (directory / one["run"] / "report.html").is_file()


def test_progress_is_told_on_standard_error_and_the_result_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    performing(monkeypatch, verdicts(GOOD, BAD))
    words = ("gradual", "crashes", "--cluster", "processes", "--dir", str(tmp_path))

    assert main(["chaos", *words]) == 0

    captured = capsys.readouterr()
    assert "up to 7 runs of about 40 s, 5 min; it ends where one breaks" in captured.err
    assert "1 of 7: a node killed every 8 s" in captured.err
    assert "8 s: holds; update everywhere" in captured.err
    assert "6 s: broke because P1: it is lost" in captured.err
    lines = captured.out.splitlines()
    assert lines[0].startswith("gradual crashes: time between two kills, on 5 nodes (processes)")
    assert any(
        line.startswith("RESULT  It holds with a node killed every 8 s; with a node")
        for line in lines
    )


def test_a_blast_leaves_out_what_cannot_be_done_and_ends_as_its_worst_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    performing(monkeypatch, verdicts(GOOD, ODD, BAD, GOOD))
    words = ("blast", "a", "b", "--ways", "kill,isolate,pause", "--nodes", "3")

    code = main(
        ["chaos", *words, "--cluster", "processes", "--dir", str(tmp_path), "--json"]
    )  # fmt: skip

    captured = capsys.readouterr()
    told = json.loads(captured.out)
    (directory,) = tmp_path.iterdir()
    assert code == 1, "invalid is worse than unknown"
    assert [(one["node"], one["way"]) for one in told["effects"]] == [
        ("a", "kill"), ("b", "kill"), ("a", "pause"), ("b", "pause")
    ]  # fmt: skip
    assert list(told["left_out"]) == ["isolate"]
    assert "not tried: isolate; nodes on loopback" in captured.err
    assert "4 failures: 4 runs of about 35 s" in captured.err
    assert load(directory).result == told["result"]


def test_pages_are_made_anew_and_listed_beside_other_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    performing(monkeypatch, verdicts(GOOD, BAD))
    main(["chaos", "gradual", "crashes", "--cluster", "processes", "--dir", str(tmp_path)])
    (directory,) = tmp_path.iterdir()
    pages = [directory / "report.html", *directory.glob("*/report.html")]
    texts = [one.read_text() for one in pages]
    for one in pages:
        one.unlink()
    capsys.readouterr()

    assert main(["chaos", "report", str(tmp_path)]) == 0

    assert [one.read_text() for one in pages] == texts
    assert len(pages) == 3
    index = (tmp_path / "index.html").read_text()
    assert f'href="{directory.name}/report.html"' in index
    assert "it broke" in index
    assert "crash-storm" not in index, "its runs are no runs of their own"
    assert main(["chaos", "report", str(directory)]) == 0
    assert str(directory / "report.html") in capsys.readouterr().out
    (directory / "series.json").write_text("{}")
    assert main(["chaos", "report", str(tmp_path)]) == 2
    assert "series.json: it is missing" in capsys.readouterr().out


def test_a_killed_climb_leaves_a_run_that_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "1-gradual-loss-1" / "01-5pc"
    inner.mkdir(parents=True)
    with directories.marked(inner):
        assert directories.killed_in(tmp_path) == [], "this process lives"
    (inner / directories.MARK).write_text("kith-chaos-1-2-beef")

    (found,) = directories.killed_in(tmp_path)

    assert found.directory == inner


@pytest.mark.slow
def test_a_real_climb_breaks_where_nearly_everything_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_unless_able(make_cluster("namespaces", THREE, tmp_path), Ability.LINKS)
    words = ("gradual", "loss", "--rates", "96%", "--nodes", "3", "--json")

    assert main(["chaos", *words, "--dir", str(tmp_path / "runs")]) == 1

    told = json.loads(capsys.readouterr().out)
    (step,) = told["steps"]
    assert told["result"].startswith("Not even the lowest rate was borne")
    assert step["verdict"] == "invalid"
    assert step["figures"]["gone_count"] > 0
    assert told["signs"][0].startswith("First with 96 % of packets lost: live nodes were taken")


@pytest.mark.slow
def test_a_real_failure_is_noticed_by_all_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("blast", "b", "--ways", "kill", "--nodes", "3", "--cluster", "processes", "--json")

    assert main(["chaos", *words, "--dir", str(tmp_path)]) == 0

    (effect,) = json.loads(capsys.readouterr().out)["effects"]
    assert sorted(effect["noticed_s"]) == ["a", "c"]
    assert 0 < effect["first_s"] <= effect["last_s"] < 12
    assert (effect["blind"], effect["verdict"]) == ([], "valid")
    assert effect["back_s"] is not None
