"""File systems of a size, in memory, that a node's data lies on: they can be filled up.

Rules this module keeps:

1. A mount bears the cluster's name as its source, so that a killed run's is found.
2. What was mounted is unmounted, in whatever way it is still used.
"""

import functools
import os
import shutil
import tempfile
from pathlib import Path

from .cluster import ClusterError
from .commands import run
from .names import PREFIX, name_in, new_name

BYTES_MIN = 1024 * 1024
_MOUNTS = Path("/proc/self/mounts")


@functools.cache
def why_not() -> str:
    """What keeps this machine from having such disks; empty if nothing does."""
    if os.geteuid() != 0:
        return "not root, who alone may mount file systems; run it as root"
    if not shutil.which("mount"):
        return "no mount; on Debian: apt-get install mount"
    disks = SmallDisks(new_name(), BYTES_MIN)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as place:
        try:
            disks.add(Path(place))
        except ClusterError as error:
            return f"this machine mounts no tmpfs: {error}"
        finally:
            disks.close()
    return ""


class SmallDisks:
    """So many file systems of one size.

    Args:
        name: of the cluster.
        size_bytes: of each.
    """

    def __init__(self, name: str, size_bytes: int) -> None:
        if size_bytes < BYTES_MIN:
            raise ClusterError(f"disk_bytes: {size_bytes}; a small disk has {BYTES_MIN} at least")
        self._name = name
        self._size_bytes = size_bytes

    def add(self, place: Path) -> None:
        """Mount one there. Raises ClusterError."""
        place.mkdir(parents=True, exist_ok=True)
        options = f"size={self._size_bytes},mode=0700"
        run(["mount", "-t", "tmpfs", "-o", options, self._name, str(place)])

    def close(self) -> None:
        """Unmount all, also what a start that was interrupted mounted. Raises ClusterError."""
        for source, place in mounted():
            if source == self._name:
                unmount(place)


def mounted() -> list[tuple[str, Path]]:
    """The mounts of all clusters: name, and where."""
    lines = (line.split(" ") for line in _MOUNTS.read_text("utf-8", "replace").splitlines())
    return [
        (line[0], Path(_unescaped(line[1])))
        for line in lines
        if line[0] and name_in(line[0]) == line[0]
    ]


def unmount(place: Path) -> None:
    """Unmount what is there; lazily, as whoever still uses it is about to end."""
    run(["umount", "--lazy", str(place)])


def _unescaped(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path
