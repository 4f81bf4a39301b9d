"""What we owe others a receipt for: their commits that we applied, once these are on our disk.

    applied ─▶ owed ─▶ Mark ─(the disk)─▶ stored ─▶ one signed receipt an owner, for all up to then

Rules this module keeps:

1. A receipt leaves only after what it vouches for is durable.
2. One mark is under way at a time, and marks are `SPACING_S` apart: what comes meanwhile is
   answered for together, so a busy owner is not drowned in receipts.
3. What could not be stored is not vouched for, until it was stored whole.
"""

from protocol.commits import Head
from protocol.effects import Effect, Mark
from protocol.identity import NodeId

SPACING_S = 0.02
AGAIN_S = 1.0
"""… and after one that failed."""
OWED_MAX = 4_096
"""Owners; who else is owed one will ask."""


class Receipts:
    """Of all owners."""

    def __init__(self) -> None:
        self._owed: dict[NodeId, Head] = {}
        self._marked: dict[NodeId, Head] = {}
        self._number = 0
        self._under_way = False
        self._next_s = 0.0

    @property
    def next_deadline(self) -> float:
        """When `mark` has something to ask for; infinity if never."""
        return self._next_s if self._owed and not self._under_way else float("inf")

    def owe(self, head: Head) -> None:
        """We hold this head now, and its owner wants to know."""
        if head.owner in self._owed or len(self._owed) < OWED_MAX:
            self._owed[head.owner] = head

    def mark(self, *, now: float) -> list[Effect]:
        """Ask to be told when all that is owed is durable: to be performed after it is stored."""
        if now < self.next_deadline:
            return []
        self._marked, self._owed = self._owed, {}
        self._number += 1
        self._under_way = True
        self._next_s = now + SPACING_S
        return [Mark(self._number)]

    def stored(self, number: int) -> list[Head]:
        """The mark came true: what may be vouched for now."""
        return self._end(number)

    def lost(self, number: int, *, now: float) -> list[Head]:
        """Some of what was stored before the mark never was: what is to be stored anew, whole."""
        self._next_s = now + AGAIN_S
        return self._end(number)

    def _end(self, number: int) -> list[Head]:
        if number != self._number or not self._under_way:
            return []
        self._under_way = False
        marked, self._marked = self._marked, {}
        return list(marked.values())
