"""Alive, ready, metrics, clock, root, leave, the contract; and what holds for every route."""

from pathlib import Path

import orjson
import pytest

from node.api.documents import DOCUMENT_FIELDS
from node.api.reading import CHECK_FIELDS, NODE_FIELDS, PATCH_FIELDS, SERVICE_FIELDS
from node.api.registration import FIELDS
from node.api.schemas import SCHEMAS
from node.api.table import Endpoint
from node.lifecycle import Stage
from node.telemetry import METRICS

from .situations import open_node, open_pair, until, web

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "API.md"
OPEN = {"GET /healthz", "GET /readyz"}
SECRET = "correct horse battery staple"  # noqa: S105 (a test's)


@pytest.mark.trio
async def test_a_node_is_alive_from_the_start_and_ready_once_it_has_signed() -> None:
    async with open_node(is_started=False) as node:
        await node.expect(200, "GET", "/healthz")
        shown = await node.expect(503, "GET", "/readyz")
        assert shown["status"] == "not_ready"
        components = shown["components"]
        assert isinstance(components, dict)
        assert components["gossip"]["status"] == "down"

    async with open_node() as node:
        shown = await node.expect(200, "GET", "/readyz")
        components = shown["components"]
        assert isinstance(components, dict)
        assert shown["status"] == "ready"
        assert {name: one["status"] for name, one in components.items()} == {
            "storage": "ok",
            "gossip": "ok",
            "peers": "ok",
            "agreement": "ok",
            "delivery": "ok",
        }


@pytest.mark.trio
async def test_a_node_that_ends_takes_no_changes_and_still_answers_lookups() -> None:
    async with open_node(secret=SECRET) as node:
        await node.expect(201, "POST", "/v1/services", web())
        node.context.lifecycle.stop()

        for endpoint in node.edge.endpoints:
            if endpoint.changes:
                path = path_of(endpoint)
                await node.refused(503, "shutting_down", endpoint.route.method, path, {})
        await node.expect(503, "GET", "/readyz")
        assert len(await node.instances("web")) == 1


@pytest.mark.trio
async def test_leaving_is_asked_for_over_the_api() -> None:
    async with open_node() as node:
        assert (await node.expect(202, "POST", "/v1/leave"))["status"] == "leaving"
        assert node.context.lifecycle.stage is Stage.LEAVING


@pytest.mark.trio
async def test_nodes_that_heard_the_same_have_one_clock_and_one_root() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web())
        await until(lambda: list(bob.context.peer.registry.instances("web")))

        roots = [(await node.expect(200, "GET", "/v1/root"))["root"] for node in (alice, bob)]
        clocks = [(await node.expect(200, "GET", "/v1/clock"))["clock"] for node in (alice, bob)]

        assert roots[0] == roots[1]
        assert clocks[0] == clocks[1]
        assert isinstance(clocks[0], dict)
        assert set(clocks[0]) == {alice.id, bob.id}


@pytest.mark.trio
async def test_telemetry_counts_requests_by_route_and_never_by_what_clients_invent() -> None:
    async with open_node() as node:
        for number in range(20):
            await node.ask("GET", f"/v1/services/s{number}")
            await node.ask("GET", f"/nothing/{number}")

        text = (await node.ask("GET", "/telemetry")).body.decode()

        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        requests = 'kith_http_requests_total{method="GET",route="%s",status="%s"}'
        assert lines[requests % ("/v1/services/{name}", 200)] == "20"
        assert lines[requests % ("-", 404)] == "20"
        assert lines['kith_refused_total{code="bad_mac"}'] == "0", "there from the start"
        assert lines['kith_members{status="alive"}'] == "1"
        assert "s7" not in text
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        assert names == {metric.name for metric in METRICS}


