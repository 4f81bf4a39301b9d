"""What bends a node's surroundings does so, to that node alone, and ends when it is told to."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cluster import limits, small_disks
from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import (
    Ability,
    Cluster,
    ClusterError,
    DiskFailure,
    Member,
)
from chaos.cluster.kinds import make_cluster, running
from chaos.cluster.limits import Limits
from chaos.cluster.names import new_name

from .situations import (
    ONE,
    PATIENCE_S,
    TWO,
    ahead_s,
    answers,
    code,
    expect_within,
    open_cluster,
    register,
)

MIB = 1024 * 1024
DISK_BYTES = 12 * MIB
ROOT = Path(__file__).parents[3]
LAYERS = ("protocol", "storage", "node", "mesh", "chaos")
SLACK_S = 1.0
"""Between what two clocks say of one moment."""

pytestmark = pytest.mark.slow


@pytest.fixture
def two_clocks(tmp_path: Path) -> Iterator[Cluster]:
    with open_cluster("processes", tmp_path, TWO, Ability.CLOCKS) as cluster:
        yield cluster


def test_a_clock_is_moved_while_the_node_runs_and_across_its_restart(two_clocks: Cluster) -> None:
    a, b = two_clocks.members
    assert [abs(ahead_s(one)) < SLACK_S for one in (a, b)] == [True, True]

    a.shift_clock(3600.5)
    b.shift_clock(-90.25)

    assert ahead_s(a) == pytest.approx(3600.5, abs=SLACK_S)
    assert ahead_s(b) == pytest.approx(-90.25, abs=SLACK_S)
    a.kill()
    a.start()
    expect_within(PATIENCE_S, lambda: answers(a), "ready")
    assert ahead_s(a) == pytest.approx(3600.5, abs=SLACK_S)
    a.shift_clock(0)
    assert abs(ahead_s(a)) < SLACK_S


CLOCKS = """
import datetime, sys, threading, time
def read():
    begun = time.monotonic()
    wall = [time.time(), time.time_ns() / 1e9, datetime.datetime.now().timestamp()]
    steady = [time.monotonic(), time.perf_counter(), time.monotonic_ns() / 1e9]
    time.sleep(0.05)
    threading.Event().wait(0.05)
    print(*wall, *steady, time.monotonic() - begun, flush=True)
