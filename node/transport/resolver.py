"""Host names looked up by the system, so that a name service that hangs holds up nobody else.

The system's `getaddrinfo` blocks a thread, for 10 s and more where a name server does not answer,
and whoever asked has long gone on by then. Trio's own look-ups share forty threads with everything
else that blocks; some dozen checks of services on such names held them all, and a check of
`localhost` waited behind them until it counted as failed.

Rules this module keeps:

1. A name is looked up once at a time: who asks for it meanwhile gets the same answer.
2. Look-ups have threads of their own, `THREADS_MAX` at most.
3. Names that hung lately wait among themselves, for `SLOW_MAX` of these threads.
4. Whoever asks may go away; that neither ends nor delays a look-up that has begun, nor the end of
   the node. One that waits for a thread in vain is given up: look-ups under way are bounded.
"""

import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import trio

THREADS_MAX = 128
"""Each has a stack, of which some ten KiB are used."""
SLOW_MAX = 64
SLOW_S = 1.0
"""A look-up that takes longer hangs: name servers answer in milliseconds, or after a retry."""
SLOW_NAMES_MAX = 4_096
"""Remembered as slow; the longest unasked for is forgotten first."""

Entry: TypeAlias = (
    tuple[Literal[socket.AddressFamily.AF_INET], socket.SocketKind, int, str, tuple[str, int]]
    | tuple[
        Literal[socket.AddressFamily.AF_INET6],
        socket.SocketKind,
        int,
        str,
        tuple[str, int, int, int] | tuple[int, bytes],
    ]
)
_Question: TypeAlias = tuple[bytes | None, bytes | str | int | None, int, int, int, int]
LookUp: TypeAlias = Callable[
    [bytes | None, bytes | str | int | None, int, int, int, int], list[Entry]
]


@dataclass(slots=True)
class _Flight:
    """A look-up under way."""

    done: trio.Event = field(default_factory=trio.Event)
    answer: list[Entry] | None = None
    error: Exception | None = None
    askers: int = 0
    is_begun: bool = False
    """Whether a thread is at it."""
    waiting: trio.CancelScope = field(default_factory=trio.CancelScope)
    took_s: float = 0.0


def _system(
    host: bytes | None,
    port: bytes | str | int | None,
    family: int,
    kind: int,
    proto: int,
    flags: int,
) -> list[Entry]:
    return socket.getaddrinfo(host, port, family, kind, proto, flags)


class Resolver(trio.abc.HostnameResolver):
    """Looks names up for all of a node; `install` it once in each run of trio.

    Args:
        by: blocks until it has an answer, or raises OSError.
        slow_s: what takes longer hangs.
    """

    def __init__(self, *, by: LookUp = _system, slow_s: float = SLOW_S) -> None:
        self._by = by
        self._slow_s = slow_s
        self._threads = trio.CapacityLimiter(THREADS_MAX)
        self._slow_places = trio.CapacityLimiter(SLOW_MAX)
        self._flights: dict[_Question, _Flight] = {}
        self._slow: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        """Look-ups under way."""
        return len(self._flights)

    def install(self) -> None:
        """Have trio look names up by this, from now on."""
        trio.socket.set_custom_hostname_resolver(self)

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as the interface has it
        proto: int = 0,
        flags: int = 0,
    ) -> list[Entry]:
        """All addresses of a name.

        Raises:
            OSError: it has none now, or that cannot be told.
        """
        question = host, port, family, type, proto, flags
        flight = self._flights.get(question)
        if flight is None:
            flight = self._flights[question] = _Flight()
            # A task of the system's, for it outlives who asked; it ends with the node.
            trio.lowlevel.spawn_system_task(self._fly, question, flight)
        flight.askers += 1
        try:
            await flight.done.wait()
        finally:
            flight.askers -= 1
            if not flight.askers and not flight.is_begun:
                flight.waiting.cancel()
                # At once: who asks next must not wait for what nobody does any more.
                self._land(question, flight)
        if isinstance(flight.error, OSError):
            # One of its own for each: tracebacks are kept with the error.
            raise flight.error.__class__(*flight.error.args)
        if flight.error is not None:
            raise flight.error
        return list(flight.answer or ())

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int
    ) -> tuple[str, str]:
        """The name of an address; nothing in a node asks for that. Raises OSError."""
        return await trio.to_thread.run_sync(
            socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True, limiter=self._threads
        )

    async def _fly(self, question: _Question, flight: _Flight) -> None:
        host = question[0] or b""
        try:
            with flight.waiting:
                if host in self._slow:
                    async with self._slow_places:
                        await self._ask(question, flight)
                else:
                    await self._ask(question, flight)
        finally:
            self._land(question, flight)
            if flight.is_begun:
                self._remember(host, slow=flight.took_s > self._slow_s)
            flight.done.set()

    def _land(self, question: _Question, flight: _Flight) -> None:
        if self._flights.get(question) is flight:
            del self._flights[question]

    async def _ask(self, question: _Question, flight: _Flight) -> None:
        def work() -> list[Entry]:
            # In the thread: what was waited for one is no fault of the name.
            flight.is_begun = True
            began_s = time.perf_counter()
            try:
                return self._by(*question)
            finally:
                flight.took_s = time.perf_counter() - began_s

        try:
            flight.answer = await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._threads
            )
        except UnicodeError as error:
            flight.error = socket.gaierror(socket.EAI_NONAME, f"no host name: {error}")
        except Exception as error:  # for who asked: in a task of the system's it would end the node
            flight.error = error

    def _remember(self, host: bytes, *, slow: bool) -> None:
        self._slow.pop(host, None)
        if slow:
            self._slow[host] = None
            if len(self._slow) > SLOW_NAMES_MAX:
                self._slow.popitem(last=False)
