"""What a run that was killed left on this machine: found by name, removed on request.

    namespace      and whatever runs in it
    process        a node, by the name in its environment
    mount          a small disk
    control group
    compose        a project: containers, networks, volumes

Rules this module keeps:

1. What belongs to a process that lives is left alone; so is whatever bears no name of ours.
2. Looking changes nothing.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from . import engine, limits, small_disks
from .cluster import ClusterError
from .commands import run
from .names import name_in, owner_of, processes_by_name
from .places import end_inside

NAMESPACE, PROCESS, MOUNT, GROUP, COMPOSE = (
    "namespace", "process", "mount", "control group", "compose project",
)  # fmt: skip
_NAMESPACES = Path("/run/netns")
_END_S = 10.0
_POLL_S = 0.02
_ROUNDS = 3
"""Of ending processes: one that was just being started may show only after the first."""


@dataclass(frozen=True, slots=True, order=True)
class Leftover:
    """Something that still bears a cluster's name."""

    kind: str
    what: str
    """Namespace, process id, mount point, group's directory, or compose project."""
    name: str
    """Of the cluster."""

    def __str__(self) -> str:
        """For people."""
        return f"{self.kind} {self.what}"


def find() -> tuple[Leftover, ...]:
    """All that clusters left whose process has ended. Raises ClusterError."""
    return tuple(one for one in everything() if _is_dead(one.name))


def find_of(name: str) -> tuple[Leftover, ...]:
    """All that bears the name of one cluster, whether its process runs or not."""
    return tuple(one for one in everything() if one.name == name)


def remove(found: Iterable[Leftover]) -> None:
    """Remove it.

    Raises:
        ClusterError: something is left, with its name; all that could be removed is.
    """
    failed: list[str] = []
    # Sorted as REMOVERS has it: what is still used cannot be removed.
    ordered = sorted(found, key=lambda one: list(_REMOVERS).index(one.kind))
    for one in ordered:
        try:
            _REMOVERS[one.kind](one.what)
        except ClusterError as error:
            failed.append(f"{one}: {error}")
    if failed:
        raise ClusterError("; ".join(failed))


def check_none(name: str) -> None:
    """Raises ClusterError that names what still bears this name."""
    if left := find_of(name):
        raise ClusterError(f"left behind: {', '.join(map(str, left))}")


def end_processes(name: str) -> None:
    """Kill -9 the processes with this name in their environment, and wait. Raises ClusterError."""
    for _ in range(_ROUNDS):
        pids = processes_by_name().get(name, ())
        if not pids:
            return
        for pid in pids:
            _kill(pid)
        _await_end(name)


def everything() -> list[Leftover]:
    """All that bears a cluster's name, of those that live, too. Raises ClusterError."""
    found = [
        Leftover(NAMESPACE, path.name, name_in(path.name))
        for path in (_NAMESPACES.iterdir() if _NAMESPACES.is_dir() else ())
        if name_in(path.name)
    ]
    for name, pids in processes_by_name().items():
        found += [Leftover(PROCESS, str(pid), name) for pid in pids if pid != os.getpid()]
    found += [Leftover(MOUNT, str(place), name) for name, place in small_disks.mounted()]
    found += [Leftover(GROUP, str(group), group.name) for group in limits.groups()]
    found += [Leftover(COMPOSE, project, project) for project in _projects()]
    return sorted(found)


def _is_dead(name: str) -> bool:
    owner = owner_of(name)
    return owner is not None and not owner.is_alive


def _projects() -> list[str]:
    """Compose projects of clusters that have anything left; none where Docker does not answer."""
    if engine.why_not():
        return []
    found: list[str] = []
    for kind in ("ps --all", "network ls", "volume ls"):
        words = ["docker", *kind.split(), "--filter", f"label={engine.PROJECT_LABEL}"]
        template = f'{{{{.Label "{engine.PROJECT_LABEL}"}}}}'
        found += run([*words, "--format", template]).split()
    return [name for name in dict.fromkeys(found) if name_in(name) == name]


def _remove_process(what: str) -> None:
    _kill(int(what))


def _remove_namespace(what: str) -> None:
    if (_NAMESPACES / what).exists():
        end_inside(what)
        run(["ip", "netns", "delete", what])


def _remove_mount(what: str) -> None:
    small_disks.unmount(Path(what))


def _remove_group(what: str) -> None:
    group = Path(what)
    if group.is_dir():
        for pid in limits.members(group):
            _kill(pid)
        limits.remove(group)


def remove_project(project: str) -> None:
    """Remove a compose project's containers, networks and volumes. Raises ClusterError."""
    for container in engine.containers(f"label={engine.PROJECT_LABEL}={project}"):
        engine.end_visitors(container.init_pid)
    for listing, removal in (
        ("ps --all --quiet", "rm --force --volumes"),
        ("network ls --quiet", "network rm"),
        ("volume ls --quiet", "volume rm --force"),
    ):
        words = ["docker", *listing.split(), "--filter", f"label={engine.PROJECT_LABEL}={project}"]
        if found := run(words).split():
            run(["docker", *removal.split(), *found])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ClusterError(f"process {pid} is another user's; run it as root") from None


def _await_end(name: str) -> None:
    end = time.perf_counter() + _END_S
    while pids := processes_by_name().get(name, ()):
        if time.perf_counter() > end:
            raise ClusterError(f"processes {pids} do not end")
        time.sleep(_POLL_S)


_REMOVERS: dict[str, Callable[[str], None]] = {
    PROCESS: _remove_process,
    NAMESPACE: _remove_namespace,
    COMPOSE: remove_project,
    GROUP: _remove_group,
    MOUNT: _remove_mount,
}
