"""`kith chaos` as a person types it: lists, refusals, and one real run."""

import json
from pathlib import Path

import pytest

from chaos.cli.real.listing import scenario_of
from chaos.cluster.cluster import Ability, ClusterPlan
from chaos.cluster.kinds import make_cluster
from chaos.scenarios.reading import named_scenarios
from node.cli import main

SHORT = """
title = "Short"
about = "One node is frozen for a moment."
[cluster]
nodes = 3
[workload]
instances = 1
[time]
faults = "2s"
settle = "500ms"
[[fault]]
kind = "pause"
at = "500ms"
for = "1s"
nodes = ["c"]
[[expect]]
kind = "updates-lost"
"""
REFUSED = (
    (("run",), "no scenario is named"),
    (("run", "splt-even"), "did you mean split-even"),
    (("run", "missing.toml"), "missing.toml cannot be read"),
    (("run", "--all", "split-even"), "name none beside them"),
    (("run", "split-even", "--seed", "x"), "'x' is no whole number"),
    (("run", "split-even", "--repeat", "0"), "0 is not in 1.."),
    (("run", "split-even", "--cluster", "clouds"), "invalid choice: 'clouds'"),
    (("run", "mixed-versions"), "has nodes of another version"),
    (("report", "--write-docs"), "expected one argument"),
    (("monkey", "--for", "5"), "'5': a duration is a number and a unit"),
    (("monkey", "--most-down", "5"), "most_down: 5 of 5 nodes"),
    (("monkey", "--for", "6s"), "for_s: 6 s"),
    (("gradual", "noise"), "invalid choice: 'noise'"),
    (("fly",), "invalid choice: 'fly'"),
    ((), "VERB"),
)


def test_all_that_there_is_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "list"]) == 0
    text = capsys.readouterr().out
    assert main(["chaos", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert [one["name"] for one in document["scenarios"]] == list(named_scenarios())
    assert all(name in text for name in named_scenarios())
    assert {"partition", "kill"} <= document["faults"].keys()
    assert "updates-lost" in document["expectations"]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_wrong_usage_is_refused_before_anything_starts(
    words: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["chaos", *words]) == 64
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_scenario_of_ones_own_leaves_a_record_and_logs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    words = ("run", str(path), "--cluster", "processes", "--dir", str(tmp_path / "runs"), "--json")

    code = main(["chaos", *words])
    captured = capsys.readouterr()
    (record,) = json.loads(captured.out)["runs"]

    assert (code, record["verdict"], record["reason"]) == (0, "valid", "")
    (directory,) = (tmp_path / "runs").iterdir()
    assert json.loads((directory / "record.json").read_text())["scenario"] == "short"
    assert sorted(path.name for path in directory.glob("*.log")) == ["a.log", "b.log", "c.log"]
    assert not (directory / "a").exists()
    assert "<html" in (directory / "report.html").read_text()
    assert "frozen: c" in captured.err

    assert main(["chaos", "report", str(tmp_path / "runs")]) == 0
    assert str(tmp_path / "runs" / "index.html") in capsys.readouterr().out
    assert "short" in (tmp_path / "runs" / "index.html").read_text()


def test_what_has_no_links_cannot_be_cut(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = make_cluster("processes", ClusterPlan(names=("a", "b")), Path())

    assert "use --cluster namespaces" in cluster.why_not(Ability.LINKS)


def test_what_cannot_be_run_here_is_said_loudly_and_left_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("run", "split-even", "--cluster", "processes", "--dir", str(tmp_path / "runs"))

    assert main(["chaos", *words, "--skip-impossible"]) == 0
    assert "SKIPPED, NOT RUN: split-even; nodes on loopback" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()

    assert main(["chaos", *words]) == 2
    assert "--cluster processes cannot do links here" in capsys.readouterr().err


def test_only_what_runs_anyway_can_be_held_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "partition", "a", "b", "--cluster", "namespaces"]) == 64
    assert "--cluster attach" in capsys.readouterr().err


def test_a_drawn_scenario_can_be_kept_and_is_the_same_for_a_seed(tmp_path: Path) -> None:
    files = [tmp_path / "one.toml", tmp_path / "two.toml", tmp_path / "three.toml"]
    for path, seed in zip(files, ("7", "7", "8"), strict=True):
        words = ("monkey", "--seed", seed, "--cluster", "processes", "--write", str(path))
        assert main(["chaos", *words]) == 0

    one, two, three = (path.read_text() for path in files)
    assert one == two != three
    assert scenario_of(str(files[0])).steps
