"""Disks whose writes and syncs fail when they are told to: a small library that nodes are run with.

Rules this module keeps:

1. Only what a node writes below its data directory fails; its log and its sockets never do.
2. A node that runs can be told, too: it looks at one byte with every call.
3. A node without the library is an error, not a disk that never fails.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .cluster import DiskFailure
from .compiling import compile_library
from .compiling import why_not as _why_not
from .switches import write_in_place

_SOURCE = Path(__file__).with_name("failing_disk.c")
_BYTES: Mapping[DiskFailure | None, bytes] = {
    None: b"-",
    DiskFailure.WRITES: b"w",
    DiskFailure.SYNCS: b"s",
    DiskFailure.FULL: b"f",
    DiskFailure.SLOW: b"l",
}


def why_not() -> str:
    """What keeps this machine from having such disks; empty if nothing does."""
    return _why_not(_SOURCE)


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

    def open(self, names: Sequence[str]) -> None:
        """Compile the library; these nodes' disks fail not, so far. Raises ClusterError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        compile_library(_SOURCE, self._folder / self.library.name)
        for name in names:
            self._switch(name).write_bytes(_BYTES[None])

    def environ(self, name: str, data_dir: Path) -> dict[str, str]:
        """What a node is run with, besides `LD_PRELOAD`; `data_dir` is as the node sees it."""
        return {
            "CHAOS_DISK_ROOT": str(data_dir),
            "CHAOS_DISK_CONTROL": str(self._seen_as / self._switch(name).name),
        }

    def fail(self, name: str, how: DiskFailure | None) -> None:
        """Let its disk fail so from now on. Raises ClusterError."""
        write_in_place(self._switch(name), _BYTES[how], f"the disk of node {name}")

    def _switch(self, name: str) -> Path:
        return self._folder / f"{name}.disk"
