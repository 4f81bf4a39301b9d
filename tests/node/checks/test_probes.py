"""Real probes of real servers on loopback: those that answer, refuse, redirect, hang or babble."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from node.checks.asking import HttpProber, ProbeAnswer, ProbeFailed
from node.checks.checker import HealthChecker, InstanceKey
from node.checks.probes import gist, probe, seconds_text, split_target, tidy
from node.client import HttpProber as ClientProber
from protocol import limits
from protocol.records import CheckType, Health

from .situations import WEB, FakeServers, http_check, ttl_check

REQUEST_MAX = 65_536


def answer(status: str, body: bytes = b"", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


@asynccontextmanager
async def server(reply: bytes | None, *, asked: list[bytes] | None = None) -> AsyncIterator[int]:
    """A TCP server on loopback: answers `reply` once per connection, or with None stays silent."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            request = await stream.receive_some(REQUEST_MAX)
            if asked is not None:
                asked.append(request)
            if reply is None:
                await trio.sleep_forever()
            else:
                await stream.send_all(reply)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # a probe need not read all
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def closed_port() -> int:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    await listener.aclose()
    return port


async def probe_http(port: int, *, timeout_ms: int = 2_000, path: str = "/") -> tuple[Health, str]:
    check = http_check(target=f"http://127.0.0.1:{port}{path}", timeout_ms=timeout_ms)
    verdict = await probe(check, ClientProber())
    return verdict.result, gist(verdict.output)


async def probe_tcp(target: str, *, timeout_ms: int = 2_000) -> tuple[Health, str]:
    check = http_check(type=CheckType.TCP, target=target, timeout_ms=timeout_ms)
    verdict = await probe(check, FakeServers())
    return verdict.result, gist(verdict.output)


def test_the_node_s_http_client_is_a_prober() -> None:
    prober: HttpProber = ClientProber()

    assert prober is not None


@pytest.mark.trio
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer("200 OK", b"all is well"), (Health.PASSING, "HTTP 200")),
        (answer("204 No Content"), (Health.PASSING, "HTTP 204")),
        (answer("429 Slow Down", b"later"), (Health.WARNING, "HTTP 429: later")),
        (
            answer("503 Sorry", b" no\r\n\tdata\x00base\n"),
            (Health.CRITICAL, "HTTP 503: no data base"),
        ),
        (answer("404 Gone"), (Health.CRITICAL, "HTTP 404")),
    ],
    ids=["200", "204", "429", "503", "404"],
)
async def test_http_answers_are_judged_and_quoted(
    reply: bytes, expected: tuple[Health, str]
) -> None:
    async with server(reply) as port:
        assert await probe_http(port) == expected


@pytest.mark.trio
async def test_redirect_is_a_failure_and_is_not_followed() -> None:
    asked: list[bytes] = []
    async with server(answer("200 OK"), asked=asked) as target:
        headers = f"Location: http://127.0.0.1:{target}/\r\n"
        async with server(answer("302 Found", headers=headers)) as port:
            verdict = await probe_http(port)

    assert verdict == (Health.CRITICAL, "HTTP 302: redirects are not followed")
    assert asked == []


@pytest.mark.trio
async def test_output_says_how_long_it_took() -> None:
    async with server(answer("503 Sorry", b"no database")) as port:
        check = http_check(target=f"http://127.0.0.1:{port}/")
        output = (await probe(check, ClientProber())).output

    before, _, after = output.partition(" ms: ")
    assert before.startswith("HTTP 503 in ")
    assert before.removeprefix("HTTP 503 in ").isdecimal()
    assert after == "no database"


@pytest.mark.trio
async def test_huge_body_is_neither_read_nor_shown_whole() -> None:
    async with server(answer("500 Oops", b"x" * 50_000_000)) as port:
        with trio.fail_after(5):
            result, output = await probe_http(port)

    assert result is Health.CRITICAL
    assert output.startswith("HTTP 500: xxx")
    assert len(output) <= limits.OUTPUT_MAX
    assert output.endswith("…")


@pytest.mark.trio
@pytest.mark.parametrize("kind", [CheckType.HTTP, CheckType.TCP])
async def test_closed_port_refuses(kind: CheckType) -> None:
    port = await closed_port()

    if kind is CheckType.HTTP:
        assert await probe_http(port) == (Health.CRITICAL, "connection refused")
    else:
        expected = (Health.CRITICAL, f"connection refused by 127.0.0.1:{port}")
        assert await probe_tcp(f"127.0.0.1:{port}") == expected


@pytest.mark.trio
async def test_server_that_accepts_and_stays_silent_fails_http_and_passes_tcp() -> None:
    async with server(None) as port:
        silent = await probe_http(port, timeout_ms=100)
        connected = await probe_tcp(f"127.0.0.1:{port}", timeout_ms=1_000)

    assert silent[0] is Health.CRITICAL
    assert silent[1].startswith("no answer within ")
    assert connected == (Health.PASSING, "connected")


