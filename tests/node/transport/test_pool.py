"""The asking end: kept connections, their bounds, and that no cancellation leaks one."""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from node.transport.errors import (
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    PoolBusyError,
)
from node.transport.frames import FrameStream
from node.transport.pool import PoolLimits, StreamPool
from node.transport.sessions import accept_session
from node.transport.streams import ServerLimits
from protocol.identity import Address, NodeId
from protocol.limits import FRAME_MAX

from .files import open_files
from .people import BOB, BOB_ID, MALLORY_ID
from .town import Town, echo, slowly


@pytest.mark.trio
@pytest.mark.parametrize("expected", [None, BOB_ID])
async def test_a_kept_connection_is_used_again(town: Town, expected: NodeId | None) -> None:
    pool = town.pool()
    _, bob = await town.serve(echo)

    first = await pool.request(bob, expected, b"1", 5)
    second = await pool.request(bob, expected, b"2", 5)

    assert (first.body, second.body) == (b"echo 1", b"echo 2")
    assert first.session.node == second.session.node == BOB_ID
    assert (first.reused, second.reused) == (False, True)
    assert (first.connect_s > 0, second.connect_s) == (True, 0)
    assert 0 < second.elapsed_s < 5
    counters = pool.counters
    assert (counters.open, counters.opened, counters.reused, counters.failed) == (1, 1, 1, 0)


@pytest.mark.trio
async def test_frames_at_the_limit_go_both_ways(town: Town) -> None:
    _, bob = await town.serve(slowly(0))

    answer = await town.pool().request(bob, None, bytes(FRAME_MAX), 5)

    assert len(answer.body) == FRAME_MAX


@pytest.mark.trio
async def test_a_request_beyond_the_limit_is_our_own_mistake(town: Town) -> None:
    with pytest.raises(ValueError, match="longer than"):
        await town.pool().request(Address("127.0.0.1", 9), None, bytes(FRAME_MAX + 1), 5)


@pytest.mark.trio
async def test_a_host_name_is_resolved(town: Town) -> None:
    _, bob = await town.serve(echo)

    answer = await town.pool().request(Address("localhost", bob.port), None, b"x", 5)

    assert answer.body == b"echo x"


@pytest.mark.trio
async def test_another_node_than_expected_is_refused_and_gets_no_request(town: Town) -> None:
    pool = town.pool()
    _, bob = await town.serve(echo)

    with pytest.raises(PeerRefusedError, match="foreign") as refused:
        await pool.request(bob, MALLORY_ID, b"secret", 5)

    assert (refused.value.code, refused.value.peer) == ("foreign", bob)
    assert (pool.counters.failed, pool.counters.open, town.served) == (1, 0, [])


@pytest.mark.trio
async def test_asking_oneself_is_refused_as_such(town: Town) -> None:
    _, bob = await town.serve(echo)
    pool = StreamPool(BOB)

    with pytest.raises(PeerRefusedError) as refused:
        await pool.request(bob, None, b"", 5)

    assert refused.value.code == "replayed"


@pytest.mark.trio
async def test_a_server_that_is_full_says_so(town: Town) -> None:
    _, bob = await town.serve(echo, limits=ServerLimits(connections_max=1))
    await town.pool().request(bob, None, b"", 5)

    with pytest.raises(PeerRefusedError) as refused:
        await town.pool().request(bob, None, b"", 5)

    assert refused.value.code == "limit"


@pytest.mark.trio
@pytest.mark.parametrize("port", [None, 0, 70_000])
async def test_nobody_there_is_unreachable(town: Town, port: int | None) -> None:
    pool = town.pool()
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]

    with pytest.raises(PeerUnreachableError):
        await pool.request(Address("127.0.0.1", port or 0), None, b"", 5)

    assert (pool.counters.failed, pool.counters.open) == (1, 0)


async def hang_up(frames: FrameStream) -> None:
    await frames.begin()


async def talk_nonsense(frames: FrameStream) -> None:
    await frames.send(b"HTTP/1.1 400 Bad Request")
    await frames.begin()


async def boast(frames: FrameStream) -> None:
    await accept_session(frames, BOB)
    await frames.receive()
    await frames.stream.send_all((FRAME_MAX + 1).to_bytes(4, "big"))
    await frames.begin()


async def break_off(frames: FrameStream) -> None:
    await accept_session(frames, BOB)
    await frames.receive()
    await frames.stream.send_all(b"\0\0\0\5abc")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (hang_up, PeerUnreachableError),
        (talk_nonsense, PeerRefusedError),
        (boast, PeerRefusedError),
        (break_off, PeerUnreachableError),
    ],
)
async def test_a_peer_that_breaks_the_rules_is_closed_and_counted(
    town: Town, behave: Callable[[FrameStream], Awaitable[None]], error: type[PeerError]
) -> None:
    pool = town.pool()
    peer = await town.serve_raw(behave)

    with pytest.raises(error):
        await pool.request(peer, None, b"", 5)

    assert (pool.counters.failed, pool.counters.open) == (1, 0)


