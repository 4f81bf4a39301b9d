"""What is due when: one heap for all checks, so that ten thousand of them cost one timer.

Rules this module keeps:

1. It does no I/O and reads no clock. Times are monotonic seconds.
2. Every item has one due time. Putting it off, which is what a heartbeat does, writes one number
   and leaves the heap alone; the item is moved when it comes to the top.
3. What was dropped or brought forward stays in the heap as a husk; husks never outnumber the
   living by more than `HUSKS_MAX`, so no order of calls makes the heap grow.
"""

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

HUSKS_MAX = 64

Item = TypeVar("Item", bound=Hashable)


class _Slot(Generic[Item]):
    """Where an item stands: `due` is the truth, `filed` its place in the heap, never later."""

    __slots__ = ("due", "filed", "item")

    def __init__(self, item: Item, due: float) -> None:
        self.item: Item | None = item
        self.due = due
        self.filed = due


class Schedule(Generic[Item]):
    """Due times of items. Items of one time come out in the order in which they were set."""

    def __init__(self) -> None:
        self._slots: dict[Item, _Slot[Item]] = {}
        self._heap: list[tuple[float, int, _Slot[Item]]] = []
        self._sequence = itertools.count()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def heap_length(self) -> int:
        """Entries in the heap, husks included; for tests of the bound."""
        return len(self._heap)

    def set(self, item: Item, due: float) -> None:
        """Make `item` due at `due`, whatever it was before."""
        slot = self._slots.get(item)
        if slot is not None and due >= slot.filed:
            slot.due = due
            return
        if slot is not None:
            slot.item = None
        self._slots[item] = slot = _Slot(item, due)
        self._file(slot)
        self._compact()

    def drop(self, item: Item) -> None:
        """Forget `item`; an unknown one is no error."""
        slot = self._slots.pop(item, None)
        if slot is not None:
            slot.item = None
            self._compact()

    def next_due(self) -> float | None:
        """The earliest due time, or None if nothing is set."""
        while self._heap:
            filed, _, slot = self._heap[0]
            if slot.item is not None and slot.due <= filed:
                return filed
            heapq.heappop(self._heap)
            if slot.item is not None:
                slot.filed = slot.due
                self._file(slot)
        return None

    def pop_due(self, now: float) -> Item | None:
        """Take out one item that is due, the earliest first; None if there is none."""
        due = self.next_due()
        if due is None or due > now:
            return None
        slot = heapq.heappop(self._heap)[2]
        item = slot.item
        assert item is not None  # next_due has cleared the top of husks
        del self._slots[item]
        slot.item = None
        return item

    def _file(self, slot: _Slot[Item]) -> None:
        heapq.heappush(self._heap, (slot.filed, next(self._sequence), slot))

    def _compact(self) -> None:
        if len(self._heap) <= 2 * len(self._slots) + HUSKS_MAX:
            return
        self._heap = [entry for entry in self._heap if entry[2].item is not None]
        heapq.heapify(self._heap)
