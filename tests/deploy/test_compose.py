"""The composed cluster itself, with a project of its own, if the engine and the image are here."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from deploy import wait_healthy

ROOT = Path(__file__).parents[2]
IMAGE = "kith:dev"
PROJECT = f"kith-test-{os.getpid()}"
COMPOSE = ("docker-compose", "-p", PROJECT)
HEALTHY_WITHIN_S = 120.0
ENVIRON = {**os.environ, "KITH_PORT": "0"}


def output(*command: str, timeout_s: float = 60.0) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def image_is_here() -> bool:
    if not (shutil.which("docker") and shutil.which("docker-compose")):
        return False
    try:
        done = subprocess.run(
            ["docker", "image", "inspect", IMAGE], capture_output=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    if not image_is_here():
        pytest.skip(f"NOT TESTED: the composed cluster; no Docker with {IMAGE} (make image)")
    try:
        output(*COMPOSE, "up", "-d", "--no-build")
        yield
    finally:
        subprocess.run(
            [*COMPOSE, "down", "--volumes", "--timeout", "5"],
            cwd=ROOT,
            env=ENVIRON,
            capture_output=True,
            timeout=90,
            check=False,
        )


@pytest.mark.slow
def test_a_service_registered_in_one_container_is_found_through_another(
    cluster: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wait_healthy.main(COMPOSE, within_s=HEALTHY_WITHIN_S) == 0, capsys.readouterr().err

    found = orjson.loads(
        output(*COMPOSE, "exec", "-T", "e", "kith", "lookup", "web", "--json", timeout_s=20)
    )

    assert [one["health"] for one in found["instances"]] == ["passing"]
    users = output(*COMPOSE, "exec", "-T", "c", "id", "-u", timeout_s=20)
    assert users.strip() == "10001"
