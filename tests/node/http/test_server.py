"""The server as a client sees it, over real sockets."""

import errno

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from node.http import (
    Answered,
    AnyRoute,
    ApiError,
    Hooks,
    HttpLimits,
    HttpServer,
    Request,
    Response,
    Route,
    SyncRoute,
    json_response,
)

from .speaking import Client, make_server, on_loopback, request

ZIPPED = "Content-Type: application/json\r\nContent-Encoding: gzip"


@pytest.mark.trio
async def test_an_answer_carries_its_length_the_node_and_a_request_id() -> None:
    async with on_loopback(make_server()) as kith:
        answer = await (await kith.connect()).get("/hello")

    request_id = answer.headers.pop("x-request-id")
    assert (answer.status, answer.body) == (200, b'{"hello":"world"}\n')
    assert answer.headers == {
        "x-kith-node": "alpha",
        "content-type": "application/json",
        "content-length": "18",
    }
    assert request_id.endswith("-1")


@pytest.mark.trio
async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        answers = [await client.get("/show?n=1"), await client.get("/later"), await client.get("/")]

    assert [answer.status for answer in answers] == [200, 200, 404]


@pytest.mark.trio
async def test_pipelined_requests_are_answered_in_order_whoever_is_slow() -> None:
    count = 100
    burst = b"".join(
        request("GET", f"/things/{n}" if n % 7 == 0 else f"/things/{n}/parts/x")
        for n in range(count)
    )
    async with on_loopback(make_server(limits=HttpLimits(burst_max=8))) as kith:
        client = await kith.connect()
        await client.send(burst)
        answers = [await client.answer() for _ in range(count)]

    assert [f'"name":"{n}"'.encode() in answer.body for n, answer in enumerate(answers)] == (
        [True] * count
    )


@pytest.mark.trio
async def test_answers_larger_than_the_kernel_takes_at_once_arrive_whole() -> None:
    async def large(_request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"0123456789" * 800_000, "text/plain")

    async with on_loopback(make_server(Route("GET", "/large", large))) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/large") * 2)
        answers = [await client.answer(), await client.answer()]

    assert [answer.body == b"0123456789" * 800_000 for answer in answers] == [True, True]


@pytest.mark.trio
async def test_pipelined_large_answers_do_not_pile_up() -> None:
    body = b"x" * 300_000
    large = SyncRoute("GET", "/large", lambda _request: Response(200, body))
    async with on_loopback(make_server(large)) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/large") * 50)
        sizes = [len((await client.answer()).body) for _ in range(50)]

    assert sizes == [300_000] * 50


@pytest.mark.trio
async def test_the_callers_request_id_is_kept_if_it_is_sane() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        sane = await client.get("/hello", "X-Request-Id: abc-123")
        longest = await client.get("/hello", "X-Request-Id: " + "a" * 128)
        too_long = await client.get("/hello", "X-Request-Id: " + "a" * 129)
        beyond_ascii = await client.get("/hello", "X-Request-Id: \xe4")

    assert sane.headers["x-request-id"] == "abc-123"
    assert longest.headers["x-request-id"] == "a" * 128
    assert len(too_long.headers["x-request-id"]) < 32
    assert "\xe4" not in beyond_ascii.headers["x-request-id"]


@pytest.mark.trio
async def test_a_handler_sees_the_whole_request() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(request("POST", "/show?a=1&a=2", body=b"body"))
        answer = await client.answer()

    assert answer.body == (
        b'{"method":"POST","path":"/show","query":[["a","1"],["a","2"]],"params":{},'
        b'"body":"body","client":"127.0.0.1"}\n'
    )


@pytest.mark.trio
async def test_head_is_get_without_the_body() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(request("HEAD", "/hello") + request("HEAD", "/nothing"))
        found, missing = await client.answer(body=False), await client.answer(body=False)
        after = await client.get("/hello")

    assert (found.status, found.headers["content-length"]) == (200, "18")
    assert (missing.status, after.status) == (404, 200)


@pytest.mark.trio
async def test_options_tells_what_is_allowed() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(request("OPTIONS", "/show") + request("OPTIONS", "*"))
        path, server = await client.answer(), await client.answer()

    assert (path.status, path.headers["allow"]) == (204, "GET, POST, HEAD, OPTIONS")
    assert "content-length" not in path.headers
    assert server.headers["allow"] == "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"


