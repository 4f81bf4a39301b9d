"""Registering, changing, removing and finding instances, over the API of nodes in this process."""

import orjson
import pytest
import trio

from node.registrar.failures import disk_full
from protocol.identity import short_id
from storage import MemoryStore, Result

from .situations import open_node, open_pair, until, web

FAILURES = "failures_before_critical"
TTL = {"type": "ttl", "ttl": "10s", "id": "beat"}
HTTP = {"type": "http", "url": "http://127.0.0.1:8000/health", "interval": "100ms"}


@pytest.mark.trio
async def test_what_is_registered_with_one_node_is_found_through_the_other() -> None:
    async with open_pair() as (alice, bob):
        told = await alice.expect(201, "POST", "/v1/services", web(tags=["b", "a"]))

        await until(lambda: list(bob.context.peer.registry.instances("web")))
        (found,) = await bob.instances("web")

        assert (told["name"], told["id"], told["owner"]) == ("web", "web-8000", alice.id)
        assert found == {
            "id": "web-8000",
            "address": "127.0.0.1",
            "port": 8000,
            "tags": ["a", "b"],
            "metadata": {},
            "version": "",
            "weight": 100,
            "zone": "z1",
            "health": "passing",
            "checks": [],
            "owner": alice.id,
            "node": "node-1",
            "node_status": "alive",
            "signed_by": alice.id,
            "disputed": False,
            "last_updated": found["last_updated"],
        }


@pytest.mark.trio
async def test_only_a_changed_registration_gets_a_new_version() -> None:
    async with open_node() as node:
        first = await node.expect(201, "POST", "/v1/services", web())
        again = await node.expect(200, "POST", "/v1/services", web())
        changed = await node.expect(200, "POST", "/v1/services", web(weight=5))

        assert again == first
        assert isinstance(changed["version"], int)
        assert isinstance(first["version"], int)
        assert changed["version"] > first["version"]
        assert (await node.instances("web"))[0]["weight"] == 5


@pytest.mark.trio
async def test_equal_registrations_at_once_are_one_with_one_version() -> None:
    async with open_node() as node:
        answers: list[tuple[int, bytes]] = []

        async def register() -> None:
            answer = await node.ask("POST", "/v1/services", web())
            answers.append((answer.status, answer.body))

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(register)

        assert sorted(status for status, _ in answers) == [200] * 7 + [201]
        assert len({body for _, body in answers}) == 1


@pytest.mark.trio
async def test_different_registrations_at_once_leave_one_of_them_whole() -> None:
    async with open_node() as node:

        async def register(weight: int) -> None:
            tags = [f"t{weight}"]
            answer = await node.ask("POST", "/v1/services", web(weight=weight, tags=tags))
            assert answer.status in (200, 201)

        async with trio.open_nursery() as nursery:
            for weight in range(8):
                nursery.start_soon(register, weight)

        (found,) = await node.instances("web")
        assert found["tags"] == [f"t{found['weight']}"]


@pytest.mark.trio
async def test_an_update_id_answers_its_repetition_and_refuses_another_body() -> None:
    async with open_node() as node:
        body = web(update_id="u-1", weight=7)
        first = await node.expect(201, "POST", "/v1/services", body)
        await node.expect(200, "POST", "/v1/services", web(weight=8))

        again = await node.expect(200, "POST", "/v1/services", body)

        assert again == first
        assert (await node.instances("web"))[0]["weight"] == 8, "it was not done twice"
        error = await node.refused(
            409, "conflict", "POST", "/v1/services", web(update_id="u-1", weight=9)
        )
        assert error["field"] == "update_id"


@pytest.mark.trio
async def test_an_update_id_is_remembered_over_a_restart() -> None:
    async with open_node() as node:
        store = node.store
        body = web(update_id="u-1")
        first = await node.expect(201, "POST", "/v1/services", body)
        await node.expect(200, "POST", "/v1/services", web(weight=8))
    store.open()

    async with open_node(store=store) as node:
        assert await node.expect(200, "POST", "/v1/services", body) == first
        await node.refused(409, "conflict", "POST", "/v1/services", web(update_id="u-1", port=1))
        assert (await node.instances("web"))[0]["weight"] == 8


class ForgetfulStore(MemoryStore):
    """Has forgotten every result: they are bounded in number and age."""

    def find_result(self, update_id: str) -> Result | None:
        return None


