"""What a killed run leaves is found, all of it and nothing else, and removed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.cluster import leftovers
from chaos.cluster.cluster import Ability
from chaos.cluster.leftovers import Leftover
from chaos.cluster.local import LocalCluster
from chaos.cluster.names import name_in, new_name, owner_of

from .situations import PATIENCE_S, THREE, open_cluster, skip_unless_possible

ROOT = Path(__file__).parents[3]
RUN = """
import sys
from pathlib import Path
from chaos.cluster.cluster import Ability, ClusterPlan
from chaos.cluster.kinds import make_cluster, running

kind, directory, *needs = sys.argv[1:]
needs = frozenset(map(Ability, needs))
plan = ClusterPlan(names=("a", "b"), needs=needs, disk_bytes=16 * 1024 * 1024)
with running(make_cluster(kind, plan, Path(directory))):
    print("started", flush=True)
    sys.stdin.read()
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "run"


def begin(kind: str, directory: Path, *needs: Ability) -> subprocess.Popen[str]:
    """A run in a process of its own, whose nodes are ready."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, kind, str(directory), *(need.value for need in needs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "started\n"
    return run


def end(run: subprocess.Popen[str], number: int) -> int:
    run.send_signal(number)
    run.communicate(timeout=PATIENCE_S)
    return run.returncode


def left_by(pid: int) -> list[Leftover]:
    """Others may test on this machine, too: only what that process left."""
    owners = {one: owner_of(one.name) for one in leftovers.find()}
    return [one for one, owner in owners.items() if owner and owner.pid == pid]


@pytest.fixture
def needs() -> list[Ability]:
    wanted = (Ability.MEMORY, Ability.SMALL_DISKS)
    plain = LocalCluster("processes", THREE, Path("/nowhere"))
    return [ability for ability in wanted if not plain.why_not(ability)]


@pytest.mark.parametrize("kind", ["processes", "namespaces", "compose"])
def test_what_a_killed_run_left_is_found_and_removed(
    kind: str, directory: Path, needs: list[Ability]
) -> None:
    skip_unless_possible(kind)
    run = begin(kind, directory, *needs)
    assert left_by(run.pid) == [], "it lives"

    end(run, signal.SIGKILL)

    left = left_by(run.pid)
    counts = {
        what: sum(one.kind == what for one in left) for what in sorted({o.kind for o in left})
    }
    assert counts.get(leftovers.PROCESS, 0) == (0 if kind == "compose" else 2)
    assert counts.get(leftovers.NAMESPACE, 0) == (3 if kind == "namespaces" else 0)
    assert counts.get(leftovers.COMPOSE, 0) == (1 if kind == "compose" else 0)
    assert counts.get(leftovers.MOUNT, 0) == (2 if Ability.SMALL_DISKS in needs else 0)
    assert (leftovers.GROUP in counts) == (Ability.MEMORY in needs and kind != "compose")
    pids = [int(one.what) for one in left if one.kind == leftovers.PROCESS]
    leftovers.remove(left)
    assert left_by(run.pid) == []
    assert [pid for pid in pids if Path(f"/proc/{pid}/environ").exists() and is_node(pid)] == []


def is_node(pid: int) -> bool:
    return b"node.cli" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("kind", ["processes", "namespaces", "compose"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_interrupted_leaves_nothing(
    kind: str, number: signal.Signals, directory: Path, needs: list[Ability]
) -> None:
    skip_unless_possible(kind)
    run = begin(kind, directory, *needs)

    code = end(run, number)

    assert code in (128 + number, -number)
    assert left_by(run.pid) == []


def test_a_cluster_that_lives_is_no_leftover(directory: Path) -> None:
    with open_cluster("processes", directory):
        owners = [owner_of(one.name) for one in leftovers.find()]
        assert [owner for owner in owners if owner and owner.pid == os.getpid()] == []


def test_a_name_says_who_made_it() -> None:
    name = new_name()

    owner = owner_of(name)

    assert owner is not None
    assert (owner.pid, owner.is_alive) == (os.getpid(), True)
    assert name_in(f"{name}-switch") == name
    assert new_name() != name


@pytest.mark.parametrize(
    "strange", ["", "kith-3f0a11-0", "kith-chaos-", "kith-chaos-a-b-c", "eth0", "kith-chaos-1-2"]
)
def test_a_name_that_is_none_of_ours_has_no_owner(strange: str) -> None:
    assert owner_of(strange) is None
