"""Waiting for many sockets at once: who has something to read is served without a task switch.

trio wakes a task for each read: a system call to wait, one to be told, a pass through its loop.
That is more than a lookup takes. Here one task waits for all connections that wait to be read from,
in an epoll of its own (which can be waited for like any file), and hands each what it received. A
connection's own task sleeps until there is more to do than to read and answer.

Each `send` runs through the kernel's whole TCP stack, and wakes a client that waits. So a few
connections are served in a row, and then they all send: that takes a quarter less processor time.
More in a row would leave clients idle meanwhile.

Rules this module keeps:

1. A socket is watched only while its task sleeps in `park`, which is cancelled as any wait is.
2. What a connection raises while it is served is raised in its own task.
3. After `BATCH_MAX` connections everybody else has a turn.
4. Nothing is received for a connection before it is its turn: what is unread can be seen.
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
TOGETHER_MAX = 8
"""Connections of which all are served before the first sends."""
READ_BYTES = 16 * 1024

T = TypeVar("T")
Take = Callable[[bytes], T | None]
"""Given what was received (nothing: the end, or it broke); what it returns ends the wait."""
Send = Callable[[], T | None]
"""Called some time after `take` returned None; what it returns ends the wait."""


@dataclass(slots=True, eq=False)
class _Parked:
    task: trio.lowlevel.Task
    socket: socket.socket
    number: int
    """The socket's, as long as it is open."""
    take: Take[object]
    send: Send[object]


class Poller:
    """One for all connections of a server. `run` is its task; `close` it at the end."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._parked: dict[int, _Parked] = {}

    @staticmethod
    def is_possible() -> bool:
        """Whether this system has epoll; elsewhere each task waits for itself."""
        return hasattr(select, "epoll")

    async def park(self, connected: socket.socket, take: Take[T], send: Send[T]) -> T:
        """Hand `take` what comes and call `send`, until one returns something: that is returned.

        Raises:
            BaseException: whatever `take` raised.
        """
        number = connected.fileno()
        parked = _Parked(trio.lowlevel.current_task(), connected, number, take, send)
        self._epoll.register(number, select.EPOLLIN)
        self._parked[number] = parked

        def abort(_: object) -> trio.lowlevel.Abort:
            self._release(parked)
            return trio.lowlevel.Abort.SUCCEEDED

        return cast(T, await trio.lowlevel.wait_task_rescheduled(abort))

    async def run(self) -> NoReturn:
        """Serve whoever is parked, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            ready = [number for number, _ in self._epoll.poll(0, BATCH_MAX)]
            for at in range(0, len(ready), TOGETHER_MAX):
                self._serve(ready[at : at + TOGETHER_MAX])

    def close(self) -> None:
        """Nobody is parked any more."""
        self._epoll.close()

    def _serve(self, numbers: list[int]) -> None:
        waiting = []
        for number in numbers:
            parked = self._parked.get(number)
            # Else what was served before it had it end its wait.
            if parked is not None and self._hand_on(parked):
                waiting.append(parked)
        for parked in waiting:
            if self._parked.get(parked.number) is parked:
                self._let_send(parked)

    def _hand_on(self, parked: _Parked) -> bool:
        """Serve what came. Whether it waits on, and may have something to send."""
        try:
            data = parked.socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        try:
            result = parked.take(data)
        except BaseException as error:  # rule 2
            self._wake(parked, outcome.Error(error))
            return False
        if result is None:
            return True
        self._wake(parked, outcome.Value(result))
        return False

    def _let_send(self, parked: _Parked) -> None:
        try:
            result = parked.send()
        except BaseException as error:  # rule 2
            self._wake(parked, outcome.Error(error))
        else:
            if result is not None:
                self._wake(parked, outcome.Value(result))

    def _wake(self, parked: _Parked, came: outcome.Outcome[object]) -> None:
        # While it was served, it may have cancelled its own wait; then its task is awake already.
        if self._release(parked):
            trio.lowlevel.reschedule(parked.task, came)

    def _release(self, parked: _Parked) -> bool:
        number = parked.number
        if self._parked.get(number) is not parked:
            return False
        del self._parked[number]
        with suppress(OSError, ValueError):  # a closed socket has left by itself
            self._epoll.unregister(number)
        return True