@pytest.mark.trio
async def test_errors_have_one_shape() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        missing = await client.get("/nothing", "X-Request-Id: r1")
        await client.send(request("PATCH", "/hello"))
        refused = await client.answer()

    assert missing.status == 404
    assert missing.error == {
        "code": "not_found",
        "message": "there is nothing at '/nothing'",
        "field": None,
        "definite": True,
        "request_id": "r1",
    }
    assert (refused.status, refused.error["code"]) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.trio
@pytest.mark.parametrize(
    ("header", "body", "status", "code"),
    [
        ("Content-Type: application/json", b'{"a":1}', 201, ""),
        ("Content-Type: Application/JSON; charset=utf-8", b'{"a":1}', 201, ""),
        ("Content-Type: text/plain", b'{"a":1}', 415, "unsupported_media_type"),
        ("Accept: */*", b'{"a":1}', 415, "unsupported_media_type"),
        (ZIPPED, b'{"a":1}', 415, "unsupported_media_type"),
        ("Content-Type: application/json", b'{"a":1', 400, "malformed_body"),
        ("Content-Type: application/json", b"\xff", 400, "malformed_body"),
        ("Content-Type: application/json", b"[1]", 400, "malformed_body"),
        ("Content-Type: application/json", b"[" * 5_000, 400, "malformed_body"),
        ("Content-Type: application/json", b"", 400, "malformed_body"),
    ],
)
async def test_a_body_has_to_be_json_and_say_so(
    header: str, body: bytes, status: int, code: str
) -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(request("POST", "/json", header, body=body))
        answer = await client.answer()
        after = await client.get("/hello")

    assert answer.status == status
    assert status == 201 or answer.error["code"] == code
    assert after.status == 200, "the connection goes on"


@pytest.mark.trio
@pytest.mark.parametrize("path", ["/crash", "/crash-later", "/split"])
async def test_a_handler_that_breaks_is_answered_without_details_and_logged(path: str) -> None:
    failures: list[tuple[str, str]] = []
    hooks = Hooks(failed=lambda request_id, error: failures.append((request_id, repr(error))))
    async with on_loopback(make_server(hooks=hooks)) as kith:
        client = await kith.connect()
        answer = await client.get(path, "X-Request-Id: r9")
        after = await client.get("/hello")

    assert (answer.status, answer.error["code"]) == (500, "internal")
    assert (answer.error["definite"], answer.error["request_id"]) == (False, "r9")
    assert b"secret" not in answer.body
    assert [request_id for request_id, _ in failures] == ["r9"]
    assert after.status == 200


@pytest.mark.trio
async def test_the_guard_is_asked_before_the_handler_and_knows_what_is_open() -> None:
    def guard(asked: Request, route: AnyRoute) -> ApiError | None:
        if route.open or "authorization" in asked.headers:
            return None
        return ApiError(401, "unauthenticated", "send Authorization: Bearer …")

    async with on_loopback(make_server(hooks=Hooks(guard=guard))) as kith:
        client = await kith.connect()
        statuses = [
            (await client.get("/hello")).status,
            (await client.get("/show")).status,
            (await client.get("/later")).status,
            (await client.get("/show", "Authorization: Bearer x")).status,
        ]

    assert statuses == [200, 401, 401, 200]


@pytest.mark.trio
async def test_a_guard_that_breaks_lets_nobody_in() -> None:
    def guard(_asked: Request, _route: AnyRoute) -> ApiError | None:
        raise KeyError

    async with on_loopback(make_server(hooks=Hooks(guard=guard))) as kith:
        answer = await (await kith.connect()).get("/hello")

    assert (answer.status, answer.error["code"]) == (500, "internal")


@pytest.mark.trio
async def test_each_answer_is_reported_once_by_the_pattern_of_its_route() -> None:
    observed: list[tuple[str, str, int]] = []
    lines: list[Answered] = []
    hooks = Hooks(
        observe=lambda method, pattern, status, _seconds: observed.append(
            (method, pattern, status)
        ),
        answered=lines.append,
    )
    async with on_loopback(make_server(hooks=hooks)) as kith:
        client = await kith.connect()
        for path in ("/things/a", "/things/b/parts/c", "/nothing", "/crash"):
            await client.get(path)

    assert observed == [
        ("GET", "/things/{name}", 200),
        ("GET", "/things/{name}/parts/{part}", 200),
        ("GET", "-", 404),
        ("GET", "/crash", 500),
    ]
    assert [(line.path, line.client) for line in lines][2] == ("/nothing", "127.0.0.1")


