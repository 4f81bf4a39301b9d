"""`kith chaos clean` finds all that a run left which was killed in the midst of its faults."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cli.real import directories
from chaos.cluster import engine, leftovers
from chaos.cluster.cluster import Ability
from chaos.cluster.kinds import make_cluster
from chaos.cluster.names import owner_of
from node.cli import main
from tests.chaos.cluster.situations import THREE, skip_unless_able, skip_unless_possible

ROOT = Path(__file__).parents[4]
PATIENCE_S = 120.0
FAULTY = """
title = "All at once"
about = "It is killed in the midst of this."
[cluster]
nodes = 3
disk_mib = 16
[workload]
instances = 1
[time]
faults = "60s"
steady_within = "60s"
[[fault]]
kind = "partition"
at = "0s"
groups = [["a"], ["b", "c"]]
[[fault]]
kind = "delay"
at = "0s"
latency = "20ms"
[[fault]]
kind = "memory-pressure"
at = "0s"
nodes = ["b"]
mib = 200
[[fault]]
kind = "pause"
at = "1s"
nodes = ["c"]
"""
LAST = "frozen: c"
NEEDS = (Ability.LINKS, Ability.DELAY, Ability.MEMORY, Ability.SMALL_DISKS)

pytestmark = pytest.mark.slow


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    # Nothing of a test that failed is left: pytest cannot remove what is mounted.
    pids = {one.pid for name in _names(tmp_path / "runs") if (one := owner_of(name))}
    leftovers.remove(
        one
        for one in leftovers.find()
        if (owner := owner_of(one.name)) is not None and owner.pid in pids
    )


def _names(runs: Path) -> list[str]:
    return [mark.read_text() for mark in runs.glob(f"*/{directories.MARK}")]


def killed_run(kind: str, runs: Path) -> int:
    """Run the scenario in a process of its own, and kill it when all faults are in force."""
    runs.mkdir()
    scenario = runs / "faulty.toml"
    scenario.write_text(FAULTY)
    words = ("run", str(scenario), "--cluster", kind, "--dir", str(runs))
    run = subprocess.Popen(
        [sys.executable, "-m", "node.cli", "chaos", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    assert run.stderr is not None
    said, end = b"", time.perf_counter() + PATIENCE_S
    try:
        while LAST.encode() not in said:
            ready, _, _ = select.select([run.stderr], [], [], end - time.perf_counter())
            more = os.read(run.stderr.fileno(), 4096) if ready else b""
            said += more
            assert more, said.decode()
    finally:
        run.send_signal(signal.SIGKILL)
        run.communicate()
    return run.pid


def clean(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and what was found."""
    code = main(["chaos", "clean", *words, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["errors"] == []
    assert code == (1 if document["left"] else 0)
    return code, document["found"]


def of(pid: int, found: list[dict[str, str]]) -> list[dict[str, str]]:
    """Others may test on this machine, too: only what is of that process."""
    owners = [(one, owner_of(one["name"])) for one in found]
    return [one for one, owner in owners if owner is not None and owner.pid == pid]


@pytest.mark.parametrize("kind", ["namespaces", "compose"])
def test_what_a_run_left_that_was_killed_under_faults_is_shown_and_removed(
    kind: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_unless_possible(kind)
    skip_unless_able(make_cluster(kind, THREE, runs), *NEEDS)
    pid = killed_run(kind, runs)

    code, shown = clean(capsys, "--dir", str(runs), "--dry-run")
    left = of(pid, shown)

    assert code == 1
    kinds = {one["kind"] for one in left}
    wanted = {leftovers.MOUNT, "directory"}
    if kind == "namespaces":
        wanted |= {leftovers.NAMESPACE, leftovers.PROCESS, leftovers.GROUP}
        assert sum(one["kind"] == leftovers.NAMESPACE for one in left) == 4
        pids = [int(one["what"]) for one in left if one["kind"] == leftovers.PROCESS]
        assert len(pids) >= 3
    else:
        wanted |= {leftovers.COMPOSE}
    assert kinds == wanted
    (directory,) = (Path(one["what"]) for one in left if one["kind"] == "directory")
    assert (directory / "a").is_dir()

    code, found = clean(capsys, left[0]["name"], "--dir", str(runs))

    assert (code, sorted(map(str, found))) == (0, sorted(map(str, left)))
    assert not directory.exists()
    assert [one for one in leftovers.everything() if of(pid, [{"name": one.name}])] == []
    for one in left:
        if one["kind"] == leftovers.NAMESPACE:
            assert not (Path("/run/netns") / one["what"]).exists()
        if one["kind"] == leftovers.COMPOSE:
            assert engine.containers(f"label={engine.PROJECT_LABEL}={one['what']}") == []
    code, found = clean(capsys, left[0]["name"], "--dir", str(runs))
    assert (code, found) == (0, [])


def test_a_run_that_lasts_and_one_that_has_a_record_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lasting, done, strange = (tmp_path / name for name in ("lasting", "done", "strange"))
    for directory in (lasting, done, strange):
        directory.mkdir()
    (strange / directories.MARK).write_text("nobody's")
    with directories.marked(done):
        assert len(list(done.iterdir())) == 1
    with directories.marked(lasting):
        assert directories.killed_in(tmp_path) == []
    assert [list(directory.iterdir()) for directory in (lasting, done)] == [[], []]

    name = "kith-chaos-1-2-beef"
    assert main(["chaos", "clean", name, "--dir", str(tmp_path)]) == 0
    assert "nothing is left" in capsys.readouterr().out
    assert strange.exists()


def test_the_directory_of_a_run_whose_process_has_ended_is_removed_by_its_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import os, sys, pathlib; from chaos.cli.real.directories import marked\n"
        "with marked(pathlib.Path(sys.argv[1])): os._exit(9)"
    )
    directory = tmp_path / "killed"
    directory.mkdir()
    subprocess.run([sys.executable, "-c", code, str(directory)], cwd=ROOT, check=False)
    (one,) = directories.killed_in(tmp_path)

    assert main(["chaos", "clean", one.name, "--dir", str(tmp_path), "--dry-run"]) == 1
    shown = capsys.readouterr().out
    assert main(["chaos", "clean", one.name, "--dir", str(tmp_path)]) == 0

    assert str(directory) in shown
    assert " left" in shown
    assert " removed" in capsys.readouterr().out
    assert not directory.exists()
    shutil.rmtree(tmp_path)