read()
sys.stdin.readline()
read()
"""


def test_wall_clocks_move_and_monotonic_ones_and_waits_do_not(two_clocks: Cluster) -> None:
    environ = Path(f"/proc/{two_clocks.members[0].pid}/environ").read_bytes().split(b"\0")
    bent = dict(word.decode().split("=", 1) for word in environ if word)
    with subprocess.Popen(
        [sys.executable, "-c", CLOCKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={key: bent[key] for key in ("LD_PRELOAD", "CHAOS_CLOCK_CONTROL")},
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        before = [float(word) for word in program.stdout.readline().split()]
        two_clocks.members[0].shift_clock(-1_000_000)
        said, _ = program.communicate("on\n", timeout=PATIENCE_S)
    after = [float(word) for word in said.split()]

    moved = [new - old for new, old in zip(after, before, strict=True)]
    assert [-1_000_000 <= wall < -999_900 for wall in moved[:3]] == [True] * 3
    assert [0 < steady < PATIENCE_S for steady in moved[3:6]] == [True] * 3
    assert 0.1 <= after[6] < PATIENCE_S


def test_a_clock_is_not_moved_out_of_all_bounds(two_clocks: Cluster) -> None:
    with pytest.raises(ClusterError, match="clock of node a"):
        two_clocks.members[0].shift_clock(1e12)


@pytest.fixture
def two_disks(tmp_path: Path) -> Iterator[Cluster]:
    with open_cluster("processes", tmp_path, TWO, Ability.DISK_ERRORS) as cluster:
        yield cluster


def test_a_full_disk_refuses_and_recovers(two_disks: Cluster) -> None:
    a, b = two_disks.members
    assert register(a).status == 201

    a.fail_disk(DiskFailure.FULL)

    refused = register(a, "more")
    assert (refused.status, code(refused)) == (503, "disk_full")
    assert register(b).status == 201, "only a's disk is full"
    a.fail_disk(None)
    expect_within(PATIENCE_S, lambda: register(a, "more").status in (200, 201), "room again")
    assert a.pid


@pytest.mark.parametrize("how", [DiskFailure.WRITES, DiskFailure.SYNCS])
def test_a_disk_that_fails_ends_the_node_and_not_its_neighbour(
    two_disks: Cluster, how: DiskFailure
) -> None:
    a, b = two_disks.members
    assert register(a).status == 201

    a.fail_disk(how)

    with contextlib.suppress(NoAnswerError):
        assert register(a, "more").status == 503
    expect_within(PATIENCE_S, lambda: a.pid == 0, "a ended")
    assert "storage_failed" in a.log.read_text()
    assert register(b).status == 201
    a.fail_disk(None)
    a.start()
    expect_within(PATIENCE_S, lambda: answers(a), "a is back")
    assert a.call("GET", "/v1/services/web").rows("instances") != []


def test_a_slow_disk_is_slow(two_disks: Cluster) -> None:
    a, _ = two_disks.members
    register(a)

    a.fail_disk(DiskFailure.SLOW)

    begun = time.perf_counter()
    assert register(a, "more").status == 201
    assert time.perf_counter() - begun >= 0.1
    assert a.pid


@pytest.mark.parametrize("kind", ["processes", "namespaces"])
def test_a_small_disk_has_its_size_and_is_gone_afterwards(kind: str, tmp_path: Path) -> None:
    plan = replace(TWO, disk_bytes=DISK_BYTES)
    with open_cluster(kind, tmp_path, plan, Ability.SMALL_DISKS) as cluster:
        a, b = cluster.members
        assert [shutil.disk_usage(one.data_dir).total for one in (a, b)] == [DISK_BYTES] * 2
        ballast = a.data_dir / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        expect_within(PATIENCE_S, lambda: code(register(a)) == "disk_full" or not a.pid, "no room")
        assert a.pid
        assert register(b).status == 201
        ballast.unlink()
        expect_within(PATIENCE_S, lambda: register(a).status in (200, 201), "room again")
        places = [one.data_dir for one in (a, b)]

    assert [place for _, place in small_disks.mounted() if place in places] == []


def test_a_node_is_in_its_group_and_is_held_to_what_it_was_told(tmp_path: Path) -> None:
    with open_cluster("namespaces", tmp_path, TWO, Ability.MEMORY, Ability.CPU) as cluster:
        a, b = cluster.members
        groups = Path(f"/proc/{a.pid}/cgroup").read_text()
        assert sum(line.endswith("/a") for line in groups.splitlines()) in (1, 2)

        a.limit(memory_bytes=200 * MIB, cpu_share=0.5)

        assert [limit_of(one) for one in (a, b)] == [200 * MIB, None]
        a.kill()
        a.start()
        expect_within(PATIENCE_S, lambda: answers(a), "ready within its limits")
        with pytest.raises(ClusterError, match="memory of node a"):
            a.limit(memory_bytes=1)
        with pytest.raises(ClusterError, match="processor of node a"):
            a.limit(cpu_share=-1)
        a.limit()
        assert limit_of(a) is None


def limit_of(member: Member) -> int | None:
    """Bytes of memory; None: no limit."""
    (group,) = (
        one / member.name
        for one in limits.groups()
        if member.pid in limits.members(one) and "cpu" not in one.parts
    )
    for name in ("memory.limit_in_bytes", "memory.max"):
        if (group / name).is_file():
            text = (group / name).read_text().strip()
            return None if text == "max" or int(text) > 2**60 else int(text)
    raise AssertionError(group)


@pytest.fixture
def group() -> Iterator[Limits]:
    if reason := limits.why_not():
        pytest.skip(f"NOT TESTED: limits of memory and processor; {reason}")
    made = Limits(new_name())
    made.open(["x"])
    yield made
    made.close()


def test_who_takes_more_memory_than_allowed_is_killed(group: Limits) -> None:
    group.limit("x", memory_bytes=48 * MIB, cpu_share=0)
    greedy = [sys.executable, "-c", f"x = bytearray(b'x') * {200 * MIB}"]

    assert subprocess.run(greedy, check=False).returncode == 0
    assert subprocess.run(group.wrap("x", greedy), check=False).returncode == -signal.SIGKILL


def test_who_takes_more_of_the_processor_than_allowed_waits(group: Limits) -> None:
    group.limit("x", memory_bytes=0, cpu_share=0.2)
    busy = "import time\nwhile time.perf_counter() < END: pass\nprint(time.process_time())"
    end = time.perf_counter() + 2.0

    used = subprocess.run(
        group.wrap("x", [sys.executable, "-c", busy.replace("END", str(end))]),
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    # Of two seconds at most a fifth, and one period more.
    assert float(used.stdout) < 0.6


def test_limits_of_the_second_version_are_written_where_its_files_are(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    name = new_name()
    groups = Limits(name, root=tmp_path)
    groups.open(["a"])
    group = tmp_path / name / "a"

    groups.limit("a", memory_bytes=64 * MIB, cpu_share=0.25)

    assert (tmp_path / name / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert (group / "memory.max").read_text() == str(64 * MIB)
    assert (group / "cpu.max").read_text() == "25000 100000"
    assert groups.wrap("a", ["true"])[3:] == [str(group / "cgroup.procs"), "true"]
    groups.limit("a", memory_bytes=0, cpu_share=0)
    assert (group / "memory.max").read_text() == "max"
    assert (group / "cpu.max").read_text() == "max 100000"


def test_a_node_of_another_build_runs_beside_the_others(tmp_path: Path) -> None:
    old = tmp_path / "old"
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, old / layer)
    (old / "node" / "version.py").write_text('"""Old."""\n\nVERSION = "0.0.7"\n')
    plan = replace(TWO, old=("b",), old_root=old)

    with open_cluster("processes", tmp_path / "run", plan, Ability.VERSIONS) as cluster:
        versions = [one.call("GET", "/v1/node").value["version"] for one in cluster.members]

    assert versions[1] == "0.0.7"
    assert versions[0] != "0.0.7"


def test_a_node_that_does_not_load_its_library_is_an_error(tmp_path: Path) -> None:
    old = tmp_path / "old"
    (old / ".venv" / "bin").mkdir(parents=True)
    for layer in LAYERS:
        (old / layer).symlink_to(ROOT / layer)
    python = old / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    plan = replace(TWO, old=("b",), old_root=old)

    with (
        pytest.raises(ClusterError, match=r"node b runs without shifted_clock\.so"),
        open_cluster("processes", tmp_path / "run", plan, Ability.VERSIONS, Ability.CLOCKS),
    ):
        pytest.fail("it started")


def test_another_build_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    plan = replace(TWO, old=("b",), old_root=tmp_path, needs=frozenset({Ability.VERSIONS}))
    cluster = make_cluster("processes", plan, tmp_path / "run")

    with pytest.raises(ClusterError, match="no checkout of Kith"), running(cluster):
        pytest.fail("it started")

    assert not (tmp_path / "run").exists()


def test_nodes_on_loopback_have_no_links_and_the_refusal_says_what_has(tmp_path: Path) -> None:
    plan = replace(ONE, needs=frozenset({Ability.LINKS}))

    with (
        pytest.raises(ClusterError, match="--cluster namespaces"),
        running(make_cluster("processes", plan, tmp_path)),
    ):
        pytest.fail("it started")


def test_what_the_plan_does_not_need_is_not_prepared_and_refused(tmp_path: Path) -> None:
    with open_cluster("processes", tmp_path, ONE) as cluster:
        (a,) = cluster.members
        assert b"LD_PRELOAD" not in Path(f"/proc/{a.pid}/environ").read_bytes()
        acts: list[tuple[Callable[[], None], str]] = [
            (lambda: a.limit(cpu_share=0.5), "cpu"),
            (lambda: a.limit(memory_bytes=MIB), "memory"),
            (lambda: a.shift_clock(1), "clocks"),
            (lambda: a.fail_disk(DiskFailure.FULL), "disk-errors"),
        ]
        for act, what in acts:
            with pytest.raises(ClusterError, match=f"nothing was prepared for {what}"):
                act()


def test_the_keys_of_a_node_lie_in_its_directory(tmp_path: Path) -> None:
    with open_cluster("namespaces", tmp_path, ONE, Ability.HOSTILE) as cluster:
        assert (cluster.members[0].data_dir / "identity.key").read_bytes()
