"""The stream of events as clients see it: every change once, in order, resumed where it broke."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
import trio
import trio.testing

from node.http import HttpLimits, HttpServer
from node.watching.limits import WatchLimits
from protocol.records import Phase
from tests.node.http.speaking import Client, request

from .situations import SOON_S, TestNode, open_node, until, web
from .test_lookup import say

STILL_S = 0.05


class Follower:
    """A client of `/v1/events` that understands chunks and server-sent events."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.client = Client(stream)
        self.last_id = ""
        self.events: list[tuple[str, dict[str, object]]] = []
        self.comments = 0
        self.is_over = False

    @property
    def seen(self) -> list[tuple[str, str, object, object]]:
        """Kind, instance or member, health or status, and what it was."""
        return [
            (kind, str(one.get("id", "")), one.get("health") or one.get("status"), one.get("was"))
            for kind, one in self.events
        ]

    async def run(self) -> None:
        text = ""
        while (chunk := await self._chunk()) is not None:
            text += chunk.decode()
            *blocks, text = text.split("\n\n")
            for block in blocks:
                self._take(block)
        assert text == "", "no event is cut in two"
        self.is_over = True

    async def _chunk(self) -> bytes | None:
        client = self.client
        while b"\r\n" not in client.buffer:
            if not await self._more():
                return None
        size = int(client.buffer.partition(b"\r\n")[0], 16)
        if size == 0:
            return None
        while len(client.buffer.partition(b"\r\n")[2]) < size + 2:
            if not await self._more():
                return None
        rest = client.buffer.partition(b"\r\n")[2]
        client.buffer = rest[size + 2 :]
        return rest[:size]

    async def _more(self) -> bool:
        try:
            data = await self.client.stream.receive_some(65_536)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        self.client.buffer += bytes(data)
        return bool(data)

    def _take(self, block: str) -> None:
        kind, data = "", ""
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data += value
            elif line.startswith(":"):
                self.comments += 1
        if data:
            self.events.append((kind, orjson.loads(data)))


@asynccontextmanager
async def following(
    node: TestNode, query: str = "", *headers: str, server: HttpServer | None = None
) -> AsyncIterator[Follower]:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon((server or node.server).serve_stream, theirs, "127.0.0.1")
        follower = Follower(ours)
        await follower.client.send(request("GET", f"/v1/events{query}", *headers))
        with trio.fail_after(SOON_S):
            head = await follower.client.answer()
        assert head.status == 200, head
        assert head.headers["content-type"] == "text/event-stream"
        nursery.start_soon(follower.run)
        await until(lambda: follower.last_id)
        yield follower
        await ours.aclose()
        nursery.cancel_scope.cancel()


async def make_changes(node: TestNode) -> None:
    one = "/v1/services/web/web-8000"
    check = {"type": "ttl", "ttl": "60s", "initial": "passing", "id": "c"}
    for method, path, body in (
        ("POST", "/v1/services", web(checks=[check])),
        ("PATCH", one, {"weight": 7}),
        ("PUT", f"{one}/heartbeat", {"check": "c", "status": "warning"}),
        ("PUT", f"{one}/maintenance", {"enable": True}),
        ("DELETE", one, None),
    ):
        answer = await node.ask(method, path, body)
        assert answer.status < 300, answer.body
        await trio.testing.wait_all_tasks_blocked(STILL_S)


CHANGES = [
    ("registered", "web-8000", "passing", None),
    ("changed", "web-8000", "passing", "passing"),
    ("health", "web-8000", "warning", "passing"),
    ("health", "web-8000", "maintenance", "warning"),
    ("removed", "web-8000", None, "maintenance"),
]


@pytest.mark.trio
async def test_every_change_of_an_instance_comes_once_and_in_order() -> None:
    async with open_node() as node, following(node) as follower:
        await make_changes(node)
        await until(lambda: len(follower.events) >= len(CHANGES))

        assert follower.seen == CHANGES
        kind, first = follower.events[0]
        assert (kind, first["kind"], first["service"]) == ("registered", "registered", "web")
        assert (first["owner"], first["node"], first["port"]) == (node.id, "node-1", 8000)
        assert 'kith_events_total{kind="health"} 2' in node.edge.telemetry()


