"""Bob's servers over loopback, and Alice's pools that ask them."""

from collections.abc import Awaitable, Callable

import trio
import trio.testing

from node.transport.addresses import from_socket
from node.transport.binding import bind
from node.transport.frames import FrameStream
from node.transport.pool import PoolLimits, StreamPool
from node.transport.streams import ServerLimits, StreamServer
from protocol.identity import Address
from protocol.wire.handshake import Session

from .people import ALICE, BOB

Handler = Callable[[bytes], Awaitable[bytes]]
ROOMY = ServerLimits(connections_per_origin_max=500)


class Town:
    """Bob's servers, and Alice's pools that ask them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.pools: list[StreamPool] = []
        self.served: list[bytes] = []
        self.most_open = 0

    async def serve(
        self, handler: Handler, *, limits: ServerLimits = ROOMY
    ) -> tuple[StreamServer, Address]:
        both = await bind("127.0.0.1", 0)
        both.datagrams.close()
        server = self.server(handler, limits)
        return server, await self.nursery.start(server.run, both.listener)

    async def serve_many(self, handler: Handler, count: int) -> list[Address]:
        """One server behind many addresses: as many peers for a pool."""
        server = self.server(handler, ROOMY)

        async def handle(stream: trio.SocketStream) -> None:
            await server.serve_connection(stream, Address("127.0.0.1", 1))

        listeners = []
        for _ in range(count):
            listeners += await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.nursery.start_soon(trio.serve_listeners, handle, listeners)
        return [from_socket(one.socket.getsockname()) for one in listeners]

    def server(self, handler: Handler, limits: ServerLimits) -> StreamServer:
        async def answer(request: bytes, session: Session, source: Address) -> bytes:
            self.served.append(request)
            self.most_open = max(self.most_open, server.counters.open)
            return await handler(request)

        server = StreamServer(answer, BOB, on_error=lambda *_: None, limits=limits)
        return server

    async def serve_raw(self, behave: Callable[[FrameStream], Awaitable[None]]) -> Address:
        async def handle(stream: trio.SocketStream) -> None:
            async with stream:
                await behave(FrameStream(stream))

        both = await bind("127.0.0.1", 0)
        both.datagrams.close()
        self.nursery.start_soon(trio.serve_listeners, handle, [both.listener])
        return both.address

    def pool(self, limits: PoolLimits | None = None) -> StreamPool:
        self.pools.append(StreamPool(ALICE, limits=limits))
        return self.pools[-1]


async def echo(request: bytes) -> bytes:
    return b"echo " + request


def slowly(clock_s: float) -> Handler:
    async def answer(request: bytes) -> bytes:
        await trio.sleep(clock_s)
        return request

    return answer
