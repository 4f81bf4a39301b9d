"""Answers that come later, and streams: as a client sees them, and as whoever makes them does."""

import socket

import pytest
import trio
import trio.testing

from node.http import (
    Answered,
    ApiError,
    Deferred,
    End,
    Hooks,
    HttpLimits,
    HttpServer,
    Outlet,
    Request,
    Response,
    StreamResponse,
    SyncRoute,
    json_response,
)
from node.http.poller import Send, T, Take

from .speaking import Client, in_memory, make_server, on_loopback, request

SOON_S = 5.0
SAID = json_response(200, {"later": True})


class Waiting(Deferred):
    """Remembers that it was abandoned."""

    __slots__ = ("is_abandoned",)

    def __init__(self) -> None:
        super().__init__()
        self.is_abandoned = False

    def abandon(self) -> None:
        self.is_abandoned = True


class Source:
    """One stream, in the hands of the test."""

    def __init__(self, words: bytes = b"") -> None:
        self.words = words
        self.outlet: Outlet | None = None
        self.ends: list[End] = []
        self.drains = 0

    def opened(self, outlet: Outlet) -> None:
        self.outlet = outlet

    def drained(self) -> None:
        self.drains += 1

    def last_words(self, why: End) -> bytes:
        return self.words + why.encode() if self.words else b""

    def closed(self, why: End) -> None:
        self.ends.append(why)

    def push(self, piece: bytes) -> None:
        assert self.outlet is not None
        self.outlet.push(piece)


class Desk:
    """A server with `/wait` and `/stream`, and what was asked of it."""

    def __init__(self, limits: HttpLimits | None = None) -> None:
        self.waiting: list[Waiting] = []
        self.sources: list[Source] = []
        self.observed: list[tuple[str, str, int, bool]] = []
        self.answered: list[Answered] = []
        hooks = Hooks(observe=self._observe, answered=self.answered.append)
        self.server: HttpServer = make_server(
            SyncRoute("GET", "/wait", self._wait),
            SyncRoute("GET", "/stream", self._stream),
            limits=limits,
            hooks=hooks,
        )

    def _wait(self, _request: Request) -> Deferred:
        self.waiting.append(Waiting())
        return self.waiting[-1]

    def _stream(self, request: Request) -> StreamResponse:
        if request.query.get("refuse"):
            raise ApiError(503, "overloaded", "no more streams")
        self.sources.append(Source(b"end: "))
        return StreamResponse(self.sources[-1], "text/event-stream", (("X-Extra", "1"),))

    def _observe(self, method: str, pattern: str, status: int, seconds: float | None) -> None:
        self.observed.append((method, pattern, status, seconds is None))


async def blocked() -> None:
    await trio.testing.wait_all_tasks_blocked(0.01)


async def rest_of(client: Client) -> bytes:
    """All that comes until the server closes."""
    got = client.buffer
    with trio.fail_after(SOON_S):
        while data := await client.stream.receive_some(65_536):
            got += bytes(data)
    client.buffer = b""
    return got


