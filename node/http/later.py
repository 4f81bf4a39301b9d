"""Answers that are not there when the handler returns: one that comes later, one that never ends.

A handler without waiting returns a `Deferred` (a long poll) or a `StreamResponse` (server-sent
events) in place of a `Response`. No task waits for either: the connection's own task goes on
reading, so that it sees when the client hangs up, and whoever has the news calls into here.

Rules this module keeps:

1. Every call is synchronous and never waits; what the kernel does not take at once, the
   connection's task sends.
2. Exactly one of `settle` and `abandon` ends a `Deferred`; of a stream, `closed` is called once.
3. What a stream holds back for a slow reader is bounded; beyond, it is cut off and told why.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

import trio

from .errors import ApiError, Headers
from .messages import Response
from .wire import Wire

End: TypeAlias = Literal["gone", "slow", "draining", "done"]
"""Why a stream ended: the client went, or did not read; the server ends; its source is done."""
LAST_CHUNK = b"0\r\n\r\n"


class Deferred:
    """One answer that comes later. Whoever makes it keeps it and calls `settle` once.

    What is asked when must not be lost in between: a handler compares and enters its `Deferred`
    where the news comes by without any wait, and may settle it before the server has begun.
    """

    __slots__ = ("_answer", "_take")
    is_soon: ClassVar[bool] = False
    """The answer is being made, not awaited: it is sent though the client says no more, what the
    client sends meanwhile waits, and the time it takes is the server's."""

    def __init__(self) -> None:
        self._take: Callable[[Response | ApiError], None] | None = None
        self._answer: Response | ApiError | None = None

    def begin(self, take: Callable[[Response | ApiError], None]) -> None:
        """The server is ready for the answer; `take` is called with it, perhaps at once."""
        self._take = take
        if self._answer is not None:
            take(self._answer)

    def settle(self, response: Response | ApiError) -> None:
        """Answer. Only once, and not after `abandon`."""
        if self._take is None:
            self._answer = response
        else:
            self._take(response)

    def abandon(self) -> None:
        """The client went, or was cut off: nobody waits any more. For subclasses."""


class StreamSource(Protocol):
    """What is sent over a stream."""

    def opened(self, outlet: "Outlet") -> None:
        """The head is on its way: from now on there is somebody to push to."""
        ...

    def drained(self) -> None:
        """The client has taken all that was pushed."""
        ...

    def last_words(self, why: End) -> bytes:
        """What to say to a client before it is cut off; may be empty."""
        ...

    def closed(self, why: End) -> None:
        """It is over; the outlet takes nothing any more."""
        ...


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """An answer whose body is pushed piece by piece, until one side ends it."""

    source: StreamSource
    content_type: str
    headers: Headers = ()
    status: int = 200


class Outlet:
    """Where the pieces of one stream go. `drive` is run by the connection's task.

    Args:
        wire: The connection.
        source: Told how it ends.
        chunked: Whether pieces are framed as chunks; HTTP/1.0 knows only the end of the connection.
        bytes_max: What may wait for the client to read; one piece more, and it is cut off.
        write_s: Seconds for what waits to be taken by the client's kernel.
    """

    def __init__(
        self, wire: Wire, source: StreamSource, *, chunked: bool, bytes_max: int, write_s: float
    ) -> None:
        self._wire = wire
        self._source = source
        self._chunked = chunked
        self._bytes_max = bytes_max
        self._write_s = write_s
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._has_begun = False
        """Whether a part of the first piece is on its way, so that the rest must follow."""
        self._end: End | None = None
        self._nap: trio.CancelScope | None = None

    @property
    def waiting_bytes(self) -> int:
        """What the client has not taken yet."""
        return self._bytes

    @property
    def is_open(self) -> bool:
        """Whether it takes pieces."""
        return self._end is None

    def push(self, piece: bytes) -> None:
        """Send a piece, whole, in order; after the end it is dropped."""
        if self._end is not None or not piece:
            return
        framed = self._framed(piece)
        if self._nap is not None and not self._pieces:
            try:
                sent = self._wire.send_now(framed)
            except BrokenPipeError:
                self._finish("gone")
                return
            if sent == len(framed):
                return
            self._has_begun = sent > 0
            framed = framed[sent:]
        elif self._bytes + len(framed) > self._bytes_max:
            self.end("slow")
            return
        self._put(framed)

    def end(self, why: End) -> None:
        """Say the last words and close. A slow client is not sent what waits for it before."""
        if self._end is not None:
            return
        if why == "slow":
            kept = [self._pieces[0]] if self._has_begun and self._pieces else []
            self._pieces, self._bytes = deque(kept), sum(map(len, kept))
        words = self._source.last_words(why)
        if words:
            self._put(self._framed(words))
        if self._chunked:
            self._put(LAST_CHUNK)
        self._finish(why)

    def abandon(self) -> None:
        """The connection is over."""
        self._finish("gone")

    async def drive(self) -> None:
        """Send what waits, and see when the client hangs up; returns when the stream is over."""
        try:
            while True:
                if self._pieces:
                    await self._send()
                    if not self._pieces and self._end is None:
                        self._source.drained()
                elif self._end is not None:
                    return
                elif not await self._is_there():
                    self._finish("gone")
                    return
        except BrokenPipeError:
            self._finish("gone")
        finally:
            self._finish("gone")
            self._pieces.clear()
            self._bytes = 0

    async def _is_there(self) -> bool:
        """Wait for more to send; False if the client went. What it sends has no meaning."""
        with trio.CancelScope() as self._nap:
            try:
                return bool(await self._wire.receive())
            finally:
                self._nap = None
        return True

    async def _send(self) -> None:
        piece = self._pieces[0]
        self._has_begun = True
        with trio.move_on_after(self._write_s) as scope:
            await self._wire.send(piece)
        if scope.cancelled_caught:
            self._finish("slow")
            raise BrokenPipeError
        self._has_begun = False
        self._pieces.popleft()
        self._bytes -= len(piece)

    def _put(self, framed: bytes) -> None:
        self._pieces.append(framed)
        self._bytes += len(framed)
        if self._nap is not None:
            self._nap.cancel()

    def _finish(self, why: End) -> None:
        if self._end is None:
            self._end = why
            if self._nap is not None:
                self._nap.cancel()
            self._source.closed(why)

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece
