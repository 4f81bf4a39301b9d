"""Many registrations in one request: each with its own result, and what they share."""

import pytest
import trio

from node.api.instances.batch import AT_ONCE_MAX, BODY_BYTES_MAX, ITEMS_MAX, UPDATE_ID_MAX

from .situations import TestNode, open_node, open_pair, until, web
from .test_underway import SlowStore

PATH = "/v1/services:batch"


async def results(
    node: TestNode, *items: object, query: str = "", status: int = 200, **fields: object
) -> list[dict[str, object]]:
    document = await node.expect(
        status, "POST", f"{PATH}{query}", {"services": list(items), **fields}
    )
    found = document["results"]
    assert isinstance(found, list)
    return found


def statuses(found: list[dict[str, object]]) -> list[object]:
    return [one["status"] for one in found]


def error_of(result: dict[str, object]) -> dict[str, object]:
    error = result["error"]
    assert isinstance(error, dict)
    return error


@pytest.mark.trio
async def test_each_item_has_its_own_result_and_a_bad_one_spoils_no_other() -> None:
    async with open_node() as node:
        known = await node.expect(201, "POST", "/v1/services", web(port=1))
        found = await results(
            node, web(port=1), web(port=2), web(port=0), {"name": "web"}, 7,
            web(port=3, tagz=[]), web(port=1, weight=5), web(port=4, metadata={"big": "x" * 600}),
        )  # fmt: skip

        assert statuses(found) == [200, 201, 400, 400, 400, 400, 200, 400]
        assert found[0] == {"status": 200, **known}
        assert set(found[1]) == {"status", "name", "id", "owner", "version", "update_id"}
        assert [error_of(found[place])["field"] for place in (2, 3, 4, 5, 7)] == [
            "port", "port", "services", "tagz", "metadata.big",
        ]  # fmt: skip
        shape = {"code", "message", "field", "definite", "request_id"}
        assert set(error_of(found[2])) == shape
        assert {one["id"]: one["weight"] for one in await node.instances("web")} == {
            "web-1": 5,
            "web-2": 100,
        }


@pytest.mark.trio
async def test_all_that_is_good_is_in_one_commit() -> None:
    async with open_node() as node:
        commits = node.context.driver.counters.commits
        found = await results(node, *(web(port=port) for port in range(1, ITEMS_MAX + 1)))

        assert statuses(found) == [201] * ITEMS_MAX
        assert len({one["version"] for one in found}) == 1
        assert len({one["update_id"] for one in found}) == ITEMS_MAX
        assert node.context.driver.counters.commits == commits + 1
        assert len(await node.instances("web", "?limit=1000")) == ITEMS_MAX


@pytest.mark.trio
async def test_items_about_one_instance_are_taken_one_after_the_other() -> None:
    async with open_node() as node:
        found = await results(node, web(weight=1), web(weight=2), web(weight=2))

        assert statuses(found) == [201, 200, 200]
        assert found[2]["version"] == found[1]["version"]
        assert (await node.instances("web"))[0]["weight"] == 2


@pytest.mark.trio
async def test_update_ids_of_items_and_of_the_batch_answer_their_repetition() -> None:
    async with open_node() as node:
        store = node.store
        items = (web(port=1, update_id="mine"), web(port=2), web(port=3))
        first = await results(node, *items, update_id="b")
        single = await node.expect(200, "POST", "/v1/services", items[0])
        await node.expect(200, "POST", "/v1/services", web(port=2, weight=7))

        again = await results(node, *items, update_id="b")
        other = await results(node, *items[:2], web(port=4), update_id="b")

        assert [one["update_id"] for one in first] == ["mine", "b.1", "b.2"]
        assert statuses(first) == [201] * 3
        assert again == [{**one, "status": 200} for one in first]
        assert {"status": 200, **single} == again[0]
        assert statuses(other) == [200, 200, 409]
        assert error_of(other[2])["field"] == "update_id"
        assert {one["id"]: one["weight"] for one in await node.instances("web")}["web-2"] == 7
    store.open()
    async with open_node(store=store) as node:
        assert await results(node, *items, update_id="b") == again, "also after a restart"


