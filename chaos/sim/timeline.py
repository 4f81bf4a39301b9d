"""The one queue of events, and virtual time.

Events of one moment happen in the order in which they were planned, so a run depends on nothing but
its seed. No event may plan another in the past.
"""

import heapq
import itertools
from collections.abc import Callable
from typing import TypeAlias, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
Deed: TypeAlias = Callable[[], None]


class Timeline:
    """Virtual time in seconds from 0, and what is still to happen."""

    __slots__ = ("_heap", "_sequence", "done", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.done = 0
        """Events so far."""
        self._heap: list[tuple[float, int, Deed]] = []
        self._sequence = itertools.count()

    def at(self, when: float, deed: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        """Call `deed(*arguments)` then, or now if that is past."""
        entry = max(when, self.now), next(self._sequence), lambda: deed(*arguments)
        heapq.heappush(self._heap, entry)

    def after(
        self, seconds: float, deed: Callable[[*Arguments], None], *arguments: *Arguments
    ) -> None:
        """Call `deed(*arguments)` in so many seconds."""
        self.at(self.now + seconds, deed, *arguments)

    def run(self, until: float) -> None:
        """Let everything happen up to and including that moment."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until:
            self.now, _, deed = pop(heap)
            deed()
            self.done += 1
        self.now = until