@pytest.mark.trio
async def test_where_the_result_is_forgotten_the_record_still_names_its_update() -> None:
    store = ForgetfulStore(b"")  # type: ignore[arg-type]  # whose node it is only shows in its name
    async with open_node(store=store) as node:
        await node.expect(201, "POST", "/v1/services", web(update_id="u-1"))
    store.open()

    async with open_node(store=store) as node:
        await node.refused(409, "conflict", "POST", "/v1/services", web(update_id="u-1", weight=1))
        again = await node.expect(200, "POST", "/v1/services", web(update_id="u-1"))
        assert again["update_id"] == "u-1"


@pytest.mark.trio
async def test_one_update_id_at_once_is_done_once() -> None:
    async with open_node() as node:
        bodies: list[bytes] = []

        async def register() -> None:
            bodies.append((await node.ask("POST", "/v1/services", web(update_id="u"))).body)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(register)

        assert len(set(bodies)) == 1


@pytest.mark.trio
async def test_a_patch_merges() -> None:
    async with open_node() as node:
        body = web(tags=["a"], metadata={"x": "1", "y": "2"}, weight=5, checks=[TTL])
        await node.expect(201, "POST", "/v1/services", body)

        await node.expect(
            200, "PATCH", "/v1/services/web/web-8000",
            {"metadata": {"x": None, "z": "3"}, "weight": None, "port": 8001},
        )  # fmt: skip

        found = await node.expect(200, "GET", "/v1/services/web/web-8000")
        assert found["metadata"] == {"y": "2", "z": "3"}
        assert (found["weight"], found["port"], found["tags"]) == (100, 8001, ["a"])
        assert len(found["checks"]) == 1  # type: ignore[arg-type]  # JSON


@pytest.mark.trio
async def test_what_is_removed_is_gone_and_unknown_afterwards() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web(checks=[TTL]))

        await node.expect(200, "DELETE", "/v1/services/web/web-8000")

        assert await node.instances("web") == []
        assert node.context.checker.checks == 0
        await node.refused(404, "not_found", "DELETE", "/v1/services/web/web-8000")
        await node.refused(404, "not_found", "PUT", "/v1/services/web/web-8000/heartbeat", {})


@pytest.mark.trio
async def test_only_the_owner_changes_an_instance_and_others_say_who_that_is() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web(checks=[TTL]))
        await until(lambda: list(bob.context.peer.registry.instances("web")))

        one = "/v1/services/web/web-8000"
        for method, path, body in (
            ("PATCH", one, {"weight": 1}),
            ("DELETE", one, None),
            ("DELETE", f"{one}?owner={alice.id}", None),
            ("PUT", f"{one}/heartbeat", {}),
            ("PUT", f"{one}/maintenance", {"enable": True}),
        ):
            error = await bob.refused(403, "not_owner", method, path, body)
            assert error["owner_address"] == "127.0.0.1:8400"
            assert error["owner"] == alice.id

        await bob.refused(404, "not_found", "DELETE", f"{one}?owner=self")
        await bob.refused(400, "invalid_field", "DELETE", f"{one}?owner=nobody")


@pytest.mark.trio
async def test_two_owners_may_use_one_id_and_are_told_apart() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web())
        await bob.expect(201, "POST", "/v1/services", web())
        await until(lambda: len(list(bob.context.peer.registry.instances("web"))) == 2)

        await bob.refused(409, "conflict", "GET", "/v1/services/web/web-8000")
        found = await bob.expect(200, "GET", f"/v1/services/web/web-8000?owner={alice.id}")
        assert found["owner"] == alice.id
        await bob.expect(200, "DELETE", "/v1/services/web/web-8000")
        assert [one["owner"] for one in await bob.instances("web")] == [alice.id]


@pytest.mark.trio
async def test_heartbeats_set_the_status_of_ttl_checks() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web(checks=[TTL]))
        assert (await node.instances("web"))[0]["health"] == "critical", "before the first result"
        beat = "/v1/services/web/web-8000/heartbeat"

        for status in ("passing", "warning", "critical"):
            body = {"check": "beat", "status": status, "output": "as I say"}
            await node.expect(200, "PUT", beat, body)
            await until(lambda status=status: health_of(node) == status)
        await node.expect(200, "PUT", beat)
        await until(lambda: health_of(node) == "passing")

        await node.refused(404, "not_found", "PUT", beat, {"check": "other"})
        await node.refused(400, "invalid_field", "PUT", beat, {"status": "maintenance"})


def health_of(node: object) -> str:
    registry = node.context.peer.registry  # type: ignore[attr-defined]  # a TestNode
    return str(next(iter(registry.instances("web"))).service.health.value)


