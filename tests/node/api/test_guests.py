"""`POST /registration`: guests with and without a key, their time, and several hosts."""

import base64
import time
from collections.abc import Callable, Mapping

import pytest
import rfc8785
from trio.testing import MockClock

from node.agreement.vouching import said, settle
from node.times import format_us, parse_us
from protocol.bodies import key_of
from protocol.identity import NodeId
from protocol.records import GuestRecord, NodeType
from protocol.signing import KeyPair

from .situations import TestNode, open_node, open_pair, until

KEY, OTHER_KEY = KeyPair(b"k" * 32), KeyPair(b"o" * 32)
PATH = "/registration"
NO_SIGNATURE = base64.b64encode(bytes(64)).decode()


def word(*, at_ms: int = 0, **fields: object) -> dict[str, object]:
    """A word said now, give or take milliseconds, with these fields besides or instead."""
    said = {
        "action": "register",
        "id": "backend-7",
        "address": "10.0.0.7:9000",
        "metrics_port": 9100,
        "node_type": "backend",
        "is_load_balancer": False,
        "capabilities": ["http"],
        "last_updated": format_us(time.time_ns() // 1_000 + at_ms * 1_000),
        **fields,
    }
    return {name: value for name, value in said.items() if value is not ...}


def signed(said: Mapping[str, object], key: KeyPair = KEY) -> dict[str, object]:
    body = {
        "cluster": "test", **said, "public_key": base64.b64encode(key.public_key).decode(),
    }  # fmt: skip
    signature = key.sign(b"kith/guest/1\x00" + rfc8785.dumps(body))  # type: ignore[arg-type]
    return {**body, "signature": base64.b64encode(signature).decode()}


def without(name: str, said: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in said.items() if key != name}


async def guest_of(node: TestNode) -> dict[str, object]:
    return await node.expect(200, "GET", "/v1/peers/backend-7")


@pytest.mark.trio
async def test_a_guest_registers_and_is_a_peer_everywhere() -> None:
    async with open_pair() as (alice, bob):
        taken = await alice.expect(200, "POST", PATH, word(update_id="u-1"))

        assert (taken["status"], taken["update_id"]) == ("registered", "u-1")
        assert taken["root"] == alice.context.peer.registry.root.hex()
        peers = taken["peers"]
        assert isinstance(peers, list)
        assert [set(peer) for peer in peers] == 3 * [
            {"id", "address", "metrics_port", "node_type", "is_load_balancer", "last_updated"}
        ]
        assert {peer["id"] for peer in peers} == {alice.id, bob.id, "backend-7"}
        await until(lambda: bob.context.peer.registry.guest("backend-7"))
        found = await guest_of(bob)
        assert (found["host"], found["status"]) == (alice.id, "alive")
        assert found["address"] == "10.0.0.7:9000"


@pytest.mark.trio
async def test_a_guest_that_says_the_same_again_changes_nothing() -> None:
    async with open_node() as node:
        first = word()
        await node.expect(200, "POST", PATH, first)
        commits = node.context.driver.counters.commits

        for said in (first, word(at_ms=5), word(at_ms=10, action="update")):
            assert (await node.expect(200, "POST", PATH, said))["status"] == "unchanged"

        assert node.context.driver.counters.commits == commits
        changed = word(at_ms=20, action="update", node_type="proxy", is_load_balancer=True)
        assert (await node.expect(200, "POST", PATH, changed))["status"] == "updated"
        assert (await guest_of(node))["node_type"] == "proxy"


@pytest.mark.trio
async def test_words_must_be_newer_than_the_one_before() -> None:
    async with open_node() as node:
        await node.expect(200, "POST", PATH, word(at_ms=60_000))
        for stale in (word(at_ms=50), word(at_ms=50, metrics_port=1)):
            error = await node.refused(409, "stale_version", "POST", PATH, stale)
            assert error["field"] == "last_updated"


@pytest.mark.trio
async def test_an_update_of_an_unknown_guest_is_not_found() -> None:
    async with open_node() as node:
        await node.refused(404, "not_found", "POST", PATH, word(action="update"))


@pytest.mark.trio
async def test_an_update_id_belongs_to_one_word() -> None:
    async with open_node() as node:
        said = word(update_id="u-1")
        await node.expect(200, "POST", PATH, said)
        assert (await node.expect(200, "POST", PATH, said))["status"] == "unchanged"
        other = word(update_id="u-1", metrics_port=1, at_ms=9)
        await node.refused(409, "conflict", "POST", PATH, other)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("action", lambda: word(action="leave")),
        ("action", lambda: word(action=...)),
        ("id", lambda: word(id=...)),
        ("id", lambda: word(id="A B")),
        ("id", lambda: word(id="a" * 52)),
        ("address", lambda: word(address="nowhere")),
        ("address", lambda: word(address="10.0.0.7:0")),
        ("metrics_port", lambda: word(metrics_port=70_000)),
        ("metrics_port", lambda: word(metrics_port="9100")),
        ("node_type", lambda: word(node_type="boss")),
        ("is_load_balancer", lambda: word(is_load_balancer=1)),
        ("capabilities", lambda: word(capabilities=[])),
        ("capabilities", lambda: word(capabilities=["A"])),
        ("last_updated", lambda: word(last_updated="yesterday")),
        ("last_updated", lambda: word(last_updated="2026-01-02T03:04:05")),
        ("last_updated", lambda: word(at_ms=301_000)),
        ("last_updated", lambda: word(at_ms=-301_000)),
        ("ttl", lambda: word(ttl="10ms")),
        ("ttl", lambda: word(ttl="25h")),
        ("cluster", lambda: word(cluster="other")),
        ("colour", lambda: word(colour="red")),
        ("public_key", lambda: word(signature="AAAA")),
        ("public_key", lambda: {**signed(word()), "public_key": "AAAA"}),
        ("public_key", lambda: {**signed(word()), "public_key": "!"}),
        ("signature", lambda: {**signed(word()), "signature": NO_SIGNATURE}),
        ("signature", lambda: {**signed(word()), "metrics_port": 1}),
        ("cluster", lambda: without("cluster", signed(word()))),
        ("cluster", lambda: signed(word(cluster="other"))),
        ("signature", lambda: without("signature", signed(word()))),
    ],
)  # fmt: skip
async def test_each_rule_of_a_guest_is_refused_by_name(
    field: str, said: Callable[[], dict[str, object]]
) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "POST", PATH, said())
        assert error["field"] == field
        assert list(node.context.peer.registry.guests()) == []


