"""`/v1/node` and `/v1/peers`: this node, the others, the guests; join and forget."""

import time
from collections.abc import Iterator
from dataclasses import replace

import trio

from node.context import NodeContext
from node.driver import instant
from node.guests import Guests
from node.http import (
    ApiError,
    Request,
    Response,
    Route,
    SyncRoute,
    invalid_field,
    json_response,
    not_found,
)
from node.registrar import commit
from node.times import format_us
from protocol import rules
from protocol.bodies import key_of
from protocol.delivery.standing import Priority
from protocol.detector.detection import Status
from protocol.errors import ProposalError
from protocol.identity import Address, NodeId
from protocol.peer import NODE_RECORD
from protocol.records import ForgetRecord, NodeRecord

from .documents import resolution_shape
from .fields import Fields, refused
from .finding import node_of
from .reading import NODE_TYPES, patched_node
from .shapes import Json, credit_shape, guest_shape, node_shape, reachability_shape, verdict_shape
from .table import TEXTS, Endpoint, Parameter, choice

HANDLER_S = 30.0
JOIN_S = 10.0
"""How long an address may take to answer when it is joined."""
FORGETTABLE = (Status.UNREACHABLE, Status.DEAD, Status.LEFT)
STATUSES = (*(status.value for status in Status), "critical")
"""What a peer's status may be; `critical` is for guests."""