@pytest.mark.trio
async def test_a_check_that_fails_turns_its_instance_critical_and_back() -> None:
    async with open_node() as node:
        check = {**HTTP, "failures_before_critical": 1}
        await node.expect(201, "POST", "/v1/services", web(checks=[check]))
        await until(lambda: health_of(node) == "passing")

        node.prober.status = 500
        await until(lambda: health_of(node) == "critical")
        assert await node.instances("web", "?health=passing") == []

        node.prober.status = 200
        await until(lambda: health_of(node) == "passing")


@pytest.mark.trio
async def test_an_instance_that_stays_critical_is_removed() -> None:
    async with open_node() as node:
        node.prober.status = 0
        check = {**HTTP, "failures_before_critical": 1, "deregister_after": "200ms"}
        await node.expect(201, "POST", "/v1/services", web(checks=[check]))

        await until(lambda: not list(node.context.peer.registry.instances("web")))

        assert node.context.checker.checks == 0


@pytest.mark.trio
async def test_a_registration_keeps_the_status_of_checks_that_stay_as_they_are() -> None:
    async with open_node() as node:
        other = {"type": "ttl", "ttl": "5s", "id": "other", "initial": "passing"}
        await node.expect(201, "POST", "/v1/services", web(checks=[TTL, other]))
        await node.expect(200, "PUT", "/v1/services/web/web-8000/heartbeat", {"check": "beat"})
        await until(lambda: health_of(node) == "passing")

        changed = {**other, "ttl": "6s", "initial": "warning"}
        await node.expect(200, "POST", "/v1/services", web(checks=[TTL, changed], weight=1))

        (found,) = await node.instances("web")
        checks = {one["id"]: one["status"] for one in found["checks"]}  # type: ignore[attr-defined]
        assert checks == {"beat": "passing", "other": "warning"}


@pytest.mark.trio
async def test_maintenance_holds_over_a_new_registration() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        path = "/v1/services/web/web-8000/maintenance"
        await node.expect(200, "PUT", path, {"enable": True, "reason": "new disk"})
        await node.expect(200, "POST", "/v1/services", web(weight=3))

        (found,) = await node.instances("web")
        assert (found["health"], found["maintenance"]) == ("maintenance", "new disk")

        await node.expect(200, "PUT", path, {"enable": False})
        assert (await node.instances("web"))[0]["health"] == "passing"
        await node.refused(400, "invalid_field", "PUT", path, {})
        await node.refused(400, "invalid_field", "PUT", path, {"enable": False, "reason": "x"})


@pytest.mark.trio
async def test_after_a_restart_the_same_instances_are_checked_on() -> None:
    async with open_node() as node:
        store = node.store
        await node.expect(201, "POST", "/v1/services", web(checks=[HTTP]))
    store.open()

    async with open_node(store=store) as node:
        await until(lambda: node.prober.probed > 0)
        again = await node.expect(200, "POST", "/v1/services", web(checks=[HTTP]))
        assert again["id"] == "web-8000"


