"""A raw HTTP client for tests: sends bytes as they are, reads answers one by one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
import trio
import trio.testing

from node.http import (
    Hooks,
    HttpLimits,
    HttpServer,
    Request,
    Response,
    Route,
    Router,
    SyncRoute,
    json_response,
)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, object]:
        found = orjson.loads(self.body)["error"]
        assert isinstance(found, dict)
        return found


class Client:
    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def get(self, path: str, *headers: str) -> Answer:
        await self.send(request("GET", path, *headers))
        return await self.answer()

    async def answer(self, *, body: bool = True) -> Answer:
        while b"\r\n\r\n" not in self.buffer:
            await self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", "0")) if body else 0
        while len(self.buffer) < length:
            await self._more()
        found, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(int(first.split()[1]), headers, found)

    async def ended(self) -> bool:
        """Whether the server closes without sending any more."""
        try:
            return self.buffer == b"" and await self.stream.receive_some(1) == b""
        except trio.BrokenResourceError:
            return True

    async def end(self) -> None:
        """Send no more, but go on reading."""
        assert isinstance(self.stream, trio.SocketStream)
        await self.stream.send_eof()

    async def _more(self) -> None:
        data = await self.stream.receive_some(65_536)
        assert data, f"closed after {self.buffer!r}"
        self.buffer += bytes(data)


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: kith", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def hello(_request: Request) -> Response:
    return json_response(200, {"hello": "world"})


def show(request: Request) -> Response:
    shown = {
        "method": request.method,
        "path": request.path,
        "query": request.query.pairs,
        "params": dict(request.params),
        "body": request.body.decode("latin-1"),
        "client": request.client,
    }
    return json_response(200, shown)


def read_json(request: Request) -> Response:
    return json_response(201, request.json_object())


async def show_later(request: Request) -> Response:
    await trio.lowlevel.checkpoint()
    return show(request)


async def crash_later(_request: Request) -> Response:
    await trio.lowlevel.checkpoint()
    raise LookupError("secret detail")


def crash(_request: Request) -> Response:
    raise LookupError("secret detail")


def split_answer(_request: Request) -> Response:
    return Response(200, b"", headers=(("X-Evil", "a\r\nSet-Cookie: b"),))


async def hang(_request: Request) -> Response:
    await trio.sleep_forever()
    raise AssertionError


ROUTES = (
    SyncRoute("GET", "/hello", hello, open=True),
    SyncRoute("GET", "/show", show),
    SyncRoute("POST", "/show", show),
    SyncRoute("POST", "/json", read_json),
    Route("GET", "/later", show_later),
    Route("GET", "/things/{name}", show_later),
    SyncRoute("GET", "/things/{name}/parts/{part}", show),
    SyncRoute("GET", "/crash", crash),
    Route("GET", "/crash-later", crash_later),
    SyncRoute("GET", "/split", split_answer),
    Route("GET", "/hang", hang),
    Route("GET", "/hang-bounded", hang, handler_s=3.0),
)


def make_server(
    *routes: Route | SyncRoute, limits: HttpLimits | None = None, hooks: Hooks | None = None
) -> HttpServer:
    return HttpServer(Router((*ROUTES, *routes)), node="alpha", limits=limits, hooks=hooks)


@asynccontextmanager
async def in_memory(server: HttpServer) -> AsyncIterator[Client]:
    """One client over memory streams: for time-outs, which jump there."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs, "memory")
        yield Client(ours)
        nursery.cancel_scope.cancel()


class Loopback:
    """A server on a port of its own, and the clients that came."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@asynccontextmanager
async def on_loopback(server: HttpServer) -> AsyncIterator[Loopback]:
    """Serve until the block ends, then close what it opened."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    kith = Loopback(listeners[0].socket.getsockname()[1])
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(
                lambda task_status: server.serve(listeners, task_status=task_status)
            )
            yield kith
            nursery.cancel_scope.cancel()
    finally:
        for client in kith.clients:
            await trio.aclose_forcefully(client.stream)