@pytest.mark.trio
async def test_http_1_0_is_answered_and_closed() -> None:
    async with on_loopback(make_server()) as kith:
        client, kept = await kith.connect(), await kith.connect()
        await client.send(b"GET /hello HTTP/1.0\r\n\r\n")
        answer, ended = await client.answer(), await client.ended()
        await kept.send(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        first, second = await kept.answer(), await kept.get("/hello")

    assert (answer.headers["connection"], ended) == ("close", True)
    assert (first.headers["connection"], second.status) == ("keep-alive", 200)


@pytest.mark.trio
async def test_connection_close_is_obeyed_and_nothing_after_it_is_served() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/hello", "Connection: close") + request("GET", "/hello"))
        answer, ended = await client.answer(), await client.ended()

    assert (answer.headers["connection"], ended) == ("close", True)


@pytest.mark.trio
async def test_a_body_too_large_is_refused_before_it_is_sent() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(b"POST /json HTTP/1.1\r\nHost: k\r\nContent-Length: 65537\r\n\r\n")
        answer, ended = await client.answer(), await client.ended()

    assert (answer.status, answer.error["code"], answer.error["field"]) == (
        413,
        "too_large",
        "body",
    )
    assert (answer.headers["connection"], ended) == ("close", True)


@pytest.mark.trio
async def test_a_client_that_sends_on_still_gets_to_read_the_refusal() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(b"POST /json HTTP/1.1\r\nHost: k\r\nContent-Length: 900000\r\n\r\n")
        await client.send(b"x" * 900_000)
        answer = await client.answer()

    assert answer.status == 413


@pytest.mark.trio
async def test_a_client_that_expects_it_is_told_to_continue() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        head = (
            b"POST /show HTTP/1.1\r\nHost: k\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        await client.send(head)
        interim = await client.answer()
        await client.send(b"ab")
        answer = await client.answer()
        await client.send(
            request("POST", "/show", "Expect: 100-continue", "Content-Length: 999999")
        )
        refused = await client.answer()

    assert (interim.status, answer.status) == (100, 200)
    assert refused.status == 413, "a final answer instead of 100"


@pytest.mark.trio
async def test_a_protocol_error_is_answered_in_the_error_shape_and_closed() -> None:
    async with on_loopback(make_server()) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/hello") + b"GET / HTTP/1.1\r\nHost : k\r\n\r\n")
        good, bad, ended = await client.answer(), await client.answer(), await client.ended()

    assert (good.status, bad.status, bad.error["code"]) == (200, 400, "malformed_body")
    assert bad.error["request_id"] == bad.headers["x-request-id"]
    assert ended


@pytest.mark.trio
async def test_connections_beyond_the_limit_are_told_so() -> None:
    limits = HttpLimits(connections_max=2, linger_s=0.05, incomplete_s=60)
    async with on_loopback(make_server(limits=limits)) as kith:
        first, second = await kith.connect(), await kith.connect()
        served = [(await first.get("/hello")).status, (await second.get("/hello")).status]
        for busy in (first, second):
            await busy.send(b"GET /hel")
        await trio.testing.wait_all_tasks_blocked(0.05)
        third = await kith.connect()
        refused, ended = await third.answer(), await third.ended()
        await first.stream.aclose()
        again = 503
        while again == 503:
            again = (await (await kith.connect()).get("/hello")).status

    assert (served, refused.status, refused.error["code"]) == ([200, 200], 503, "overloaded")
    assert (refused.headers["retry-after"], ended, again) == ("1", True, 200)


@pytest.mark.trio
async def test_connections_of_one_client_have_a_limit_of_their_own() -> None:
    limits = HttpLimits(connections_per_client_max=1, incomplete_s=60)
    async with on_loopback(make_server(limits=limits)) as kith:
        first = await kith.connect()
        await first.get("/hello")
        await first.send(b"GET /hel")
        await trio.testing.wait_all_tasks_blocked(0.05)
        refused = await (await kith.connect()).answer()
        await first.stream.aclose()
        again = 503
        while again == 503:
            client = await kith.connect()
            again = (await client.get("/hello")).status

    assert again == 200
    assert refused.error["message"] == (
        "1 connections are open from 127.0.0.1, the limit; close some, or come back later"
    )


@pytest.mark.trio
async def test_clients_that_go_away_at_any_moment_leave_nothing_behind() -> None:
    server = make_server()
    async with on_loopback(server) as kith:
        for data in (b"", b"GET /hel", request("POST", "/show", body=b"abc")[:-1],
                     request("GET", "/later") * 500):  # fmt: skip
            client = await kith.connect()
            await client.send(data) if data else None
            await client.stream.aclose()
        assert (await (await kith.connect()).get("/hello")).status == 200
        with trio.fail_after(5):
            while server.connections > 1:
                await trio.testing.wait_all_tasks_blocked(0.01)


async def bombard(server: HttpServer, blobs: list[bytes]) -> int:
    async with on_loopback(server) as kith:
        for blob in blobs:
            client = await kith.connect()
            try:
                await client.send(blob)
                await client.end()
                while await client.stream.receive_some(65_536):
                    continue
            except trio.BrokenResourceError:
                pass
            await client.stream.aclose()
        return (await (await kith.connect()).get("/hello")).status


PIECES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            request("GET", "/hello"),
            request("POST", "/json", body=b"{}"),
            b"POST /show HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
            b"\r\n",
            b"GET ",
        ]
    ),
)


