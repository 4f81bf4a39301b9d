"""The one thread that writes, and how trio's tasks reach it: group commit.

    submit, when_durable ┐                          ┌─▶ waiters wake, all with one call into trio
    write_through ───────┼─▶ queue ─▶ thread: one transaction for all that wait
    find_result, recall ─┘                          └─▶ or hear why not

While one transaction waits for its fsync, others gather; the next takes them all. So a lone write
costs one fsync, and a thousand at once cost a handful.

Rules this module keeps:

1. Writes are done in the order of the calls, those of `submit` and `write_through` alike.
2. What failed is told to whoever waits for it. Submitted keeps, for which nobody waits, stay in the
   queue while the disk is full and are tried again; the queue is bounded.
3. After a fatal error nothing is tried again: all who wait and all who come hear it, and `on_fatal`
   is called once.
4. A waiter who is cancelled does not undo his write.
5. Who asks `when_durable` leaves a mark, which is no write: it hangs on the newest keep that was
   submitted before, and is told when that one is settled, as the last of all before it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self, TypeVar

import trio

from protocol.commits import Commit, Dot
from protocol.effects import Keep

from .errors import (
    DiskFullError,
    QueueFullError,
    StorageBrokenError,
    StorageClosedError,
    StorageError,
)
from .interface import Result, Statistics, Store
from .plan import size_of
from .waiting import Read, Settled, Told, Waiter, Write

WAITING_MAX = 100_000
"""Keeps in the queue: at 20,000 a second, what a disk that stopped for five seconds leaves."""
BATCH_KEEPS_MAX = 256
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""A transaction ends at either limit, so that whoever waits for the next waits milliseconds."""
LINGER_S = 0.2
"""How long a lone submitted keep waits for company before it costs an fsync. What it says is on its
owner's disk already; a crash before ours costs a sync."""
MARK_LINGER_S = 0.02
"""How much longer it waits once somebody wants to be told: a receipt for a peer's commits, which
answers for all that came in the meantime."""
MARKS_MAX = 1_024
"""Marks that wait; one more is told at once that it cannot be vouched for."""
RETRY_S = 1.0
"""Between two tries while the disk is full."""
CLOSE_TIMEOUT_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStatistics:
    """How busy the writer is and was."""

    waiting: int
    """Keeps in the queue now."""
    transactions: int
    keeps: int
    failures: int
    """Transactions that were undone."""
    dropped: int
    """Submitted keeps given up: refused for a bug of ours, or with the disk full at the end."""
    last_error: StorageError | None


