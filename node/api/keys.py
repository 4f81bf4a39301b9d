"""`/v1/keys`: which keys this node has had, the next one, and the end of it.

A rotation changes the key files first and the cluster's mind second, and is finished by the next
start if the process dies in between. So whatever could refuse it is asked before.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from node import keystore
from node.agreement.critical import require_majority
from node.context import NodeContext
from node.driver import DiskFull, instant
from node.http import ApiError, Request, Response, Route, SyncRoute, json_response
from node.keyfiles import KeyStoreError
from node.registrar.failures import disk_full
from protocol.errors import MalformedError, ProposalError
from protocol.identity import KeyChain, id_text, parse_id, short_id
from protocol.signing import KeyPair, cluster_id

from .fields import Fields
from .shapes import Json
from .table import Endpoint

HANDLER_S = 30.0
"""As other changes: the disk may be slow."""
KINDS = ("inception", "rotation", "revocation")
"""By `KeyEvent.kind`."""
KEY_SHOWN_CHARS = 16
"""Hex digits of a public key: to tell keys apart, not to use them."""


class KeyRoutes:
    """The handlers of `/v1/keys` and of `/v1/owners/{id}/keys`."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._peer = context.peer
        self._changing = False

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/keys", self.show),
                summary="This node's key events, and whether the next key is at hand.",
                answer="Keys",
            ),
            Endpoint(
                route=Route("POST", "/v1/keys/rotate", self.rotate, handler_s=HANDLER_S),
                summary="Go on with the next key: whoever has stolen the old one is shut out.",
                answers={200: "Every peer that is reached hears of it now."},
                answer="Rotated",
            ),
            Endpoint(
                route=Route("POST", "/v1/keys/revoke", self.revoke, handler_s=HANDLER_S),
                summary="End this node's identity for good; the node ends too.",
                body="Revocation",
                answers={202: "It is revoked; the node ends."},
                answer="Revoked",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/owners/{id}/keys", self.of_owner),
                summary="The key events of any owner, as this node knows them.",
                answer="OwnerKeys",
            ),
        )

    def show(self, request: Request) -> Response:
        """`GET /v1/keys`."""
        request.query.check_known()
        chain = self._peer.registry.chain(self._peer.me)
        assert chain is not None, "a node knows itself"
        has_next = keystore.holds_next(self._context.config.data_dir)
        return json_response(200, {**_chain_shape(chain), "next_key": has_next})

    def of_owner(self, request: Request) -> Response:
        """`GET /v1/owners/{id}/keys`."""
        request.query.check_known()
        try:
            chain = self._peer.registry.chain(parse_id(request.params["id"]))
        except MalformedError as error:
            raise ApiError(400, "invalid_field", f"id: {error}", field="id") from None
        if chain is None:
            raise ApiError(404, "not_found", "no owner of that id is known here")
        return json_response(200, _chain_shape(chain))

    async def rotate(self, request: Request) -> Response:
        """`POST /v1/keys/rotate`."""
        request.query.check_known()
        driver = self._context.driver
        async with self._change("rotating this node's key"):
            chain, keys = await self._succeed(revoking=False)
            dot = await driver.rotate(chain, keys)
        return json_response(
            200, {"status": "rotated", **_chain_shape(chain), "version": dot.version}
        )

    async def revoke(self, request: Request) -> Response:
        """`POST /v1/keys/revoke`."""
        request.query.check_known()
        fields = Fields(request.json_object(), ("confirm",))
        confirmed = fields.required_text("confirm")
        if confirmed not in (id_text(self._context.me), short_id(self._context.me)):
            fields.refuse("confirm", "it is not this node's id, or the first 8 characters of it")
        async with self._change("revoking this node's key"):
            chain, _ = await self._succeed(revoking=True)
            await self._context.driver.revoke(chain)
        self._context.lifecycle.stop(leaving=True)
        return json_response(202, {"status": "revoked", **_chain_shape(chain)})

    @asynccontextmanager
    async def _change(self, what: str) -> AsyncIterator[None]:
        """One change at a time, and only where the cluster can hear of it and has been heard."""
        driver, peer = self._context.driver, self._peer
        require_majority(peer, what)
        if not driver.acquainted and len(peer.membership.members()) > 1:
            raise ApiError(
                409, "conflict", f"{what} has to wait until a peer has told what it knows of this "
                "node's keys, and none has answered yet; join one (POST /v1/peers)",
            )  # fmt: skip
        if driver.disk_full:
            raise disk_full(definite=True)
        if self._changing:
            raise ApiError(409, "conflict", "this node's key is being changed already")
        self._changing = True
        try:
            peer.rotation.check_time(now=instant().mono_s)
            yield
        except (ProposalError, KeyStoreError) as error:
            raise ApiError(409, "conflict", f"{what} is not possible: {error}") from None
        except DiskFull as error:
            raise disk_full(definite=error.definite) from None
        finally:
            self._changing = False

    async def _succeed(self, *, revoking: bool) -> tuple[KeyChain, KeyPair]:
        """Change the key files. From there the machine must follow, whoever stops waiting."""
        config = self._context.config
        passphrase = config.key_passphrase.reveal().encode() if config.key_passphrase else None
        change = keystore.revoke if revoking else keystore.rotate
        with trio.CancelScope(shield=True):
            identity = await trio.to_thread.run_sync(
                change, config.data_dir, cluster_id(config.cluster), passphrase
            )
        return identity.chain, identity.keys


def _chain_shape(chain: KeyChain) -> dict[str, Json]:
    return {
        "id": id_text(chain.node),
        "epoch": chain.epoch,
        "revoked": chain.revoked,
        "events": [
            {
                "sequence": event.sequence,
                "kind": KINDS[event.kind],
                "public_key": event.public_key.hex()[:KEY_SHOWN_CHARS],
                "hash": event.hash.hex(),
            }
            for event in chain.events
        ],
    }