@pytest.mark.trio
async def test_only_the_key_of_a_guest_speaks_for_it_through_any_host() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(200, "POST", PATH, signed(word()))
        await until(lambda: bob.context.peer.registry.guest("backend-7"))

        for host in (alice, bob):
            for said in (word(at_ms=50), signed(word(at_ms=50), OTHER_KEY)):
                error = await host.refused(403, "not_owner", "POST", PATH, said)
                assert error["owner_address"] == "10.0.0.7:9000"
        await bob.refused(409, "stale_version", "POST", PATH, signed(word(at_ms=-30_000)))

        moved = signed(word(at_ms=100, metrics_port=1))
        assert (await bob.expect(200, "POST", PATH, moved))["status"] == "registered"
        await until(lambda: len(alice.context.peer.registry.guest("backend-7")) == 2)
        for host in (alice, bob):
            found = await guest_of(host)
            assert (found["metrics_port"], found["host"], found["hosts"]) == (1, bob.id, 2)


@pytest.mark.trio
async def test_hosts_that_disagree_on_a_guest_are_shown_with_the_rule_that_decided() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(200, "POST", PATH, word())
        found = await alice.expect(200, "GET", "/v1/peers/backend-7")
        resolution = found["resolution"]
        assert isinstance(resolution, dict)
        assert (resolution["rule"], resolution["entitled"]) == ("only", 1)
        await bob.expect(200, "POST", PATH, word(at_ms=50, address="10.0.0.8:9000"))
        await until(lambda: len(alice.context.peer.registry.guest("backend-7")) == 2)

        found = await alice.expect(200, "GET", "/v1/peers/backend-7")
        resolution = found["resolution"]
        assert isinstance(resolution, dict)
        assert (resolution["rule"], resolution["entitled"]) == ("later", 2)
        told = [(one["address"], one["hosts"]) for one in resolution["votes"]]
        assert told == [("10.0.0.8:9000", [bob.id]), ("10.0.0.7:9000", [alice.id])]
        assert resolution["discrepancies"] == [{"host": alice.id, "blame": "otherwise"}]
        conflicts = await alice.expect(200, "GET", "/v1/conflicts")
        assert conflicts["guests"] == [{"id": "backend-7", "resolution": resolution}]
        metrics = alice.edge.telemetry()
        assert 'kith_resolutions_total{about="guest",rule="later"} 1' in metrics


@pytest.mark.trio
async def test_a_guest_that_moved_and_signs_for_itself_is_no_conflict() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(200, "POST", PATH, signed(word()))
        await until(lambda: bob.context.peer.registry.guest("backend-7"))
        await bob.expect(200, "POST", PATH, signed(word(at_ms=50, metrics_port=1)))
        await until(lambda: len(alice.context.peer.registry.guest("backend-7")) == 2)

        found = await alice.expect(200, "GET", "/v1/peers/backend-7")
        resolution = found["resolution"]
        assert isinstance(resolution, dict)
        assert resolution["rule"] == "owner"
        assert (await alice.expect(200, "GET", "/v1/conflicts"))["guests"] == []


@pytest.mark.trio
async def test_a_host_cannot_put_words_into_a_keyed_guests_mouth() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(200, "POST", PATH, signed(word()))
        (record,) = alice.context.peer.registry.guest("backend-7").values()
        forged = {"address": "6.6.6.6:666", "last_updated": record.last_updated + 1}
        fields = {name: getattr(record, name) for name in GuestRecord.__slots__}
        lie = GuestRecord(**{**fields, **forged})
        await bob.context.driver.propose({key_of(lie): lie})
        await until(lambda: len(alice.context.peer.registry.guest("backend-7")) == 2)

        assert (await guest_of(alice))["address"] == "10.0.0.7:9000"


