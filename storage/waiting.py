"""What waits for the thread that writes: writes, questions, and the tasks behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from protocol.effects import Keep

from .errors import StorageError
from .interface import Result

Told: TypeAlias = Callable[[bool], None]
"""Called on trio's thread: whether all of it is durable."""
Settled: TypeAlias = Callable[[StorageError | None], None]
"""Called on trio's thread: it is durable, or why no part of it was written."""


class Waiter:
    """What one task waits for. Filled by the thread before trio is told."""

    __slots__ = ("error", "event")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.error: StorageError | None = None

    def settle(self, error: StorageError | None) -> None:
        """On trio's thread: it is over."""
        self.error = error
        self.event.set()

    async def outcome(self) -> None:
        """Wait for it. Raises StorageError, as the thread said."""
        await self.event.wait()
        if self.error is not None:
            # One error may be for many tasks; each begins its own traceback.
            raise self.error.with_traceback(None)


@dataclass(slots=True)
class Write:
    """Keeps and results that are written together, and who is to hear of it."""

    keeps: Sequence[Keep]
    results: Sequence[Result]
    size: int
    settled: Settled | None
    """None: it was submitted, and nobody hears of it but by marks."""
    after: list[Told | None] = field(default_factory=list)
    """Marks that came after it and before the next; None where a keep was refused in between."""


@dataclass(slots=True)
class Read:
    """A question to the store."""

    perform: Callable[[], None]
    waiter: Waiter
