"""The serving end of streams: accept, prove, then answer one request after the other.

Rules this module keeps:

1. Every wait has a deadline: a client that is slow on purpose costs a connection for seconds only.
2. Connections are bounded in all and by origin, before anything is read.
3. What one connection does, even a bug in the handler, ends that connection and no other.
"""

import contextlib
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from protocol.errors import RefusalCode, RefusedError, RemoteProtocolError
from protocol.identity import Address
from protocol.limits import FRAME_MAX
from protocol.wire.handshake import Credentials, Session, refusal

from .addresses import from_socket, origin_of
from .errors import FrameError
from .frames import FrameStream
from .sessions import NO_LORE, KeyLore, accept_session

Serve = Callable[[bytes, Session, Address], Awaitable[bytes]]
"""Answers one request frame of a proven peer with one frame."""

OnError = Callable[[Exception, Session, Address], None]
"""Told of what `Serve` raised; a bug of ours. Must not raise."""

_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_FILES_WAIT_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a client may cost. Times in seconds."""

    connections_max: int = 500
    connections_per_origin_max: int = 64
    """Of one IPv4 address or IPv6 /64; a pool opens two to a node, so 32 nodes may share a host."""
    handshakes_max: int = 128
    """Handshakes under way; a cluster of thousands that starts at once has fewer at one moment, for
    each takes milliseconds."""
    handshakes_per_origin_max: int = 48
    """… of one origin. Above either the oldest one, of the origin that has most, makes room."""
    handshake_honest_s: float = 1.0
    """… if it has lasted so long: an honest handshake takes milliseconds, but hundreds may begin at
    once where a cluster starts on one machine."""
    handshake_s: float = 5.0
    idle_s: float = 60.0
    """Between an answer and the first byte of the next request."""
    frame_s: float = 10.0
    """For one whole frame in or out: 1 MiB at 840 kbit/s."""
    answer_s: float = 30.0
    """For our own handler; it bounds what a stuck disk can pile up."""


@dataclass(slots=True)
class ServerCounters:
    """What happened since the start; `open` is what is open now."""

    open: int = 0
    accepted: int = 0
    turned_away: int = 0
    """Refused by the bounds on connections."""
    displaced: int = 0
    """Handshakes cut off because too many were under way."""
    requests: int = 0
    handler_errors: int = 0
    timeouts: int = 0
    """Handshakes, frames and answers that took too long; idle connections are not counted."""
    broken: int = 0
    accept_errors: int = 0
    refused: dict[RefusalCode, int] = field(default_factory=dict)
    """Refused handshakes and broken framing, by code."""


class _Connection:
    """One open connection; `idle` can be cancelled while it waits for a request."""

    __slots__ = ("begun", "frames", "handshake", "idle", "origin", "source")

    def __init__(self, stream: trio.abc.Stream, source: Address) -> None:
        self.frames = FrameStream(stream)
        self.source = source
        self.origin = origin_of(source.host)
        self.begun = trio.current_time()
        self.handshake = trio.CancelScope()
        self.idle: trio.CancelScope | None = None


class StreamServer:
    """Answers requests of proven peers. Start it by `await nursery.start(server.run, listener)`.

    Args:
        serve: makes the answer; at most `FRAME_MAX` bytes.
        credentials: who we are; the attribute may be replaced after a rotation.
        limits: what clients may cost.
        on_error: told of what `serve` raised.
        lore: what is known of the keys of others.
    """

    def __init__(
        self,
        serve: Serve,
        credentials: Credentials,
        *,
        on_error: OnError,
        limits: ServerLimits | None = None,
        lore: KeyLore = NO_LORE,
    ) -> None:
        self.credentials = credentials
        self.counters = ServerCounters()
        self._serve = serve
        self._on_error = on_error
        self._lore = lore
        self._limits = limits or ServerLimits()
        self._connections: dict[_Connection, None] = {}
        self._by_origin: dict[str, int] = {}
        self._handshakes: dict[str, dict[_Connection, None]] = {}
        """Those under way by origin, the oldest first."""
        self._accepting = trio.CancelScope()
        self._stopping = False

    async def run(
        self,
        listener: trio.SocketListener,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve until `stop`, then until the last answer is out; reports the address.

        Cancelling it closes everything at once.
        """
        async with trio.open_nursery() as connections, listener:
            task_status.started(from_socket(listener.socket.getsockname()))
            with self._accepting:
                await self._accept(listener, connections)
            await listener.aclose()

    def stop(self) -> None:
        """Accept nothing more, close each connection after the answer it is at; does not wait."""
        self._stopping = True
        self._accepting.cancel()
        for connection in self._connections:
            if connection.idle is not None:
                connection.idle.cancel()

    async def serve_connection(self, stream: trio.abc.Stream, source: Address) -> None:
        """Serve one connection to its end, whatever that end is; closes `stream`."""
        connection = _Connection(stream, source)
        origin = connection.origin
        self._make_room(origin)
        if not self._admits(origin):
            self.counters.turned_away += 1
            await _turn_away(stream)
            return
        self._connections[connection] = None
        self._by_origin[origin] = self._by_origin.get(origin, 0) + 1
        self._handshakes.setdefault(origin, {})[connection] = None
        self.counters.open += 1
        self.counters.accepted += 1
        try:
            await self._converse(connection)
        finally:
            try:
                await trio.aclose_forcefully(stream)
            finally:
                self._forget(connection)

    async def _accept(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _NO_MORE_FILES:
                    raise
                # Others may close theirs; until then the kernel's backlog holds the clients.
                self.counters.accept_errors += 1
                await trio.sleep(_FILES_WAIT_S)
                continue
            try:
                source = from_socket(stream.socket.getpeername())
            except OSError:
                stream.socket.close()
                self.counters.broken += 1
                continue
            connections.start_soon(self.serve_connection, stream, source)

    def _admits(self, origin: str) -> bool:
        return (
            not self._stopping
            and len(self._connections) < self._limits.connections_max
            and self._by_origin.get(origin, 0) < self._limits.connections_per_origin_max
        )

    async def _converse(self, connection: _Connection) -> None:
        try:
            session = await self._shake_hands(connection)
            while not self._stopping and await self._next_request(connection):
                if not await self._answer(connection, session):
                    return
        except (FrameError, RemoteProtocolError) as error:
            self.counters.refused[error.code] = self.counters.refused.get(error.code, 0) + 1
        except trio.TooSlowError:
            self.counters.timeouts += 1
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.counters.broken += 1

    async def _shake_hands(self, connection: _Connection) -> Session:
        try:
            with connection.handshake:
                with trio.fail_after(self._limits.handshake_s):
                    return await accept_session(
                        connection.frames,
                        self.credentials,
                        source=connection.source,
                        lore=self._lore,
                    )
        finally:
            self._end_handshake(connection)
        raise trio.ClosedResourceError

    def _make_room(self, origin: str) -> None:
        """Cut the oldest handshake off if there are too many and it is not an honest one."""
        theirs = self._handshakes.get(origin, {})
        if len(theirs) >= self._limits.handshakes_per_origin_max:
            most = theirs
        elif sum(map(len, self._handshakes.values())) >= self._limits.handshakes_max:
            most = max(self._handshakes.values(), key=len)
        else:
            return
        oldest = next(iter(most))
        if trio.current_time() - oldest.begun >= self._limits.handshake_honest_s:
            oldest.handshake.cancel()
            self._end_handshake(oldest)
            self._forget(oldest)
            self.counters.displaced += 1

    def _end_handshake(self, connection: _Connection) -> None:
        theirs = self._handshakes.get(connection.origin, {})
        theirs.pop(connection, None)
        if not theirs:
            self._handshakes.pop(connection.origin, None)

    def _forget(self, connection: _Connection) -> None:
        """It is closed, or about to be. Harmless when repeated."""
        if connection not in self._connections:
            return
        origin = connection.origin
        del self._connections[connection]
        self.counters.open -= 1
        self._by_origin[origin] -= 1
        if not self._by_origin[origin]:
            del self._by_origin[origin]

    async def _next_request(self, connection: _Connection) -> bool:
        """Wait for the first byte of a request; False if none comes."""
        begun = False
        with trio.move_on_after(self._limits.idle_s) as connection.idle:
            begun = await connection.frames.begin()
        connection.idle = None
        return begun

    async def _answer(self, connection: _Connection, session: Session) -> bool:
        """Read one request and answer it; False if our handler failed."""
        with trio.fail_after(self._limits.frame_s):
            request = await connection.frames.receive()
        assert request is not None, "its first byte was there"
        if self._lore.newer(session.chain) is not None:
            raise RefusedError("stale", "the peer's key was replaced since it opened the stream")
        self.counters.requests += 1
        answer: bytes | None = None
        with trio.fail_after(self._limits.answer_s):
            answer = await self._call(request, session, connection.source)
        if answer is None:
            return False
        with trio.fail_after(self._limits.frame_s):
            await connection.frames.send(answer)
        return True

    async def _call(self, request: bytes, session: Session, source: Address) -> bytes | None:
        try:
            return _fitting(await self._serve(request, session, source))
        except Exception as error:
            self.counters.handler_errors += 1
            self._on_error(error, session, source)
            return None


def _fitting(answer: bytes) -> bytes:
    if len(answer) > FRAME_MAX:
        raise ValueError(f"an answer of {len(answer)} bytes is longer than {FRAME_MAX}")
    return answer


async def _turn_away(stream: trio.abc.Stream) -> None:
    """Say `limit` if the stream takes it at once, and close."""
    with trio.move_on_after(1):
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await FrameStream(stream).send(refusal("limit"))
    await trio.aclose_forcefully(stream)