@pytest.mark.trio
async def test_an_update_id_twice_in_one_batch_is_one_update() -> None:
    async with open_node() as node:
        one = web(port=1, update_id="u")
        found = await results(node, one, one, web(port=2, update_id="u"), web(port=3))

        assert statuses(found) == [201, 200, 409, 201]
        assert found[1]["version"] == found[0]["version"]


@pytest.mark.trio
async def test_two_batches_with_the_same_update_ids_in_another_order_both_end() -> None:
    async with open_node() as node:
        items = [web(port=port, update_id=f"u{port}") for port in range(1, 9)]
        found: list[list[dict[str, object]]] = []

        async def send(*wanted: object) -> None:
            found.append(sorted(await results(node, *wanted), key=lambda one: str(one["id"])))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, *items)
            nursery.start_soon(send, *reversed(items))

        versions = [[one["version"] for one in one_batch] for one_batch in found]
        assert versions[0] == versions[1]
        both = [*statuses(found[0]), *statuses(found[1])]
        assert (both.count(200), both.count(201)) == (8, 8)


@pytest.mark.trio
async def test_a_batch_can_wait_for_receipts() -> None:
    async with open_pair() as (alice, _bob):
        document = await alice.expect(
            200, "POST", f"{PATH}?confirm=1", {"services": [web(port=1), web(port=2)]}
        )
        assert (document["confirmed"], document["peers"]) == (1, 1)
        late = await alice.expect(
            202, "POST", f"{PATH}?confirm=2&confirm_timeout=100ms", {"services": [web(port=3)]}
        )
        assert (late["confirmed"], late["peers"]) == (1, 1)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("status", "code", "field", "body"),
    [
        (400, "invalid_field", "services", {}),
        (400, "invalid_field", "services", {"services": []}),
        (400, "invalid_field", "services", {"services": {"name": "web"}}),
        (400, "invalid_field", "service", {"service": [web()], "services": [web()]}),
        (400, "invalid_field", "update_id", {"services": [web()], "update_id": 1}),
        (400, "invalid_field", "update_id",
         {"services": [web()], "update_id": "u" * (UPDATE_ID_MAX + 1)}),
        (413, "too_large", "services", {"services": [web()] * (ITEMS_MAX + 1)}),
        (413, "too_large", "body", {"services": [web(version="x" * BODY_BYTES_MAX)]}),
    ],
)  # fmt: skip
async def test_what_is_no_batch_is_refused_whole(
    status: int, code: str, field: str, body: object
) -> None:
    async with open_node() as node:
        error = await node.refused(status, code, "POST", PATH, body)

        assert error["field"] == field
        assert await node.instances("web") == []


@pytest.mark.trio
async def test_only_a_batch_may_have_a_body_of_its_size() -> None:
    async with open_node() as node:
        items = [web(port=port, version="x" * 100) for port in range(1, ITEMS_MAX)]
        items.append(web(port=ITEMS_MAX, version="x" * 60_000))

        await node.refused(413, "too_large", "POST", "/v1/services", {"services": items})
        found = await results(node, *items)

        assert statuses(found) == [201] * 255 + [400]


@pytest.mark.trio
async def test_batches_at_once_are_bounded() -> None:
    store = SlowStore()
    async with open_node(store=store) as node, trio.open_nursery() as nursery:
        store.may_end.clear()
        answers: list[int] = []

        async def send(port: int) -> None:
            answer = await node.ask("POST", PATH, {"services": [web(port=port)]})
            answers.append(answer.status)

        for port in range(1, AT_ONCE_MAX + 1):
            nursery.start_soon(send, port)
        await until(lambda: len(node.edge._instances._staged) == AT_ONCE_MAX)
        error = await node.refused(503, "overloaded", "POST", PATH, {"services": [web(port=99)]})
        store.may_end.set()
        await until(lambda: len(answers) == AT_ONCE_MAX)

        assert error["definite"] is True
        assert answers == [200] * AT_ONCE_MAX


@pytest.mark.trio
async def test_items_that_find_no_room_on_the_disk_say_so() -> None:
    store = SlowStore()
    async with open_node(store=store) as node:
        await results(node, web(port=1))
        store.is_full = True
        signed = await results(node, web(port=2), web(port=3))
        refused = await results(node, web(port=2), web(port=4))
        store.is_full = False

        assert [error_of(one)["definite"] for one in signed] == [False, False]
        assert statuses(refused) == [503, 503]
        assert error_of(refused[1])["definite"] is True
