"""Encoded instances are what encoding anew would give, and only what changed is encoded."""

from collections.abc import Callable
from dataclasses import replace
from weakref import ref

import orjson
import pytest

from node.api.answers import encoded
from node.api.answers.encoded import EncodedInstances
from node.api.shapes import Json, instance_shape
from protocol.detector.detection import Status
from protocol.peer import NODE_RECORD, Peer
from protocol.registry import Instance
from tests.node.api.situations import TestNode, open_pair, until, web

COUNT = 6


def listed(node: TestNode) -> list[Instance]:
    return list(node.context.peer.registry.instances("web"))


def anew(node: TestNode) -> bytes:
    return orjson.dumps([instance_shape(node.context.peer, one) for one in listed(node)])


@pytest.fixture
def shaped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the instances that were encoded, as they are."""
    found: list[str] = []
    shape: Callable[[Peer, Instance], dict[str, Json]] = instance_shape

    def noted(peer: Peer, one: Instance) -> dict[str, Json]:
        found.append(one.service.id)
        return shape(peer, one)

    monkeypatch.setattr(encoded, "instance_shape", noted)
    return found


@pytest.mark.trio
async def test_of_many_instances_only_the_one_that_changed_is_encoded(shaped: list[str]) -> None:
    async with open_pair() as (alice, bob):
        for number in range(COUNT):
            await alice.expect(201, "POST", "/v1/services", web(port=8000 + number))
        await until(lambda: len(listed(bob)) == COUNT)
        written = EncodedInstances(bob.context.peer)
        assert written.array(listed(bob)) == anew(bob)
        shaped.clear()

        await alice.expect(200, "POST", "/v1/services", web(port=8003, weight=7))
        await until(lambda: any(one.service.weight == 7 for one in listed(bob)))

        assert written.array(listed(bob)) == anew(bob)
        assert shaped == ["web-8003"]
        assert written.array(listed(bob)) == anew(bob)
        assert shaped == ["web-8003"]


@pytest.mark.trio
async def test_all_of_an_owner_are_encoded_anew_once_it_is_seen_otherwise() -> None:
    async with open_pair() as (alice, bob):
        for number in range(COUNT):
            await alice.expect(201, "POST", "/v1/services", web(port=8000 + number))
        await until(lambda: len(listed(bob)) == COUNT)
        written, peer = EncodedInstances(bob.context.peer), bob.context.peer
        assert written.array(listed(bob)).count(b'"node_status":"alive"') == COUNT

        record = alice.context.peer.record
        renamed = replace(record, name="another")
        await alice.context.driver.propose({NODE_RECORD: renamed})
        await until(lambda: b'"node":"another"' in anew(bob))
        assert written.array(listed(bob)) == anew(bob)
        alice.tasks.cancel_scope.cancel()
        away = alice.context.me
        await until(lambda: peer.membership.status(away) is Status.UNREACHABLE, seconds=10)

        assert written.array(listed(bob)) == anew(bob)
        assert anew(bob).count(b'"health":"critical"') == COUNT


@pytest.mark.trio
async def test_an_instance_that_was_replaced_is_not_kept_with_what_was_encoded_of_it() -> None:
    async with open_pair() as (alice, _bob):
        for number in range(COUNT):
            await alice.expect(201, "POST", "/v1/services", web(port=8000 + number))
        written = EncodedInstances(alice.context.peer)
        written.array(listed(alice))
        replaced = [ref(one) for one in listed(alice) if one.service.id == "web-8003"]

        await alice.expect(200, "POST", "/v1/services", web(port=8003, weight=7))
        await until(lambda: [one() for one in replaced] == [None])

        assert written.array(listed(alice)) == anew(alice)


@pytest.mark.trio
async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 4 * 1_024
    monkeypatch.setattr(encoded, "KEPT_BYTES_MAX", most)
    async with open_pair() as (alice, _bob):
        for number in range(COUNT):
            await alice.expect(201, "POST", "/v1/services", web(port=8000 + number))
        written = EncodedInstances(alice.context.peer)

        assert written.array(listed(alice)) == anew(alice)
        assert 0 < written.kept_bytes <= most
