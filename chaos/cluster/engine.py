"""The Docker engine of this machine, by its command line.

Rules this module keeps:

1. Every command ends within its time.
2. What the engine says is read as JSON, never as text for people.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .client import Json, Shape
from .cluster import ClusterError
from .commands import run, succeeds

IMAGE_DEFAULT = "kith:dev"
MAKE_IMAGE = "make image BASE_IMAGE=…  (any image with Python 3.11 or newer)"
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
DATA = "/data"
USER_ID = 10_001
"""Of the node in its container; `Dockerfile` says so."""
_ANSWER_S = 5.0
_LOGS_S = 60.0
_PROC = Path("/proc")
_INITS = ("docker-init", "tini")


def image() -> str:
    """Of which nodes are made."""
    return os.environ.get("KITH_IMAGE") or IMAGE_DEFAULT


def why_not() -> str:
    """What keeps this machine from having containers; empty if nothing does."""
    if not shutil.which("docker"):
        return "no docker; on Debian: apt-get install docker.io"
    if not succeeds(["docker", "version"], timeout_s=_ANSWER_S):
        return "the Docker engine does not answer; start it, and see that `docker version` works"
    return ""


def why_no_image() -> str:
    """What keeps this machine from making nodes of the image; empty if nothing does."""
    if succeeds(["docker", "image", "inspect", image()], timeout_s=_ANSWER_S):
        return ""
    return f"no image {image()}; {MAKE_IMAGE}"


def compose() -> list[str]:
    """The words of Compose on this machine; none if it has none."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if succeeds(["docker", "compose", "version"], timeout_s=_ANSWER_S):
        return ["docker", "compose"]
    return []


def docker(*words: str) -> str:
    """One command of the engine. Raises ClusterError."""
    return run(["docker", *words])


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine knew of a container when it was asked."""

    id: str
    service: str
    project: str
    is_running: bool
    init_pid: int
    """Of its first process, on this machine."""
    entrypoint: tuple[str, ...]
    environ: Mapping[str, str]
    addresses: tuple[str, ...]
    data_dir: Path | None
    memory_bytes: int
    cpus: float
    restarts: bool
    """Whether the engine starts it again when it ends by itself."""


def containers(*filters: str) -> list[Container]:
    """Those that pass all filters, running or not. Raises ClusterError."""
    words = [word for one in filters for word in ("--filter", one)]
    ids = docker("ps", "--all", "--quiet", "--no-trunc", *words).split()
    return inspect(*ids) if ids else []


def inspect(*ids: str) -> list[Container]:
    """By id or name. Raises ClusterError."""
    found: Json = json.loads(docker("inspect", "--type", "container", *ids))
    return [_container(one) for one in _shapes(found)]


def write_log(container: str, log: Path, *, since: str = "") -> None:
    """Put all that a container said into a file. Raises ClusterError."""
    words = ["docker", "logs", *(("--since", since) if since else ()), container]
    try:
        with log.open("wb") as file:
            subprocess.run(  # noqa: S603 - our own words, no shell
                words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                timeout=_LOGS_S, check=True, start_new_session=True,
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise ClusterError(f"the log of container {container} is not to be had: {error}") from None


def node_pid(init_pid: int) -> int:
    """The node below a container's init, or itself where there is none; 0 if it is not there yet.

    Raises:
        ClusterError: the container's processes are not on this machine.
    """
    if not init_pid:
        return 0
    place = _PROC / str(init_pid)
    try:
        if (place / "comm").read_text("ascii", "replace").strip() not in _INITS:
            return init_pid
        children = (place / "task" / str(init_pid) / "children").read_text("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(children[0]) if children else 0


def end_visitors(init_pid: int) -> None:
    """Kill -9 the processes of this machine that were put into a container's network."""
    network = _namespace(init_pid, "net")
    if not network or network == _namespace(os.getpid(), "net"):
        return
    ours = _namespace(os.getpid(), "pid")
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        pid = int(entry.name)
        if _namespace(pid, "net") == network and _namespace(pid, "pid") == ours:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _namespace(pid: int, kind: str) -> str:
    try:
        return str((_PROC / str(pid) / "ns" / kind).readlink())
    except OSError:
        return ""


def _container(found: Shape) -> Container:
    config, host = _shape(found.get("Config")), _shape(found.get("HostConfig"))
    state, labels = _shape(found.get("State")), _shape(config.get("Labels"))
    networks = _shape(_shape(found.get("NetworkSettings")).get("Networks"))
    addresses = (str(_shape(one).get("IPAddress") or "") for one in networks.values())
    mounts = [one for one in _shapes(found.get("Mounts")) if one.get("Destination") == DATA]
    restart = _shape(host.get("RestartPolicy")).get("Name")
    return Container(
        id=str(found["Id"]),
        service=str(labels.get(SERVICE_LABEL, "")),
        project=str(labels.get(PROJECT_LABEL, "")),
        is_running=state.get("Running") is True,
        init_pid=_whole(state.get("Pid")),
        entrypoint=tuple(_words(config.get("Entrypoint"))),
        environ=dict(word.split("=", 1) for word in _words(config.get("Env")) if "=" in word),
        addresses=tuple(address for address in addresses if address),
        data_dir=Path(str(mounts[0]["Source"])) if mounts else None,
        memory_bytes=_whole(host.get("Memory")),
        cpus=_whole(host.get("NanoCpus")) / 1e9,
        restarts=restart not in ("no", "", None),
    )


def _shape(value: Json) -> Shape:
    return value if isinstance(value, dict) else {}


def _shapes(value: Json) -> Sequence[Shape]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _words(value: Json) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0
