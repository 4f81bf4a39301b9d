"""Probes over HTTP against real sockets that say what they were told to say."""

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from node.checks.asking import PROBE_BODY_MAX, HttpProber, ProbeAnswer, ProbeFailed
from node.version import VERSION


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def unused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


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
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", ProbeAnswer(200, b"until the end")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http("503 Busy", b"no"), ProbeAnswer(503, b"no")),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ProbeAnswer(101, b"")),
        (http("200 OK", b"fine") + b"and more", ProbeAnswer(200, b"fine")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ProbeAnswer(304, b"")),
    ],
    ids=["no length", "interim", "upgrade", "more than said", "no body"],
)
async def test_an_answer_ends_where_it_says_it_does(answer: bytes, expected: ProbeAnswer) -> None:
    async with service(answer) as (url, _):
        assert await HttpProber().get(url, 5) == expected


@pytest.mark.trio
async def test_an_answer_may_come_byte_by_byte() -> None:
    pieces = [bytes([one]) for one in http("200 OK", b"fine", "X-Long: " + "y" * 100)]
    async with service(*pieces) as (url, _):
        assert await HttpProber().get(url, 5) == ProbeAnswer(200, b"fine")


@pytest.mark.trio
async def test_what_is_sent_is_quoted_and_tells_no_password() -> None:
    async with service(http("200 OK"), http("200 OK")) as (url, asked):
        port = url.split(":")[2].partition("/")[0]
        await HttpProber().get(f"http://me:secret@127.0.0.1:{port}/a b/\u00e9?x=1 2&y=%20#part", 5)
    line, host, *_ = asked[0].split(b"\r\n")
    assert line == b"GET /a%20b/%C3%A9?x=1%202&y=%20 HTTP/1.1"
    assert host == f"Host: 127.0.0.1:{port}".encode()


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
        "http://127.0.0.1:1/\r\nX: y",
        "http://\u2026\u2026/",
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