@pytest.mark.trio
async def test_server_that_speaks_no_http_fails_with_a_reason() -> None:
    async with server(b"\x00\xffSSH-2.0-OpenSSH\r\n\r\n") as port:
        result, output = await probe_http(port)

    assert result is Health.CRITICAL
    assert output
    assert output.isprintable()


@pytest.mark.trio
@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:0",
        "127.0.0.1",
        "",
        "127.0.0.1:99999",
        "..:80",
        "\x00:80",
        "x" * 300 + ":80",
        "[:1",
    ],
)
async def test_no_target_can_make_a_tcp_probe_raise(target: str) -> None:
    result, output = await probe_tcp(target)

    assert result is Health.CRITICAL
    assert output


@pytest.mark.trio
async def test_port_that_connects_to_itself_does_not_count_as_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # TCP allows it: a socket bound to the very port that it connects to.
    sock = trio.socket.socket()
    await sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await sock.connect(("127.0.0.1", port))

    async def open_itself(host: str, port: int) -> trio.SocketStream:
        return trio.SocketStream(sock)

    monkeypatch.setattr(trio, "open_tcp_stream", open_itself)

    expected = (Health.CRITICAL, f"connection refused by 127.0.0.1:{port}")
    assert await probe_tcp(f"127.0.0.1:{port}") == expected


class BrokenProber:
    async def ready(self) -> None:
        pass

    async def get(self, url: str, timeout_s: float) -> ProbeAnswer:
        raise KeyError("a bug of ours")


class MuteProber:
    async def ready(self) -> None:
        pass

    async def get(self, url: str, timeout_s: float) -> ProbeAnswer:
        raise ProbeFailed("")


@pytest.mark.trio
async def test_bug_in_the_client_fails_the_probe_and_not_the_node() -> None:
    verdict = await probe(http_check(), BrokenProber())

    assert verdict.result is Health.CRITICAL
    assert verdict.output == "not probed: KeyError: 'a bug of ours'"
    assert (await probe(http_check(), MuteProber())).output == "no answer"


@pytest.mark.trio
async def test_ttl_check_cannot_be_probed() -> None:
    with pytest.raises(ValueError, match="ttl"):
        await probe(ttl_check(), FakeServers())


@pytest.mark.trio
async def test_real_server_that_is_killed_turns_critical_and_passing_when_it_returns() -> None:
    told: list[tuple[Health, str]] = []
    news = trio.Event()

    def note(key: InstanceKey, check_id: str, status: Health, output: str) -> None:
        nonlocal news
        told.append((status, output))
        news.set()
        news = trio.Event()

    checker = HealthChecker(
        ClientProber(),
        Random(1),
        on_result=note,
        on_expired=lambda key, check_id: None,
        wall_us=lambda: 0,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(checker.run)
        with trio.fail_after(10):
            async with server(answer("200 OK")) as port:
                check = http_check(
                    target=f"http://127.0.0.1:{port}/", interval_ms=100, failures_before_critical=2
                )
                checker.watch(WEB, (check,))
                await news.wait()
            killed_at = trio.current_time()
            await news.wait()
        assert trio.current_time() - killed_at <= 0.1 * 2 + 1.0
        nursery.cancel_scope.cancel()

    assert [status for status, _ in told] == [Health.PASSING, Health.CRITICAL]
    assert told[-1][1] == "connection refused"


@given(text=st.text(max_size=2_000))
def test_any_text_is_tidied_into_one_printable_line(text: str) -> None:
    line = tidy(text)

    assert len(line) <= limits.OUTPUT_MAX
    assert line.isprintable()
    assert line == tidy(line)
    line.encode()


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("HTTP 200 in 12 ms", "HTTP 200"),
        ("HTTP 503 in 12 ms: no database", "HTTP 503: no database"),
        ("connected in 0 ms", "connected"),
        ("died in flames 3 ms ago", "died in flames 3 ms ago"),
        ("no heartbeat for 30 s", "no heartbeat for 30 s"),
        ("", ""),
    ],
)
def test_gist_is_the_output_without_its_timing(output: str, expected: str) -> None:
    assert gist(output) == expected


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(250, "250 ms"), (1_500, "1.5 s"), (2_000, "2 s"), (30_000, "30 s"), (3_600_000, "3600 s")],
)
def test_durations_read_well(duration_ms: int, text: str) -> None:
    assert seconds_text(duration_ms) == text


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("localhost:80", ("localhost", 80)),
        ("localhost", ("localhost", 0)),
        ("host:٣", ("host:٣", 0)),
    ],
)
def test_targets_are_split(target: str, parts: tuple[str, int]) -> None:
    assert split_target(target) == parts
