"""Processes that run seeds, a bounded number at once.

Each has its own interpreter, started afresh, and so its own order of hashes: a sweep would notice
a core that depends on it. A worker takes one request after the other and answers each.

Rules this module keeps:

1. A process that dies, or takes too long, costs one request: that is answered in its place and a
   new process takes over.
2. When the context ends, for whatever reason, so do all processes, at once.
3. Ctrl-C reaches the parent only; a worker whose parent is gone ends with the request it is at.
"""

import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Self

from .runs import Ended, Perform, Raised, Request

_CONTEXT = multiprocessing.get_context("spawn")
END_WITHIN_S = 5.0
"""Longest wait for a process that was killed."""


class Worker:
    """One process, and the request that it is at."""

    def __init__(self, perform: Perform) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process: SpawnProcess = _CONTEXT.Process(
            target=serve, args=(theirs, perform), daemon=True
        )
        # A process is born with the signals that its parent ignores, so that Ctrl-C never shows
        # a traceback of a worker that has only begun to start.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()  # so that its end is seen as an end of file here
        self.request: Request | None = None
        self.since = 0.0

    def give(self, request: Request) -> None:
        """Have it run a request."""
        self.request, self.since = request, time.perf_counter()
        with suppress(BrokenPipeError):  # its death is seen when its answer is read
            self.connection.send(request)

    def take(self, request: Request) -> Ended:
        """Read the answer; if the process died instead, say so."""
        self.request = None
        try:
            ended: Ended = self.connection.recv()
        except (EOFError, OSError):
            return self.died(request)
        return ended

    def died(self, request: Request) -> Raised:
        """The answer for a process that gave none."""
        self.end()
        code = self._process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return self._failed(request, f"ProcessDied: the process ended with {how}")

    def overdue(self, request: Request, run_max_s: float) -> Raised:
        """The answer for a process that takes too long; it is ended."""
        self.end()
        return self._failed(request, f"TookTooLong: not done after {run_max_s:g} s of real time")

    def is_alive(self) -> bool:
        """Whether it can take a request."""
        return self._process.is_alive()

    def end(self) -> None:
        """End the process; it holds nothing that could be lost."""
        self._process.kill()
        self._process.join(END_WITHIN_S)
        self.connection.close()

    def _failed(self, request: Request, error: str) -> Raised:
        elapsed_s = time.perf_counter() - self.since
        return Raised(request=request, error=error, where="", real_s=elapsed_s)


class Workers:
    """`jobs` processes that run requests by `perform`, which must be a function of a module."""

    def __init__(self, perform: Perform, *, jobs: int, run_max_s: float) -> None:
        self._perform = perform
        self._jobs = jobs
        self._run_max_s = run_max_s
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def each(self, requests: Iterable[Request]) -> Iterator[Ended]:
        """Run all, `jobs` at a time, begun in their order and answered as they end."""
        waiting = iter(requests)
        while self._fill(waiting):
            yield from self._answers()

    def _fill(self, waiting: Iterator[Request]) -> bool:
        """Give every idle worker something to do; False once nothing is left to do at all."""
        self._workers = [one for one in self._workers if one.request or one.is_alive()]
        idle = [worker for worker in self._workers if worker.request is None]
        while idle or len(self._workers) < self._jobs:
            request = next(waiting, None)
            if request is None:
                break
            if not idle:
                self._workers.append(Worker(self._perform))
                idle.append(self._workers[-1])
            idle.pop().give(request)
        return any(worker.request for worker in self._workers)

    def _answers(self) -> Iterator[Ended]:
        now = time.perf_counter()
        busy = {worker.connection: worker for worker in self._workers if worker.request}
        first_due = min(worker.since for worker in busy.values()) + self._run_max_s
        ready = wait(list(busy), timeout=max(0.0, first_due - now))
        now = time.perf_counter()
        for connection, worker in busy.items():
            request = worker.request
            if request is None:
                continue
            if connection in ready:
                yield worker.take(request)
            elif now - worker.since >= self._run_max_s:
                worker.request = None
                yield worker.overdue(request, self._run_max_s)


def serve(connection: "Connection[Ended, Request]", perform: Perform) -> None:
    """Answer requests until nobody asks any more."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            connection.send(perform(connection.recv()))
