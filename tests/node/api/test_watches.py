"""Long polls as clients see them, on real nodes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import orjson
import pytest
import trio
import trio.testing

from protocol.agreement.evidence import fork_of
from protocol.commits import Dot, Draft, make_commit
from protocol.detector.detection import Status
from protocol.peer import NODE_RECORD
from protocol.records import NodeRecord
from tests.node.http.speaking import Answer, Client, request
from tests.node.transport.people import CLUSTER, credentials

from .situations import SOON_S, TestNode, open_node, open_pair, until, web
from .test_explain import SOMEBODY, instance, other

STILL_S = 0.05
"""Long enough for a node to answer, had it something to say."""


class Poll:
    """A long poll that waits, on a connection of its own."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.client = Client(stream)
        self.answers: list[Answer] = []

    @property
    def instances(self) -> list[dict[str, object]]:
        found = orjson.loads(self.answers[-1].body)["instances"]
        assert isinstance(found, list)
        return found

    async def run(self, message: bytes) -> None:
        await self.client.send(message)
        with suppress(trio.ClosedResourceError):
            self.answers.append(await self.client.answer())

    async def answered(self) -> Answer:
        await until(lambda: self.answers)
        return self.answers[-1]


@asynccontextmanager
async def polling(
    node: TestNode, *queries: str, service: str = "web", wait: str = "60s"
) -> AsyncIterator[list[Poll]]:
    """Clients that have the newest answer to their query, and wait for another."""
    async with trio.open_nursery() as nursery:
        polls = []
        for query in queries:
            path = f"/v1/services/{service}?{query}"
            index = (await node.ask("GET", path)).headers["x-kith-index"]
            ours, theirs = trio.testing.memory_stream_pair()
            node.tasks.start_soon(node.server.serve_stream, theirs, "127.0.0.1")
            poll = Poll(ours)
            polls.append(poll)
            message = request("GET", f"{path}&index={index}&wait={wait}")
            before = node.edge.hub.watching
            nursery.start_soon(poll.run, message)
            await until(lambda before=before: node.edge.hub.watching > before)
        yield polls
        for poll in polls:
            await poll.client.stream.aclose()
        nursery.cancel_scope.cancel()


def count(node: TestNode, metric: str) -> float:
    lines = [line for line in node.edge.telemetry().splitlines() if line.startswith(metric + " ")]
    return float(lines[0].split()[1])


async def still(poll: Poll) -> bool:
    """Whether it is not answered, though the node had time."""
    await trio.testing.wait_all_tasks_blocked(STILL_S)
    return not poll.answers


@pytest.mark.trio
async def test_a_watcher_is_woken_by_its_own_service_and_by_no_other() -> None:
    async with open_node() as node, polling(node, "", service="web") as (mine,):
        await node.expect(201, "POST", "/v1/services", {"name": "db", "port": 1})
        assert await still(mine)

        await node.expect(201, "POST", "/v1/services", web())
        answer = await mine.answered()
        plain = await node.ask("GET", "/v1/services/web")

        assert [one["id"] for one in mine.instances] == ["web-8000"]
        assert answer.body == plain.body
        assert answer.headers["x-kith-index"] == plain.headers["x-kith-index"]
        assert count(node, "kith_watchers_spurious_total") == 0
        assert count(node, 'kith_watchers_total{outcome="woken"}') == 1


@pytest.mark.trio
async def test_what_a_filter_hides_wakes_nobody_who_watches_by_it() -> None:
    async with (
        open_node() as node,
        polling(node, "tag=blue", "health=passing", "zone=far", "limit=1", "near=self") as polls,
    ):
        blue, passing, far, first, near = polls
        await node.expect(201, "POST", "/v1/services", web(tags=["green"], zone="here"))
        assert [one["port"] for one in (await passing.answered(), passing)[1].instances] == [8000]
        await first.answered()
        await near.answered()
        assert await still(blue)
        assert await still(far)

        await node.expect(201, "POST", "/v1/services", web(port=8001, tags=["blue"], zone="far"))
        await blue.answered()
        await far.answered()
        assert [one["port"] for one in blue.instances] == [8001]
        assert count(node, "kith_watchers_spurious_total") == 0