@pytest.mark.trio
async def test_a_guest_that_falls_silent_turns_critical_and_then_goes(
    mock_clock: MockClock,
) -> None:
    mock_clock.rate = 1
    async with open_node() as node:
        await node.expect(200, "POST", PATH, word(ttl="30s"))
        mock_clock.jump(20)
        await node.expect(200, "POST", PATH, word(ttl="30s", at_ms=9))
        mock_clock.jump(20)
        assert (await guest_of(node))["status"] == "alive"

        mock_clock.jump(11)
        await until(lambda: critical(node))
        await node.expect(200, "POST", PATH, word(ttl="30s", at_ms=20))
        assert (await guest_of(node))["status"] == "alive", "it is back"

        mock_clock.jump(31)
        await until(lambda: critical(node))
        mock_clock.jump(271)
        await until(lambda: not node.context.peer.registry.guest("backend-7"))
        await node.refused(404, "not_found", "GET", "/v1/peers/backend-7")


def critical(node: TestNode) -> bool:
    return any(one.critical for one in node.context.peer.registry.guest("backend-7").values())


@pytest.mark.trio
async def test_guests_are_watched_on_after_a_restart(mock_clock: MockClock) -> None:
    mock_clock.rate = 1
    async with open_node() as node:
        store = node.store
        await node.expect(200, "POST", PATH, word(ttl="30s"))
    store.open()
    async with open_node(store=store) as node:
        mock_clock.jump(31)
        await until(lambda: critical(node))


@pytest.mark.trio
async def test_a_guest_is_forgotten_by_its_host_only() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(200, "POST", PATH, word())
        await until(lambda: bob.context.peer.registry.guest("backend-7"))
        error = await bob.refused(403, "not_owner", "DELETE", "/v1/peers/backend-7")
        assert error["owner_address"] == "127.0.0.1:8400"
        await alice.expect(200, "DELETE", "/v1/peers/backend-7")
        await alice.refused(404, "not_found", "GET", "/v1/peers/backend-7")


def vouched(address: str, at: int, *, critical: bool = False, key: bytes = b"") -> GuestRecord:
    return GuestRecord(
        id="g", address=address, metrics_port=0, node_type=NodeType.BACKEND,
        is_load_balancer=False, capabilities=("x",), last_updated=at, ttl_ms=1_000,
        critical=critical, public_key=key,
    )  # fmt: skip


A, B, C = (NodeId(bytes([number]) * 32) for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("words", "reached", "chosen"),
    [
        ({A: vouched("one:1", 1), B: vouched("one:1", 2), C: vouched("two:2", 9)}, (A, B, C), B),
        ({A: vouched("one:1", 1), B: vouched("two:2", 2)}, (A, B), B),
        ({A: vouched("one:1", 5), B: vouched("two:2", 5)}, (A, B), B),
        ({A: vouched("two:2", 5), B: vouched("one:1", 5)}, (A, B), A),
        ({A: vouched("one:1", 1), B: vouched("one:1", 2), C: vouched("two:2", 9)}, (C,), C),
        ({A: vouched("one:1", 1), B: vouched("two:2", 9, critical=True)}, (A, B), A),
        ({A: vouched("one:1", 1, critical=True)}, (A,), A),
        ({A: vouched("one:1", 1)}, (), A),
        ({A: vouched("one:1", 9), B: vouched("one:1", 9), C: vouched("k:1", 1, key=b"k")},
         (A, B, C), C),
        ({A: vouched("one:1", 9), B: vouched("k:1", 1, key=b"k")}, (A,), B),
    ],
)  # fmt: skip
def test_hosts_that_differ_are_settled_by_key_then_majority_then_time(
    words: dict[NodeId, GuestRecord], reached: tuple[NodeId, ...], chosen: NodeId
) -> None:
    assert settle(words, reached).host == chosen


def test_how_a_guest_was_settled_says_who_said_what() -> None:
    words = {A: vouched("one:1", 1), B: vouched("one:1", 2), C: vouched("two:2", 9)}

    found = settle(words, (A, B, C))

    assert (found.hosts, found.resolution.rule, found.resolution.entitled) == (3, "majority", 3)
    assert [said("g", one.value).address for one in found.resolution.votes] == ["one:1", "two:2"]
    blamed = [(one.voter, one.blame) for one in found.resolution.discrepancies]
    assert blamed == [(C, "otherwise")]


def test_times_are_read_as_they_are_written() -> None:
    assert format_us(1_767_323_045_678_901) == "2026-01-02T03:04:05.678Z"
    assert parse_us("2026-01-02T04:04:05.678+01:00") == 1_767_323_045_678_000
    assert format_us(2**62) == "9999-12-31T23:59:59.999Z"
    for text in ("", "2026-01-02", "2026-01-02T03:04:05", "1969-01-02T03:04:05Z", "x" * 50):
        with pytest.raises(ValueError, match=r"RFC 3339|offset|before 1970"):
            parse_us(text)
