"""Control groups that hold nodes to some memory and some of a processor.

    version 1    /sys/fs/cgroup/memory/NAME/NODE and /sys/fs/cgroup/cpu/NAME/NODE
    version 2    /sys/fs/cgroup/NAME/NODE

Rules this module keeps:

1. A node is in its group before its first instruction, and a limit holds while it runs.
2. A group bears the cluster's name, so that a killed run's is found.
"""

import functools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .cluster import ClusterError
from .names import PREFIX, name_in, new_name

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
SHARE_MIN = 0.01
MEMORY_MIN_BYTES = 4 * 1024 * 1024
_POLL_S = 0.02
_REMOVALS = 250
"""Tries; a group whose processes were killed just now is busy for a moment."""
_ENTER = 'echo $$ >"$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the groups of this machine are, and what their files are called."""

    roots: tuple[Path, ...]
    """Of the hierarchies, memory's first."""
    memory_file: str
    cpu_file: str
    no_memory_limit: str
    is_unified: bool


def layout(root: Path = ROOT) -> _Layout | None:
    """How control groups lie on this machine; None if there are none that can be used."""
    if (root / "memory").is_dir() and (root / "cpu").is_dir():
        roots = (root / "memory", root / "cpu")
        return _Layout(roots, "memory.limit_in_bytes", "cpu.cfs_quota_us", "-1", is_unified=False)
    offered = root / "cgroup.controllers"
    if offered.is_file() and {"memory", "cpu"} <= set(offered.read_text("ascii").split()):
        return _Layout((root,), "memory.max", "cpu.max", "max", is_unified=True)
    return None


@functools.cache
def why_not() -> str:
    """What keeps this machine from having such groups; empty if nothing does."""
    if os.geteuid() != 0:
        return "not root, who alone may make control groups; run it as root"
    if layout() is None:
        return f"no control groups of memory and cpu below {ROOT}; mount them"
    trial = Limits(new_name())
    try:
        trial.open(["trial"])
    except ClusterError as error:
        return str(error)
    finally:
        trial.close()
    return ""


class Limits:
    """A group for each node of a cluster.

    Args:
        name: of the cluster.
        root: where control groups are mounted.
    """

    def __init__(self, name: str, *, root: Path = ROOT) -> None:
        self._name = name
        self._root = root

    def open(self, nodes: Sequence[str]) -> None:
        """Make them. Raises ClusterError."""
        found = self._layout()
        try:
            for root in found.roots:
                if found.is_unified:
                    _delegate(root)
                (root / self._name).mkdir()
                if found.is_unified:
                    _delegate(root / self._name)
                for node in nodes:
                    (root / self._name / node).mkdir()
        except OSError as error:
            raise ClusterError(f"no control groups can be made here: {error}") from None

    def wrap(self, node: str, words: Sequence[str]) -> list[str]:
        """The words that run a program in the group of a node; it takes the shell's place."""
        wrapped = list(words)
        for root in self._layout().roots:
            procs = root / self._name / node / "cgroup.procs"
            wrapped = ["/bin/sh", "-c", _ENTER, str(procs), *wrapped]
        return wrapped

    def limit(self, node: str, *, memory_bytes: int, cpu_share: float) -> None:
        """Hold a node to this from now on; 0: no limit. Raises ClusterError."""
        if memory_bytes and memory_bytes < MEMORY_MIN_BYTES:
            raise ClusterError(
                f"memory of node {node}: {memory_bytes} bytes; {MEMORY_MIN_BYTES} at least"
            )
        if cpu_share and not SHARE_MIN <= cpu_share <= 1_000:
            raise ClusterError(
                f"processor of node {node}: {cpu_share:g}; {SHARE_MIN} of one at least"
            )
        found = self._layout()
        quota = str(round(cpu_share * PERIOD_US)) if cpu_share else ""
        memory = str(memory_bytes) if memory_bytes else found.no_memory_limit
        self._write(found.roots[0] / self._name / node / found.memory_file, memory, node)
        cpu = f"{quota or 'max'} {PERIOD_US}" if found.is_unified else quota or "-1"
        self._write(found.roots[-1] / self._name / node / found.cpu_file, cpu, node)

    def close(self) -> None:
        """Remove them; their processes have ended. Raises ClusterError."""
        for group in groups(self._root):
            if group.name == self._name:
                remove(group)

    def _layout(self) -> _Layout:
        found = layout(self._root)
        if found is None:
            raise ClusterError(f"no control groups of memory and cpu below {self._root}")
        return found

    def _write(self, file: Path, text: str, node: str) -> None:
        try:
            file.write_text(text, "ascii")
        except OSError as error:
            hint = "; it uses more than that" if file.name.startswith("memory") else ""
            raise ClusterError(f"node {node} cannot be limited: {error}{hint}") from None


def groups(root: Path = ROOT) -> list[Path]:
    """The groups of all clusters on this machine."""
    found = layout(root)
    every = [path for one in (found.roots if found else ()) for path in one.glob(f"{PREFIX}*")]
    return sorted(path for path in every if name_in(path.name) == path.name)


def members(group: Path) -> list[int]:
    """The ids of the processes in a group and those below it."""
    every = [group, *(path for path in group.iterdir() if path.is_dir())]
    return [int(word) for one in every for word in (one / "cgroup.procs").read_text().split()]


def remove(group: Path) -> None:
    """Remove a group and those below it. Raises ClusterError."""
    for path in [*(path for path in group.iterdir() if path.is_dir()), group]:
        for left in reversed(range(_REMOVALS)):
            try:
                path.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError as error:
                if not left:
                    raise ClusterError(f"control group {path} is left: {error}") from None
                time.sleep(_POLL_S)


def _delegate(group: Path) -> None:
    (group / "cgroup.subtree_control").write_text("+memory +cpu", "ascii")
