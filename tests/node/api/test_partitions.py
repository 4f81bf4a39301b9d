"""What a node that is cut off says and does, and the report afterwards."""

import pytest
import trio

from node.agreement.critical import require_majority
from node.driver import instant
from node.http import ApiError
from node.times import format_us
from protocol.agreement.changelog import Became
from protocol.agreement.monitor import ALARM_S
from protocol.agreement.report import Contested, Diverged, Episode
from protocol.clocks import Instant
from protocol.commits import RecordKey
from protocol.detector.partition import Partition
from protocol.records import Kind

from .situations import TestNode, open_node, open_pair, until, web


async def cut_off(alice: TestNode, bob: TestNode) -> None:
    """Bob is gone; alice has seen it."""
    bob.tasks.cancel_scope.cancel()
    membership = alice.context.peer.membership
    await until(lambda: membership.partition() is Partition.EVEN, seconds=10)


@pytest.mark.trio
async def test_who_lost_half_of_the_cluster_says_so_on_every_answer_and_goes_on() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web())
        whole = await alice.ask("GET", "/v1/services/web")
        assert whole.headers["x-kith-partition"] == "none"
        await cut_off(alice, bob)

        listed = await alice.ask("GET", "/v1/services/web")
        tag = f"If-None-Match: {listed.headers['etag']}"
        for status, path, *headers in (
            (200, "/v1/services/web"), (304, "/v1/services/web", tag), (200, "/v1/services"),
            (200, "/v1/services/web/web-8000"), (404, "/v1/services/web/other"),
            (200, "/v1/node"), (200, "/v1/peers"), (200, f"/v1/peers/{alice.id}"),
            (200, "/v1/partitions"),
        ):  # fmt: skip
            answer = await alice.ask("GET", path, None, *headers)
            assert (answer.status, answer.headers["x-kith-partition"]) == (status, "even"), path

        await alice.expect(201, "POST", "/v1/services", web(port=8001))
        assert len(await alice.instances("web")) == 2
        with pytest.raises(ApiError) as refused:
            require_majority(alice.context.peer, "a change")
        assert "(even: 1 of 2)" in refused.value.message
        shown = await alice.expect(200, "GET", "/v1/node")
        assert (shown["partition"], shown["reached"], shown["known"]) == ("even", 1, 2)
        assert isinstance(shown["partition_since"], str)


@pytest.mark.trio
async def test_a_report_goes_on_until_the_member_is_back_or_forgotten() -> None:
    async with open_pair() as (alice, bob):
        assert await alice.expect(200, "GET", "/v1/partitions") == {"partitions": []}
        await cut_off(alice, bob)

        (report,) = await reports(alice)
        assert (report["id"], report["state"], report["open"]) == (1, "even", True)
        assert (report["contact_at"], report["reconciled_at"]) == (None, None)
        (cut,) = listed(report["cut_off"])
        assert (cut["id"], cut["name"], cut["outcome"]) == (bob.id, "node-2", "away")

        await alice.expect(200, "DELETE", f"/v1/peers/{bob.id}")

        (report,) = await reports(alice)
        assert (report["open"], listed(report["cut_off"])[0]["outcome"]) == (False, "dead")
        assert (await alice.expect(200, "GET", "/v1/node"))["partition"] == "none"


@pytest.mark.trio
async def test_only_so_many_reports_are_shown_as_are_asked_for() -> None:
    async with open_node() as node:
        await node.expect(200, "GET", "/v1/partitions?limit=1")
        for limit in ("0", "33", "x"):
            path = f"/v1/partitions?limit={limit}"
            error = await node.refused(400, "invalid_field", "GET", path)
            assert error["field"] == "limit"


@pytest.mark.trio
async def test_a_peer_that_holds_something_else_for_long_degrades_the_node() -> None:
    async with open_pair() as (alice, bob):
        now = instant()
        earlier = Instant(now.mono_s - ALARM_S - 1, now.wall_us)
        monitor = alice.context.peer.divergence
        monitor.heard(bob.context.me, equal=False, now=earlier)
        monitor.heard(bob.context.me, equal=False, now=now)

        shown = await alice.expect(200, "GET", "/readyz")
        assert agreement(shown)["status"] == "degraded"
        assert str(agreement(shown)["detail"]).startswith("1 of 1 peers hold something else")

        monitor.heard(bob.context.me, equal=True, now=Instant(trio.current_time(), now.wall_us))
        shown = await alice.expect(200, "GET", "/readyz")
        assert agreement(shown) == {"status": "ok", "detail": "1 of 1 peers hold the same"}
        node = await alice.expect(200, "GET", "/v1/node")
        assert node["agreement"] == {"equal": 1, "differing": 0, "since": None}


async def reports(node: TestNode) -> list[dict[str, object]]:
    return listed((await node.expect(200, "GET", "/v1/partitions"))["partitions"])


def listed(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


def agreement(shown: dict[str, object]) -> dict[str, object]:
    components = shown["components"]
    assert isinstance(components, dict)
    one = components["agreement"]
    assert isinstance(one, dict)
    return one


@pytest.mark.trio
async def test_each_sort_of_conflict_is_said_how_it_was_decided() -> None:
    async with open_pair() as (alice, bob):
        body = {
            "action": "register", "id": "g1", "address": "10.0.0.9:80", "metrics_port": 0,
            "node_type": "backend", "is_load_balancer": False, "capabilities": ["api"],
            "last_updated": format_us(instant().wall_us),
        }  # fmt: skip
        for node in (alice, bob):
            await node.expect(200, "POST", "/registration", body)
        registry = alice.context.peer.registry
        await until(lambda: len(registry.guest("g1")) == 2)
        me, other = alice.context.me, bob.context.me
        key = RecordKey(Kind.GUEST, "g1")
        episode = Episode(1, instant(), forks={other: None})
        episode.contested = [Contested("limits", "a", "later"), Contested("notes", "", "merged")]
        episode.diverged = {
            (me, key): Diverged(me, key, True, Became.ADDED, 1),  # noqa: FBT003
            (other, key): Diverged(other, key, False, Became.ADDED, 1),  # noqa: FBT003
        }
        alice.context.peer.episodes._episodes.append(episode)

        (report,) = await reports(alice)
        found = {(str(one["what"]), one["key"]): one for one in listed(report["conflicts"])}
        assert found["document", "limits#a"]["decided"] == "settled by a later write"
        assert found["document", "notes"]["rule"] == "merged"
        assert str(found["guest", "g1"]["decided"]).startswith("the word of")
        assert found["fork", bob.id]["decided"] == "node-2 merged both sides"
        (first, _) = listed(report["diverged"])
        assert (first["kind"], first["change"]) == ("guest", "added")
