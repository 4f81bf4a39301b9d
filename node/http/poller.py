"""Waiting for many sockets at once: who has something to read is served without a task switch.

trio wakes a task for each read: a system call to wait, one to be told, a pass through its loop.
That is more than a lookup takes. Here one task waits for all connections that wait to be read from,
in an epoll of its own (which can be waited for like any file), and hands each what it received. A
connection's own task sleeps until there is more to do than to read and answer.

Rules this module keeps:

1. A socket is watched only while its task sleeps in `park`, which is cancelled as any wait is.
2. What a connection raises while it is served is raised in its own task.
3. After `BATCH_MAX` connections everybody else has a turn.
"""

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, TypeVar, cast

import outcome
import trio

BATCH_MAX = 32
"""Connections served in a row: some 3 ms of lookups."""
READ_BYTES = 16 * 1024

T = TypeVar("T")
Take = Callable[[bytes], T | None]
"""Given what was received (nothing: the end, or it broke); what it returns ends the wait."""


@dataclass(slots=True, eq=False)
class _Parked:
    task: trio.lowlevel.Task
    socket: socket.socket
    take: Take[object]


class Poller:
    """One for all connections of a server. `run` is its task; `close` it at the end."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._parked: dict[int, _Parked] = {}

    @staticmethod
    def is_possible() -> bool:
        """Whether this system has epoll; elsewhere each task waits for itself."""
        return hasattr(select, "epoll")

    async def park(self, connected: socket.socket, take: Take[T]) -> T:
        """Hand `take` what comes, until it returns something, which is returned.

        Raises:
            BaseException: whatever `take` raised.
        """
        parked = _Parked(trio.lowlevel.current_task(), connected, take)
        number = connected.fileno()
        self._epoll.register(number, select.EPOLLIN)
        self._parked[number] = parked

        def abort(_: object) -> trio.lowlevel.Abort:
            self._release(number, parked)
            return trio.lowlevel.Abort.SUCCEEDED

        return cast(T, await trio.lowlevel.wait_task_rescheduled(abort))

    async def run(self) -> NoReturn:
        """Serve whoever is parked, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for number, _ in self._epoll.poll(0, BATCH_MAX):
                parked = self._parked.get(number)
                if parked is not None:  # else what was served before it had it end its wait
                    self._serve(number, parked)

    def close(self) -> None:
        """Nobody is parked any more."""
        self._epoll.close()

    def _serve(self, number: int, parked: _Parked) -> None:
        try:
            data = parked.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        came: outcome.Outcome[object]
        try:
            result = parked.take(data)
        except BaseException as error:  # rule 2
            came = outcome.Error(error)
        else:
            if result is None:
                return
            came = outcome.Value(result)
        # While it was served, it may have cancelled its own wait; then its task is awake already.
        if self._release(number, parked):
            trio.lowlevel.reschedule(parked.task, came)

    def _release(self, number: int, parked: _Parked) -> bool:
        if self._parked.get(number) is not parked:
            return False
        del self._parked[number]
        with suppress(OSError, ValueError):  # a closed socket has left by itself
            self._epoll.unregister(number)
        return True
