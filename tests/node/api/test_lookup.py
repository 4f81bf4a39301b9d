"""Lookups: filters, order, caching, and what is shown of owners that are away."""

import orjson
import pytest
import trio

from node.api import lookup
from protocol.detector.detection import Status
from protocol.peer import NODE_RECORD
from protocol.records import NodeRecord, Phase

from .situations import SOON_S, TestNode, open_node, open_pair, until, web


async def registered(node: TestNode) -> None:
    told: tuple[dict[str, object], ...] = (
        {"tags": ["a", "b"], "version": "1", "metadata": {"env": "dev", "k": "v"}},
        {"tags": ["a"], "version": "2", "zone": "far", "metadata": {"env": "dev"}},
        {"checks": [{"type": "ttl", "ttl": "9s"}], "metadata": {"env": "live"}},
        {"checks": [{"type": "ttl", "ttl": "9s", "initial": "warning"}], "tags": ["b"]},
    )
    for number, fields in enumerate(told):
        await node.expect(201, "POST", "/v1/services", web(port=8000 + number, **fields))


@pytest.mark.trio
@pytest.mark.parametrize(
    ("query", "ports"),
    [
        ("", [8000, 8001, 8002, 8003]),
        ("?health=passing", [8000, 8001]),
        ("?health=critical", [8002]),
        ("?health=warning", [8003]),
        ("?tag=a", [8000, 8001]),
        ("?tag=a&tag=b", [8000]),
        ("?version=2", [8001]),
        ("?zone=far", [8001]),
        ("?zone=z1", [8000, 8002, 8003]),
        ("?meta.env=dev", [8000, 8001]),
        ("?meta.env=dev&meta.k=v", [8000]),
        ("?limit=2", [8000, 8001]),
        ("?near=self", [8000, 8001, 8002, 8003]),
        ("?tag=none", []),
    ],
)
async def test_each_filter_leaves_what_fits(query: str, ports: list[int]) -> None:
    async with open_node() as node:
        await registered(node)
        assert [one["port"] for one in await node.instances("web", query)] == ports


@pytest.mark.trio
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?health=good", "health"),
        ("?near=far", "near"),
        ("?limit=0", "limit"),
        ("?limit=10001", "limit"),
        ("?limit=x", "limit"),
        (f"?index={'5' * 129}", "index"),
        ("?wait=5s", "wait"),
        ("?index=5&wait=5", "wait"),
        ("?index=5&wait=601s", "wait"),
        ("?tga=a", "tga"),
        ("?zone=a&zone=b", "zone"),
    ],
)
async def test_each_rule_of_a_lookup_is_refused_by_name(query: str, field: str) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "GET", f"/v1/services/web{query}")
        assert error["field"] == field


@pytest.mark.trio
async def test_an_unknown_service_is_an_empty_list() -> None:
    async with open_node() as node:
        document = await node.expect(200, "GET", "/v1/services/nobody")
        assert document["instances"] == []
        assert document["service"] == "nobody"


@pytest.mark.trio
async def test_the_overview_counts_instances_and_those_that_pass() -> None:
    async with open_pair() as (alice, bob):
        await registered(alice)
        await bob.expect(201, "POST", "/v1/services", {"name": "db", "port": 1})
        await until(lambda: "db" in list(alice.context.peer.registry.services()))

        everything = await alice.expect(200, "GET", "/v1/services")
        own = await alice.expect(200, "GET", "/v1/services?node=self")

        web_shown = {"instances": 4, "passing": 2, "tags": ["a", "b"]}
        assert everything["services"] == {
            "db": {"instances": 1, "passing": 1, "tags": []},
            "web": web_shown,
        }
        assert own["services"] == {"web": web_shown}
        await alice.refused(400, "invalid_field", "GET", "/v1/services?node=other")


@pytest.mark.trio
async def test_an_answer_is_kept_until_that_service_changes() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        first = await node.ask("GET", "/v1/services/web")
        await node.expect(201, "POST", "/v1/services", {"name": "db", "port": 1})
        same = await node.ask("GET", "/v1/services/web")
        await node.expect(200, "POST", "/v1/services", web(weight=1))
        other = await node.ask("GET", "/v1/services/web")

        assert first.headers["x-kith-partition"] == "none"
        assert same.headers["x-kith-index"] == first.headers["x-kith-index"]
        assert other.headers["x-kith-index"] != first.headers["x-kith-index"]
        assert orjson.loads(other.body)["index"] == other.headers["x-kith-index"]
        assert other.body != same.body == first.body


@pytest.mark.trio
async def test_whoever_has_the_newest_answer_is_told_so_without_it() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        etag = (await node.ask("GET", "/v1/services/web")).headers["etag"]
        headers = (f'If-None-Match: "x", W/{etag}',)

        again = await node.ask("GET", "/v1/services/web", None, *headers)
        await node.expect(200, "POST", "/v1/services", web(weight=1))
        changed = await node.ask("GET", "/v1/services/web", None, *headers)

        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == etag
        assert changed.status == 200


@pytest.mark.trio
async def test_an_index_of_another_life_is_another() -> None:
    async with open_node() as node:
        first = (await node.ask("GET", "/v1/services/web")).headers["x-kith-index"]
        store = node.store
    store.open()
    async with open_node(store=store) as node:
        assert (await node.ask("GET", "/v1/services/web")).headers["x-kith-index"] != first