def unchunked(data: bytes) -> tuple[bytes, bool]:
    """The body of chunks, and whether the last one was there."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if size == b"0":
            return body, True
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return body, False


@pytest.mark.trio
async def test_an_answer_comes_later_and_the_connection_is_kept() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/wait", "X-Request-Id: mine"))
        await blocked()
        desk.waiting[0].settle(SAID)
        answer = await client.answer()
        following = await client.get("/hello")

    assert (answer.status, answer.body) == (200, SAID.body)
    assert answer.headers["x-request-id"] == "mine"
    assert "connection" not in answer.headers
    assert following.status == 200
    assert desk.observed == [("GET", "/wait", 200, True), ("GET", "/hello", 200, False)]
    assert [(one.path, one.status, one.request_id) for one in desk.answered][:1] == [
        ("/wait", 200, "mine")
    ]


@pytest.mark.trio
async def test_what_is_settled_before_the_server_waits_is_answered_at_once() -> None:
    def settled(_request: Request) -> Deferred:
        one = Deferred()
        one.settle(SAID)
        return one

    async with on_loopback(make_server(SyncRoute("GET", "/settled", settled))) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/settled") * 3)
        answers = [await client.answer() for _ in range(3)]

    assert [answer.body for answer in answers] == [SAID.body] * 3


@pytest.mark.trio
async def test_requests_behind_one_that_waits_are_served_after_it_in_order() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/wait") + request("GET", "/hello"))
        await blocked()
        await client.send(request("GET", "/wait") + request("GET", "/show?n=1"))
        await blocked()
        assert len(desk.waiting) == 1
        desk.waiting[0].settle(SAID)
        first = [await client.answer(), await client.answer()]
        await blocked()
        desk.waiting[1].settle(json_response(200, 2))
        second = [await client.answer(), await client.answer()]

    assert [answer.body for answer in first] == [SAID.body, b'{"hello":"world"}\n']
    assert second[0].body == b"2\n"
    assert b'"path":"/show"' in second[1].body


@pytest.mark.trio
async def test_a_large_answer_that_came_later_arrives_whole() -> None:
    body = b"0123456789" * 800_000
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/wait"))
        await blocked()
        desk.waiting[0].settle(Response(200, body))
        answer = await client.answer()
        following = await client.get("/hello")

    assert answer.body == body
    assert following.status == 200


@pytest.mark.trio
@pytest.mark.parametrize("half", [True, False])
async def test_a_client_that_hangs_up_while_it_waits_is_noticed(half: bool) -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/wait"))
        await blocked()
        if half:
            await client.end()
        else:
            await client.stream.aclose()
        await blocked()

        assert desk.waiting[0].is_abandoned
        assert desk.server.connections == 0
        assert desk.observed == [("GET", "/wait", 499, True)]


@pytest.mark.trio
async def test_a_client_that_goes_on_sending_while_it_waits_is_cut_off() -> None:
    desk = Desk(HttpLimits(parked_bytes_max=1_000))
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/wait"))
        await blocked()
        await client.send(b"x" * 2_000)
        with trio.fail_after(SOON_S):
            assert await client.ended()

        assert desk.waiting[0].is_abandoned


@pytest.mark.trio
async def test_waiting_has_no_deadline_of_the_connection_and_idling_after_it_has(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limits = HttpLimits(idle_s=5.0)
    desk = Desk(limits)
    async with in_memory(desk.server) as client:
        await client.send(request("GET", "/wait"))
        await trio.sleep(600)
        desk.waiting[0].settle(SAID)
        answer = await client.answer()
        answered_at = trio.current_time()

        assert answer.body == SAID.body
        assert await client.ended()
        assert trio.current_time() - answered_at == pytest.approx(5.0, abs=0.1)


@pytest.mark.trio
async def test_draining_waits_for_what_comes_later_and_then_closes() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith, trio.open_nursery() as nursery:
        client = await kith.connect()
        await client.send(request("GET", "/wait"))
        await blocked()
        nursery.start_soon(desk.server.drain, SOON_S)
        await blocked()
        desk.waiting[0].settle(SAID)
        answer = await client.answer()
        assert answer.headers["connection"] == "close"
        assert await client.ended()


@pytest.mark.trio
async def test_a_stream_is_a_chunked_answer_that_the_end_of_it_closes() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/stream"))
        head = await client.answer()
        await blocked()
        source = desk.sources[0]
        source.push(b"data: 1\n\n")
        source.push(b"")
        source.push(b"data: 2\n\n")
        assert source.outlet is not None
        source.outlet.end("done")
        source.push(b"data: late\n\n")
        body = await rest_of(client)

    assert head.headers["transfer-encoding"] == "chunked"
    assert head.headers["connection"] == "close"
    assert head.headers["content-type"] == "text/event-stream"
    assert head.headers["x-extra"] == "1"
    assert "content-length" not in head.headers
    assert unchunked(body) == (b"data: 1\n\ndata: 2\n\nend: done", True)
    assert source.ends == ["done"]
    assert desk.observed == [("GET", "/stream", 200, True)]


@pytest.mark.trio
async def test_for_http_1_0_the_end_of_the_connection_ends_the_stream() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        head = await client.answer()
        await blocked()
        desk.sources[0].push(b"data: 1\n\n")
        assert desk.sources[0].outlet is not None
        desk.sources[0].outlet.end("done")
        body = await rest_of(client)

    assert "transfer-encoding" not in head.headers
    assert body == b"data: 1\n\nend: done"


@pytest.mark.trio
async def test_head_of_a_stream_is_its_head_alone() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("HEAD", "/stream"))
        head = await client.answer(body=False)
        assert await rest_of(client) == b""

    assert head.headers["content-type"] == "text/event-stream"
    assert desk.sources[0].outlet is None
    assert desk.sources[0].ends == ["gone"]


@pytest.mark.trio
async def test_a_stream_that_is_refused_is_an_error_of_the_one_shape() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        answer = await client.get("/stream?refuse=1")
        following = await client.get("/hello")

    assert (answer.status, answer.error["code"]) == (503, "overloaded")
    assert following.status == 200


@pytest.mark.trio
async def test_a_client_that_leaves_a_stream_is_noticed() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/stream"))
        await client.answer()
        await blocked()
        await client.stream.aclose()
        await blocked()

        assert desk.sources[0].ends == ["gone"]
        assert desk.server.connections == 0


@pytest.mark.trio
async def test_a_slow_reader_is_cut_off_and_told_and_what_waits_for_it_is_bounded() -> None:
    bytes_max = 20_000
    desk = Desk(HttpLimits(stream_bytes_max=bytes_max, write_s=SOON_S))
    piece = b"data: " + b"x" * 992 + b"\n\n"
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        assert isinstance(client.stream, trio.SocketStream)
        client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await client.send(request("GET", "/stream"))
        await client.answer()
        await blocked()
        source = desk.sources[0]
        assert source.outlet is not None
        most = pushed = 0
        while source.outlet.is_open:
            source.push(piece)
            pushed += 1
            most = max(most, source.outlet.waiting_bytes)
            if pushed % 10 == 0:
                await trio.lowlevel.checkpoint()
            assert pushed < 10_000
        body, is_whole = unchunked(await rest_of(client))

    assert most <= bytes_max
    assert source.ends == ["slow"]
    assert is_whole
    assert body.endswith(b"end: slow")
    assert body.removesuffix(b"end: slow").replace(piece, b"") == b"", "whole pieces alone"
    assert body.count(piece) < pushed


class StuckWire:
    """Takes nothing, and hears nothing."""

    async def receive(self) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def pump(self, take: Take[T], send: Send[T]) -> T:
        await trio.sleep_forever()
        raise AssertionError

    def send_now(self, data: bytes) -> int:
        return 0

    async def send(self, data: bytes) -> None:
        await trio.sleep_forever()

    def has_unread(self) -> bool:
        return False

    def hold_back(self, bytes_max: int) -> None:
        pass

    async def end_sending(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.trio
async def test_a_reader_that_takes_nothing_at_all_is_cut_off_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    source = Source()
    outlet = Outlet(StuckWire(), source, chunked=True, bytes_max=100, write_s=3.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.drive)
        await blocked()
        began = trio.current_time()
        outlet.push(b"x")

    assert trio.current_time() - began == pytest.approx(3.0, abs=0.1)
    assert source.ends == ["slow"]


@pytest.mark.trio
async def test_draining_ends_streams_with_their_last_words() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith, trio.open_nursery() as nursery:
        client = await kith.connect()
        await client.send(request("GET", "/stream"))
        await client.answer()
        await blocked()
        nursery.start_soon(desk.server.drain, SOON_S)
        body = await rest_of(client)

    assert unchunked(body) == (b"end: draining", True)
    assert desk.sources[0].ends == ["draining"]
