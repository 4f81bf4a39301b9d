"""`/v1/keys`: shown, rotated, revoked; refused before anything is changed."""

from pathlib import Path

import pytest

from node import keystore
from node.keyfiles import KEY_FILE, NEXT_FILE
from node.transport.errors import PeerRefusedError
from node.transport.pool import StreamPool
from protocol.identity import short_id
from protocol.wire.exchange import CheckRequest, encode_request
from protocol.wire.handshake import Credentials
from tests.node.transport.people import CLUSTER

from .situations import TestNode, open_node, until, web

pytestmark = pytest.mark.trio


def epoch_at(node: TestNode, of: TestNode) -> int:
    chain = node.context.peer.registry.chain(of.context.me)
    return chain.epoch if chain else -1


async def test_keys_are_shown_with_what_can_be_done(tmp_path: Path) -> None:
    async with open_node(home=tmp_path) as node:
        shown = await node.expect(200, "GET", "/v1/keys")
        assert (shown["id"], shown["epoch"], shown["revoked"]) == (node.id, 0, False)
        assert shown["next_key"] is True
        events = shown["events"]
        assert isinstance(events, list)
        assert [event["kind"] for event in events] == ["inception"]
        (tmp_path / NEXT_FILE).unlink()
        assert (await node.expect(200, "GET", "/v1/keys"))["next_key"] is False
        assert (await node.expect(200, "GET", f"/v1/owners/{node.id}/keys"))["epoch"] == 0
        await node.refused(400, "invalid_field", "GET", "/v1/owners/nobody/keys")
        await node.refused(404, "not_found", "GET", f"/v1/owners/{'a' * 51}q/keys")


async def test_a_rotation_is_on_disk_and_with_the_peers_and_the_old_key_is_refused(
    tmp_path: Path,
) -> None:
    old = keystore.load_or_create(tmp_path, CLUSTER, None)
    async with open_node(1, home=tmp_path) as alice, open_node(2, zone="z2") as bob:
        assert await alice.context.driver.join(bob.address)
        await until(lambda: len(alice.context.peer.membership.members()) == 2)
        await alice.expect(201, "POST", "/v1/services", web())
        await until(lambda: any(bob.context.peer.registry.instances("web")))

        answer = await alice.expect(200, "POST", "/v1/keys/rotate")

        assert (answer["status"], answer["epoch"]) == ("rotated", 1)
        await until(lambda: epoch_at(bob, alice) == 1)
        assert await alice.instances("web") and await bob.instances("web")  # noqa: PT018
        assert keystore.load_or_create(tmp_path, CLUSTER, None).chain.epoch == 1
        # Streams go on under the new key, both ways; the old one is told what replaced it.
        assert await alice.context.driver.join(bob.address)
        assert await bob.context.driver.join(alice.address)
        thief = StreamPool(Credentials(old.chain, old.keys, CLUSTER))
        with pytest.raises(PeerRefusedError) as caught:
            await thief.request(bob.address, None, encode_request(CheckRequest()), 2.0)
        assert caught.value.code == "stale"
        thief.close()
        error = await alice.refused(409, "conflict", "POST", "/v1/keys/rotate")
        assert "only just begun" in str(error["message"])


async def test_a_rotation_that_cannot_be_is_refused_before_the_files_are_touched(
    tmp_path: Path,
) -> None:
    async with open_node(1, home=tmp_path) as alice:
        before = (tmp_path / KEY_FILE).read_bytes()
        kept = (tmp_path / NEXT_FILE).read_bytes()
        (tmp_path / NEXT_FILE).unlink()
        error = await alice.refused(409, "conflict", "POST", "/v1/keys/rotate")
        assert NEXT_FILE in str(error["message"])
        assert "put it back" in str(error["message"])
        (tmp_path / NEXT_FILE).write_bytes(kept)
        (tmp_path / NEXT_FILE).chmod(0o600)

        async with open_node(2, zone="z2") as bob:
            assert await bob.context.driver.join(alice.address)
            await until(lambda: len(alice.context.peer.membership.members()) == 2)
            alice.context.driver.acquainted = False
            error = await alice.refused(409, "conflict", "POST", "/v1/keys/rotate")
            assert "none has answered yet" in str(error["message"])
            alice.context.driver.acquainted = True
            bob.tasks.cancel_scope.cancel()
            side = alice.context.peer.membership.partition
            await until(lambda: side().value != "none", seconds=10)
            await alice.refused(503, "minority", "POST", "/v1/keys/rotate")
            body = {"confirm": alice.id}
            await alice.refused(503, "minority", "POST", "/v1/keys/revoke", body)
        assert (tmp_path / KEY_FILE).read_bytes() == before


async def test_a_revocation_wants_the_id_and_ends_the_node(tmp_path: Path) -> None:
    async with open_node(1, home=tmp_path) as alice, open_node(2, zone="z2") as bob:
        assert await alice.context.driver.join(bob.address)
        await alice.expect(201, "POST", "/v1/services", web())
        await until(lambda: any(bob.context.peer.registry.instances("web")))
        for wrong in ({}, {"confirm": "yes"}, {"confirm": bob.id}):
            await alice.refused(400, "invalid_field", "POST", "/v1/keys/revoke", wrong)

        body = {"confirm": short_id(alice.context.me)}
        answer = await alice.expect(202, "POST", "/v1/keys/revoke", body)

        assert answer["revoked"] is True
        assert alice.context.lifecycle.ending
        await until(lambda: epoch_at(bob, alice) == 1)
        assert await bob.instances("web") == []
        assert keystore.load_or_create(tmp_path, CLUSTER, None).chain.revoked
