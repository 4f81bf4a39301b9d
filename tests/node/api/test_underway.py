"""Registrations that no task waits for: how each is answered, and that nothing is left of it."""

import threading
import uuid
from collections.abc import Sequence

import orjson
import pytest
import trio
import trio.testing

from node.api.instances.underway import AllUnderWay, UnderWay
from node.http import ApiError, Response, json_response
from node.registrar import Registered
from node.registrar.drawing import DrawnIds
from protocol.effects import Keep
from protocol.identity import NodeId
from storage import DiskFullError, MemoryStore, Result

from .situations import open_node, until, web

DONE = Registered("web", "web-1", 7, "u", created=True)


class SlowStore(MemoryStore):
    """Writes when it may; full, if it is to be."""

    def __init__(self) -> None:
        super().__init__(NodeId(bytes(32)))
        self.may_end = threading.Event()
        self.may_end.set()
        self.is_full = False

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        self.may_end.wait(5)
        if self.is_full:
            raise DiskFullError(self.name)
        super().write(keeps, results)


def answered(done: Registered) -> Response:
    return json_response(201, {"version": done.version})


def begun(table: AllUnderWay, settled: list[Response]) -> UnderWay:
    one = UnderWay("r-1", answered, table.end)

    def take(answer: Response | ApiError) -> None:
        assert isinstance(answer, Response)
        settled.append(answer)

    one.begin(take)
    table.add(one)
    return one


@pytest.mark.trio
async def test_each_is_answered_once_with_what_came_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    table, settled = AllUnderWay(30.0), list[Response]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(table.run)
        begun(table, settled).told(DONE)
        begun(table, settled).told(ApiError(503, "disk_full", "no room"))
        begun(table, settled).abandon()
        await trio.sleep(10)
        slow, slower = begun(table, settled), begun(table, settled)
        assert len(table) == 2
        await trio.sleep(29.9)
        assert len(settled) == 2
        await trio.sleep(0.2)
        assert len(settled) == 4
        for late in (slow, slower):
            late.told(DONE)
        nursery.cancel_scope.cancel()

    assert [one.status for one in settled] == [201, 503, 408, 408]
    error = orjson.loads(settled[3].body)["error"]
    assert (error["code"], error["definite"], error["request_id"]) == ("timeout", False, "r-1")
    assert len(table) == 0


@pytest.mark.trio
async def test_what_is_over_before_it_was_added_is_not_kept() -> None:
    table = AllUnderWay(30.0)
    one = UnderWay("r-1", answered, table.end)
    one.told(DONE)
    table.add(one)
    assert len(table) == 0


@pytest.mark.trio
async def test_who_waits_as_the_disk_fills_hears_that_it_may_still_happen() -> None:
    store = SlowStore()
    async with open_node(store=store) as node, trio.open_nursery() as nursery:
        errors: list[tuple[int, object]] = []

        async def register(port: int) -> None:
            answer = await node.ask("POST", "/v1/services", web(port=port))
            errors.append((answer.status, answer.error["definite"]))

        store.may_end.clear()
        for port in (1, 2, 3):
            nursery.start_soon(register, port)
        await until(lambda: node.edge._services._under_way)
        store.is_full = True
        store.may_end.set()
        await until(lambda: len(errors) == 3)
        store.is_full = False

        assert errors == [(503, False)] * 3
        assert not node.edge._services._under_way
        assert not node.edge._instances._staged


@pytest.mark.trio
async def test_an_id_that_was_drawn_can_be_asked_for() -> None:
    async with open_node() as node:
        made = await node.expect(201, "POST", "/v1/services", web())

        told = await node.expect(200, "GET", f"/v1/updates/{made['update_id']}")

        assert told["version"] == made["version"]


def test_drawn_ids_are_random_uuids_and_never_the_same() -> None:
    ids = DrawnIds()
    drawn = [ids.draw() for _ in range(1_000)]

    assert len(set(drawn)) == 1_000
    read = [uuid.UUID(text) for text in drawn]
    assert {(one.version, one.variant) for one in read} == {(4, uuid.RFC_4122)}
    assert [str(one) for one in read] == drawn
    ones = [sum(one.int >> bit & 1 for one in read) for bit in range(128)]
    fixed = {*range(76, 80), 62, 63}
    assert all(380 < count < 620 for bit, count in enumerate(ones) if bit not in fixed)
