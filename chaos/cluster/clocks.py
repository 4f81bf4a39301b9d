"""Wall clocks that are off: a small library that nodes are run with moves them.

Not libfaketime: with it, Python's `time.sleep` fails where the clock was moved, since it sleeps
until a moment of the monotonic clock (libfaketime 0.9.10, Python 3.11), and each question for the
time reads a file.

Rules this module keeps:

1. A node that runs can be told, too: it looks at eight bytes with every question for the time.
2. The monotonic clock and whatever is waited for stay right.
3. A node without the library is an error, not a clock that is right.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

from .cluster import ClusterError
from .compiling import compile_library
from .compiling import why_not as _why_not
from .switches import write_in_place

OFFSET_MAX_S = 10 * 366 * 86_400.0
_SOURCE = Path(__file__).with_name("shifted_clock.c")


def why_not() -> str:
    """What keeps this machine from having such clocks; empty if nothing does."""
    return _why_not(_SOURCE)


class Clocks:
    """One offset for each node.

    Args:
        folder: of the library and of the offsets; made by `open`.
        seen_as: the same folder, as nodes see it.
    """

    def __init__(self, folder: Path, *, seen_as: Path | None = None) -> None:
        self._folder = folder
        self._seen_as = seen_as or folder
        self.library = self._seen_as / "shifted_clock.so"
        """As nodes see it."""

    def open(self, names: Sequence[str]) -> None:
        """Compile the library; these nodes' clocks are right, so far. Raises ClusterError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        compile_library(_SOURCE, self._folder / self.library.name)
        for name in names:
            self._file(name).write_bytes(_encoded(0.0))

    def environ(self, name: str) -> dict[str, str]:
        """What a node is run with, besides `LD_PRELOAD`."""
        return {"CHAOS_CLOCK_CONTROL": str(self._seen_as / self._file(name).name)}

    def shift(self, name: str, offset_s: float) -> None:
        """Let the clock of a node be so much off from now on. Raises ClusterError."""
        if not -OFFSET_MAX_S <= offset_s <= OFFSET_MAX_S:
            raise ClusterError(
                f"the clock of node {name}: {offset_s:g} s; {OFFSET_MAX_S:g} at most, either way"
            )
        write_in_place(self._file(name), _encoded(offset_s), f"the clock of node {name}")

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.clock"


def _encoded(offset_s: float) -> bytes:
    return struct.pack("=q", round(offset_s * 1e9))