@given(blobs=st.lists(st.lists(PIECES, max_size=5).map(b"".join), max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_bytes_end_the_server(blobs: list[bytes]) -> None:
    failures: list[Exception] = []
    hooks = Hooks(failed=lambda _request_id, error: failures.append(error))

    assert trio.run(bombard, make_server(hooks=hooks), blobs) == 200
    assert failures == []


class ExhaustedListener(trio.abc.Listener[trio.SocketStream]):
    """Out of file descriptors for a while."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self.listener = listener
        self.failures = 3

    async def accept(self) -> trio.SocketStream:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return await self.listener.accept()

    async def aclose(self) -> None:
        await self.listener.aclose()


@pytest.mark.trio
async def test_accepting_goes_on_once_there_are_files_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    failures: list[Exception] = []
    hooks = Hooks(failed=lambda _request_id, error: failures.append(error))
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        server = make_server(hooks=hooks)
        await nursery.start(server.serve, [ExhaustedListener(listener)])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        answer = await Client(stream).get("/hello", "Connection: close")
        await stream.aclose()
        nursery.cancel_scope.cancel()

    assert (answer.status, len(failures)) == (200, 1), "told once, not at every try"


@pytest.mark.trio
async def test_draining_ends_requests_in_flight_and_closes_what_is_idle() -> None:
    begun, release = trio.Event(), trio.Event()

    async def slow(_request: Request) -> Response:
        begun.set()
        await release.wait()
        return json_response(200, "done")

    server = make_server(Route("GET", "/slow", slow))
    async with on_loopback(server) as kith, trio.open_nursery() as nursery:
        idle, busy = await kith.connect(), await kith.connect()
        await idle.get("/hello")
        await busy.send(request("GET", "/slow") + request("GET", "/hello"))
        await begun.wait()

        nursery.start_soon(server.drain, 5.0)
        assert await idle.ended()
        with pytest.raises(OSError, match="all attempts to connect"):
            await kith.connect()
        release.set()
        answer = await busy.answer()

        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await busy.ended()
        await busy.stream.aclose()
    assert server.connections == 0


@pytest.mark.trio
async def test_draining_cuts_off_what_does_not_end_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    begun = trio.Event()

    async def hang(_request: Request) -> Response:
        begun.set()
        await trio.sleep_forever()
        raise AssertionError

    server = make_server(Route("GET", "/hang-here", hang))
    async with on_loopback(server) as kith:
        client = await kith.connect()
        await client.send(request("GET", "/hang-here"))
        await begun.wait()
        started = trio.current_time()
        await server.drain(5.0)

        assert trio.current_time() - started == pytest.approx(5.0)
        assert await client.ended()