@pytest.mark.trio
async def test_a_stream_that_broke_goes_on_where_it_was_with_each_event_exactly_once() -> None:
    async with open_node() as node:
        seen: list[tuple[str, str, object, object]] = []
        async with following(node) as follower:
            last_id = follower.last_id
        for number in range(12):
            way = (f"?since={last_id}",) if number % 2 else ("", f"Last-Event-ID: {last_id}")
            async with following(node, *way) as follower:
                await node.expect(201, "POST", "/v1/services", web(port=8000 + number))
                await until(lambda follower=follower: len(follower.events) >= 1)
            seen += follower.seen
            last_id = follower.last_id
            # Behind its back: what happens between two streams comes with the next.
            await node.expect(200, "DELETE", f"/v1/services/web/web-{8000 + number}")
        async with following(node, f"?since={last_id}") as follower:
            await until(lambda: follower.events)
            seen += follower.seen

        expected = [
            event
            for number in range(12)
            for event in (
                ("registered", f"web-{8000 + number}", "passing", None),
                ("removed", f"web-{8000 + number}", None, "passing"),
            )
        ]
        assert seen == expected


@pytest.mark.trio
async def test_the_header_that_browsers_send_goes_before_the_query() -> None:
    async with open_node() as node:
        async with following(node) as follower:
            first = follower.last_id
            await node.expect(201, "POST", "/v1/services", web())
            await until(lambda: follower.events)
            second = follower.last_id
        async with following(node, f"?since={first}", f"Last-Event-ID: {second}") as follower:
            await node.expect(201, "POST", "/v1/services", {"name": "db", "port": 1})
            await until(lambda: follower.events)
            assert [one["service"] for _, one in follower.events] == ["db"]


@pytest.mark.trio
@pytest.mark.parametrize("since", ["", "0", "aaaaaaaa-1-1", "nonsense", "{life}-99", "{life}-x"])
async def test_an_id_of_another_life_begins_with_reset_and_goes_on(since: str) -> None:
    async with open_node() as node:
        async with following(node) as follower:
            life = follower.last_id.rpartition("-")[0]
        async with following(node, f"?since={since.format(life=life)}") as follower:
            await until(lambda: follower.events)
            assert [kind for kind, _ in follower.events] == ["reset"]
            await node.expect(201, "POST", "/v1/services", web())
            await until(lambda: len(follower.events) > 1)
            assert follower.seen[1:] == CHANGES[:1]


@pytest.mark.trio
async def test_what_the_ring_no_longer_has_begins_with_reset() -> None:
    async with open_node() as node:
        record = node.edge.streams.record
        async with following(node) as follower:
            first = follower.last_id
        record._ring = type(record._ring)(record._ring, maxlen=2)
        for port in range(4):
            await node.expect(201, "POST", "/v1/services", web(port=8000 + port))
        async with following(node, f"?since={first}") as follower:
            await until(lambda: follower.events)
            assert [kind for kind, _ in follower.events] == ["reset"]


@pytest.mark.trio
async def test_filters_leave_what_fits_and_the_place_moves_on_all_the_same() -> None:
    async with (
        open_node() as node,
        following(node, "?service=web&service=x&kind=registered&kind=removed") as some,
        following(node, "?kind=member") as none,
    ):
        await node.expect(201, "POST", "/v1/services", {"name": "db", "port": 1})
        await make_changes(node)
        await until(lambda: len(some.events) >= 2)
        assert [kind for kind, _ in some.events] == ["registered", "removed"]

        node.edge.streams._beat()
        await until(lambda: none.last_id.endswith("-6"))
        assert none.events == []


@pytest.mark.trio
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?kind=birthday", "kind"),
        ("?sinec=1", "sinec"),
        (f"?service={'a' * 129}", "service"),
        ("?" + "&".join(f"service=s{n}" for n in range(33)), "service"),
        (f"?since={'a' * 129}", "since"),
    ],
)
async def test_each_rule_of_a_stream_is_refused_by_name(query: str, field: str) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "GET", f"/v1/events{query}")
        assert error["field"] == field


@pytest.mark.trio
async def test_an_owner_that_stops_takes_its_instances_out() -> None:
    async with open_node(1) as alice, open_node(2, zone="z2") as bob:
        async with following(alice, "?service=web") as instances, following(alice) as everything:
            await bob.expect(201, "POST", "/v1/services", web())
            with trio.fail_after(SOON_S):
                assert await bob.context.driver.join(alice.address)
            await until(lambda: instances.events)
            await say(bob, Phase.STOPPING)
            await until(lambda: len(instances.events) >= 2)
            await trio.testing.wait_all_tasks_blocked(STILL_S)

        assert instances.seen == [
            ("registered", "web-8000", "passing", None),
            ("removed", "web-8000", None, "passing"),
        ]
        members = [one for one in everything.seen if one[1] == bob.id]
        assert members == [
            ("member", bob.id, "alive", None),
            ("member", bob.id, "stopping", "alive"),
        ]


