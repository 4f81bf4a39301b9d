"""Whose turn is it to be probed, when more checks are due than may run at once?

Rules this module keeps:

1. At most `running_max` probes run at once; the others wait, first come first served.
2. Checks whose last probe hung wait in a lane of their own and hold at most `slow_max` places, so
   a rack of dead hosts, each waiting for its time-out, does not delay those that answer.
3. An item is either absent, waiting or running: nothing is probed twice at a time.

Pure: no I/O, no clock. The caller bounds the number of items.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Lanes(Generic[Item]):
    """Two queues for a limited number of places."""

    def __init__(self, *, running_max: int, slow_max: int) -> None:
        if not 0 < slow_max <= running_max:
            raise ValueError("slow_max must be positive and not above running_max")
        self._running_max = running_max
        self._slow_max = slow_max
        # OrderedDict, not dict: taking the first of a plain dict again and again is quadratic.
        self._prompt: OrderedDict[Item, None] = OrderedDict()
        self._slow: OrderedDict[Item, None] = OrderedDict()
        self._running: dict[Item, bool] = {}
        self._slow_running = 0

    @property
    def running(self) -> int:
        """Places taken."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Items in both lanes."""
        return len(self._prompt) + len(self._slow)

    def add(self, item: Item, *, slow: bool) -> None:
        """Queue an item; one that already waits or runs stays as it is."""
        if item not in self._running and item not in self._prompt and item not in self._slow:
            (self._slow if slow else self._prompt)[item] = None

    def take(self) -> Item | None:
        """Give the next item a place, until `done`; None if none waits or none may start."""
        if len(self._running) >= self._running_max:
            return None
        if self._prompt:
            item, _ = self._prompt.popitem(last=False)
            self._running[item] = False
            return item
        if self._slow and self._slow_running < self._slow_max:
            item, _ = self._slow.popitem(last=False)
            self._running[item] = True
            self._slow_running += 1
            return item
        return None

    def done(self, item: Item) -> None:
        """Free the item's place; one that was not running is no error."""
        self._slow_running -= self._running.pop(item, False)

    def drop(self, item: Item) -> None:
        """Take the item out of the queues; a running one keeps its place until `done`."""
        self._prompt.pop(item, None)
        self._slow.pop(item, None)