@pytest.mark.trio
async def test_an_index_stays_while_its_query_shows_the_same() -> None:
    async with open_node() as node:
        before = (await node.ask("GET", "/v1/services/web?tag=blue")).headers
        await node.expect(201, "POST", "/v1/services", web())
        after = (await node.ask("GET", "/v1/services/web?tag=blue")).headers
        everything = (await node.ask("GET", "/v1/services/web")).headers

        assert after["x-kith-index"] == before["x-kith-index"]
        assert after["etag"] == before["etag"]
        assert everything["x-kith-index"] != before["x-kith-index"]


@pytest.mark.trio
async def test_a_change_of_the_owners_record_that_no_instance_shows_wakes_nobody() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        async with polling(node, "") as (poll,):
            record = node.context.driver.peer.record
            fields = {name: getattr(record, name) for name in NodeRecord.__slots__}
            changed = NodeRecord(**{**fields, "metadata": (("k", "v"),)})
            await node.context.driver.propose({NODE_RECORD: changed})
            assert await still(poll)

            await node.context.driver.propose({NODE_RECORD: NodeRecord(**{**fields, "name": "x"})})
            await poll.answered()
            assert [one["node"] for one in poll.instances] == ["x"]


@pytest.mark.trio
async def test_each_visible_change_wakes() -> None:
    check = {"type": "ttl", "ttl": "60s", "initial": "passing", "id": "c"}
    one = "/v1/services/web/web-8000"
    changes: tuple[tuple[str, str, object, object], ...] = (
        ("POST", "/v1/services", web(checks=[check]), "passing"),
        ("PATCH", one, {"weight": 7}, "passing"),
        ("PUT", f"{one}/heartbeat", {"check": "c", "status": "warning"}, "warning"),
        ("PUT", f"{one}/maintenance", {"enable": True, "reason": "why"}, "maintenance"),
        ("PUT", f"{one}/maintenance", {"enable": False}, "warning"),
        ("DELETE", one, None, None),
    )
    async with open_node() as node:
        for method, path, body, health in changes:
            async with polling(node, "") as (poll,):
                answer = await node.ask(method, path, body)
                assert answer.status < 300, answer.body
                await poll.answered()
                shown = [found["health"] for found in poll.instances]
                assert shown == ([] if health is None else [health]), (method, path)


@pytest.mark.trio
async def test_an_owner_that_cannot_be_reached_wakes_those_who_watch_its_services() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web())
        await until(lambda: list(bob.context.peer.registry.instances("web")))
        async with (
            polling(bob, "health=critical") as (poll,),
            polling(bob, "", service="db") as (db,),
        ):
            alice.tasks.cancel_scope.cancel()
            await until(lambda: _status(bob, alice) is Status.UNREACHABLE, seconds=10)

            await poll.answered()
            assert [one["node_status"] for one in poll.instances] == ["unreachable"]
            assert await still(db)


@pytest.mark.trio
async def test_a_dispute_wakes_those_who_watch_what_its_owner_registered() -> None:
    async with open_node() as node:
        owner = other(node, 7, instance())
        node.context.driver._perform([])
        branch = node.context.peer.registry.branch(owner)
        assert branch is not None
        assert branch.head is not None
        draft = Draft(
            owner=owner, dot=Dot(0, 1), parents=(), issued_at=2, state_root=branch.head.state_root
        )
        twin = make_commit(draft, (), key=credentials(7).signer, cluster=CLUSTER).head
        evidence = fork_of(branch.head, twin)
        assert evidence is not None
        async with polling(node, "") as (poll,):
            peer = node.context.peer
            taken = peer._intake.evidence(evidence, SOMEBODY, peer._now)
            node.context.driver._perform(taken.effects)
            await poll.answered()
            assert [one["disputed"] for one in poll.instances] == [True]


@pytest.mark.trio
@pytest.mark.parametrize("index", ["", "aaaaaaaa-1-1", "nonsense"])
async def test_an_index_of_another_node_or_life_is_answered_at_once(index: str) -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        document = await node.expect(200, "GET", f"/v1/services/web?index={index}&wait=60s")
        assert isinstance(document["instances"], list)
        assert len(document["instances"]) == 1
        assert count(node, "kith_watchers_parked_total") == 0


