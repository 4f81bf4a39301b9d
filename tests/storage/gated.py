"""A store whose disk does as a test says, and who hears of it."""

import threading
from collections.abc import Sequence

import trio

from protocol.effects import Keep, KeepCommit
from storage import MemoryStore, Result, StorageError, Writer

from .situations import ALICE, BOB, keep


class GatedStore(MemoryStore):
    """A store whose writes wait for a gate, and fail when told to."""

    def __init__(self) -> None:
        super().__init__(ALICE)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.batches: list[list[Keep]] = []
        self.fault: Exception | None = None
        self.poison: Keep | None = None
        self.is_closed = False

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        self.entered.release()
        self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if self.poison in keeps:
            raise ValueError("poison")
        self.batches.append(list(keeps))
        super().write(keeps, results)

    def close(self) -> None:
        self.is_closed = True

    @property
    def versions(self) -> list[int]:
        return [k.commit.head.version for b in self.batches for k in b if isinstance(k, KeepCommit)]


class Alarm:
    """Remembers what was fatal."""

    def __init__(self) -> None:
        self.errors: list[StorageError] = []
        self.rang = trio.Event()

    def ring(self, error: StorageError) -> None:
        self.errors.append(error)
        self.rang.set()


def calm(error: StorageError) -> None:
    raise AssertionError(f"nothing fatal was expected: {error}")


async def shut_in(store: GatedStore, its_writer: Writer) -> None:
    """Have the thread stand in a transaction, with one keep, so that the rest gathers."""
    store.gate.clear()
    its_writer.submit(keep(BOB, 1))
    await trio.to_thread.run_sync(store.entered.acquire)
