"""The serving end: who is let in, what each client may cost, and that none hurts another."""

import contextlib
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from node.transport.binding import bind
from node.transport.errors import FrameError
from node.transport.frames import FrameStream
from node.transport.sessions import open_session
from node.transport.streams import ServerLimits, StreamServer
from protocol import signing
from protocol.errors import RefusedError
from protocol.identity import Address, NodeId
from protocol.limits import FRAME_MAX
from protocol.wire.handshake import Credentials, Session, refusal

from .people import ALICE, ALICE_ID, BOB, BOB_ID, MALLORY, MALLORY_ID, credentials

HERE = Address("192.0.2.1", 1_000)
Handler = Callable[[bytes, Session, Address], Awaitable[bytes]]


async def echo(request: bytes, session: Session, source: Address) -> bytes:
    assert session.node == ALICE_ID
    return b"echo " + request


class Stage:
    """A server of Bob's with clients over streams in memory."""

    def __init__(
        self, nursery: trio.Nursery, serve: Handler = echo, *, limits: ServerLimits | None = None
    ) -> None:
        self.errors: list[tuple[Exception, NodeId, Address]] = []
        self.server = StreamServer(serve, BOB, on_error=self.note, limits=limits)
        self.counters = self.server.counters
        self._nursery = nursery

    def note(self, error: Exception, session: Session, source: Address) -> None:
        self.errors.append((error, session.node, source))

    def connect(self, source: Address = HERE) -> FrameStream:
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.server.serve_connection, theirs, source)
        return FrameStream(ours)

    async def expect_end(self, client: FrameStream) -> None:
        assert await client.receive() is None
        await trio.testing.wait_all_tasks_blocked()

    async def enter(self, who: Credentials = ALICE, source: Address = HERE) -> FrameStream:
        client = self.connect(source)
        opened = await open_session(client, who, BOB_ID)
        await client.send(opened.proof)
        return client


@pytest.mark.trio
async def test_a_proven_client_is_answered_again_and_again(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)
    client = await stage.enter()

    for body in (b"", b"one", b"two"):
        await client.send(body)
        assert await client.receive() == b"echo " + body
    assert stage.counters.requests == 3


@pytest.mark.trio
async def test_proof_and_first_request_may_come_together(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)
    client = stage.connect()
    opened = await open_session(client, ALICE, None)

    await client.send(opened.proof, b"at once")

    assert opened.session.node == BOB_ID
    assert await client.receive() == b"echo at once"


@pytest.mark.trio
async def test_a_frame_at_the_limit_is_served_and_answered(nursery: trio.Nursery) -> None:
    async def mirror(request: bytes, _: Session, __: Address) -> bytes:
        return request

    client = await Stage(nursery, mirror).enter()
    body = bytes(FRAME_MAX)

    await client.send(body)

    assert await client.receive() == body


@pytest.mark.trio
async def test_a_longer_frame_closes_the_stream_and_is_counted(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)
    client = await stage.enter()

    await client.stream.send_all((FRAME_MAX + 1).to_bytes(4, "big"))

    await stage.expect_end(client)
    assert (stage.counters.refused, stage.counters.open) == ({"oversized": 1}, 0)


@pytest.mark.trio
async def test_a_request_cut_short_is_counted_and_not_served(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)
    client = await stage.enter()

    await client.stream.send_all(b"\0\0\0\5abc")
    await client.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()

    assert (stage.counters.refused, stage.counters.requests) == ({"malformed": 1}, 0)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "oversized"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "oversized"),
        (b"\0\0\0\5hello", "malformed"),
        (b"\0\0\0\0", "malformed"),
    ],
)
async def test_garbage_instead_of_a_handshake_is_refused(
    nursery: trio.Nursery, garbage: bytes, code: str
) -> None:
    stage = Stage(nursery)
    client = stage.connect()

    await client.stream.send_all(garbage)
    if code == "malformed":
        assert await client.receive() == refusal("malformed")
    await stage.expect_end(client)

    assert (stage.counters.refused, stage.counters.open) == ({code: 1}, 0)


@pytest.mark.trio
async def test_a_client_of_another_cluster_is_told_so(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)

    with pytest.raises(RefusedError, match="wrong_cluster"):
        await stage.enter(credentials(1, cluster=signing.cluster_id("other")))

    assert stage.counters.refused == {"wrong_cluster": 1}


@pytest.mark.trio
async def test_an_impostor_gets_no_answer(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)
    client = await stage.enter(Credentials(ALICE.chain, MALLORY.signer, ALICE.cluster))

    await stage.expect_end(client)
    assert (stage.counters.refused, stage.counters.requests) == ({"bad_signature": 1}, 0)