@pytest.mark.trio
async def test_a_wait_that_is_over_is_answered_with_the_same_and_no_wait_at_once() -> None:
    async with open_node() as node:
        index = (await node.ask("GET", "/v1/services/web")).headers["x-kith-index"]
        at_once = await node.ask("GET", f"/v1/services/web?index={index}&wait=0s")
        etag = at_once.headers["etag"]
        none = f"If-None-Match: {etag}"
        cheap = await node.ask("GET", f"/v1/services/web?index={index}&wait=0s", None, none)
        late = await node.ask("GET", f"/v1/services/web?index={index}&wait=1ms")
        late_cheap = await node.ask("GET", f"/v1/services/web?index={index}&wait=1ms", None, none)

        assert [one.status for one in (at_once, cheap, late, late_cheap)] == [200, 304, 200, 304]
        assert at_once.headers["x-kith-index"] == late.headers["x-kith-index"] == index
        assert count(node, 'kith_watchers_total{outcome="timed_out"}') == 2


@pytest.mark.trio
async def test_a_client_that_hangs_up_frees_its_place() -> None:
    async with open_node() as node:
        async with polling(node, "", "tag=a"):
            assert node.edge.hub.watching == 2
        await until(lambda: node.server.connections == 0)
        assert node.edge.hub.watching == 0
        assert count(node, 'kith_watchers_total{outcome="hung_up"}') == 2


@pytest.mark.trio
async def test_a_node_that_ends_answers_those_who_wait_at_once_and_takes_no_more() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        async with polling(node, "") as (poll,):
            node.context.lifecycle.stop()
            answer = await poll.answered()
            assert answer.status == 200
            assert len(poll.instances) == 1
            with trio.fail_after(SOON_S):
                await node.server.drain(60.0)
            index = answer.headers["x-kith-index"]
        assert index


@pytest.mark.trio
async def test_a_node_that_ends_sends_watchers_elsewhere() -> None:
    async with open_node() as node:
        index = (await node.ask("GET", "/v1/services/web")).headers["x-kith-index"]
        node.context.lifecycle.stop()
        await trio.testing.wait_all_tasks_blocked()
        answer = await node.ask("GET", f"/v1/services/web?index={index}")
        assert (answer.status, answer.error["code"]) == (503, "shutting_down")
        assert answer.headers["retry-after"] == "5"
        assert (await node.ask("GET", "/v1/services/web")).status == 200


@pytest.mark.trio
async def test_the_overview_cannot_be_waited_for_and_says_what_can() -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "GET", "/v1/services?index=x")
        assert error["field"] == "index"
        assert "/v1/services/NAME" in str(error["message"])


@pytest.mark.trio
async def test_nothing_is_lost_between_an_answer_and_the_next_poll() -> None:
    """Clients that poll without a pause see the last of many changes, whatever the timing."""
    changes, clients = 60, 5
    async with open_node() as node:

        async def follow(seen: list[object]) -> None:
            ours, theirs = trio.testing.memory_stream_pair()
            node.tasks.start_soon(node.server.serve_stream, theirs, "127.0.0.1")
            client, index = Client(ours), ""
            while not seen or seen[-1] != changes:
                await client.send(request("GET", f"/v1/services/web?index={index}"))
                document = orjson.loads((await client.answer()).body)
                assert document["index"] != index, "woken for nothing"
                index = document["index"]
                seen += [one["weight"] for one in document["instances"]]

        logs: list[list[object]] = [[] for _ in range(clients)]
        with trio.fail_after(4 * SOON_S):
            async with trio.open_nursery() as nursery:
                for log in logs:
                    nursery.start_soon(follow, log)
                for number in range(1, changes + 1):
                    await node.ask("POST", "/v1/services", web(weight=number))
        for log in logs:
            assert log == sorted(set(map(int, map(str, log)))), "in order, each at most once"


def _status(node: TestNode, other: TestNode) -> Status | None:
    return node.context.peer.membership.status(other.context.me)
