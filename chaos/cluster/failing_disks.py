"""Disks whose writes and syncs fail when they are told to: a small library that nodes are run with.

Rules this module keeps:

1. Only what a node writes below its data directory fails; its log and its sockets never do.
"""

from collections.abc import Mapping
from pathlib import Path

from .cluster import DiskFailure
from .libraries import Library

_BYTES: Mapping[DiskFailure | None, bytes] = {
    None: b"-",
    DiskFailure.WRITES: b"w",
    DiskFailure.SYNCS: b"s",
    DiskFailure.FULL: b"f",
    DiskFailure.SLOW: b"l",
}


class FailingDisks(Library):
    """One switch for each node."""

    source = Path(__file__).with_name("failing_disk.c")
    at_rest = _BYTES[None]

    def environ(self, name: str, data_dir: Path) -> dict[str, str]:
        """What a node is run with, besides `LD_PRELOAD`; `data_dir` is as the node sees it."""
        return {"CHAOS_DISK_ROOT": str(data_dir), "CHAOS_DISK_CONTROL": self.seen_file(name)}

    def fail(self, name: str, how: DiskFailure | None) -> None:
        """Let its disk fail so from now on. Raises ClusterError."""
        self.tell(name, _BYTES[how], "the disk")
