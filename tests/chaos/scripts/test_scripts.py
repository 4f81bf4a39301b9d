"""The shell scripts that cut the compose cluster: what they refuse, and that they cut and heal."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "chaos" / "scripts"
IMAGE = "kith:dev"
PATIENCE_S = 120.0
COMMAND_S = 120.0
POLL_S = 0.5


def run(*words: str, project: str = "none") -> "subprocess.CompletedProcess[str]":
    """One command at the root of the checkout, in a compose project."""
    environ = {**os.environ, "COMPOSE_PROJECT_NAME": project, "KITH_PORT": "0"}
    return subprocess.run(
        words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )


def expect(holds: Callable[[], bool], what: str) -> None:
    """Look until it holds."""
    end = time.perf_counter() + PATIENCE_S
    while not holds():
        assert time.perf_counter() < end, what
        time.sleep(POLL_S)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 64, "usage: "),
        (("a,b",), 64, "usage: "),
        (("a,b", "b,c"), 64, "b is in two groups"),
    ],
)
def test_what_is_no_partition_is_refused(words: tuple[str, ...], code: int, said: str) -> None:
    if not shutil.which("docker"):
        pytest.skip("NOT TESTED: scripts that cut containers; docker is not there")
    project = "kith-chaos-nobody"
    done = run(str(SCRIPTS / "partition.sh"), *words, project=project)

    assert done.returncode in (code, 1)  # 1: no container of the first node runs
    assert said in done.stderr or "no container of node a runs" in done.stderr


@pytest.fixture
def project() -> Iterator[str]:
    """A compose cluster of its own."""
    if os.geteuid() != 0 or not shutil.which("docker") or not shutil.which("docker-compose"):
        pytest.skip("NOT TESTED: scripts that cut containers; they need root and docker-compose")
    if run("docker", "image", "inspect", IMAGE).returncode:
        pytest.skip(f"NOT TESTED: scripts that cut containers; no image {IMAGE}: make image")
    name = f"kith-chaos-{secrets.token_hex(4)}"
    try:
        started = run("docker-compose", "up", "-d", "a", "b", "c", project=name)
        assert started.returncode == 0, started.stderr
        yield name
    finally:
        run("docker-compose", "down", "--volumes", "--timeout", "5", project=name)


@pytest.mark.slow
def test_a_partition_is_held_until_it_is_healed(project: str) -> None:
    def statuses() -> dict[str, str]:
        words = ("docker-compose", "exec", "-T", "a", "kith", "peers", "--json")
        done = run(*words, project=project)
        try:
            rows = json.loads(done.stdout)["peers"]
        except (ValueError, KeyError):
            return {}
        return {row["name"]: row["status"] for row in rows}

    alive = dict.fromkeys("abc", "alive")
    expect(lambda: statuses() == alive, "all see each other")

    cut = run(str(SCRIPTS / "partition.sh"), "a,b", "c", project=project)
    assert (cut.returncode, cut.stdout) == (0, "cut apart: a,b c\n"), cut.stderr
    expect(lambda: statuses().get("c") == "unreachable", "a misses c")
    healed = run(str(SCRIPTS / "heal.sh"), project=project)

    assert healed.stdout.split() == ["healed:", "a", "healed:", "b", "healed:", "c"], healed.stderr
    expect(lambda: statuses() == alive, "all see each other again")
    assert run(str(SCRIPTS / "heal.sh"), project=project).stdout == ""
