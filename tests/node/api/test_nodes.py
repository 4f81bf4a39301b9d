"""`/v1/node` and `/v1/peers`: facts, filters, join and forget."""

import pytest
import trio

from node.agreement.verdicts import explained
from protocol.detector.detection import Status
from protocol.detector.roster import MemberView
from protocol.identity import NodeId

from .situations import open_node, open_pair, until

A, B, C, D = (NodeId(bytes([number]) * 32) for number in range(1, 5))


@pytest.mark.trio
async def test_a_node_shows_what_it_is_and_knows() -> None:
    async with open_pair() as (alice, _):
        shown = await alice.expect(200, "GET", "/v1/node")

        assert shown["id"] == alice.id
        assert shown["name"] == "node-1"
        assert shown["address"] == str(alice.address)
        assert shown["api_address"] == "127.0.0.1:8400"
        assert shown["metrics_port"] == 8400
        assert shown["capabilities"] == ["service"]
        assert shown["members"] == {
            "alive": 2, "suspect": 0, "unreachable": 0, "dead": 0, "stopping": 0, "left": 0,
        }  # fmt: skip
        assert shown["partition"] == "none"
        assert shown["root"] == alice.context.peer.registry.root.hex()
        assert shown["cluster"] == "test"
        assert shown["ready"] is True
        assert shown["stage"] == "running"


@pytest.mark.trio
async def test_several_facts_of_a_node_change_in_one_update_and_spread() -> None:
    async with open_pair() as (alice, bob):
        body = {
            "node_type": "proxy", "is_load_balancer": True, "capabilities": ["tls", "http"],
            "metadata": {"rack": "7"}, "zone": "z9", "region": "north",
        }  # fmt: skip
        changed = await alice.expect(200, "PATCH", "/v1/node", body)

        assert {name: changed[name] for name in body} == {**body, "capabilities": ["http", "tls"]}
        registry = bob.context.peer.registry
        await until(lambda: getattr(registry.node(alice.context.me), "zone", "") == "z9")
        peer = await bob.expect(200, "GET", f"/v1/peers/{alice.id}")
        assert (peer["node_type"], peer["metadata"]) == ("proxy", {"rack": "7"})
        assert peer["repair"] == {"score": 1.0, "withheld": 0, "lies": 0}

        head = (await alice.expect(200, "GET", "/v1/node"))["head"]
        again = await alice.expect(200, "PATCH", "/v1/node", {"zone": "z9"})
        assert again["head"] == head, "nothing changed, so nothing was committed"


@pytest.mark.trio
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"node_type": "boss"}, "node_type"),
        ({"node_type": None}, "node_type"),
        ({"is_load_balancer": "yes"}, "is_load_balancer"),
        ({"capabilities": []}, "capabilities"),
        ({"capabilities": ["A"]}, "capabilities"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"zone": "Z Z"}, "zone"),
        ({"region": "R!"}, "region"),
        ({"name": "other"}, "name"),
    ],
)
async def test_each_rule_of_a_node_is_refused_by_name(body: object, field: str) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "PATCH", "/v1/node", body)
        assert error["field"] == field
        assert node.context.peer.record.capabilities == ("service",)


@pytest.mark.trio
async def test_peers_are_filtered() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(
            200, "PATCH", "/v1/node", {"node_type": "governator", "capabilities": ["a", "b"]}
        )
        for query, expected in (
            ("", {alice.id, bob.id}),
            ("?node_type=governator", {alice.id}),
            ("?capability=a", {alice.id}),
            ("?capability=a&capability=b", {alice.id}),
            ("?capability=a&capability=service", set()),
            ("?status=alive", {alice.id, bob.id}),
            ("?status=dead", set()),
            ("?zone=z2", {bob.id}),
        ):
            peers = (await alice.expect(200, "GET", f"/v1/peers{query}"))["peers"]
            assert isinstance(peers, list)
            assert {peer["id"] for peer in peers} == expected, query
        for query, field in (("?status=gone", "status"), ("?node_type=x", "node_type")):
            error = await alice.refused(400, "invalid_field", "GET", f"/v1/peers{query}")
            assert error["field"] == field


