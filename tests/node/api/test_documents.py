"""`/v1/documents` and `/v1/conflicts`: written by several nodes, with conditions, over HTTP."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from node.agreement import tidying
from protocol.agreement import documents
from protocol.bodies import key_of
from protocol.peer import NODE_RECORD
from protocol.records import Phase
from protocol.wire import json_text

from .situations import TestNode, open_node, open_pair, until

SETTINGS = "/v1/documents/settings"
pytestmark = pytest.mark.trio


def valued(**fields: object) -> dict[str, object]:
    return {"value": fields}


async def concurrently(node: TestNode, seen: TestNode, **fields: object) -> None:
    """The node writes as if it had seen nothing but its own word: as behind a cut."""
    context = node.context
    words = context.peer.registry.document("settings")
    own = {author: word for author, word in words.items() if author == context.me}
    before = documents.joined("settings", own)
    made = {name: json_text.write(value) for name, value in fields.items()}
    word = documents.write(before, made, context.me, 1_900_000_000_000_000)
    await context.driver.propose({key_of(word): word})
    await until(lambda: context.me in seen.context.peer.registry.document("settings"))


async def in_conflict(alice: TestNode, bob: TestNode) -> None:
    """Alice wrote `red` and Bob, later and without having seen it, `blue`."""
    await alice.expect(201, "PUT", SETTINGS, valued(color="red", size=1))
    await concurrently(bob, alice, color="blue")
    await until(lambda: alice.context.me in bob.context.peer.registry.document("settings"))


async def test_a_document_is_written_read_changed_and_deleted() -> None:
    async with open_node() as node:
        await node.refused(404, "not_found", "GET", SETTINGS)

        made = await node.expect(201, "PUT", SETTINGS, valued(color="red", size=1))
        assert made["value"] == {"color": "red", "size": 1}
        assert made["conflict"] is False
        assert list(mapping(made, "context")) == [node.id]
        again = await node.expect(200, "PUT", SETTINGS, valued(color="red", size=1))
        assert (again["etag"], again["version"]) == (made["etag"], made["version"])
        patch = valued(size=None, more={"a": [1.5, None], "b": None})
        changed = await node.expect(200, "PATCH", SETTINGS, patch)
        assert changed["value"] == {"color": "red", "more": {"a": [1.5, None]}}
        patch = valued(more={"a": None, "c": {"d": 1}})
        assert (await node.expect(200, "PATCH", SETTINGS, patch))["value"] == {
            "color": "red", "more": {"c": {"d": 1}},
        }  # fmt: skip
        shown = await node.expect(200, "GET", SETTINGS)
        rows = (await node.expect(200, "GET", "/v1/documents"))["documents"]
        assert rows == [{k: shown[k] for k in ("key", "etag", "conflict", "last_updated")}]

        gone = await node.expect(200, "DELETE", SETTINGS)
        assert gone["status"] == "deleted"
        await node.refused(404, "not_found", "GET", SETTINGS)
        await node.refused(404, "not_found", "DELETE", SETTINGS)
        assert (await node.expect(200, "GET", "/v1/documents"))["documents"] == []
        empty = await node.expect(201, "PUT", SETTINGS, valued())
        assert empty["value"] == {}


async def test_two_nodes_write_one_document_and_fields_merge() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "PUT", SETTINGS, valued(color="red", size=1))
        await until(lambda: "settings" in bob.context.peer.registry.documents())
        await bob.expect(200, "PATCH", SETTINGS, valued(size=2))
        await until(lambda: len(alice.context.peer.registry.document("settings")) == 2)

        for node in (alice, bob):
            shown = await node.expect(200, "GET", SETTINGS)
            assert shown["value"] == {"color": "red", "size": 2}
            assert shown["conflict"] is False
            assert set(mapping(shown, "context")) == {alice.id, bob.id}


async def test_a_conflict_is_shown_alike_everywhere_and_settled_by_a_later_write() -> None:
    async with open_pair() as (alice, bob):
        await in_conflict(alice, bob)

        ours, theirs = [await one.expect(200, "GET", SETTINGS) for one in (alice, bob)]
        assert ours == theirs
        assert ours["value"] == {"color": "blue", "size": 1}
        (conflict,) = listed(ours, "conflicts")
        assert (conflict["field"], conflict["rule"]) == ("color", "later")
        told = [
            (one["value"], one["writer"], one["node"], one["shown"])
            for one in listed(conflict, "siblings")
        ]
        assert told == [
            ("blue", bob.id, "node-2", True), ("red", alice.id, "node-1", False),
        ]  # fmt: skip
        everything = await alice.expect(200, "GET", "/v1/conflicts")
        assert everything["guests"] == []
        assert everything["documents"] == [
            {"key": "settings", "etag": ours["etag"], "conflicts": ours["conflicts"]}
        ]
        rows = await alice.expect(200, "GET", "/v1/documents?conflict=true")
        assert len(listed(rows, "documents")) == 1

        settled = await alice.expect(200, "PATCH", SETTINGS, valued(color="blue"))
        assert settled["conflict"] is False
        await until(lambda: bob_sees(bob, settled))
        assert (await bob.expect(200, "GET", "/v1/conflicts"))["documents"] == []
        rows = await bob.expect(200, "GET", "/v1/documents?conflict=true")
        assert rows["documents"] == []
        metrics = alice.edge.telemetry()
        assert 'kith_resolutions_total{about="document",rule="later"} 1' in metrics
        assert 'kith_discrepancies_total{about="document",blame="otherwise"} 1' in metrics


async def test_a_writer_whose_etag_is_old_is_refused() -> None:
    async with open_node() as node:
        made = await node.expect(201, "PUT", SETTINGS, valued(a=1))
        newer = await node.expect(200, "PUT", SETTINGS, valued(a=2))
        old, new = str(made["etag"]), str(newer["etag"])

        for method in ("PUT", "PATCH", "DELETE"):
            body = None if method == "DELETE" else valued(a=3)
            await node.refused(
                412, "precondition_failed", method, SETTINGS, body, f"If-Match: {old}"
            )
        await node.expect(200, "PUT", SETTINGS, valued(a=3), f"If-Match: {old}, {new}")
        await node.expect(200, "PUT", SETTINGS, valued(a=4), "If-Match: *")
        await node.refused(
            412, "precondition_failed", "PUT", SETTINGS, valued(a=5), "If-None-Match: *"
        )
        fresh = "/v1/documents/fresh"
        await node.refused(412, "precondition_failed", "PUT", fresh, valued(), "If-Match: *")
        await node.expect(201, "PUT", fresh, valued(a=1), "If-None-Match: *")
        etag = (await node.expect(200, "GET", fresh))["etag"]
        answer = await node.ask("GET", fresh, None, f"If-None-Match: {etag}")
        assert (answer.status, answer.headers["etag"]) == (304, etag)


async def test_what_is_not_known_to_the_writer_makes_another_etag() -> None:
    async with open_pair() as (alice, bob):
        made = await alice.expect(201, "PUT", SETTINGS, valued(a=1))
        await concurrently(bob, alice, b=1)

        await alice.refused(
            412, "precondition_failed", "PUT", SETTINGS, valued(a=2), f"If-Match: {made['etag']}"
        )


async def test_a_repeated_write_is_done_once() -> None:
    async with open_node() as node:
        body = {**valued(a=1), "update_id": "u-1"}
        made = await node.expect(201, "PUT", SETTINGS, body)
        await node.expect(200, "PUT", SETTINGS, valued(a=2))

        again = await node.expect(200, "PUT", SETTINGS, body, "If-None-Match: *")
        assert again["version"] == made["version"]
        assert again["value"] == {"a": 2}
        await node.refused(409, "conflict", "PUT", SETTINGS, {**valued(a=9), "update_id": "u-1"})
        await node.refused(409, "conflict", "PATCH", SETTINGS, body)


async def test_a_write_whose_answer_was_lost_in_a_crash_is_known_by_its_record() -> None:
    async with open_node() as node:
        body = {**valued(a=1, b=1), "update_id": "u-1"}
        made = await node.expect(201, "PUT", SETTINGS, body)
        forget_answers(node)

        again = await node.expect(200, "PUT", SETTINGS, body, "If-None-Match: *")

        assert (again["version"], again["etag"]) == (made["version"], made["etag"])
        forget_answers(node)
        other = {**valued(a=2, b=1), "update_id": "u-1"}
        await node.refused(409, "conflict", "PUT", SETTINGS, other)


def forget_answers(node: TestNode) -> None:
    """As one is that was asked for by somebody who did not wait, and too long ago."""
    node.edge._updates._known.clear()
    node.store._results.clear()


async def test_owners_alone_may_write_and_the_list_is_kept_through_writes() -> None:
    async with open_pair() as (alice, bob):
        made = await alice.expect(201, "PUT", SETTINGS, {**valued(a=1), "owners": ["self"]})
        assert made["owners"] == [alice.id]
        await until(lambda: "settings" in bob.context.peer.registry.documents())

        error = await bob.refused(403, "not_owner", "PUT", SETTINGS, valued(a=2))
        assert error["owner"] == alice.id
        await bob.refused(403, "not_owner", "DELETE", SETTINGS)
        await concurrently(bob, alice, a=3)
        shown = await alice.expect(200, "GET", SETTINGS)
        assert shown["value"] == {"a": 1}
        assert shown["ignored"] == [{"writer": bob.id, "node": "node-2"}]
        both = {**valued(a=1), "owners": [alice.id, bob.id]}
        changed = await alice.expect(200, "PUT", SETTINGS, both)
        assert set(listed_texts(changed, "owners")) == {alice.id, bob.id}
        again = await alice.expect(200, "PUT", SETTINGS, valued(a=4))
        assert again["owners"] == changed["owners"]
        await alice.expect(200, "PUT", SETTINGS, {**valued(a=4), "owners": []})
        error = await alice.refused(
            400, "invalid_field", "PUT", SETTINGS, {**valued(a=4), "owners": [bob.id]}
        )
        assert error["field"] == "owners"


async def test_on_half_of_the_cluster_owners_cannot_be_changed_and_values_can() -> None:
    async with open_pair() as (alice, bob):
        bob.tasks.cancel_scope.cancel()
        membership = alice.context.peer.membership
        await until(lambda: membership.partition().value == "even", seconds=20)

        owned = {**valued(a=1), "owners": ["self"]}
        error = await alice.refused(503, "minority", "PUT", SETTINGS, owned)
        assert error["definite"] is True
        assert "owns a document" in str(error["message"])
        await alice.expect(201, "PUT", SETTINGS, valued(a=1))


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/documents/Upper", valued(), "key"),
        (f"/v1/documents/{'x' * 129}", valued(), "key"),
        (SETTINGS, {}, "value"),
        (SETTINGS, {"value": None}, "value"),
        (SETTINGS, {"value": [1]}, "value"),
        (SETTINGS, {"value": {"": 1}}, "value"),
        (SETTINGS, {"value": {"a\n": 1}}, "value.a\n"),
        (SETTINGS, {"value": {"a": 2**63}}, "value.a"),
        (SETTINGS, {"value": {str(number): 1 for number in range(65)}}, "value"),
        (SETTINGS, {"value": {}, "owners": ["nobody"]}, "owners[0]"),
        (SETTINGS, {"value": {}, "owners": "self"}, "owners"),
        (SETTINGS, {"value": {}, "color": 1}, "color"),
        (SETTINGS, {"value": {}, "update_id": ""}, "update_id"),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_name(
    path: str, body: Mapping[str, object], field: str
) -> None:
    async with open_node() as node:
        error = await node.refused(400, "invalid_field", "PUT", path, body)
        assert error["field"] == field
        assert not list(node.context.peer.registry.documents())


async def test_what_is_too_deep_or_too_large_is_refused() -> None:
    async with open_node() as node:
        deep: object = 1
        for _ in range(17):
            deep = [deep]
        error = await node.refused(400, "invalid_field", "PATCH", SETTINGS, valued(a=deep))
        assert error["field"] == "value.a"
        error = await node.refused(413, "too_large", "PUT", SETTINGS, valued(a="x" * 9_000))
        assert error["field"] == "value"
        await node.refused(400, "invalid_field", "GET", "/v1/documents?conflict=maybe")


async def test_a_word_that_another_covers_is_dropped_and_the_document_stays() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "PUT", SETTINGS, valued(a=1))
        await until(lambda: "settings" in bob.context.peer.registry.documents())
        await bob.expect(200, "PATCH", SETTINGS, valued(b=2))
        await until(lambda: len(alice.context.peer.registry.document("settings")) == 2)

        for node in (bob, alice, bob):
            await node.edge._tidying.tidy()

        await until(lambda: len(bob.context.peer.registry.document("settings")) == 1)
        assert (alice.edge._tidying.dropped, bob.edge._tidying.dropped) == (1, 0)
        for node in (alice, bob):
            assert (await node.expect(200, "GET", SETTINGS))["value"] == {"a": 1, "b": 2}


async def test_a_deletion_is_remembered_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_node() as node:
        await node.expect(201, "PUT", SETTINGS, valued(a=1))
        await node.expect(200, "DELETE", SETTINGS)
        registry = node.context.peer.registry

        await node.edge._tidying.tidy()
        assert list(registry.documents()) == ["settings"]
        monkeypatch.setattr(tidying, "DELETED_KEPT_US", -10_000_000)
        node.edge._tidying._look_all = True
        await node.edge._tidying.tidy()
        assert list(registry.documents()) == []


async def test_what_a_writer_that_left_alone_said_is_taken_over() -> None:
    async with open_pair() as (alice, bob):
        await bob.expect(201, "PUT", SETTINGS, valued(a=1))
        await until(lambda: "settings" in alice.context.peer.registry.documents())
        await alice.edge._tidying.tidy()
        assert alice.context.me not in alice.context.peer.registry.document("settings")

        await alice_sees_bob_leave(alice, bob)
        await alice.edge._tidying.tidy()

        words = alice.context.peer.registry.document("settings")
        assert alice.context.me in words
        assert alice.edge._tidying.taken_over == 1
        assert (await alice.expect(200, "GET", SETTINGS))["value"] == {"a": 1}
        assert documents.joined("settings", {alice.context.me: words[alice.context.me]}).exists


async def alice_sees_bob_leave(alice: TestNode, bob: TestNode) -> None:
    leaving = replace(bob.context.peer.record, phase=Phase.LEFT)
    await bob.context.driver.propose({NODE_RECORD: leaving})
    membership = alice.context.peer.membership
    await until(lambda: getattr(membership.status(bob.context.me), "value", "") == "left")


def bob_sees(bob: TestNode, shown: Mapping[str, object]) -> bool:
    found = documents.joined("settings", bob.context.peer.registry.document("settings"))
    return f'"{found.version.hex()}"' == shown["etag"]


def mapping(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = document[name]
    assert isinstance(value, dict)
    return value


def listed(document: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    value = document[name]
    assert isinstance(value, list)
    return value


def listed_texts(document: Mapping[str, object], name: str) -> list[str]:
    value = document[name]
    assert isinstance(value, list)
    return [str(one) for one in value]
