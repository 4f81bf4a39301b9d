"""Disks whose writes and syncs fail when they are told to: a small library that nodes are run with.

Rules this module keeps:

1. Only what a node writes below its data directory fails; its log and its sockets never do.
2. A node that runs can be told, too: it looks at one byte with every call.
3. A node without the library is an error, not a disk that never fails.
"""

import functools
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .cluster import ClusterError, DiskFailure
from .commands import run

_SOURCE = Path(__file__).with_name("failing_disk.c")
_BYTES: Mapping[DiskFailure | None, bytes] = {
    None: b"-",
    DiskFailure.WRITES: b"w",
    DiskFailure.SYNCS: b"s",
    DiskFailure.FULL: b"f",
    DiskFailure.SLOW: b"l",
}


@functools.cache
def why_not() -> str:
    """What keeps this machine from having such disks; empty if nothing does."""
    if _compiler() == "":
        return "no C compiler; on Debian: apt-get install gcc libc6-dev"
    with tempfile.TemporaryDirectory() as place:
        try:
            _compile(Path(place) / "trial.so")
        except ClusterError as error:
            return f"the compiler fails: {error}; on Debian: apt-get install gcc libc6-dev"
    return ""


class FailingDisks:
    """One switch for each node.

    Args:
        folder: of the library and of the switches; made by `open`.
        seen_as: the same folder, as nodes see it.
    """

    def __init__(self, folder: Path, *, seen_as: Path | None = None) -> None:
        self._folder = folder
        self._seen_as = seen_as or folder
        self.library = self._seen_as / "failing_disk.so"
        """As nodes see it."""

    def open(self) -> None:
        """Compile the library. Raises ClusterError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _compile(self._folder / self.library.name)

    def add(self, name: str) -> None:
        """Make the switch of a node; nothing fails yet."""
        self._switch(name).write_bytes(_BYTES[None])

    def environ(self, name: str, data_dir: Path) -> dict[str, str]:
        """What a node is run with, besides `LD_PRELOAD`; `data_dir` is as the node sees it."""
        return {
            "CHAOS_DISK_ROOT": str(data_dir),
            "CHAOS_DISK_CONTROL": str(self._seen_as / self._switch(name).name),
        }

    def fail(self, name: str, how: DiskFailure | None) -> None:
        """Let its disk fail so from now on. Raises ClusterError."""
        try:
            # In place: a new file would not be the one that the node looks at.
            file = os.open(self._switch(name), os.O_WRONLY)
            try:
                os.pwrite(file, _BYTES[how], 0)
            finally:
                os.close(file)
        except OSError as error:
            raise ClusterError(f"the disk of node {name} cannot be told: {error}") from None

    def _switch(self, name: str) -> Path:
        return self._folder / f"{name}.disk"


def _compiler() -> str:
    return shutil.which("cc") or shutil.which("gcc") or ""


def _compile(library: Path) -> None:
    words = [_compiler(), "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    run(words)
