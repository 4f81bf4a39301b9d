"""When a hostile program acts: so often a second, until it is enough.

Rules this module keeps:

1. It ends after its time, or as soon as standard input ends: whoever started it has gone.
2. Who is behind does not catch up: it acts at most so often, in any second.
"""

import os
import select
import sys
import time
from collections.abc import Iterator

_READ_BYTES_MAX = 4_096


def turns(*, per_s: float, for_s: float) -> Iterator[float]:
    """Wait, and yield the seconds since it began, for each turn; the first comes at once."""
    begun = time.perf_counter()
    due_s = 0.0
    while (now_s := time.perf_counter() - begun) < for_s:
        if due_s > now_s:
            if not _waited(min(due_s, for_s) - now_s):
                return
            continue
        yield now_s
        due_s = max(due_s + 1 / per_s, now_s)
        if not _waited(0.0):
            return


def _waited(seconds: float) -> bool:
    """Wait; False if standard input has ended."""
    control = sys.stdin.fileno()
    ready, _, _ = select.select([control], [], [], seconds)
    return not ready or bool(os.read(control, _READ_BYTES_MAX))
