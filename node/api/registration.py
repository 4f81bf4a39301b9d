"""`POST /registration`: the handshake for guests, who have no node of their own."""

import base64
import binascii
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

from node.context import NodeContext
from node.guests import Guests, Word, check_guest, check_time, is_signed
from node.http import Request, Response, Route, json_response
from node.times import format_us, parse_us
from protocol.detector.detection import Status
from protocol.errors import MalformedError
from protocol.identity import Address, id_text
from protocol.records import GuestRecord, NodeType
from protocol.rules import sorted_names
from protocol.wire import guest_words

from .fields import Fields
from .finding import node_of
from .reading import NODE_TYPES, request_of
from .shapes import Json
from .table import Endpoint

HANDLER_S = 30.0
FIELDS = (
    "action", "update_id", "id", "address", "metrics_port", "node_type", "is_load_balancer",
    "capabilities", "last_updated", "ttl", "cluster", "public_key", "signature",
)  # fmt: skip
ACTIONS = ("register", "update")
TTL_MS = 30_000
_REQUIRED = (
    "action", "id", "address", "metrics_port", "node_type", "is_load_balancer", "capabilities",
    "last_updated",
)  # fmt: skip
_SHOWN = (Status.ALIVE, Status.SUSPECT, Status.UNREACHABLE)


class RegistrationRoutes:
    """The handler of `/registration`."""

    def __init__(self, context: NodeContext, guests: Guests) -> None:
        self._context = context
        self._peer = context.peer
        self._guests = guests

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The route."""
        return (
            Endpoint(
                route=Route("POST", "/registration", self.register, handler_s=HANDLER_S),
                summary="Register or renew a guest; answered with the list of peers.",
                body="GuestWord",
                answers={
                    200: "Taken; `status` says what it came to.",
                    403: "Another key holds that id.",
                    409: "It said something newer before, or the update id is taken.",
                },
                answer="Handshake",
            ),
        )

    async def register(self, request: Request) -> Response:
        """`POST /registration`."""
        request.query.check_known()
        document = request.json_object()
        word = word_of(document, self._context.config.cluster)
        check_time(word.record.last_updated, _wall_us())
        taken = await self._guests.take(word)
        shape: dict[str, Json] = {
            "status": taken.status,
            "update_id": taken.update_id,
            "peers": self._peers(),
            "root": self._peer.registry.root.hex(),
        }
        return json_response(200, shape)

    def _peers(self) -> list[Json]:
        peer, peers = self._peer, list[Json]()
        for node in peer.membership.members():
            record = peer.record if node == self._context.me else peer.registry.node(node)
            if record is None or peer.membership.status(node) not in _SHOWN:
                continue
            peers.append(
                {
                    "id": id_text(node),
                    "address": str(Address(record.api_host, record.api_port)),
                    "metrics_port": record.metrics_port or record.api_port,
                    "node_type": record.node_type.value,
                    "is_load_balancer": record.is_load_balancer,
                    "last_updated": format_us(record.updated_at),
                }
            )
        for found in self._guests.all_settled():
            guest = found.record
            peers.append(
                {
                    "id": guest.id,
                    "address": guest.address,
                    "metrics_port": guest.metrics_port,
                    "node_type": guest.node_type.value,
                    "is_load_balancer": guest.is_load_balancer,
                    "last_updated": format_us(guest.last_updated),
                }
            )
        return peers


def word_of(document: Mapping[str, object], cluster: str) -> Word:
    """Read a guest's word and check all that can be checked without guest and clock.

    Raises:
        ApiError: 400 `invalid_field`, naming the field.
    """
    fields = Fields(document, FIELDS)
    for name in _REQUIRED:
        fields.require(name)
    creates = fields.choice("action", ACTIONS, None) == "register"
    record = _record_of(fields)
    check_guest(record)
    if node_of(record.id) is not None:
        fields.refuse("id", "looks like a node's id, which nobody else may use")
    if fields.has("cluster") and fields.text("cluster") != cluster:
        fields.refuse("cluster", f"is not this node's cluster, {cluster}")
    if fields.has("public_key"):
        record = _signed(record, fields, document, cluster)
    elif fields.has("signature"):
        fields.refuse("public_key", "is missing; a signature can only be checked with it")
    return Word(record, creates, request_of(document, "guest"))


def _record_of(fields: Fields) -> GuestRecord:
    return GuestRecord(
        id=fields.text("id"),
        address=fields.text("address"),
        metrics_port=fields.integer("metrics_port", 0),
        node_type=NodeType(fields.choice("node_type", NODE_TYPES, None)),
        is_load_balancer=fields.flag("is_load_balancer", default=False),
        capabilities=sorted_names(fields.texts("capabilities")),
        last_updated=_time_of(fields),
        ttl_ms=fields.duration_ms("ttl", TTL_MS),
        update_id=fields.text("update_id") or str(uuid.uuid4()),
    )


def _signed(
    record: GuestRecord, fields: Fields, document: Mapping[str, object], cluster: str
) -> GuestRecord:
    fields.require("cluster")
    fields.require("signature")
    try:
        said = guest_words.canonical(document)
    except MalformedError:
        fields.refuse("signature", "the body has a value without a canonical form (RFC 8785)")
    signed = replace(
        record,
        public_key=_decoded(fields, "public_key", 32),
        signature=_decoded(fields, "signature", 64),
        signed_body=said,
    )
    if not is_signed(signed, cluster):
        prefix = guest_words.PREFIX[:-1].decode()
        fields.refuse(
            "signature", f'is not that key\'s signature of "{prefix}", a zero byte and the '
            "canonical JSON (RFC 8785) of the body without signature",
        )  # fmt: skip
    return signed


def _decoded(fields: Fields, name: str, length: int) -> bytes:
    try:
        raw = base64.b64decode(fields.text(name), validate=True)
    except (binascii.Error, ValueError):
        fields.refuse(name, "is no base64")
    if len(raw) != length:
        fields.refuse(name, f"has {len(raw)} bytes; {length} are needed")
    return raw


def _time_of(fields: Fields) -> int:
    text = fields.required_text("last_updated")
    try:
        return parse_us(text)
    except ValueError as error:
        fields.refuse("last_updated", f"{text[:40]!r}: {error}")


def _wall_us() -> int:
    return time.time_ns() // 1_000