class Writer:
    """Owns a store and the thread that uses it. Make it inside trio; `close` ends both.

    `on_fatal` is called in trio's thread, at most once, with an error after which nothing can be
    written any more: end the process.

    `unsafe_no_sync`: `write_through` returns before anything is written, as `submit` does. It is
    how a test of crashes shows that it finds what is lost.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_fatal: Callable[[StorageError], None],
        unsafe_no_sync: bool = False,
    ) -> None:
        self._store = store
        self._waits = not unsafe_no_sync
        self._on_fatal = on_fatal
        self._trio = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._room = trio.Event()
        self._changed = threading.Condition()
        # Everything below is shared with the thread and touched only while holding `_changed`.
        self._writes: deque[Write] = deque()
        self._reads: deque[Read] = deque()
        self._waiting = 0
        self._closing = False
        self._room_wanted = False
        self._singly = 0
        """Of so many writes one cannot be done: each gets a transaction of its own."""
        self._newest: Write | None = None
        """The newest that was submitted and is not settled: where a mark hangs."""
        self._lost = False
        """Something that was submitted is lost, and no mark has heard of it."""
        self._marks = 0
        self._not_before: float | None = None
        self._full = False
        """The last transaction found no room."""
        self._fatal: StorageError | None = None
        self._last_error: StorageError | None = None
        self._transactions = self._keeps = self._failures = self._dropped = 0
        # A daemon, because a disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="kith-storage", daemon=True)
        self._thread.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def submit(self, keep: Keep) -> None:
        """Write it soon, in order; nobody waits for it.

        Raises:
            QueueFullError: too much waits; it was not taken. Wait for `room`, or leave it out: that
                owner's branch will not verify after a restart and is then fetched anew.
            StorageError: a fatal error that happened before.
            StorageClosedError: after `close`.
        """
        self._enqueue(Write((keep,), (), size_of(keep), None))

    def when_durable(self, then: Told) -> None:
        """Have `then` told, later, on trio's thread, whether what was submitted is durable.

        True once everything submitted before is; False if any of it since the mark before was
        refused, or given up for whatever reason. What a full disk holds up, holds this up. Costs no
        transaction where nothing waits. Never raises: after a fatal error or `close` it is False.
        """
        with self._changed:
            usable = self._fatal is None and not self._closing and self._marks < MARKS_MAX
            if usable and self._newest is not None:
                self._newest.after.append(then)
                self._marks += 1
                if self._not_before is not None and not self._full:
                    soon = time.monotonic() + MARK_LINGER_S
                    self._not_before = min(self._not_before, soon)
                    self._changed.notify()
                return
            kept = usable and not self._lost
            self._lost = self._lost and not usable
        self._tell(lambda: then(kept))

    async def write_through(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        """Write after everything that was submitted before; durable on return.

        If it raises, no part of it was written. If it is cancelled, it is written nevertheless.

        Raises:
            DiskFullError: no room now; later it may work.
            QueueFullError: too much waits; it was not taken.
            StorageError: of the kind that fits; see its `fatal`.
        """
        waiter = Waiter()
        self.write_then(keeps, results, waiter.settle)
        await waiter.outcome()

    def write_then(self, keeps: Sequence[Keep], results: Sequence[Result], then: Settled) -> None:
        """`write_through` for who does not wait: `then` is told, later, on trio's thread.

        Raises:
            QueueFullError, StorageError: it was not taken, and `then` will not be told.
        """
        size = sum(map(size_of, keeps))
        settled = then if self._waits else None
        self._enqueue(Write(tuple(keeps), tuple(results), size, settled))
        if settled is None:
            self._tell(lambda: then(None))

    async def find_result(self, update_id: str) -> Result | None:
        """What that update was answered with. Sees every `write_through` that has returned.

        Raises:
            StorageError: of the kind that fits.
        """
        return await self._read(lambda: self._store.find_result(update_id))

    async def recall(self, after: Dot, count: int, bytes_max: int) -> tuple[Commit, ...]:
        """`Store.recall`, on the thread. Sees every `write_through` that has returned.

        Raises:
            StorageError: of the kind that fits.
        """
        return await self._read(lambda: self._store.recall(after, count, bytes_max))

    async def mark(self, must_hear: str) -> None:
        """`Store.mark`, on the thread. Raises StorageError."""
        await self._read(lambda: self._store.mark(must_hear))

    async def snapshot(self, path: Path) -> None:
        """`Store.snapshot`: all that was written before, in a new file; writes go on meanwhile.

        Raises:
            StorageError: of the kind that fits; there is no file. Also a fatal one is so for the
                file alone, and everything goes on.
        """
        error = await self._read(lambda: self._snapshot(path))
        if error is not None:
            raise error

    async def store_statistics(self) -> Statistics:
        """`Store.statistics`, on the thread; holds up writes for as long as it takes."""
        return await self._read(self._store.statistics)

    def statistics(self) -> WriterStatistics:
        """How busy the writer is and was."""
        with self._changed:
            return WriterStatistics(
                waiting=self._waiting,
                transactions=self._transactions,
                keeps=self._keeps,
                failures=self._failures,
                dropped=self._dropped,
                last_error=self._last_error,
            )

    async def room(self) -> None:
        """Wait until the queue is at most half full, or nothing will be written any more."""
        while True:
            with self._changed:
                if self._waiting <= WAITING_MAX // 2 or self._fatal is not None:
                    break
                self._room_wanted = True
            if self._room.is_set():
                self._room = trio.Event()
            await self._room.wait()
        await trio.lowlevel.checkpoint()

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Write what waits, close the store, end the thread; at most `timeout_s`, come what may.

        Returns whether it got so far; if not, the thread is left to end with the process. With a
        full disk, submitted keeps that cannot be written are given up. May be repeated.
        """
        with self._changed:
            self._closing = True
            self._not_before = None
            self._changed.notify()
        with trio.move_on_after(timeout_s, shield=True):
            await self._ended.wait()
        return self._ended.is_set()

    async def _read(self, find: Callable[[], T]) -> T:
        waiter = Waiter()
        found: list[T] = []
        with self._changed:
            self._check_usable()
            self._reads.append(Read(lambda: found.append(find()), waiter))
            self._changed.notify()
        await waiter.outcome()
        return found[0]

    def _enqueue(self, write: Write) -> None:
        with self._changed:
            self._check_usable()
            if self._waiting + len(write.keeps) > WAITING_MAX:
                if write.settled is None:
                    self._note_refused()
                raise QueueFullError(self._store.name, waiting=self._waiting)
            lingering = self._not_before is not None
            if write.settled is not None:
                # Also while the disk is full: he wants to hear.
                self._not_before = None
            elif not lingering and not self._writes:
                self._not_before = time.monotonic() + LINGER_S
            if write.settled is None:
                self._newest = write
            self._writes.append(write)
            self._waiting += len(write.keeps)
            if not lingering or self._not_before is None:
                self._changed.notify()

    def _note_refused(self) -> None:
        """A keep was not taken: the next mark is to hear it, and none that came before."""
        if self._newest is None:
            self._lost = True
        elif self._newest.after[-1:] != [None]:
            self._newest.after.append(None)

    def _check_usable(self) -> None:
        if self._fatal is not None:
            raise self._fatal.with_traceback(None)
        if self._closing:
            raise StorageClosedError(self._store.name)

    # What follows runs on the thread.

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                for read in self._take_reads():
                    self._perform(read)
                batch = self._take_writes()
                if batch:
                    self._write(batch)
            self._store.close()
        except StorageError as error:
            # Only from `close`: what was written is durable in the WAL without it.
            with self._changed:
                self._last_error = error
        finally:
            self._tell(self._ended.set)

    def _wait_for_work(self) -> bool:
        """Block until there is something to do; False when there will be nothing more."""
        with self._changed:
            while self._fatal is None and not (self._closing or self._reads):
                if self._not_before is None and self._writes:
                    break
                if self._not_before is None:
                    self._changed.wait()
                elif not self._changed.wait(max(0.0, self._not_before - time.monotonic())):
                    self._not_before = None
            return self._fatal is None and bool(self._writes or self._reads or not self._closing)

    def _snapshot(self, path: Path) -> StorageError | None:
        """What went wrong, as a value: it is of another file than ours, and must not end us."""
        try:
            self._store.snapshot(path, between=self._write_meanwhile)
        except StorageError as error:
            return error
        return None

    def _write_meanwhile(self) -> None:
        """What waits to be written is, while something long goes on."""
        if self._closing:
            raise StorageClosedError(self._store.name)
        batch = self._take_writes()
        if batch:
            self._write(batch)

    def _take_reads(self) -> list[Read]:
        with self._changed:
            reads = list(self._reads)
            self._reads.clear()
            return reads

    def _take_writes(self) -> list[Write]:
        with self._changed:
            batch: list[Write] = []
            keeps = size = 0
            while self._writes and self._not_before is None:
                keeps += len(self._writes[0].keeps)
                size += self._writes[0].size
                if batch and (self._singly or keeps > BATCH_KEEPS_MAX or size > BATCH_BYTES_MAX):
                    break
                batch.append(self._writes.popleft())
            self._singly = max(0, self._singly - len(batch))
            return batch

    def _perform(self, read: Read) -> None:
        error = self._attempt(read.perform)
        if error is not None and error.fatal:
            self._end_with(error, [])
        read.waiter.error = error
        self._tell(read.waiter.event.set)

    def _write(self, batch: list[Write]) -> None:
        keeps = list(chain.from_iterable(write.keeps for write in batch))
        results = list(chain.from_iterable(write.results for write in batch))
        error = self._attempt(lambda: self._store.write(keeps, results))
        if error is None:
            with self._changed:
                self._transactions += 1
                self._keeps += len(keeps)
                self._full = False
            self._settle(batch, None)
        elif isinstance(error, DiskFullError):
            self._put_back(batch, error)
        elif error.fatal:
            self._end_with(error, batch)
        elif len(batch) > 1:
            # One of them is at fault; the others shall not pay for it.
            with self._changed:
                self._writes.extendleft(reversed(batch))
                self._singly = len(batch)
                self._not_before = None
        else:
            self._settle(batch, error)

    def _attempt(self, perform: Callable[[], None]) -> StorageError | None:
        try:
            perform()
        except StorageError as error:
            found = error
        except Exception as error:  # a bug must reach those who wait, not kill the thread
            found = StorageBrokenError(self._store.name, repr(error))
            found.__cause__ = error
        else:
            return None
        with self._changed:
            self._failures += 1
            self._last_error = found
        return found

    def _put_back(self, batch: list[Write], error: DiskFullError) -> None:
        """Tell all waiters that there is no room; what was submitted stays, in its order."""
        with self._changed:
            everything = [*batch, *self._writes]
            submitted = [write for write in everything if write.settled is None]
            self._writes.clear()
            self._full = True
            if not self._closing:
                self._not_before = time.monotonic() + RETRY_S
                self._writes.extend(submitted)
        refused = [write for write in everything if write.settled is not None or self._closing]
        self._settle(refused, error)

    def _end_with(self, error: StorageError, batch: list[Write]) -> None:
        """Give up: tell everybody, and never try again."""
        with self._changed:
            first = self._fatal is None
            self._fatal = self._fatal or error
            batch = [*batch, *self._writes]
            reads = list(self._reads)
            self._writes.clear()
            self._reads.clear()
        for read in reads:
            read.waiter.error = error
            self._tell(read.waiter.event.set)
        self._settle(batch, error)
        if first:
            self._tell(lambda: self._on_fatal(error))

    def _settle(self, batch: list[Write], error: StorageError | None) -> None:
        """These are over: wake whoever waits for them, and for room."""
        waiting = [partial(w.settled, error) for w in batch if w.settled is not None]
        with self._changed:
            self._waiting -= sum(len(write.keeps) for write in batch)
            if error is not None:
                self._dropped += sum(len(w.keeps) for w in batch if w.settled is None)
            told = [pair for write in batch for pair in self._answers(write, error)]
            enough = self._waiting <= WAITING_MAX // 2 or self._fatal is not None
            tell_of_room = self._room_wanted and enough
            if tell_of_room:
                self._room_wanted = False
        if waiting or told or tell_of_room:
            self._tell(lambda: self._wake(waiting, told, room=tell_of_room))

    def _answers(self, write: Write, error: StorageError | None) -> Iterator[tuple[Told, bool]]:
        """What the marks on it are to hear, now that it is settled."""
        if write.settled is not None:
            return
        if write is self._newest:
            self._newest = None
        self._lost = self._lost or error is not None
        for mark in write.after:
            if mark is None:
                self._lost = True
            else:
                yield mark, error is None and not self._lost
                self._lost = False
                self._marks -= 1

    def _wake(
        self, waiting: Sequence[Callable[[], None]], told: list[tuple[Told, bool]], *, room: bool
    ) -> None:
        for settled in waiting:
            settled()
        for then, kept in told:
            then(kept)
        if room:
            self._room.set()

    def _tell(self, call: Callable[[], object]) -> None:
        """Have trio's thread do it; if trio has ended, nobody is left to be told."""
        with suppress(trio.RunFinishedError):
            self._trio.run_sync_soon(call)