class NodeRoutes:
    """The handlers of `/v1/node` and `/v1/peers`."""

    def __init__(self, context: NodeContext, guests: Guests) -> None:
        self._context = context
        self._peer = context.peer
        self._me = context.me
        self._guests = guests

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/node", self.show),
                summary="This node: what it is, what it knows, how many members it reaches.",
                answer="Node",
            ),
            Endpoint(
                route=Route("PATCH", "/v1/node", self.change, handler_s=HANDLER_S),
                summary="Change what this node says of itself, until its next start.",
                body="NodePatch",
                answer="Node",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/peers", self.peers),
                summary="All members, this node included, and all guests.",
                query=(
                    Parameter(
                        "node_type",
                        "Only proxy, backend or governator.",
                        schema=choice(*NODE_TYPES),
                    ),
                    Parameter("capability", "Only with this one; may be repeated.", schema=TEXTS),
                    Parameter(
                        "status",
                        "Only alive, suspect, unreachable, dead, stopping, left.",
                        schema=choice(*STATUSES),
                    ),
                    Parameter("zone", "Only in this zone."),
                ),
                answer="Peers",
            ),
            Endpoint(
                route=Route("POST", "/v1/peers", self.join, handler_s=HANDLER_S),
                summary="Join whoever is at a gossip address, now.",
                body="Join",
                answers={200: "It answered.", 408: "Nobody of this cluster answered there."},
                answer="Joined",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/peers/{id}", self.peer),
                summary="One member or guest.",
                answer="Peer",
            ),
            Endpoint(
                route=Route("DELETE", "/v1/peers/{id}", self.forget, handler_s=HANDLER_S),
                summary="Forget a member that is gone, before its time; or a guest of this node.",
                answers={200: "Forgotten.", 409: "It is not gone."},
                answer="Forgotten",
            ),
        )

    def show(self, request: Request) -> Response:
        """`GET /v1/node`."""
        request.query.check_known()
        return self._node_response()

    async def change(self, request: Request) -> Response:
        """`PATCH /v1/node`."""
        request.query.check_known()
        document = request.json_object()
        before = self._peer.record
        record = patched_node(before, document)
        if record != before:
            record = replace(record, updated_at=_wall_us())
            await commit(self._context.driver, {NODE_RECORD: record}, priority=Priority.CRITICAL)
        return self._node_response()

    def peers(self, request: Request) -> Response:
        """`GET /v1/peers`."""
        query = request.query
        query.check_known("node_type", "capability", "status", "zone")
        _check_word("node_type", query.get("node_type"), NODE_TYPES)
        _check_word("status", query.get("status"), STATUSES)
        equal = {name: query.get(name) for name in ("node_type", "status", "zone")}
        capabilities = query.all("capability")

        def is_wanted(shape: dict[str, Json]) -> bool:
            having = shape["capabilities"]
            assert isinstance(having, list)
            return all(one in having for one in capabilities) and all(
                value is None or shape.get(name) == value for name, value in equal.items()
            )

        self._context.driver.measure(self._peer.membership.members())
        shapes = [shape for shape in self._everybody() if is_wanted(shape)]
        partition = self._peer.membership.partition().value
        return json_response(200, {"peers": shapes}, (("X-Kith-Partition", partition),))

    def peer(self, request: Request) -> Response:
        """`GET /v1/peers/{id}`."""
        request.query.check_known()
        text = request.params["id"]
        side = (("X-Kith-Partition", self._peer.membership.partition().value),)
        guest = self._guests.settled(text)
        if guest is not None:
            shape = {**guest_shape(guest), "resolution": resolution_shape(guest)}
            return json_response(200, shape, side)
        node = node_of(text)
        record = self._record_of(node) if node else None
        if node is None or record is None:
            raise not_found(f"no member or guest has the id {text!r}")
        view = self._peer.membership.view(node)
        shape = node_shape(node, record, view)
        if view is not None:
            shape["verdict"] = verdict_shape(view)
        experience = self._context.driver.reachability.of(Address(record.host, record.port))
        if experience is not None:
            shape["reachability"] = reachability_shape(experience)
            account = self._peer.credit.of(node, now=instant().mono_s)
            shape["repair"] = credit_shape(account)
        return json_response(200, shape, side)

    async def join(self, request: Request) -> Response:
        """`POST /v1/peers`."""
        request.query.check_known()
        fields = Fields(request.json_object(), ("address",))
        address = _address_of(fields)
        answered = False
        with trio.move_on_after(JOIN_S):
            answered = await self._context.driver.join(address)
        if not answered:
            raise ApiError(
                408, "timeout", f"no node of this cluster answered at {address}; is it the gossip "
                "address (not the HTTP one), and is the node there up?", "address",
            )  # fmt: skip
        members = len(self._peer.membership.members())
        return json_response(200, {"address": str(address), "joined": True, "members": members})

    async def forget(self, request: Request) -> Response:
        """`DELETE /v1/peers/{id}`."""
        request.query.check_known()
        text = request.params["id"]
        if self._guests.knows(text):
            version = await self._guests.remove(text)
            return json_response(200, {"id": text, "status": "forgotten", "version": version})
        node = node_of(text)
        view = self._peer.membership.view(node) if node else None
        if node is None or view is None:
            raise not_found(f"no member or guest has the id {text!r}")
        if node == self._me or view.status not in FORGETTABLE:
            state = "this node itself" if node == self._me else view.status.value
            raise ApiError(
                409, "conflict", f"that member is {state}; only one that is unreachable, dead or "
                "left can be forgotten", "id",
            )  # fmt: skip
        word = ForgetRecord(node=node, incarnation=view.incarnation, asked_at=_wall_us())
        changes = {key_of(word): word}
        dot = await commit(self._context.driver, changes, priority=Priority.CRITICAL)
        return json_response(200, {"id": text, "status": "forgotten", "version": dot.version})

    def _everybody(self) -> Iterator[dict[str, Json]]:
        for node in self._peer.membership.members():
            record = self._record_of(node)
            if record is not None:
                yield node_shape(node, record, self._peer.membership.view(node))
        for guest in self._guests.all_settled():
            yield guest_shape(guest)

    def _record_of(self, node: NodeId) -> NodeRecord | None:
        return self._peer.record if node == self._me else self._peer.registry.node(node)

    def _node_response(self) -> Response:
        peer, context = self._peer, self._context
        counts = {status.value: count for status, count in peer.membership.counts().items()}
        counts[Status.ALIVE.value] += 1
        partition, since = peer.membership.partition().value, peer.episodes.side_since
        reached, known = peer.membership.reach()
        agreement = peer.divergence.state(now=trio.current_time())
        shape: dict[str, Json] = {
            **node_shape(self._me, peer.record, peer.membership.view(self._me)),
            "cluster": context.config.cluster,
            "stage": context.lifecycle.stage.value,
            "ready": peer.ready,
            "started_at": format_us(context.started_at_us),
            "root": peer.registry.root.hex(),
            "head": self._head_version(),
            "members": counts,
            "guests": sum(1 for _ in peer.registry.guests()),
            "partition": partition,
            "partition_since": format_us(since.wall_us) if since else None,
            "reached": reached,
            "known": known,
            "agreement": {
                "equal": agreement.equal,
                "differing": agreement.differing,
                "since": format_us(agreement.since.wall_us) if agreement.since else None,
            },
        }
        return json_response(200, shape, (("X-Kith-Partition", partition),))

    def _head_version(self) -> int:
        branch = self._peer.registry.branch(self._me)
        return branch.dot.version if branch else 0


def _address_of(fields: Fields) -> Address:
    text = fields.required_text("address")
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or not host:
        fields.refuse("address", f"{text[:64]!r} is not HOST:PORT, such as 10.0.0.7:8401")
    try:
        rules.check_host("address", host)
        rules.check_port("address", int(port[:6]))
    except ProposalError as error:
        raise refused(error.field, error.message) from None
    return Address(host, int(port))


def _check_word(name: str, value: str | None, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        raise invalid_field(
            name, f"{name}: {value[:32]!r} is unknown; use one of {', '.join(words)}"
        )


def _wall_us() -> int:
    return time.time_ns() // 1_000