@pytest.mark.trio
async def test_kept_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "KEPT_BYTES_MAX", 6 * lookup.KEPT_ANSWER_BYTES)
    async with open_node() as node:
        for number in range(10):
            await node.instances(f"s{number}")
        most = 6 * lookup.KEPT_ANSWER_BYTES
        assert most / 2 < kept_bytes(node) <= most


@pytest.mark.trio
async def test_instances_of_an_owner_that_stops_are_left_out_at_once() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web())
        await until(lambda: list(bob.context.peer.registry.instances("web")))
        assert len(await bob.instances("web")) == 1

        await say(alice, Phase.STOPPING)

        await until(lambda: status_of(bob, alice) is Status.STOPPING)
        assert await bob.instances("web") == []
        assert (await bob.expect(200, "GET", "/v1/services"))["services"] == {}
        await bob.refused(404, "not_found", "GET", "/v1/services/web/web-8000")


@pytest.mark.trio
async def test_instances_of_an_owner_that_cannot_be_reached_are_critical() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web())
        await until(lambda: list(bob.context.peer.registry.instances("web")))
        alice.tasks.cancel_scope.cancel()

        await until(lambda: status_of(bob, alice) is Status.UNREACHABLE, seconds=10)

        (found,) = await bob.instances("web")
        assert (found["health"], found["node_status"]) == ("critical", "unreachable")
        assert await bob.instances("web", "?health=passing") == []
        answer = await bob.ask("GET", "/v1/services/web")
        assert answer.headers["x-kith-partition"] == "even"
        overview = await bob.expect(200, "GET", "/v1/services")
        assert overview["services"] == {"web": {"instances": 1, "passing": 0, "tags": []}}
        forgotten = await bob.expect(200, "DELETE", f"/v1/peers/{alice.id}")
        assert forgotten["status"] == "forgotten"
        await until(lambda: status_of(bob, alice) is Status.DEAD)


@pytest.mark.trio
async def test_the_nearest_come_first() -> None:
    async with open_pair() as (alice, bob):
        await bob.expect(201, "POST", "/v1/services", web(id="a-first-by-id"))
        await alice.expect(201, "POST", "/v1/services", web(id="z-last-by-id"))
        await until(lambda: len(list(alice.context.peer.registry.instances("web"))) == 2)

        near = await alice.ask("GET", "/v1/services/web?near=self")

        found = orjson.loads(near.body)["instances"]
        assert [one["id"] for one in found] == ["z-last-by-id", "a-first-by-id"]
        assert "etag" not in near.headers, "round-trip times change without an index"


@pytest.mark.trio
@pytest.mark.parametrize("path", ["/v1/services/web?near=self", "/v1/peers"])
async def test_who_asks_for_distances_has_them_measured(path: str) -> None:
    async with open_pair() as (alice, bob):
        await bob.expect(201, "POST", "/v1/services", web())
        distances = alice.context.peer.membership.distances
        await until(lambda: list(alice.context.peer.registry.instances("web")))
        await alice.expect(200, "GET", "/v1/services/web")
        assert len(distances) == 0, "nobody asked for a distance"

        with trio.fail_after(SOON_S):
            while distances.rtt_s(bob.context.me) is None:
                await alice.expect(200, "GET", path)

        shown = await alice.expect(200, "GET", f"/v1/peers/{bob.id}")
        assert isinstance(shown["rtt_ms"], float)
        assert 0 < shown["rtt_ms"] < SOON_S * 1_000


@pytest.mark.trio
async def test_the_nearest_few_are_found_without_encoding_all() -> None:
    async with open_node() as node:
        for number in range(10):
            await node.expect(201, "POST", "/v1/services", web(port=8000 + number))

        found = await node.instances("web", "?near=self&limit=3")

        assert [one["port"] for one in found] == [8000, 8001, 8002]
        assert kept_bytes(node) == 0, "of ten instances seven were not looked at"


@pytest.mark.trio
async def test_the_index_of_the_nearest_can_be_waited_with_whether_all_were_listed_or_not() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web(tags=["a"]))
        near = (await node.ask("GET", "/v1/services/web?tag=a&near=self&limit=1")).headers
        plain = (await node.ask("GET", "/v1/services/web?tag=a")).headers
        await node.expect(201, "POST", "/v1/services", web(port=8001))
        hidden = (await node.ask("GET", "/v1/services/web?tag=a&near=self&limit=1")).headers

        assert near["x-kith-index"] == plain["x-kith-index"] == hidden["x-kith-index"]


def kept_bytes(node: TestNode) -> float:
    text = node.edge.telemetry()
    (line,) = [one for one in text.splitlines() if one.startswith("kith_lookup_kept_bytes ")]
    return float(line.split()[1])


async def say(node: TestNode, phase: Phase) -> None:
    driver = node.context.driver
    record = driver.peer.record
    assert isinstance(record, NodeRecord)
    fields = {name: getattr(record, name) for name in NodeRecord.__slots__}
    await driver.propose({NODE_RECORD: NodeRecord(**{**fields, "phase": phase})})


def status_of(node: TestNode, other: TestNode) -> Status | None:
    return node.context.peer.membership.status(other.context.me)
