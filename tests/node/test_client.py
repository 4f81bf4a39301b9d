"""The HTTP client against real sockets that say what they were told to say."""

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread

import pytest
import trio
from trio.testing import MockClock

from node.checks.asking import ProbeAnswer, ProbeFailed
from node.client import (
    ANSWER_BYTES_MAX,
    PROBE_BODY_MAX,
    ApiClient,
    ApiRefused,
    ApiStrange,
    ApiUnreachable,
    HttpProber,
    Reply,
)
from node.version import VERSION

from .cli.fake_node import Answer, error, running


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def saying(*answer: bytes) -> Iterator[str]:
    """A server that answers one request with these bytes and closes; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                for part in answer:
                    try:
                        connection.sendall(part)
                    except OSError:
                        return

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=5)


def unused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_call_sends_token_query_and_body_and_brings_the_answer_back() -> None:
    with running() as fake:
        fake.answers["POST", "/v1/x"] = Answer(201, {"id": 1})

        with ApiClient(fake.url, "secret", 5) as api:
            reply = api.call("POST", "/v1/x", query=[("tag", "a b"), ("tag", "ü")], body={"k": [1]})

        assert (reply.status, reply.value) == (201, {"id": 1})
        assert reply.headers["x-kith-partition"] == "none"
        (asked,) = fake.asked
        assert asked.query == (("tag", "a b"), ("tag", "ü"))
        assert asked.body == {"k": [1]}
        assert asked.headers["authorization"] == "Bearer secret"
        assert asked.headers["user-agent"] == f"kith/{VERSION}"


def test_a_documented_error_is_a_refusal_with_its_fields() -> None:
    with running() as fake, ApiClient(fake.url, None, 5) as api:
        document = error("not_owner", "it is another's", "id", owner_address="127.0.0.1:8410")
        fake.answers["DELETE", "/v1/x"] = Answer(403, document)

        with pytest.raises(ApiRefused) as caught:
            api.call("DELETE", "/v1/x")

    refused = caught.value
    assert (refused.status, refused.code, refused.message) == (403, "not_owner", "it is another's")
    assert (refused.field, refused.definite, refused.request_id) == ("id", True, "r-1")
    assert refused.owner_address == "127.0.0.1:8410"


def test_a_status_that_the_caller_expects_is_no_refusal() -> None:
    with running() as fake, ApiClient(fake.url, None, 5) as api:
        fake.answers["GET", "/readyz"] = Answer(503, {"ready": False})
        assert api.call("GET", "/readyz", accept=[503]).status == 503


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b"<html>"),
        http("200 OK", b"\xff\xfe"),
        http("404 Not Found", b"{}"),
        http("500 Oh", b'{"error": "text"}'),
        http("302 Found", b"", "Location: http://elsewhere.invalid/"),
        http("200 OK", b"not gzip", "Content-Encoding: gzip"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"",
    ],
)
def test_an_answer_that_no_node_gives_is_called_strange(answer: bytes) -> None:
    with saying(answer) as url, ApiClient(url, None, 5) as api, pytest.raises(ApiStrange):
        api.call("GET", "/v1/node")


def test_an_answer_without_end_is_given_up() -> None:
    chunk = b" " * 1024 * 1024
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    chunks = [chunk] * (ANSWER_BYTES_MAX // len(chunk) + 8)
    with (
        saying(head, *chunks) as url,
        ApiClient(url, None, 30) as api,
        pytest.raises(ApiStrange, match="longer than"),
    ):
        api.call("GET", "/v1/node")


def test_nobody_there_is_unreachable_with_the_reason() -> None:
    url = unused_url()
    with (
        ApiClient(url, None, 5) as api,
        pytest.raises(ApiUnreachable, match="connection refused") as caught,
    ):
        api.call("GET", "/v1/node")
    assert caught.value.url == url


def test_silence_is_unreachable_after_the_timeout() -> None:
    # The listener's queue takes the connection; nobody ever answers.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            ApiClient(url, None, 0.05) as api,
            pytest.raises(ApiUnreachable, match=r"no answer within 0\.05 s"),
        ):
            api.call("GET", "/v1/node")


def test_a_proxy_from_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", unused_url())
    with running() as fake, ApiClient(fake.url, None, 5) as api:
        assert api.call("GET", "/v1/node").status == 200


@pytest.mark.parametrize("url", ["ftp://x", "http://", "nonsense", "http://[::1", "http://a:b"])
def test_what_is_no_http_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        ApiClient(url, None, 5)


def test_a_reply_is_a_plain_value() -> None:
    assert Reply(204, None, {}) == Reply(204, None, {})


@asynccontextmanager
async def service(
    *answer: bytes, open_ended: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A service that answers each request with these bytes; its URL, and what it was asked."""
    asked: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive_some(65_536))
            try:
                for part in answer:
                    await stream.send_all(part)
                if open_ended:
                    await trio.sleep_forever()
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{port}/health", asked
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_probe_says_who_it_is_and_brings_status_and_body() -> None:
    async with service(http("200 OK", b"fine")) as (url, asked):
        answer = await HttpProber().get(url, 5)

    assert answer == ProbeAnswer(200, b"fine")
    assert b"GET /health HTTP/1.1\r\n" in asked[0]
    assert f"User-Agent: kith-check/{VERSION}\r\n".encode() in asked[0]
    assert b"Accept-Encoding: identity\r\n" in asked[0]