class Recorder(trio.abc.Stream):
    """A stream that keeps what goes out."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.sent = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.mark.trio
async def test_a_replayed_handshake_gets_no_answer(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)
    client = stage.connect()
    recorder = client.stream = Recorder(client.stream)
    opened = await open_session(client, ALICE, BOB_ID)
    await client.send(opened.proof, b"request")
    assert await client.receive() == b"echo request"

    mallory = stage.connect()
    await mallory.stream.send_all(recorder.sent)
    answers = [await mallory.receive() for _ in range(3)]

    assert answers[2] is None, "the server's own hello and proof, but no answer"
    assert (stage.counters.refused, stage.counters.requests) == ({"bad_signature": 1}, 1)


@pytest.mark.trio
async def test_a_client_that_expected_another_node_is_told_so(nursery: trio.Nursery) -> None:
    stage = Stage(nursery)

    with pytest.raises(RefusedError, match="foreign"):
        await open_session(stage.connect(), ALICE, MALLORY_ID)


@pytest.mark.trio
@pytest.mark.parametrize("dripping", [b"", b"\0\0\1", b"\0\0\1\0abc"])
async def test_a_slow_handshake_ends_after_five_seconds(
    nursery: trio.Nursery, autojump_clock: MockClock, dripping: bytes
) -> None:
    stage = Stage(nursery)
    client = stage.connect()
    began = trio.current_time()

    async def drip() -> None:
        await client.stream.send_all(dripping)
        with contextlib.suppress(trio.BrokenResourceError):
            while dripping:
                await trio.sleep(1)
                await client.stream.send_all(b"\0")

    nursery.start_soon(drip)

    await stage.expect_end(client)
    assert trio.current_time() - began == pytest.approx(5)
    assert (stage.counters.timeouts, stage.counters.open) == (1, 0)


@pytest.mark.trio
async def test_an_idle_connection_is_closed_after_a_minute(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stage = Stage(nursery)
    client = await stage.enter()
    await trio.sleep(59)
    await client.send(b"still here")
    await client.receive()
    began = trio.current_time()

    await stage.expect_end(client)
    assert trio.current_time() - began == pytest.approx(60)
    assert stage.counters.timeouts == 0


@pytest.mark.trio
async def test_a_frame_that_does_not_get_whole_ends_after_ten_seconds(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stage = Stage(nursery)
    client = await stage.enter()
    began = trio.current_time()
    await client.stream.send_all(b"\0\0\0\5a")

    await stage.expect_end(client)
    assert trio.current_time() - began == pytest.approx(10)
    assert stage.counters.timeouts == 1


@pytest.mark.trio
async def test_a_client_that_does_not_read_its_answer_ends_after_ten_seconds(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stage = Stage(nursery)
    ours, theirs = trio.testing.lockstep_stream_pair()
    client = FrameStream(ours)

    async with trio.open_nursery() as serving:
        serving.start_soon(stage.server.serve_connection, theirs, HERE)
        opened = await open_session(client, ALICE, BOB_ID)
        began = trio.current_time()
        await client.send(opened.proof, b"unread")

    assert trio.current_time() - began == pytest.approx(10)
    assert (stage.counters.timeouts, stage.counters.requests) == (1, 1)


@pytest.mark.trio
async def test_a_handler_that_hangs_ends_its_connection_only(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def hang(request: bytes, _: Session, __: Address) -> bytes:
        if request == b"hang":
            await trio.sleep_forever()
        return request

    stage = Stage(nursery, hang)
    stuck, other = await stage.enter(), await stage.enter()
    await stuck.send(b"hang")

    await stage.expect_end(stuck)
    await other.send(b"fine")
    assert await other.receive() == b"fine"
    assert stage.counters.timeouts == 1


@pytest.mark.trio
@pytest.mark.parametrize("answer", [None, bytes(FRAME_MAX + 1)], ids=["raises", "too long"])
async def test_a_handler_that_fails_closes_its_stream_and_is_reported(
    nursery: trio.Nursery, answer: bytes | None
) -> None:
    async def fail(request: bytes, _: Session, __: Address) -> bytes:
        if answer is None:
            raise LookupError("a bug")
        return answer if request == b"fail" else request

    stage = Stage(nursery, fail)
    client = await stage.enter()
    await client.send(b"fail")

    await stage.expect_end(client)
    [(error, node, source)] = stage.errors
    assert isinstance(error, LookupError | ValueError)
    assert (node, source) == (ALICE_ID, HERE)
    assert (stage.counters.handler_errors, stage.counters.open) == (1, 0)


@pytest.mark.trio
async def test_connections_of_one_origin_are_bounded(nursery: trio.Nursery) -> None:
    stage = Stage(nursery, limits=ServerLimits(connections_per_origin_max=2))
    first, _ = await stage.enter(), await stage.enter()

    with pytest.raises(RefusedError, match="limit"):
        await stage.enter()
    await stage.enter(source=Address("192.0.2.2", 1))
    await first.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    await stage.enter()

    assert (stage.counters.turned_away, stage.counters.open) == (1, 3)


@pytest.mark.trio
async def test_connections_are_bounded_in_all(nursery: trio.Nursery) -> None:
    stage = Stage(nursery, limits=ServerLimits(connections_max=3))
    for number in range(3):
        await stage.enter(source=Address(f"192.0.2.{number}", 1))

    with pytest.raises(RefusedError, match="limit"):
        await stage.enter(source=Address("192.0.2.9", 1))

    assert (stage.counters.turned_away, stage.counters.open) == (1, 3)


@pytest.mark.trio
async def test_the_oldest_handshake_of_an_origin_that_has_too_many_makes_room(
    nursery: trio.Nursery,
) -> None:
    stage = Stage(nursery, limits=ServerLimits(handshakes_per_origin_max=2, handshake_honest_s=0))
    oldest = stage.connect()
    await trio.testing.wait_all_tasks_blocked()
    young, other = stage.connect(), stage.connect(Address("192.0.2.2", 1))
    await trio.testing.wait_all_tasks_blocked()

    client = await stage.enter()
    await client.send(b"hello")

    assert await client.receive() == b"echo hello"
    await stage.expect_end(oldest)
    assert (stage.counters.displaced, stage.counters.open) == (1, 3)
    for waiting in (young, other):
        await waiting.stream.aclose()


@pytest.mark.trio
async def test_many_that_begin_at_once_are_not_cut_off(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(nursery, limits=ServerLimits(handshakes_per_origin_max=2))
    honest = [stage.connect() for _ in range(10)]
    await trio.testing.wait_all_tasks_blocked()
    assert stage.counters.displaced == 0
    await trio.sleep(1)
    late = stage.connect()
    await trio.testing.wait_all_tasks_blocked()

    assert stage.counters.displaced == 1
    for client in (*honest, late):
        await client.stream.aclose()


@pytest.mark.trio
async def test_handshakes_are_bounded_in_all_at_the_cost_of_who_has_most(
    nursery: trio.Nursery,
) -> None:
    stage = Stage(nursery, limits=ServerLimits(handshakes_max=3, handshake_honest_s=0))
    honest = stage.connect(Address("192.0.2.2", 1))
    await trio.testing.wait_all_tasks_blocked()
    flood = []
    for _ in range(10):
        flood.append(stage.connect())
        await trio.testing.wait_all_tasks_blocked()

    opened = await open_session(honest, ALICE, BOB_ID)
    await honest.send(opened.proof, b"hello")

    assert await honest.receive() == b"echo hello"
    assert (stage.counters.displaced, stage.counters.open) == (8, 3)
    for client in flood[:8]:
        assert await client.receive() is None


@pytest.mark.trio
async def test_stopping_lets_an_answer_out_and_closes_the_idle(nursery: trio.Nursery) -> None:
    go_on = trio.Event()

    async def slow(request: bytes, _: Session, __: Address) -> bytes:
        await go_on.wait()
        return request

    stage = Stage(nursery, slow)
    busy, idle = await stage.enter(), await stage.enter()
    await busy.send(b"work")
    await trio.testing.wait_all_tasks_blocked()

    stage.server.stop()
    await stage.expect_end(idle)
    go_on.set()

    assert await busy.receive() == b"work"
    assert await busy.receive() is None


@pytest.mark.trio
async def test_run_reports_its_address_and_returns_once_stopped(nursery: trio.Nursery) -> None:
    both = await bind("127.0.0.1", 0)
    stage = Stage(nursery)
    ended = trio.Event()

    async def run(*, task_status: trio.TaskStatus[Address]) -> None:
        await stage.server.run(both.listener, task_status=task_status)
        ended.set()

    address = await nursery.start(run)
    assert address == both.address
    client = FrameStream(await trio.open_tcp_stream(address.host, address.port))
    opened = await open_session(client, ALICE, BOB_ID)
    await client.send(opened.proof, b"over TCP")
    assert await client.receive() == b"echo over TCP"

    stage.server.stop()
    with trio.fail_after(5):
        await stage.expect_end(client)
        await ended.wait()
    with pytest.raises(OSError, match="127"):
        await trio.open_tcp_stream(address.host, address.port)
    await client.stream.aclose()
    both.close()


@pytest.mark.trio
async def test_a_lack_of_files_is_waited_out(nursery: trio.Nursery) -> None:
    both = await bind("127.0.0.1", 0)
    both.datagrams.close()
    stage = Stage(nursery)
    address = await nursery.start(stage.server.run, both.listener)
    waiting = socket.socket()

    with no_more_files(), trio.fail_after(5):
        waiting.connect((address.host, address.port))
        while not stage.counters.accept_errors:
            await trio.testing.wait_all_tasks_blocked(0.001)

    client = FrameStream(trio.SocketStream(trio.socket.from_stdlib_socket(waiting)))
    with trio.fail_after(5):
        opened = await open_session(client, ALICE, BOB_ID)
    assert opened.session.node == BOB_ID
    await client.stream.aclose()
    nursery.cancel_scope.cancel()


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.trio
async def test_a_client_refuses_an_endless_server(nursery: trio.Nursery) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all((FRAME_MAX).to_bytes(4, "big"))

    with pytest.raises(FrameError):
        await open_session(FrameStream(ours), ALICE, None)
