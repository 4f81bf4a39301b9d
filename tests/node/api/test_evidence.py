"""What was caught, over HTTP: bounded, filtered, and with all that proves it."""

import base64
from typing import cast

import pytest

from protocol import signing
from protocol.agreement.docket import Case
from protocol.agreement.evidence import Evidence, fork_of, key_fork_of
from protocol.clocks import Instant
from protocol.commits import Dot, Draft, Head, make_commit
from protocol.identity import ROTATION, Address, NodeId, id_text, make_event
from protocol.intake import Source
from protocol.merkle import EMPTY_ROOT
from protocol.wire.exchange import Bundle, Steps
from tests.node.transport.people import CLUSTER, credentials

from .situations import TestNode, open_node

AT = Instant(0.0, 1_700_000_000_000_000)
LIAR = credentials(7)
SOMEBODY = Source(None, Address("127.0.0.1", 1))


def signed(version: int, *parents: bytes, at: int = 1) -> Head:
    draft = Draft(
        owner=LIAR.chain.node, dot=Dot(0, version), parents=parents, issued_at=at,
        state_root=EMPTY_ROOT,
    )  # fmt: skip
    return make_commit(draft, (), key=LIAR.signer, cluster=CLUSTER).head


def fork(version: int) -> Evidence:
    evidence = fork_of(signed(version), signed(version, at=2))
    assert evidence is not None
    return evidence


def catch(node: TestNode, *versions: int) -> NodeId:
    """Have the node hear of forks of one owner."""
    intake = node.context.peer._intake
    draft = Draft(
        owner=LIAR.chain.node, dot=Dot(0, 1), parents=(), issued_at=1, state_root=EMPTY_ROOT
    )
    first = make_commit(draft, (), key=LIAR.signer, cluster=CLUSTER)
    bundle = Bundle(tuple(LIAR.chain.packed()), Steps((first,)))
    node.context.driver._perform(intake.bundle(bundle, SOMEBODY, AT).effects)
    for version in versions:
        node.context.driver._perform(intake.evidence(fork(version), SOMEBODY, AT).effects)
    return LIAR.chain.node


def settle(node: TestNode, version: int) -> Head:
    merge = signed(version, b"a" * 32, b"b" * 32)
    node.context.peer.registry.learn_merge(merge, now=0.0)
    node.context.driver._perform(node.context.peer._intake._ended(merge.owner, AT))
    return merge


async def evidence_of(node: TestNode, query: str = "") -> list[dict[str, object]]:
    document = await node.expect(200, "GET", f"/v1/evidence{query}")
    return cast("list[dict[str, object]]", document["evidence"])


def versions(cases: list[dict[str, object]]) -> list[int]:
    return sorted(cast("list[dict[str, int]]", case["heads"])[0]["version"] for case in cases)


@pytest.mark.trio
async def test_evidence_shows_what_anybody_needs_to_verify_it() -> None:
    async with open_node() as node:
        assert await evidence_of(node) == []
        owner = catch(node, 5)

        (case,) = await evidence_of(node)

        assert case["id"] == Case(fork(5), 0, None).id.hex()
        assert (case["owner"], case["open"], case["verified"]) == (id_text(owner), True, True)
        assert (case["settled_at"], case["settled_by"], case["reported_by"]) == (None, None, None)
        assert case["found_at"] == "2023-11-14T22:13:20.000Z"
        assert versions([case]) == [5]
        heads = cast("list[dict[str, str]]", case["heads"])
        assert heads[0]["hash"] < heads[1]["hash"]
        for head in heads:
            header, signature = (base64.b64decode(head[one]) for one in ("header", "signature"))
            key = LIAR.chain.key_of(0)
            assert key is not None
            assert signing.verify(key, signing.Domain.COMMIT, CLUSTER, header, signature)


@pytest.mark.trio
async def test_evidence_is_filtered_by_owner_and_state_and_bounded() -> None:
    async with open_node() as node:
        owner = catch(node, 5, 6, 9)
        merge = settle(node, 7)

        still = await evidence_of(node, "?open=true")
        over = await evidence_of(node, "?open=false")

        assert (versions(still), versions(over)) == ([9], [5, 6])
        assert over[0]["settled_by"] == {
            "rule": "merge", "epoch": 0, "version": 7, "hash": merge.hash.hex()
        }  # fmt: skip
        assert await evidence_of(node, "?owner=self") == []
        assert len(await evidence_of(node, f"?owner={id_text(owner)}")) == 3
        first = await node.expect(200, "GET", "/v1/evidence?limit=1")
        assert first["total"] == 3
        assert cast("list[dict[str, object]]", first["evidence"])[0]["open"] is True


@pytest.mark.trio
@pytest.mark.parametrize("query", ["open=maybe", "limit=0", "limit=1001", "owner=nobody"])
async def test_a_question_that_means_nothing_is_refused(query: str) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "GET", f"/v1/evidence?{query}")
        assert error["field"] == query.partition("=")[0]


@pytest.mark.trio
async def test_two_key_events_of_one_sequence_are_evidence_too() -> None:
    async with open_node() as node:
        owner = catch(node)
        events = [
            make_event(
                ROTATION, previous=LIAR.chain.events[0], key=LIAR.signer,
                next_commitment=following, cluster=CLUSTER,
            )
            for following in (bytes(32), b"x" * 32)
        ]  # fmt: skip
        proof = key_fork_of(owner, *events)
        assert proof is not None
        node.context.peer.docket.add(Case(proof, AT.wall_us, None))

        (case,) = await evidence_of(node)

        shown = cast("list[dict[str, object]]", case["key_events"])
        assert (case["kind"], case["heads"]) == ("keys", [])
        assert [one["hash"] for one in shown] == sorted(event.hash.hex() for event in events)
        assert case["verified"] is False, "not by the key that the inception committed to"


@pytest.mark.trio
async def test_evidence_that_rotted_says_so() -> None:
    async with open_node() as node:
        catch(node, 5)
        (case,) = node.context.peer.docket.cases()
        object.__setattr__(case.evidence.first, "signature", bytes(64))

        assert (await evidence_of(node))[0]["verified"] is False


@pytest.mark.trio
async def test_evidence_is_counted_by_state_and_outlives_a_restart() -> None:
    async with open_node() as node:
        catch(node, 5, 9)
        settle(node, 7)
        before = await evidence_of(node)
        text = node.edge.telemetry()

    assert 'kith_evidence{state="open"} 1' in text
    assert 'kith_evidence{state="settled"} 1' in text
    node.store.open()
    async with open_node(store=node.store) as node:
        assert await evidence_of(node) == before
        assert "kith_disputed_owners 1" in node.edge.telemetry()