@pytest.mark.trio
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": "Web"}),
        ("name", {"name": ""}),
        ("name", {"name": None}),
        ("name", {"name": 5}),
        ("name", {"name": "n" * 129}),
        ("id", {"id": "a/b"}),
        ("port", {"port": None}),
        ("port", {"port": 0}),
        ("port", {"port": 65_536}),
        ("port", {"port": "80"}),
        ("port", {"port": True}),
        ("port", {"port": 80.5}),
        ("address", {"address": "0.0.0.0"}),  # noqa: S104 (refused)
        ("address", {"address": "not a host"}),
        ("tags", {"tags": "a"}),
        ("tags[0]", {"tags": [1]}),
        ("tags", {"tags": ["A"]}),
        ("tags", {"tags": [f"t{n}" for n in range(65)]}),
        ("metadata", {"metadata": []}),
        ("metadata.a", {"metadata": {"a": 1}}),
        ("metadata", {"metadata": {"A": "1"}}),
        ("metadata.a", {"metadata": {"a": "x" * 513}}),
        ("metadata.a", {"metadata": {"a": "line\nbreak"}}),
        ("version", {"version": "v" * 129}),
        ("weight", {"weight": -1}),
        ("weight", {"weight": 65_536}),
        ("zone", {"zone": "Z!"}),
        ("update_id", {"update_id": ""}),
        ("update_id", {"update_id": 5}),
        ("update_id", {"update_id": "u" * 129}),
        ("nmae", {"nmae": "x"}),
        ("checks", {"checks": {}}),
        ("checks[0]", {"checks": ["x"]}),
        ("checks", {"checks": [{**TTL, "id": f"c{n}"} for n in range(17)]}),
        ("checks", {"checks": [TTL, TTL]}),
        ("checks[0].type", {"checks": [{}]}),
        ("checks[0].type", {"checks": [{"type": "grpc"}]}),
        ("checks[0].url", {"checks": [{"type": "http"}]}),
        ("checks[0].url", {"checks": [{"type": "http", "url": "ftp://x"}]}),
        ("checks[0].url", {"checks": [{"type": "http", "url": "http://u:p@x/"}]}),
        ("checks[0].address", {"checks": [{"type": "tcp", "address": "nowhere"}]}),
        ("checks[0].ttl", {"checks": [{"type": "ttl"}]}),
        ("checks[0].ttl", {"checks": [{"type": "ttl", "ttl": "1ms"}]}),
        ("checks[0].ttl", {"checks": [{"type": "ttl", "ttl": 5}]}),
        ("checks[0].url", {"checks": [{"type": "ttl", "ttl": "5s", "url": "http://x/"}]}),
        ("checks[0].interval", {"checks": [{**HTTP, "interval": "5"}]}),
        ("checks[0].interval", {"checks": [{**HTTP, "interval": "10ms"}]}),
        ("checks[0].timeout", {"checks": [{**HTTP, "timeout": "1ms"}]}),
        ("checks[0].failures_before_critical", {"checks": [{**HTTP, FAILURES: 0}]}),
        ("checks[0].passes_before_passing", {"checks": [{**HTTP, "passes_before_passing": 101}]}),
        ("checks[0].deregister_after", {"checks": [{**HTTP, "deregister_after": "31d"}]}),
        ("checks[0].initial", {"checks": [{**HTTP, "initial": "maintenance"}]}),
        ("checks[0].id", {"checks": [{**HTTP, "id": "A B"}]}),
    ],
)  # fmt: skip
async def test_each_rule_of_a_registration_is_refused_by_the_name_of_its_field(
    field: str, fields: dict[str, object]
) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "POST", "/v1/services", web(**fields))

        assert error["field"] == field
        assert str(error["message"]).startswith(field)
        assert error["definite"] is True
        assert list(node.context.peer.registry.services()) == []


@pytest.mark.trio
async def test_bodies_that_are_no_registration_are_refused() -> None:
    async with open_node() as node:
        for raw in (b"{", b"[]", b'"text"', b"null"):
            answer = await node.ask("POST", "/v1/services", raw=raw)
            assert (answer.status, answer.error["code"]) == (400, "malformed_body")
        headers = ("Content-Type: text/plain",)
        await node.refused(415, "unsupported_media_type", "POST", "/v1/services", None, *headers)
        large = web(metadata={f"k{n}": "x" * 500 for n in range(20)})
        error = await node.refused(413, "too_large", "POST", "/v1/services", large)
        assert error["definite"] is True
        await node.refused(400, "invalid_field", "POST", "/v1/services?konfirm=3", web())


@pytest.mark.trio
async def test_a_patch_refuses_what_cannot_change() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        for body, field in (
            ({"id": "x"}, "id"),
            ({"port": None}, "port"),
            ({"metadata": {"a": 5}}, "metadata.a"),
            ({"weight": 70_000}, "weight"),
        ):
            error = await node.refused(
                400, "invalid_field", "PATCH", "/v1/services/web/web-8000", body
            )
            assert error["field"] == field
        await node.refused(404, "not_found", "PATCH", "/v1/services/web/none", {"weight": 1})


@pytest.mark.trio
async def test_with_a_full_disk_changes_are_refused_and_lookups_go_on() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        node.context.driver.disk_full = True

        error = await node.refused(503, "disk_full", "POST", "/v1/services", web(weight=1))
        assert error["definite"] is True
        assert len(await node.instances("web")) == 1
        ready = await node.expect(200, "GET", "/readyz")
        assert orjson.dumps(ready).count(b"degraded") == 1
        await node.expect(200, "POST", "/v1/services", web())
    assert disk_full(definite=False).definite is False


@pytest.mark.trio
async def test_too_many_checks_are_refused_and_change_nothing() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web(checks=[TTL]))
        object.__setattr__(node.context.checker._limits, "checks_max", 1)

        two = web(checks=[TTL, {**TTL, "id": "two"}])
        error = await node.refused(503, "overloaded", "POST", "/v1/services", two)

        assert error["definite"] is True
        (found,) = await node.instances("web")
        assert len(found["checks"]) == 1  # type: ignore[arg-type]  # JSON
        assert node.context.checker.checks == 1
        assert short_id(node.context.me) in node.id