@pytest.mark.trio
async def test_a_probe_uses_the_method_it_is_given() -> None:
    async with service(http("204 No Content")) as (url, asked):
        assert await HttpProber().get(url, 5, method="HEAD") == ProbeAnswer(204, b"")
    assert asked[0].startswith(b"HEAD ")


@pytest.mark.trio
async def test_a_probe_follows_no_redirect() -> None:
    async with service(http("302 Found", b"", "Location: /other")) as (url, asked):
        answer = await HttpProber().get(url, 5)
    assert (answer.status, len(asked)) == (302, 1)


@pytest.mark.trio
async def test_a_probe_reads_a_little_and_does_not_wait_for_the_rest() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    size = PROBE_BODY_MAX + 1
    chunk = f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"
    async with service(head, chunk, open_ended=True) as (url, _):
        answer = await HttpProber().get(url, 5)
    assert answer == ProbeAnswer(200, b"x" * PROBE_BODY_MAX)


@pytest.mark.trio
async def test_a_compressed_answer_is_not_unfolded() -> None:
    async with service(http("200 OK", b"\x1f\x8b...", "Content-Encoding: gzip")) as (url, _):
        assert await HttpProber().get(url, 5) == ProbeAnswer(200, b"\x1f\x8b...")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "malformed answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "malformed answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, "malformed answer"),
        (b"", "malformed answer"),
    ],
)
async def test_a_malformed_answer_fails_the_probe(answer: bytes, reason: str) -> None:
    async with service(answer) as (url, _):
        with pytest.raises(ProbeFailed, match=reason):
            await HttpProber().get(url, 5)


@pytest.mark.trio
async def test_a_probe_that_nobody_takes_is_refused() -> None:
    with pytest.raises(ProbeFailed) as caught:
        await HttpProber().get(unused_url(), 5)
    assert caught.value.reason == "connection refused"


@pytest.mark.trio
async def test_a_silent_service_fails_the_probe_in_time(autojump_clock: MockClock) -> None:
    async with service(open_ended=True) as (url, _):
        with pytest.raises(ProbeFailed, match="no answer within 2 s"):
            await HttpProber().get(url, 2)
    assert trio.current_time() == pytest.approx(2)


@pytest.mark.trio
async def test_a_service_that_drips_fails_the_probe_in_time(autojump_clock: MockClock) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    async with service(head, b"drop", open_ended=True) as (url, _):
        with pytest.raises(ProbeFailed, match="no answer within 2 s"):
            await HttpProber().get(url, 2)


@pytest.mark.trio
async def test_plain_http_where_tls_was_meant_is_a_tls_failure() -> None:
    async with service(http("200 OK")) as (url, _):
        with pytest.raises(ProbeFailed, match="TLS failed"):
            await HttpProber().get(url.replace("http://", "https://"), 5)


@pytest.mark.trio
async def test_a_name_that_nobody_knows_fails_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    async def knows_nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", knows_nobody)
    with pytest.raises(ProbeFailed, match="the name cannot be resolved: Name or service not known"):
        await HttpProber().get("http://web.invalid/health", 5)


@pytest.mark.trio
@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/",
        "http://",
        "//x",
        "http://[::1",
        "http://a:99999/",
        "http://x\x00y/",
        "x" * 70_000,
    ],
)
async def test_what_is_no_url_fails_the_probe(url: str) -> None:
    with pytest.raises(ProbeFailed):
        await HttpProber().get(url, 5)


@pytest.mark.trio
async def test_probes_wait_for_a_place_within_their_own_time(autojump_clock: MockClock) -> None:
    prober = HttpProber(at_once_max=1)
    failures: list[float] = []

    async def probe(url: str, timeout_s: float) -> None:
        with pytest.raises(ProbeFailed):
            await prober.get(url, timeout_s)
        failures.append(trio.current_time())

    async with service(open_ended=True) as (url, _), trio.open_nursery() as nursery:
        nursery.start_soon(probe, url, 2)
        nursery.start_soon(probe, url, 3)

    assert failures == [pytest.approx(2), pytest.approx(3)]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (ssl.SSLCertVerificationError(1, "whole story"), "certificate not accepted"),
        (ssl.SSLError(1, "wrong version"), "TLS failed"),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "connection reset"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to host"),
    ],
)
@pytest.mark.trio
async def test_the_systems_own_reason_is_found_below_the_libraries(
    monkeypatch: pytest.MonkeyPatch, cause: OSError, reason: str
) -> None:
    async def failing(*_: object, **__: object) -> None:
        # As trio does when every attempt to connect has failed.
        raise OSError("all attempts failed") from ExceptionGroup("attempts", [cause])

    monkeypatch.setattr(trio, "open_tcp_stream", failing)
    with pytest.raises(ProbeFailed, match=reason):
        await HttpProber().get("http://127.0.0.1:1/", 5)
