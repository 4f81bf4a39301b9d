"""Answers that come soon: no task waits for them, and no client has to know."""

import pytest
import trio
import trio.testing

from node.http import (
    Deferred,
    Hooks,
    HttpServer,
    Request,
    Response,
    Route,
    SyncRoute,
    json_response,
)

from .speaking import in_memory, make_server, on_loopback, request, show

SAID = json_response(201, {"soon": True})


class Soon(Deferred):
    """An answer that is being made; remembers that it was abandoned."""

    __slots__ = ("is_abandoned",)
    is_soon = True

    def __init__(self) -> None:
        super().__init__()
        self.is_abandoned = False

    def abandon(self) -> None:
        self.is_abandoned = True


class Desk:
    """A server with `POST /soon`, which `?wait=1` has awaited, and what was asked of it."""

    def __init__(self) -> None:
        self.waiting: list[Soon] = []
        self.observed: list[tuple[str, int, bool]] = []
        self.server: HttpServer = make_server(
            Route("POST", "/soon", self._awaited, at_once=self._at_once),
            hooks=Hooks(observe=self._observe),
        )

    async def _awaited(self, request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return show(request)

    def _at_once(self, request: Request) -> Deferred | Response | None:
        if request.query.get("wait"):
            return None
        if request.query.get("known"):
            return SAID
        self.waiting.append(Soon())
        return self.waiting[-1]

    def _observe(self, _method: str, pattern: str, status: int, seconds: float | None) -> None:
        self.observed.append((pattern, status, seconds is None))


async def blocked() -> None:
    await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.trio
async def test_what_is_answered_soon_at_once_or_awaited_looks_the_same() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("POST", "/soon"))
        await blocked()
        desk.waiting[0].settle(SAID)
        soon = await client.answer()
        await client.send(request("POST", "/soon?known=1") + request("POST", "/soon?wait=1"))
        known, awaited = await client.answer(), await client.answer()

    assert (soon.status, soon.body) == (known.status, known.body) == (201, SAID.body)
    assert awaited.status == 200
    assert desk.observed == [("/soon", 201, False), ("/soon", 201, False), ("/soon", 200, False)]


@pytest.mark.trio
async def test_a_client_that_says_no_more_still_gets_its_answer() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("POST", "/soon"))
        await client.end()
        await blocked()
        desk.waiting[0].settle(SAID)

        assert (await client.answer()).body == SAID.body
        assert await client.ended()
        assert not desk.waiting[0].is_abandoned


@pytest.mark.trio
async def test_requests_behind_it_wait_however_many_they_are() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith, trio.open_nursery() as nursery:
        client = await kith.connect()
        body = b"x" * 30_000
        raw = request("POST", "/soon") + request("POST", "/show", body=body) * 8
        nursery.start_soon(client.send, raw + request("POST", "/soon"))
        await blocked()
        assert len(desk.waiting) == 1
        desk.waiting[0].settle(SAID)
        answers = [await client.answer() for _ in range(9)]
        await blocked()
        desk.waiting[1].settle(SAID)
        last = await client.answer()

    assert [answer.status for answer in (*answers, last)] == [201, *[200] * 8, 201]


@pytest.mark.trio
async def test_what_is_settled_before_the_server_waits_is_answered_too() -> None:
    def settled(_request: Request) -> Deferred:
        one = Soon()
        one.settle(SAID)
        return one

    async def never(_request: Request) -> Response:
        raise AssertionError

    server = make_server(Route("POST", "/settled", never, at_once=settled))
    async with on_loopback(server) as kith:
        client = await kith.connect()
        await client.send(request("POST", "/settled") * 3)
        answers = [await client.answer() for _ in range(3)]

    assert [answer.body for answer in answers] == [SAID.body] * 3


@pytest.mark.trio
async def test_no_deadline_of_the_connection_cuts_it_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    desk = Desk()
    async with in_memory(desk.server) as client:
        await client.send(request("POST", "/soon"))
        await trio.sleep(600)
        desk.waiting[0].settle(SAID)

        assert (await client.answer()).body == SAID.body
        begun = trio.current_time()
        assert await client.ended()
        assert trio.current_time() - begun == pytest.approx(75)


@pytest.mark.trio
async def test_a_connection_that_is_cut_off_gives_it_up() -> None:
    desk = Desk()
    async with on_loopback(desk.server) as kith:
        client = await kith.connect()
        await client.send(request("POST", "/soon"))
        await blocked()
        await desk.server.drain(0.01)
        await blocked()

        assert desk.waiting[0].is_abandoned
        assert desk.observed == [("/soon", 499, False)]


@pytest.mark.trio
async def test_a_hook_that_breaks_ends_the_connection_and_not_who_has_the_news() -> None:
    failed: list[str] = []

    def broken(*_told: object) -> None:
        raise LookupError("broken")

    def failing(request_id: str, error: Exception) -> None:
        failed.append(f"{request_id}: {error}")

    waiting: list[Soon] = []

    def begin(_request: Request) -> Deferred:
        waiting.append(Soon())
        return waiting[-1]

    route = SyncRoute("POST", "/begin", begin)
    server = make_server(route, hooks=Hooks(observe=broken, failed=failing))
    async with on_loopback(server) as kith:
        client = await kith.connect()
        await client.send(request("POST", "/begin", "X-Request-Id: mine"))
        await blocked()
        waiting[0].settle(SAID)
        with trio.fail_after(5):
            await client.stream.receive_some(1_000)

        await blocked()
        assert failed == ["mine: broken"]
        assert server.connections == 0