@pytest.mark.trio
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(town: Town) -> None:
    async def talk_too_much(frames: FrameStream) -> None:
        await accept_session(frames, BOB)
        while (request := await frames.receive()) is not None:
            await frames.send(b"to " + request, b"unasked")

    pool = town.pool()
    peer = await town.serve_raw(talk_too_much)

    bodies = [(await pool.request(peer, None, one, 5)).body for one in (b"1", b"2")]

    assert bodies == [b"to 1", b"to 2"]


@pytest.mark.trio
async def test_a_slow_answer_is_a_timeout_and_other_kept_connections_go_too(
    town: Town, jumping_clock: MockClock
) -> None:
    async def answer(request: bytes) -> bytes:
        await trio.sleep(20 if request == b"slow" else 1)
        return request

    pool = town.pool()
    _, bob = await town.serve(answer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.request, bob, None, b"", 5)
        nursery.start_soon(pool.request, bob, None, b"", 5)
    assert pool.counters.idle == 2
    began = trio.current_time()

    with pytest.raises(PeerTimeoutError):
        await pool.request(bob, None, b"slow", 5)

    assert trio.current_time() - began == pytest.approx(5)
    assert (pool.counters.timeouts, pool.counters.open) == (1, 0)


@pytest.mark.trio
async def test_a_peer_that_never_proves_itself_is_a_timeout(
    town: Town, jumping_clock: MockClock
) -> None:
    async def stay_silent(_: FrameStream) -> None:
        await trio.sleep_forever()

    pool = town.pool()
    peer = await town.serve_raw(stay_silent)
    began = trio.current_time()

    with pytest.raises(PeerTimeoutError):
        await pool.request(peer, None, b"", 60)

    assert trio.current_time() - began == pytest.approx(5)
    assert pool.counters.open == 0


@pytest.mark.trio
async def test_a_kept_connection_that_the_peer_closed_is_opened_again(
    town: Town, jumping_clock: MockClock
) -> None:
    pool = town.pool()
    _, bob = await town.serve(echo, limits=ServerLimits(idle_s=5))
    await pool.request(bob, None, b"1", 5)
    await trio.sleep(6)

    answer = await pool.request(bob, None, b"2", 5)

    assert (answer.body, answer.reused) == (b"echo 2", False)
    assert (pool.counters.reopened, pool.counters.open, pool.counters.failed) == (1, 1, 0)


@pytest.mark.trio
async def test_a_kept_connection_that_dies_under_a_request_is_opened_again_once(
    town: Town,
) -> None:
    async def fail_second(request: bytes) -> bytes:
        if len(town.served) == 2 or request == b"never":
            raise LookupError
        return request

    pool = town.pool()
    _, bob = await town.serve(fail_second)
    await pool.request(bob, None, b"1", 5)

    assert (await pool.request(bob, None, b"2", 5)).body == b"2"
    with pytest.raises(PeerUnreachableError):
        await pool.request(bob, None, b"never", 5)

    assert town.served == [b"1", b"2", b"2", b"never", b"never"]
    assert (pool.counters.reopened, pool.counters.open) == (2, 0)


@pytest.mark.trio
async def test_one_peer_gets_two_connections_and_the_others_wait(
    town: Town, jumping_clock: MockClock
) -> None:
    pool = town.pool()
    server, bob = await town.serve(slowly(1))
    began = trio.current_time()

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(pool.request, bob, None, bytes([number]), 10)

    assert trio.current_time() - began == pytest.approx(3)
    assert sorted(town.served) == [bytes([number]) for number in range(6)]
    assert (server.counters.accepted, town.most_open, pool.counters.opened) == (2, 2, 2)


@pytest.mark.trio
async def test_three_hundred_peers_fit_under_a_limit_of_two_hundred(town: Town) -> None:
    pool = town.pool(PoolLimits(open_max=200, kept_max=200))
    peers = await town.serve_many(echo, 300)
    answers: list[bytes] = []

    async def ask(number: int) -> None:
        answers.append((await pool.request(peers[number], BOB_ID, str(number).encode(), 30)).body)
        assert pool.counters.open <= 200
        if number % 100 == 0:
            assert sockets_to(peers) <= 200

    for _ in range(2):
        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(ask, number)

    assert sorted(answers) == sorted([f"echo {n}".encode() for n in range(300)] * 2)
    assert (pool.counters.failed, pool.counters.timeouts) == (0, 0)
    assert pool.counters.open == 200
    assert 0 < sockets_to(peers) <= 200


def sockets_to(peers: list[Address]) -> int:
    """How many connections to these peers this process holds, as the kernel sees it."""
    ports = {f"{peer.port:04X}" for peer in peers}
    ours = set(open_files())
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    inodes = [row[9] for row in rows if row[2][-4:] in ports and f"socket:[{row[9]}]" in ours]
    # Its table is no snapshot: a row may come twice while other programs open and close sockets.
    return len(set(inodes))


@pytest.mark.trio
async def test_the_least_recently_used_idle_connection_makes_room(town: Town) -> None:
    pool = town.pool(PoolLimits(open_max=2))
    one, two, three = await town.serve_many(echo, 3)

    for peer in (one, two, one, three):
        await pool.request(peer, None, b"", 5)

    assert (await pool.request(one, None, b"", 5)).reused
    assert (await pool.request(three, None, b"", 5)).reused
    assert not (await pool.request(two, None, b"", 5)).reused
    assert (pool.counters.evicted, pool.counters.open) == (2, 2)


