"""`?confirm=N`, who holds an update, and what waits, over the API of nodes in this process."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node.delivery import confirms
from protocol.commits import Dot
from protocol.delivery.standing import Priority
from protocol.effects import Keep, KeepCommit
from protocol.identity import NodeId, id_text
from storage import MemoryStore, Result
from tests.node.transport.people import credentials

from .situations import TestNode, open_node, open_pair, until, web

SOON = "confirm_timeout=5s"
BOB = id_text(credentials(2).chain.node)


def rows(document: dict[str, object], name: str) -> list[dict[str, object]]:
    found = document[name]
    assert isinstance(found, list)
    return found


def is_written(store: MemoryStore, peer: NodeId, dot: Dot) -> bool:
    """Whether it is on disk that the peer holds our commits up to that one."""
    row = store._deliveries.get(peer)
    return row is not None and row.held >= dot


@pytest.mark.trio
async def test_a_registration_is_confirmed_by_the_peer_that_has_it_on_disk() -> None:
    async with open_pair() as (alice, bob):
        told = await alice.expect(201, "POST", f"/v1/services?confirm=1&{SOON}", web())

        assert (told["confirmed"], told["peers"]) == (1, 1)
        assert bob.store._branches[alice.context.me].head is not None
        kept = bob.store._branches[alice.context.me].commits
        assert told["version"] in {dot.version for dot in kept}, "it is on bob's disk"

        again = await alice.expect(200, "POST", f"/v1/services?confirm=1&{SOON}", web())
        assert again == told, "also what changes nothing can be confirmed"
        assert alice.edge._confirms.outcomes["confirmed"] == 2


@pytest.mark.trio
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/services/web/web-8000", {"weight": 5}),
        ("PUT", "/v1/services/web/web-8000/maintenance", {"enable": True}),
        ("DELETE", "/v1/services/web/web-8000", None),
        ("PUT", "/v1/documents/colours", {"value": {"a": 1}}),
        ("PATCH", "/v1/documents/colours", {"value": {"b": 2}}),
        ("DELETE", "/v1/documents/known", None),
    ],
)
async def test_every_change_can_be_confirmed(method: str, path: str, body: object) -> None:
    async with open_pair() as (alice, _):
        await alice.expect(201, "POST", "/v1/services", web())
        await alice.expect(201, "PUT", "/v1/documents/known", {"value": {"a": 1}})

        answer = await alice.ask(method, f"{path}?confirm=1&{SOON}", body)

        assert answer.status in (200, 201), answer.body
        assert b'"confirmed":1,"peers":1' in answer.body


@pytest.mark.trio
async def test_too_few_receipts_in_time_are_202_and_the_change_stands() -> None:
    async with open_pair() as (alice, _):
        path = "/v1/services?confirm=3&confirm_timeout=250ms"
        told = await alice.expect(202, "POST", path, web(update_id="u-1"))

        assert told["peers"] == 1
        assert len(await alice.instances("web")) == 1
        assert alice.edge._confirms.outcomes == {"confirmed": 0, "timeout": 1, "ended": 0}
        assert alice.edge._confirms.waiting == 0

        again = await alice.expect(
            200, "POST", f"/v1/services?confirm=1&{SOON}", web(update_id="u-1")
        )
        assert (again["version"], again["confirmed"]) == (told["version"], 1)


@pytest.mark.trio
async def test_a_member_that_joins_while_somebody_waits_counts() -> None:
    async with open_node(1) as alice, open_node(2) as bob, trio.open_nursery() as callers:
        answers: list[dict[str, object]] = []

        async def register() -> None:
            path = "/v1/services?confirm=1&confirm_timeout=60s"
            answers.append(await alice.expect(201, "POST", path, web()))

        callers.start_soon(register)
        await until(lambda: alice.edge._confirms.waiting == 1)
        with trio.fail_after(5):
            assert await bob.context.driver.join(alice.address)
        await until(lambda: answers, seconds=15)

        assert (answers[0]["confirmed"], answers[0]["peers"]) == (1, 1)


@pytest.mark.trio
async def test_a_node_that_ends_lets_nobody_wait() -> None:
    async with open_node() as alice, trio.open_nursery() as callers:
        answers: list[dict[str, object]] = []

        async def register() -> None:
            path = "/v1/services?confirm=1&confirm_timeout=60s"
            answers.append(await alice.expect(202, "POST", path, web()))

        callers.start_soon(register)
        await until(lambda: alice.edge._confirms.waiting == 1)
        alice.context.lifecycle.stop()
        await until(lambda: answers)

        assert (answers[0]["confirmed"], answers[0]["peers"]) == (0, 0)
        assert alice.edge._confirms.outcomes["ended"] == 1


@pytest.mark.trio
async def test_one_who_waits_too_many_is_refused_before_anything_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confirms, "WAITING_MAX", 1)
    async with open_node() as alice, trio.open_nursery() as callers:
        path = "/v1/services?confirm=1&confirm_timeout=60s"
        callers.start_soon(alice.ask, "POST", path, web())
        await until(lambda: alice.edge._confirms.waiting == 1)

        error = await alice.refused(503, "overloaded", "POST", path, web(name="other"))
        assert error["definite"] is True
        assert await alice.instances("other") == []

        await alice.expect(201, "POST", "/v1/services", web(name="other"))
        alice.context.lifecycle.stop()


@pytest.mark.trio
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("confirm=1001", "confirm"),
        ("confirm=-1", "confirm"),
        ("confirm=many", "confirm"),
        ("confirm=1&confirm_timeout=61s", "confirm_timeout"),
        ("confirm=1&confirm_timeout=soon", "confirm_timeout"),
        ("confirm=1&confirm=2", "confirm"),
    ],
)
async def test_a_wish_that_cannot_be_is_refused_before_anything_is_changed(
    query: str, field: str
) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "POST", f"/v1/services?{query}", web())

        assert error["field"] == field
        assert await node.instances("web") == []


@pytest.mark.trio
async def test_none_and_the_longest_wait_are_allowed() -> None:
    async with open_node() as node:
        path = "/v1/services?confirm=0&confirm_timeout=60s"
        told = await node.expect(201, "POST", path, web())
        assert (told["confirmed"], told["peers"]) == (0, 0)

        await node.expect(202, "POST", "/v1/services?confirm=1000&confirm_timeout=1ms", web())


@pytest.mark.trio
async def test_those_who_wait_are_served_in_the_order_of_versions(mock_clock: MockClock) -> None:
    async with open_node() as node:
        waits = confirms.Confirms(node.context.driver)
        served: list[int] = []

        async def wait(version: int, receipts: int, timeout_s: float) -> None:
            came = await waits.wait(version, confirms.Wish(receipts, timeout_s))
            served.append(version if came.enough else -version)

        async with trio.open_nursery() as callers:
            for version in (7, 5, 6):
                callers.start_soon(wait, version, 1, float(version))
            callers.start_soon(wait, 1, 2, 4.0)
            await wait_all_tasks_blocked()
            assert waits.waiting == 4
            mock_clock.jump(4.5)
            await wait_all_tasks_blocked()
            assert (waits.waiting, served) == (3, [-1])
            mock_clock.jump(1.0)
            await wait_all_tasks_blocked()
            assert (waits.waiting, served) == (2, [-1, -5])
            waits.end()
        assert sorted(served) == [-7, -6, -5, -1]
        assert waits.outcomes == {"confirmed": 0, "timeout": 2, "ended": 2}


@pytest.mark.trio
async def test_an_update_says_who_holds_it_and_has_it_on_disk() -> None:
    async with open_pair() as (alice, bob):
        made = await alice.expect(
            201, "POST", f"/v1/services?confirm=1&{SOON}", web(update_id="u-1")
        )

        found = await alice.expect(200, "GET", "/v1/updates/u-1")

        (holder,) = rows(found, "holders")
        assert {name: found[name] for name in ("name", "id", "owner", "version")} == {
            name: made[name] for name in ("name", "id", "owner", "version")
        }
        assert (holder["id"], holder["name"], holder["stored"]) == (bob.id, "node-2", True)
        assert str(holder["since"]) >= str(found["committed_at"])
        assert (found["lacking"], found["untracked"]) == ([], 0)
        await bob.refused(404, "not_found", "GET", "/v1/updates/u-1")


@pytest.mark.trio
async def test_updates_of_guests_and_documents_and_with_drawn_ids_are_known_too() -> None:
    async with open_node() as node:
        drawn = (await node.expect(201, "POST", "/v1/services", web()))["update_id"]
        body = {"value": {"a": 1}, "update_id": "d-1"}
        document = await node.expect(201, "PUT", "/v1/documents/colours", body)

        by_drawn = await node.expect(200, "GET", f"/v1/updates/{drawn}")
        by_given = await node.expect(200, "GET", "/v1/updates/d-1")

        assert (by_drawn["name"], by_drawn["id"]) == ("web", "web-8000")
        assert (by_given["name"], by_given["id"]) == ("", "colours")
        assert by_given["version"] == document["version"]
        assert node.store.find_result(str(drawn)) is None, "a drawn one costs no row"


class NotingStore(MemoryStore):
    """Remembers the priority of each commit that it is told to keep."""

    def __init__(self, node: NodeId) -> None:
        super().__init__(node)
        self.priorities: list[Priority] = []

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        super().write(keeps, results)
        self.priorities += [keep.priority for keep in keeps if isinstance(keep, KeepCommit)]


@pytest.mark.trio
async def test_who_may_write_goes_before_what_clients_ask_for_and_that_before_check_results() -> (
    None
):
    store = NotingStore(credentials(1).chain.node)
    async with open_node(1, store=store) as node:
        beat = {"type": "ttl", "ttl": "10s", "id": "beat"}

        async def priority_of(method: str, path: str, body: object) -> Priority:
            before = len(store.priorities)
            answer = await node.ask(method, path, body)
            assert answer.status in (200, 201), answer.body
            await until(lambda: len(store.priorities) > before)
            return store.priorities[-1]

        asked = [
            ("POST", "/v1/services", web(checks=[beat])),
            ("PUT", "/v1/services/web/web-8000/heartbeat", {"status": "passing"}),
            ("PUT", "/v1/documents/colours", {"value": {"a": 1}}),
            ("PUT", "/v1/documents/colours", {"value": {"a": 1}, "owners": ["self"]}),
            ("PATCH", "/v1/node", {"zone": "z9"}),
            ("DELETE", "/v1/services/web/web-8000", None),
        ]
        found = [await priority_of(*one) for one in asked]

        assert store.priorities[0] is Priority.CRITICAL, "its own record"
        assert found == [
            Priority.NORMAL, Priority.BACKGROUND, Priority.NORMAL, Priority.CRITICAL,
            Priority.CRITICAL, Priority.NORMAL,
        ]  # fmt: skip


@pytest.mark.trio
async def test_the_queue_shows_a_peer_that_is_down_with_what_it_lacks_also_after_a_restart() -> (
    None
):
    store = MemoryStore(credentials(1).chain.node)
    async with open_node(1, store=store) as alice:
        async with open_node(2, zone="z2") as bob:
            with trio.fail_after(5):
                assert await bob.context.driver.join(alice.address)
            await alice.expect(201, "POST", f"/v1/services?confirm=1&{SOON}", web())
            head = alice.context.peer.registry.branch(alice.context.me)
            assert head is not None
            await until(lambda: is_written(store, bob.context.me, head.dot))
            idle = await alice.expect(200, "GET", "/v1/queue")
            assert (idle["deliveries"], idle["peers"]) == ([], 1)
            (row,) = rows(await alice.expect(200, "GET", "/v1/queue?all=true"), "deliveries")
            assert (row["peer"], row["since"], row["priority"]) == (bob.id, None, None)
        made = [
            (await alice.expect(201, "POST", "/v1/services", web(id=f"w{n}", update_id=f"u-{n}")))
            for n in range(3)
        ]
        await lacks(alice, made)
    store.open()

    async with open_node(1, store=store) as alice:
        own = alice.context.peer.registry.branch(alice.context.me)
        assert own is not None
        queue = await alice.expect(200, "GET", "/v1/queue")
        (row,) = rows(queue, "deliveries")
        assert (row["peer"], row["oldest"]) == (BOB, made[0]["version"])
        assert (row["waiting"], row["newest"]) == (4, own.dot.version), "and our own new record"
        found = await alice.expect(200, "GET", "/v1/updates/u-1")
        (lacker,) = rows(found, "lacking")
        assert (lacker["id"], found["holders"]) == (BOB, [])
        assert str(lacker["since"]) >= str(found["committed_at"])


async def lacks(alice: TestNode, made: list[dict[str, object]]) -> None:
    """Bob lacks just these."""
    (row,) = rows(await alice.expect(200, "GET", "/v1/queue"), "deliveries")
    assert (row["peer"], row["waiting"], row["behind"]) == (BOB, len(made), False)
    assert (row["oldest"], row["newest"]) == (made[0]["version"], made[-1]["version"])
    assert (row["priority"], row["breaker"]) == ("normal", "closed")
