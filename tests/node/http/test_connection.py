"""How answers are gathered and written, seen at the wire."""

import gc

import pytest
import trio

from node.http import Hooks, HttpLimits, Response, Router, SyncRoute
from node.http.clients import Client
from node.http.connection import SEND_LATER_BYTES_MAX, Connection, Service
from node.http.dispatch import Dispatcher
from node.http.encode import Encoder
from node.http.poller import Send, T, Take

from .speaking import request

BODY = b"x" * 1_000


class RecordingWire:
    """Brings one read, then the end; keeps each write."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.writes: list[bytes] = []

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        data, self.data = self.data, b""
        return data

    async def pump(self, take: Take[T], send: Send[T]) -> T:
        while (found := take(await self.receive())) is None and (found := send()) is None:
            pass
        return found

    def send_now(self, data: bytes) -> int:
        return 0

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.writes.append(data)

    def hold_back(self, bytes_max: int) -> None:
        pass

    def has_unread(self) -> bool:
        return False

    async def end_sending(self) -> None:
        pass

    def close(self) -> None:
        pass


class TakingWire(RecordingWire):
    """Takes all at once, and notes how much had been sent when it was the connection's turn to."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.before_turn: list[int] = []

    async def pump(self, take: Take[T], send: Send[T]) -> T:
        while (found := take(await self.receive())) is None:
            self.before_turn.append(len(self.writes))
            if (found := send()) is not None:
                break
        return found

    def send_now(self, data: bytes) -> int:
        self.writes.append(data)
        return len(data)


async def serve_over(wire: RecordingWire, limits: HttpLimits) -> None:
    router = Router([SyncRoute("GET", "/x", lambda _request: Response(200, BODY))])
    dispatcher = Dispatcher(router, request_id_prefix="r", hooks=Hooks())
    service = Service(dispatcher, Encoder("alpha"), limits)
    client = service.clients.admit("test", now=trio.current_time())
    assert isinstance(client, Client)
    await Connection(wire, "test", client, service).run()


async def answers_per_write(count: int, limits: HttpLimits) -> list[int]:
    wire = RecordingWire(request("GET", "/x") * count)
    await serve_over(wire, limits)
    return [data.count(BODY) for data in wire.writes]


@pytest.mark.trio
async def test_a_burst_is_answered_in_one_write() -> None:
    assert await answers_per_write(10, HttpLimits()) == [10]


@pytest.mark.trio
async def test_a_burst_is_bounded_so_that_others_get_their_turn() -> None:
    assert await answers_per_write(7, HttpLimits(burst_max=3)) == [3, 3, 1]


@pytest.mark.trio
async def test_answers_are_written_before_they_pile_up() -> None:
    assert await answers_per_write(6, HttpLimits(output_bytes_max=2_000)) == [2, 2, 2]


@pytest.mark.trio
@pytest.mark.parametrize(("count", "before"), [(2, 0), (SEND_LATER_BYTES_MAX // len(BODY) + 1, 1)])
async def test_few_bytes_are_sent_when_others_are_served_and_many_at_once(
    count: int, before: int
) -> None:
    wire = TakingWire(request("GET", "/x") * count)

    await serve_over(wire, HttpLimits())

    assert wire.before_turn == [before]
    assert [data.count(BODY) for data in wire.writes] == [count]


@pytest.mark.trio
async def test_connections_that_ended_leave_nothing_to_the_collector_of_cycles() -> None:
    """It looks seldom (`node.server.GC_THRESHOLDS`), and what it would find stays until then."""
    connections = 50
    await serve_over(RecordingWire(request("GET", "/x")), HttpLimits())
    gc.collect()
    gc.disable()
    try:
        for _ in range(connections):
            await serve_over(RecordingWire(request("GET", "/x")), HttpLimits())
        found = gc.collect()
    finally:
        gc.enable()
    assert found < connections
