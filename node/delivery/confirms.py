"""Who waits for receipts: `?confirm=N` is answered when N peers have the commit on disk.

    change committed ─▶ enough receipts? ─no─▶ in line for N ─┬─ a receipt came ─▶ enough
                                                              ├─ time ran out
                                                              └─ the node ends

Rules this module keeps:

1. Nothing is polled: what a receipt can end is looked at when it comes.
2. Who stored a commit stored all before it. So of those who wait for N receipts all are served up
   to the newest version that N peers have stored, and the line is kept in the order of versions.
3. At most `WAITING_MAX` places, taken before the change is made, so that one too many changes
   nothing.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import trio

from node.driver import Driver
from node.registrar import overloaded
from protocol.events import Acknowledged, Event

WAITING_MAX = 10_000
"""Requests that may wait for receipts; more than the HTTP connections that there can be."""
CONFIRM_MAX = 1_000
CONFIRM_S, CONFIRM_S_MAX = 5.0, 60.0
"""How long receipts are waited for if the caller says nothing, and at most."""

Outcome: TypeAlias = Literal["confirmed", "timeout", "ended"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Wish:
    """How many receipts a caller waits for, and how long."""

    receipts: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a wait came to."""

    receipts: int
    """How many peers have it on disk."""
    of: int
    """How many peers are asked for receipts."""
    enough: bool


@dataclass(slots=True, eq=False)
class _Waiter:
    version: int
    done: trio.Event = field(default_factory=trio.Event)


class Confirms:
    """The lines of those who wait, one for each number of receipts."""

    def __init__(self, driver: Driver) -> None:
        self._deliveries = driver.peer.deliveries
        self._lines: dict[int, list[_Waiter]] = {}
        self._places = 0
        self._ended = False
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        """What became of the waits."""
        driver.listen(self._heard)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return sum(map(len, self._lines.values()))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Keep a place for a wait to come.

        Raises:
            ApiError: 503 `overloaded`, there is none.
        """
        if self._places >= WAITING_MAX:
            raise overloaded(f"{WAITING_MAX} requests wait for receipts; repeat it without confirm")
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def wait(self, version: int, wish: Wish) -> Confirmed:
        """Wait until so many peers have our commit of that version on disk, or time runs out."""
        if self._reached(wish.receipts) < version and not self._ended:
            await self._stand_in_line(version, wish)
        receipts = sum(stored >= version for stored in self._stored())
        enough = receipts >= wish.receipts
        outcome: Outcome = "confirmed" if enough else "ended" if self._ended else "timeout"
        self.outcomes[outcome] += 1
        return Confirmed(receipts, len(self._deliveries.audience), enough)

    def end(self) -> None:
        """The node ends: whoever waits hears what there is."""
        self._ended = True
        for line in self._lines.values():
            for waiter in line:
                waiter.done.set()
        self._lines.clear()

    async def _stand_in_line(self, version: int, wish: Wish) -> None:
        waiter = _Waiter(version)
        line = self._lines.setdefault(wish.receipts, [])
        insort(line, waiter, key=_version_of)
        try:
            with trio.move_on_after(wish.timeout_s):
                await waiter.done.wait()
        finally:
            if not waiter.done.is_set():
                del line[line.index(waiter, bisect_left(line, version, key=_version_of))]
                if not line:
                    del self._lines[wish.receipts]

    def _heard(self, event: Event) -> None:
        if not isinstance(event, Acknowledged):
            return
        for receipts, line in list(self._lines.items()):
            served = bisect_right(line, self._reached(receipts), key=_version_of)
            for waiter in line[:served]:
                waiter.done.set()
            del line[:served]
            if not line:
                del self._lines[receipts]

    def _reached(self, receipts: int) -> int:
        """The newest version that so many peers have stored; that is endless for none."""
        if receipts == 0:
            return 1 << 63
        stored = sorted(self._stored(), reverse=True)
        return stored[receipts - 1] if receipts <= len(stored) else -1

    def _stored(self) -> list[int]:
        deliveries = self._deliveries
        return [deliveries.stored(peer).version for peer in deliveries.audience]


def _version_of(waiter: _Waiter) -> int:
    return waiter.version
