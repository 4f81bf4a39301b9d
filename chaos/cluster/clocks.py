"""Wall clocks that are off: a small library that nodes are run with moves them.

Not libfaketime: with it, Python's `time.sleep` fails where the clock was moved, since it sleeps
until a moment of the monotonic clock (libfaketime 0.9.10, Python 3.11), and each question for the
time reads a file.

Rules this module keeps:

1. The monotonic clock and whatever is waited for stay right.
"""

import struct
from pathlib import Path

from .cluster import ClusterError
from .libraries import Library

OFFSET_MAX_S = 10 * 366 * 86_400.0


def _encoded(offset_s: float) -> bytes:
    return struct.pack("=q", round(offset_s * 1e9))


class Clocks(Library):
    """One offset for each node."""

    source = Path(__file__).with_name("shifted_clock.c")
    at_rest = _encoded(0.0)

    def environ(self, name: str) -> dict[str, str]:
        """What a node is run with, besides `LD_PRELOAD`."""
        return {"CHAOS_CLOCK_CONTROL": self.seen_file(name)}

    def shift(self, name: str, offset_s: float) -> None:
        """Let the clock of a node be so much off from now on. Raises ClusterError."""
        if not -OFFSET_MAX_S <= offset_s <= OFFSET_MAX_S:
            raise ClusterError(
                f"the clock of node {name}: {offset_s:g} s; {OFFSET_MAX_S:g} at most, either way"
            )
        self.tell(name, _encoded(offset_s), "the clock")
