"""The HTTP/1.1 server: who may connect, and how serving ends.

    listeners ──▶ HttpServer ──▶ Connection ──▶ RequestReader   bytes to requests
                  admits, drains      │     ──▶ Dispatcher      requests to responses
                                      └──────▶ Encoder          responses to bytes

Rules this module keeps:

1. Nothing that one client sends ends the server or another connection.
2. `serve` returns when `drain` has ended every connection; cancelling it cuts them off.
"""

import errno
import secrets
from collections.abc import Sequence
from typing import TypeAlias

import trio

from .clients import Client
from .connection import Connection, Service, linger
from .dispatch import Dispatcher, Hooks
from .encode import Encoder
from .errors import ApiError
from .limits import HttpLimits
from .poller import Poller
from .router import Router
from .wire import SocketWire, StreamWire, Wire

RETRY_AFTER_S = 1
ACCEPT_PAUSE_S = 0.1
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)

SocketListener: TypeAlias = trio.abc.Listener[trio.SocketStream]


class HttpServer:
    """Serves a router on any number of listeners. Serve and drain it once.

    Args:
        router: The table of routes.
        node: What X-Kith-Node says.
        limits: See `HttpLimits`.
        hooks: See `Hooks`.

    Raises:
        ValueError: `node` cannot stand in a header.
    """

    def __init__(
        self,
        router: Router,
        *,
        node: str,
        limits: HttpLimits | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._limits = limits or HttpLimits()
        self._dispatcher = Dispatcher(
            router, request_id_prefix=secrets.token_hex(4), hooks=hooks or Hooks()
        )
        self._service = Service(self._dispatcher, Encoder(node), self._limits)
        self._accepting = trio.CancelScope()
        self._poller: Poller | None = None
        self._clients = self._service.clients
        self._refusing = 0
        self._ended = trio.Event()

    @property
    def connections(self) -> int:
        """How many are open and admitted."""
        return self._clients.connections

    @property
    def closed_for_room(self) -> int:
        """How many were closed because others had no room."""
        return self._clients.closed_for_room

    async def serve(
        self,
        listeners: Sequence[SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve until `drain`, at whose beginning the listeners are closed.

        The nursery of the connections is here, since they must outlive accepting and end before
        `serve` does.

        Raises:
            OSError: a listener broke, in an exception group; all connections have been cut off.
        """
        async with trio.open_nursery() as polling:
            if Poller.is_possible():
                self._poller = Poller()
                polling.start_soon(self._poller.run)
            async with trio.open_nursery() as nursery:
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for listener in listeners:
                            accepting.start_soon(self._accept, listener, nursery)
                        task_status.started()
            polling.cancel_scope.cancel()
        if self._poller is not None:
            self._poller.close()

    async def serve_stream(self, stream: trio.abc.Stream, client: str) -> None:
        """Serve one connection over any stream, under the same limits. Closes the stream."""
        try:
            await self._admit(StreamWire(stream), client)
        finally:
            await trio.aclose_forcefully(stream)

    async def drain(self, seconds: float) -> None:
        """Stop accepting, close what is idle, let requests in flight end, then cut off the rest.

        Args:
            seconds: How long requests in flight may take.
        """
        self._service.draining = True
        self._accepting.cancel()
        for connection in self._clients.all_connections():
            if connection.idle:
                connection.scope.cancel()
            else:
                connection.wind_up()
        self._note_end()
        with trio.move_on_after(seconds):
            await self._ended.wait()
        for connection in self._clients.all_connections():
            connection.scope.cancel()

    async def _accept(self, listener: SocketListener, nursery: trio.Nursery) -> None:
        reported = False
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _OUT_OF_RESOURCES:
                        raise
                    # Closing connections frees what is lacking; until then the backlog holds them.
                    if not reported:
                        self._dispatcher.report_failure("-", error)
                    reported = True
                    await trio.sleep(ACCEPT_PAUSE_S)
                else:
                    reported = False
                    nursery.start_soon(self._serve_socket, stream)

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        try:
            host = str(stream.socket.getpeername()[0])
        except OSError:
            stream.socket.close()  # it went before we looked
            return
        # A client has one address, whether or not the listener speaks both IP versions.
        await self._admit(SocketWire(stream, self._poller), host.removeprefix("::ffff:"))

    async def _admit(self, wire: Wire, host: str) -> None:
        if self._service.draining:
            wire.close()
            return
        client = self._clients.admit(host, now=trio.current_time())
        if isinstance(client, str):
            await self._refuse(wire, client)
        else:
            await self._run(wire, host, client)

    async def _run(self, wire: Wire, host: str, client: Client[Connection]) -> None:
        connection = Connection(wire, host, client, self._service)
        self._clients.enter(client, connection)
        try:
            await connection.run()
        except Exception as error:  # rule 1
            self._dispatcher.report_failure("-", error)
        finally:
            self._clients.leave(client, connection)
            self._note_end()

    async def _refuse(self, wire: Wire, reason: str) -> None:
        try:
            if self._refusing < self._limits.refusals_max:
                self._refusing += 1
                try:
                    await self._say_overloaded(wire, reason)
                finally:
                    self._refusing -= 1
        finally:
            wire.close()

    async def _say_overloaded(self, wire: Wire, reason: str) -> None:
        error = ApiError(
            503,
            "overloaded",
            f"{reason}; close some, or come back later",
            headers=(("Retry-After", str(RETRY_AFTER_S)),),
        )
        with trio.move_on_after(self._limits.linger_s):
            try:
                await wire.send(self._service.refusal(error))
            except BrokenPipeError:
                return
            await linger(wire, self._limits.linger_s)

    def _note_end(self) -> None:
        if self._service.draining and not self._clients.connections:
            self._ended.set()