@pytest.mark.trio
async def test_telemetry_and_metrics_are_the_same_and_follow_the_registry() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())
        answer = await node.ask("GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'kith_instances{health="passing"} 1' in answer.body.decode()
        assert "kith_own_instances 1" in answer.body.decode()


@pytest.mark.trio
async def test_every_route_asks_for_the_credential_but_those_that_are_open() -> None:
    async with open_node(secret=SECRET) as node:
        wrong = "Authorization: Bearer correct horse battery stapler"
        for endpoint in sorted(node.edge.endpoints, key=lambda one: one.name == "POST /v1/leave"):
            method, path = endpoint.route.method, path_of(endpoint)
            expected = 200 if endpoint.name in OPEN else 401
            none = await node.ask(method, path, {}, "Authorization: ")
            bad = await node.ask(method, path, {}, wrong)
            good = await node.ask(method, path, {})
            assert (none.status, bad.status) == (expected, expected), endpoint.name
            assert good.status not in (401, 403, 405), endpoint.name
            if expected == 401:
                assert bad.error["code"] == "unauthenticated"
                assert bad.headers["www-authenticate"] == 'Bearer realm="kith"'
                assert SECRET not in bad.body.decode()
        text = node.edge.telemetry()
        assert f"kith_http_unauthenticated_total {2 * (len(node.edge.endpoints) - 2)}" in text


@pytest.mark.trio
async def test_every_get_refuses_a_parameter_that_it_does_not_know() -> None:
    async with open_node() as node:
        for endpoint in node.edge.endpoints:
            if endpoint.route.method == "GET":
                path = path_of(endpoint)
                error = await node.refused(400, "invalid_field", "GET", f"{path}?kolour=red")
                assert error["field"] == "kolour", endpoint.name


@pytest.mark.trio
async def test_the_contract_has_every_route_and_every_schema_that_it_names() -> None:
    async with open_node() as node:
        document = await node.expect(200, "GET", "/openapi.json")
        paths = document["paths"]
        assert isinstance(paths, dict)
        told = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
        assert told == {endpoint.name for endpoint in node.edge.endpoints}
        text = orjson.dumps(document).decode()
        named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert named == set(SCHEMAS), "each schema is there, and each is used"
        operations = [one["operationId"] for path in paths.values() for one in path.values()]
        assert len(operations) == len(set(operations))


def test_the_schemas_of_bodies_have_the_fields_that_are_read() -> None:
    every_check = {field for fields in CHECK_FIELDS.values() for field in fields}
    for name, fields in (
        ("Registration", SERVICE_FIELDS),
        ("InstancePatch", PATCH_FIELDS),
        ("NodePatch", NODE_FIELDS),
        ("GuestWord", FIELDS),
        ("DocumentPut", DOCUMENT_FIELDS),
        ("DocumentPatch", DOCUMENT_FIELDS),
        ("Check", every_check),
    ):
        properties = SCHEMAS[name]["properties"]
        assert isinstance(properties, dict)
        assert set(properties) == set(fields), name


@pytest.mark.trio
async def test_the_documentation_has_every_route_parameter_and_metric() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    async with open_node() as node:
        for endpoint in node.edge.endpoints:
            assert f"### `{endpoint.name}`" in text, endpoint.name
            for parameter in endpoint.query:
                assert f"`{parameter.name}`" in text, parameter.name
        headings = {line[5:-1] for line in text.splitlines() if line.startswith("### `")}
        assert headings == {endpoint.name for endpoint in node.edge.endpoints}
    for metric in METRICS:
        labels = ", ".join(metric.labels)
        assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.what} |" in text
    for name in (
        *SERVICE_FIELDS,
        *NODE_FIELDS,
        *DOCUMENT_FIELDS,
        *FIELDS,
        *sum(CHECK_FIELDS.values(), ()),
    ):
        assert f"`{name}`" in text, name


@pytest.mark.trio
async def test_an_answer_names_its_node_and_the_request() -> None:
    async with open_node() as node:
        answer = await node.ask("GET", "/v1/node", None, "X-Request-Id: mine-1")
        assert answer.headers["x-kith-node"] == node.id
        assert answer.headers["x-request-id"] == "mine-1"


def path_of(endpoint: Endpoint) -> str:
    return endpoint.route.pattern.replace("{name}", "web").replace("{id}", "web-8000")


@pytest.mark.trio
async def test_a_node_that_is_alone_though_it_has_seeds_says_so() -> None:
    async with open_node() as node:
        config = node.context.config
        object.__setattr__(config, "seeds", (node.address,))
        assert peers_detail(await node.expect(200, "GET", "/readyz")).startswith("no seed")


def peers_detail(shown: dict[str, object]) -> str:
    components = shown["components"]
    assert isinstance(components, dict)
    return str(components["peers"]["detail"])