@pytest.mark.trio
async def test_a_node_joins_an_address_at_once() -> None:
    async with open_node(1) as alice, open_node(2) as bob:
        joined = await bob.expect(200, "POST", "/v1/peers", {"address": str(alice.address)})

        assert joined == {"address": str(alice.address), "joined": True, "members": 2}
        peers = (await bob.expect(200, "GET", "/v1/peers"))["peers"]
        assert isinstance(peers, list)
        assert {peer["id"] for peer in peers} == {alice.id, bob.id}


@pytest.mark.trio
async def test_an_address_where_nobody_answers_is_said_so() -> None:
    async with open_node() as node:
        error = await node.refused(408, "timeout", "POST", "/v1/peers", {"address": "127.0.0.1:1"})
        assert error["field"] == "address"
        for address in ("nowhere", "127.0.0.1:0", "0.0.0.0:80", ":80", "h:99999999"):
            await node.refused(400, "invalid_field", "POST", "/v1/peers", {"address": address})


@pytest.mark.trio
async def test_who_is_not_gone_is_not_forgotten() -> None:
    async with open_pair() as (alice, bob):
        await alice.refused(409, "conflict", "DELETE", f"/v1/peers/{bob.id}")
        await alice.refused(409, "conflict", "DELETE", f"/v1/peers/{alice.id}")
        await alice.refused(404, "not_found", "DELETE", f"/v1/peers/{'a' * 52}")
        await alice.refused(404, "not_found", "DELETE", "/v1/peers/nobody")
        await alice.refused(404, "not_found", "GET", "/v1/peers/nobody")


@pytest.mark.trio
async def test_seeds_that_list_different_peers_are_noted() -> None:
    async with open_node(1) as alice, open_node(2) as bob, open_node(3) as newcomer:
        async with trio.open_nursery() as joining:
            for seed in (alice, bob):
                joining.start_soon(newcomer.context.driver.join, seed.address)

        metrics = newcomer.edge.telemetry()
        assert 'kith_resolutions_total{about="peers",rule="causality"} 2' in metrics
        assert 'kith_discrepancies_total{about="peers",blame="older"} 2' in metrics


@pytest.mark.trio
async def test_a_member_is_shown_with_the_ground_of_its_status() -> None:
    async with open_pair() as (alice, bob):
        found = await alice.expect(200, "GET", f"/v1/peers/{bob.id}")
        assert found["verdict"] == {
            "rule": "none", "entitled": 1, "needed": 1, "votes": [], "not_entitled": [],
        }  # fmt: skip


def seen(status: Status, *votes: NodeId, certified: bool = False) -> MemberView:
    return MemberView(
        node=A, status=status, certified=certified, incarnation=1, rtt_s=None, since=0.0,
        votes=votes, observers=(B, C), needed=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("view", "ground", "voters", "others"),
    [
        (seen(Status.ALIVE), "none", (), []),
        (seen(Status.SUSPECT, B, D), "votes", (B,), [D]),
        (seen(Status.UNREACHABLE, B, C, certified=True), "majority", (B, C), []),
        (seen(Status.UNREACHABLE, D), "own_check", (), [D]),
        (seen(Status.DEAD, B, C, certified=True), "majority", (B, C), []),
        (seen(Status.LEFT), "own_word", (), []),
    ],
)
def test_a_verdict_is_explained_by_its_votes(
    view: MemberView, ground: str, voters: tuple[NodeId, ...], others: list[NodeId]
) -> None:
    why = explained(view)

    assert why.ground == ground
    assert why.resolution.entitled == 2
    assert tuple(voter for votes in why.resolution.votes for voter in votes.voters) == voters
    assert [one.voter for one in why.resolution.discrepancies] == others
