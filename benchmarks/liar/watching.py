"""Looks at members again and again, each in a thread of its own, while something else is done.

Rules this module keeps:

1. A member that does not answer is noted as such, and asked anew.
2. All threads have ended when the block has.
"""

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Protocol

from benchmarks.cluster.fleet import BenchError

from .samples import Seen

LOOKS_PER_S = 10.0
"""In the mean. Times between are drawn: else looks could keep step with what they look at."""
END_WITHIN_S = 15.0


class Look(Protocol):
    """A connection to one member."""

    def see(self) -> Seen:
        """What it holds of the accused now.

        Raises:
            BenchError, OSError, HTTPException: it does not answer; ask again.
        """

    def close(self) -> None:
        """Give the connection back; harmless when repeated. The next `see` makes a new one."""


@contextmanager
def watched(looks: Mapping[str, Look]) -> Iterator[dict[str, list[Seen]]]:
    """Look from now until the block ends; the lists grow meanwhile."""
    over = threading.Event()
    seen: dict[str, list[Seen]] = {name: [] for name in looks}
    threads = [
        threading.Thread(target=_watch, args=(look, seen[name], over, Random(at)), daemon=True)
        for at, (name, look) in enumerate(looks.items())
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join(END_WITHIN_S)


def _watch(look: Look, seen: list[Seen], over: threading.Event, rng: Random) -> None:
    while not over.is_set():
        seen.append(_see(look))
        over.wait(rng.uniform(0.0, 2.0 / LOOKS_PER_S))
    look.close()


def _see(look: Look) -> Seen:
    at_s = time.monotonic()
    try:
        return look.see()
    except (OSError, http.client.HTTPException, BenchError):
        look.close()
        return Seen(at_s, "")