@pytest.mark.trio
async def test_no_more_idle_connections_are_kept_than_allowed(town: Town) -> None:
    pool = town.pool(PoolLimits(kept_max=2))

    for peer in await town.serve_many(echo, 5):
        await pool.request(peer, None, b"", 5)

    assert (pool.counters.idle, pool.counters.open, pool.counters.evicted) == (2, 2, 3)


@pytest.mark.trio
async def test_waiting_for_a_connection_is_bounded_in_number_and_time(
    town: Town, jumping_clock: MockClock
) -> None:
    pool = town.pool(PoolLimits(open_max=1, waiting_max=1, wait_s=3))
    one, two = await town.serve_many(slowly(20), 2)
    town.nursery.start_soon(pool.request, one, None, b"", 60)
    await trio.testing.wait_all_tasks_blocked()
    began = trio.current_time()
    town.nursery.start_soon(expect_busy, pool, two)
    await trio.testing.wait_all_tasks_blocked()

    await expect_busy(pool, two)
    assert trio.current_time() == pytest.approx(began)
    await trio.sleep(4)

    assert pool.counters.failed == 2
    assert not pool._waiting
    await trio.sleep(20)


async def expect_busy(pool: StreamPool, peer: Address) -> None:
    with pytest.raises(PoolBusyError):
        await pool.request(peer, None, b"", 60)


@pytest.mark.trio
async def test_idle_connections_are_closed_after_a_minute(
    town: Town, jumping_clock: MockClock
) -> None:
    pool = town.pool()
    town.nursery.start_soon(pool.run)
    one, two = await town.serve_many(echo, 2)
    await pool.request(one, None, b"", 5)
    await trio.sleep(40)
    await pool.request(two, None, b"", 5)

    await trio.sleep(21)
    assert (pool.counters.open, pool.counters.expired) == (1, 1)
    await trio.sleep(40)
    assert (pool.counters.open, pool.counters.expired) == (0, 2)
    assert not (await pool.request(one, None, b"", 5)).reused


@pytest.mark.trio
async def test_closing_ends_what_waits_and_refuses_what_comes(town: Town) -> None:
    go_on = trio.Event()

    async def wait(request: bytes) -> bytes:
        await go_on.wait()
        return request

    pool = town.pool(PoolLimits(open_max=1))
    _, bob = await town.serve(wait)

    async def expect_closed() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await pool.request(bob, None, b"", 5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.request, bob, None, b"under way", 5)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(expect_closed)
        await trio.testing.wait_all_tasks_blocked()
        pool.close()
        await expect_closed()
        go_on.set()

    assert (pool.counters.open, pool.counters.opened) == (0, 1)


@pytest.mark.trio
async def test_cancelling_at_any_step_leaks_nothing(town: Town) -> None:
    pool = town.pool(PoolLimits(open_max=1, per_peer_max=1))
    peers = await town.serve_many(slowly(0), 2)

    for steps in range(60):
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(pool.request, peer, None, b"", 5)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert pool.counters.open == pool.counters.idle <= 1
        assert not pool._waiting

    for peer in peers:
        assert (await pool.request(peer, None, b"still", 5)).body == b"still"


@pytest.mark.trio
async def test_a_connection_handed_to_a_request_that_is_cancelled_is_handed_on(
    town: Town,
) -> None:
    pool = town.pool(PoolLimits(open_max=1))
    _, bob = await town.serve(echo)
    busy = await pool._lease((bob, None), trio.current_time() + 5)

    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def ask_and_be_cancelled() -> None:
            with first:
                await pool.request(bob, None, b"first", 5)

        nursery.start_soon(ask_and_be_cancelled)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(pool.request, bob, None, b"second", 5)
        await trio.testing.wait_all_tasks_blocked()
        pool._take_back(busy, keep=False)
        first.cancel()

    assert town.served == [b"second"]


@pytest.mark.trio
@pytest.mark.parametrize("seed", range(3))
async def test_cancelling_many_at_random_points_leaks_nothing(town: Town, seed: int) -> None:
    rng = Random(seed)
    pool = town.pool(PoolLimits(open_max=8, kept_max=6, waiting_max=30))
    peers = await town.serve_many(slowly(0.0005), 12)
    files_before = len(open_files())

    async def ask() -> None:
        with trio.move_on_after(rng.choice([0.0003, 0.001, 0.003, 0.01])):
            try:
                await pool.request(rng.choice(peers), None, b"", 1)
            except PoolBusyError:
                return

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(ask)
            if rng.random() < 0.2:
                await trio.sleep(0.0005)
            assert pool.counters.open <= 8

    assert pool.counters.open == pool.counters.idle <= 6
    assert not pool._waiting
    pool.close()
    with trio.fail_after(5):
        while len(open_files()) > files_before:
            await trio.testing.wait_all_tasks_blocked(0.001)
