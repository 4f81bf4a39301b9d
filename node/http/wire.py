"""A connection's bytes, as fast as the operating system gives them.

`SocketWire` works on the socket itself: no pass through the scheduler for a read that the `Poller`
can hand on, and none for a write that the kernel takes at once. trio's own streams pass through it
for every call, which at tens of thousands of requests a second is most of the work. `StreamWire`
does the same over any trio stream.
"""

import socket
from contextlib import suppress
from typing import Protocol, TypeVar

import trio

from .poller import READ_BYTES, Poller, Send, Take

T = TypeVar("T")


class Wire(Protocol):
    """One end of a byte stream."""

    async def receive(self) -> bytes:
        """Wait for bytes; empty at the end of the stream or when it broke. Always yields."""
        ...

    async def pump(self, take: Take[T], send: Send[T]) -> T:
        """Hand `take` what comes, as `receive` gives it, and call `send` each time after that.

        Returns: the first that one of them returned besides None.

        Raises:
            BaseException: whatever they raised.
        """
        ...

    def send_now(self, data: bytes) -> int:
        """Send what can be sent without waiting: the number of bytes taken.

        Raises:
            BrokenPipeError: nobody receives any more.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Send everything.

        Raises:
            BrokenPipeError: nobody receives any more.
        """
        ...

    def hold_back(self, bytes_max: int) -> None:
        """Let the kernel keep no more than about that much of what was sent and not read yet."""
        ...

    def has_unread(self) -> bool:
        """Whether bytes, or an end, have come that were not received yet."""
        ...

    async def end_sending(self) -> None:
        """Tell the other end that nothing more comes. Never raises."""
        ...

    def close(self) -> None:
        """Give the connection up at once. Never raises; may be repeated."""
        ...


class SocketWire:
    """A connected TCP socket, taken over from trio."""

    def __init__(self, stream: trio.SocketStream, poller: Poller | None = None) -> None:
        self._poller = poller
        family, kind = stream.socket.family, stream.socket.type
        self._socket = socket.socket(family, kind, fileno=stream.socket.detach())
        self._socket.setblocking(False)  # noqa: FBT003 - its only parameter

    async def receive(self) -> bytes:
        """See `Wire`."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return self._socket.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return b""

    async def pump(self, take: Take[T], send: Send[T]) -> T:
        """See `Wire`."""
        if self._poller is not None:
            return await self._poller.park(self._socket, take, send)
        while (found := take(await self.receive())) is None and (found := send()) is None:
            pass
        return found

    def send_now(self, data: bytes) -> int:
        """See `Wire`."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise BrokenPipeError from error

    async def send(self, data: bytes) -> None:
        """See `Wire`."""
        rest = memoryview(data)
        while rest:
            try:
                await trio.lowlevel.wait_writable(self._socket)
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError) as error:
                raise BrokenPipeError from error

    def hold_back(self, bytes_max: int) -> None:
        """See `Wire`. Linux doubles the figure, for its own book-keeping."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, bytes_max // 2)

    def has_unread(self) -> bool:
        """See `Wire`."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return not isinstance(error, BlockingIOError)
        return True

    async def end_sending(self) -> None:
        """See `Wire`."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """See `Wire`."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class StreamWire:
    """Any trio stream: TLS later, memory streams in tests."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def receive(self) -> bytes:
        """See `Wire`."""
        try:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def pump(self, take: Take[T], send: Send[T]) -> T:
        """See `Wire`."""
        while (found := take(await self.receive())) is None and (found := send()) is None:
            pass
        return found

    def send_now(self, data: bytes) -> int:
        """See `Wire`. A stream cannot be asked, so nothing is taken."""
        return 0

    async def send(self, data: bytes) -> None:
        """See `Wire`."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise BrokenPipeError from error

    def hold_back(self, bytes_max: int) -> None:
        """See `Wire`. A stream has no such setting."""

    def has_unread(self) -> bool:
        """See `Wire`. A stream cannot be asked."""
        return False

    async def end_sending(self) -> None:
        """See `Wire`. TLS has no half-close; there closing must do."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()

    def close(self) -> None:
        """See `Wire`. The stream's owner closes it."""
