"""What the image and the compose file promise, read from their text and asked of the tools."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODES = ("a", "b", "c", "d", "e")
SERVICES = ("web", "payments")
CONFIG_WITHIN_S = 30.0


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, each on one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in pairs]


def last_stage() -> dict[str, str]:
    """The instructions of the image that is run; of several of a kind, the last."""
    found: dict[str, str] = {}
    for word, rest in instructions():
        if word == "FROM":
            found = {}
        found[word] = rest
    return found


def compose() -> tuple[str, ...]:
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    if shutil.which("docker"):
        told = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if told.returncode == 0:
            return ("docker", "compose")
    return ()


@pytest.fixture(scope="module")
def normalised() -> str:
    """The compose file as the tool itself understands it, variables and anchors filled in."""
    command = compose()
    if not command:
        pytest.skip("NOT TESTED: the compose file; neither docker-compose nor Compose v2 is here")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("KITH_")}
    done = subprocess.run(
        [*command, "config"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=CONFIG_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def service(normalised: str, name: str) -> str:
    """The lines below one service; the tools indent by two."""
    lines = normalised.partition("\nservices:\n")[2].splitlines()
    begin = lines.index(f"  {name}:") + 1
    inside = itertools.takewhile(lambda line: line.startswith("    "), lines[begin:])
    return "\n".join(inside)


def test_the_image_runs_as_a_normal_user_whose_data_is_a_volume() -> None:
    image = last_stage()

    assert image["USER"] == "10001:10001"
    assert image["VOLUME"] == "/data"
    assert image["STOPSIGNAL"] == "SIGTERM"
    assert image["ENTRYPOINT"] == '["kith"]'
    order = [word for word, _ in instructions()]
    assert "RUN" not in order[order.index("USER") :], "nothing is done as root after that"


def test_the_image_keeps_the_bytecode_that_a_node_needs_and_may_not_write() -> None:
    image, order = last_stage(), [word for word, _ in instructions()]
    optimized = "PYTHONOPTIMIZE=2"

    assert image["RUN"].startswith(f"{optimized} ")
    assert "kith node" in image["RUN"]
    assert optimized in image["ENV"].split()
    assert "PYTHONDONTWRITEBYTECODE=1" in image["ENV"].split()
    assert order.index("ENV") > len(order) - 1 - order[::-1].index("RUN"), "written before"


def test_the_image_says_how_to_see_that_it_is_alive() -> None:
    assert "healthcheck.py" in last_stage()["HEALTHCHECK"]


def test_the_base_image_is_an_argument_of_every_stage() -> None:
    first, *others = instructions()

    assert first == ("ARG", "BASE_IMAGE=python:3.11-slim")
    bases = [rest for word, rest in others if word == "FROM"]
    assert bases == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]


def test_what_the_dockerfile_takes_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert "*" in ignored, "only what is listed gets into the image"
    for wanted in ("pyproject.toml", "constraints.txt", "README.md", "deploy/container"):
        assert f"!{wanted}" in ignored
        assert (ROOT / wanted).exists()


@pytest.mark.parametrize("name", NODES)
def test_a_composed_node_keeps_its_data_and_is_confined(normalised: str, name: str) -> None:
    told = service(normalised, name)

    assert f"hostname: {name}" in told
    assert "/data" in told
    assert "restart: unless-stopped" in told
    assert "stop_grace_period: " in told
    assert "mem_limit: " in told
    assert "read_only: true" in told
    assert "no-new-privileges:true" in told
    assert "privileged: true" not in told


def test_each_composed_node_knows_two_others_and_everyone_is_known(normalised: str) -> None:
    known: list[str] = []
    for name in NODES:
        line = next(x for x in service(normalised, name).splitlines() if "KITH_SEED" in x)
        seeds = [seed.partition(":")[0] for seed in line.split(": ", 1)[1].strip("\"'").split(",")]
        assert len(seeds) == 2
        assert name not in seeds
        known += seeds

    assert sorted(known) == sorted(NODES * 2)


def test_only_loopback_of_this_machine_is_given_a_port(normalised: str) -> None:
    published = [name for name in (*NODES, *SERVICES) if "ports:" in service(normalised, name)]

    assert published == ["a"]
    told = service(normalised, "a")
    assert "127.0.0.1:8400:8400" in told or "host_ip: 127.0.0.1" in told


@pytest.mark.parametrize("name", SERVICES)
def test_a_composed_service_registers_itself_with_a_node(normalised: str, name: str) -> None:
    told = service(normalised, name)

    assert "/opt/kith/demo_service.py" in told
    assert "KITH_API: http://" in told
    assert "healthcheck:" in told
