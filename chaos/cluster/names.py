"""Names for what a cluster makes on this machine: they say whose it is, and whether that one lives.

    kith-chaos-4711-98765432-3f0a
               │    │        └ tells the clusters of one process apart
               │    └ when that process started, in the kernel's ticks: an id may be used again
               └ id of the process that made it

Namespaces, control groups, mounts, compose projects and the environment of every node bear such a
name, so that what a killed run left is found without any list that it would have had to keep.

Rules this module keeps:

1. Nobody is taken for dead who may be alive: a name that cannot be read has no owner.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "kith-chaos-"
VARIABLE = "CHAOS_CLUSTER"
"""Holds the name in the environment of every process of a cluster. Not `KITH_…`: that is a node's
configuration."""
_PROC = Path("/proc")
_START_FIELD = 19
"""Of `/proc/PID/stat`, counted after the command's name."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that made something."""

    pid: int
    start_ticks: int

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return self.start_ticks > 0 and _start_ticks(self.pid) == self.start_ticks


def owner(pid: int) -> Owner:
    """That process, told apart from any later one of the same id."""
    return Owner(pid, _start_ticks(pid))


def new_name() -> str:
    """A name of this process that it has not given before."""
    return f"{PREFIX}{os.getpid()}-{_start_ticks(os.getpid())}-{secrets.token_hex(2)}"


def name_in(text: str) -> str:
    """The name that a longer one begins with, as a namespace's does; empty if there is none."""
    parts = text.removeprefix(PREFIX).split("-")
    if not text.startswith(PREFIX) or len(parts) < 3:
        return ""
    return PREFIX + "-".join(parts[:3])


def owner_of(name: str) -> Owner | None:
    """Who made what bears this name; None if that is not one of ours."""
    parts = name_in(name).removeprefix(PREFIX).split("-")
    if len(parts) != 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return None
    return Owner(int(parts[0]), int(parts[1]))


def processes_by_name() -> Mapping[str, tuple[int, ...]]:
    """The ids of the processes whose environment holds a name, by that name."""
    mark = f"{VARIABLE}={PREFIX}".encode()
    found: dict[str, tuple[int, ...]] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # It ended, or is somebody else's.
        for word in words:
            if word.startswith(mark):
                name = word.partition(b"=")[2].decode("ascii", "replace")
                found[name] = (*found.get(name, ()), int(entry.name))
    return found


def _start_ticks(pid: int) -> int:
    """When a process started; 0 if there is none, or only its remains."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("ascii", "replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[_START_FIELD])