@pytest.mark.trio
async def test_an_owner_that_vanishes_turns_its_instances_critical() -> None:
    async with open_node(1) as alice, open_node(2, zone="z2") as bob:
        async with following(alice, "?service=web") as instances, following(alice) as everything:
            await bob.expect(201, "POST", "/v1/services", web())
            with trio.fail_after(SOON_S):
                assert await bob.context.driver.join(alice.address)
            await until(lambda: instances.events)
            bob.tasks.cancel_scope.cancel()
            await until(lambda: len(instances.events) >= 2, seconds=20)

        assert instances.seen == [
            ("registered", "web-8000", "passing", None),
            ("health", "web-8000", "critical", "passing"),
        ]
        statuses = [status for kind, _, status, _ in everything.seen if kind == "member"]
        assert (statuses[0], statuses[-1]) == ("alive", "unreachable")
        sides = [one["partition"] for kind, one in everything.events if kind == "partition"]
        assert sides[-1] == "even"


@pytest.mark.trio
async def test_nothing_is_noted_while_nobody_listens() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        record = node.edge.streams.record
        assert (record.is_on, record.next_number) == (False, 1)
        async with following(node):
            assert record.is_on
        await until(lambda: node.edge.streams.count == 0)
        streams = node.edge.streams
        streams._silent_since = float("-inf")
        streams._beat()
        assert not record.is_on


@pytest.mark.trio
async def test_a_node_that_ends_says_so_on_its_streams() -> None:
    async with open_node() as node, following(node) as follower:
        node.context.lifecycle.stop()
        await until(lambda: follower.is_over)
        (last,) = [one for kind, one in follower.events if kind == "closing"]
        assert last["reason"] == "draining"
        with trio.fail_after(SOON_S):
            await node.server.drain(60.0)


@pytest.mark.trio
async def test_a_slow_reader_is_cut_off_with_a_reason_and_memory_stays_bounded() -> None:
    async with open_node() as node:
        record = node.edge.streams.record
        record._ring = type(record._ring)(maxlen=100)
        ours, theirs = trio.testing.memory_stream_pair()
        limits = HttpLimits(write_s=3_600.0)
        server = HttpServer(node.edge.router, node="slow", limits=limits, hooks=node.edge.hooks)
        node.tasks.start_soon(server.serve_stream, Choked(theirs), "127.0.0.1")
        await ours.send_all(request("GET", "/v1/events"))
        await until(lambda: node.edge.streams._streams)
        (stream,) = node.edge.streams._streams
        outlet = stream.outlet
        assert outlet is not None
        for number in range(300):
            await node.ask("POST", "/v1/services", web(port=8_000 + number % 2, weight=number))
            assert outlet.waiting_bytes < 64 * 1024
            if not outlet.is_open:
                break
        assert node.edge.streams.ends["slow"] == 1
        assert 'kith_event_streams_ended_total{end="slow"} 1' in node.edge.telemetry()
        assert number > 100
        assert outlet.waiting_bytes < 1_024


@pytest.mark.trio
async def test_streams_are_limited_in_all_and_by_address() -> None:
    async with open_node() as node:
        for limits, status, code in (
            (WatchLimits(streams_max=2), 503, "overloaded"),
            (WatchLimits(streams_per_client_max=2), 429, "rate_limited"),
        ):
            node.edge.streams._limits = limits
            async with following(node), following(node):
                answer = await node.ask("GET", "/v1/events")
                assert (answer.status, answer.error["code"]) == (status, code)
                assert answer.headers["retry-after"] == "5"
            await until(lambda: node.edge.streams.count == 0)


@pytest.mark.trio
async def test_head_of_the_stream_takes_no_place() -> None:
    async with open_node() as node:
        answer = await node.ask("HEAD", "/v1/events")
        assert answer.status == 200
        await until(lambda: node.edge.streams.count == 0)


class Choked(trio.abc.Stream):
    """A stream whose other end takes the first answer's head, and nothing after it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._sent = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._sent += 1
        if self._sent > 1:
            await trio.sleep_forever()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()
