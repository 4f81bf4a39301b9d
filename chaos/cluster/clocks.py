"""Wall clocks that are off: libfaketime, which nodes are run with.

The offset stands in a file that the library reads with every question for the time, so that a node
that runs can be told, too. The monotonic clock, and whatever is waited for, stays right.

Rules this module keeps:

1. A node reads the old offset or the new one, never half of it: files are replaced, not rewritten.
2. A node without the library is an error, not a clock that is right.
"""

from pathlib import Path

from .cluster import ClusterError

OFFSET_MAX_S = 10 * 366 * 86_400.0
LIBRARY = "libfaketimeMT.so.1"
"""The one for programs with threads."""
_PLACES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib")


def library_here() -> Path | None:
    """Where this machine has libfaketime."""
    for place in map(Path, _PLACES):
        for pattern in (f"*/faketime/{LIBRARY}", f"faketime/{LIBRARY}"):
            for found in sorted(place.glob(pattern)):
                return found
    return None


def why_not() -> str:
    """What keeps this machine from having such clocks; empty if nothing does."""
    return "" if library_here() else "no libfaketime; on Debian: apt-get install libfaketime"


class Clocks:
    """One offset for each node.

    Args:
        folder: of the offsets; made by `open`.
        seen_as: the same folder, as nodes see it.
        library: libfaketime, as nodes see it.
    """

    def __init__(self, folder: Path, *, library: Path, seen_as: Path | None = None) -> None:
        self._folder = folder
        self._seen_as = seen_as or folder
        self.library = library

    def open(self) -> None:
        """Make the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str) -> None:
        """A clock that is right, so far."""
        self.shift(name, 0.0)

    def environ(self, name: str) -> dict[str, str]:
        """What a node is run with, besides `LD_PRELOAD`."""
        return {
            "FAKETIME_TIMESTAMP_FILE": str(self._seen_as / self._file(name).name),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def shift(self, name: str, offset_s: float) -> None:
        """Let the clock of a node be so much off from now on. Raises ClusterError."""
        if not -OFFSET_MAX_S <= offset_s <= OFFSET_MAX_S:
            raise ClusterError(
                f"the clock of node {name}: {offset_s:g} s; {OFFSET_MAX_S:g} at most, either way"
            )
        file = self._file(name)
        whole = file.with_suffix(".new")
        try:
            whole.write_text(f"{offset_s:+.6f}\n", "ascii")
            whole.replace(file)
        except OSError as error:
            raise ClusterError(f"the clock of node {name} cannot be set: {error}") from None

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.clock"
