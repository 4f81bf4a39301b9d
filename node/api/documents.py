"""`/v1/documents` and `/v1/conflicts`: documents with several writers, and what is in conflict."""

from collections.abc import Mapping
from typing import cast

from node.agreement.documents import Conditions, Documents, Make, etag_of
from node.agreement.vouching import Settled, said
from node.context import NodeContext
from node.guests import Guests
from node.http import Request, Response, Route, SyncRoute, json_response, not_found
from node.http.errors import Headers
from node.times import format_us
from protocol import limits, rules
from protocol.agreement import documents
from protocol.agreement.documents import Document
from protocol.errors import MalformedError, ProposalError
from protocol.identity import NodeId, id_text, parse_id, short_id
from protocol.wire import json_text

from .confirming import (
    CONFIRM,
    HANDLER_S,
    PARAMETERS,
    UNCONFIRMED,
    Confirming,
    in_time,
)
from .fields import Fields, refused
from .reading import request_of
from .shapes import Json
from .table import FLAG, Endpoint, Parameter

DOCUMENT_FIELDS = ("value", "owners", "update_id")
_ONE = "/v1/documents/{key}"
_OUTCOMES = {
    **UNCONFIRMED,
    412: "If-Match or If-None-Match does not hold.",
    403: "Another node owns it.",
}


class DocumentRoutes:
    """The handlers of `/v1/documents` and `/v1/conflicts`."""

    def __init__(
        self, context: NodeContext, held: Documents, guests: Guests, confirming: Confirming
    ) -> None:
        self._peer = context.peer
        self._me = context.me
        self._held = held
        self._guests = guests
        self._confirming = confirming

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/documents", self.overview),
                summary="All documents, whether each is in conflict, and when it was written.",
                query=(
                    Parameter(
                        "conflict", "`true` or `false`: only such as are, or are not.", schema=FLAG
                    ),
                ),
                answer="Documents",
            ),
            Endpoint(
                route=SyncRoute("GET", _ONE, self.show),
                summary="One document, with the siblings of fields in conflict.",
                answers={200: "The document.", 304: "Nothing changed since that ETag."},
                answer="Document",
            ),
            Endpoint(
                route=Route("PUT", _ONE, self.put, handler_s=HANDLER_S),
                summary="Write a whole document; it descends from all that this node holds.",
                query=CONFIRM,
                body="DocumentPut",
                answers={200: "Written, or unchanged.", 201: "New.", **_OUTCOMES},
                answer="Document",
            ),
            Endpoint(
                route=Route("PATCH", _ONE, self.patch, handler_s=HANDLER_S),
                summary="Change fields of a document, as a JSON merge patch (RFC 7396).",
                query=CONFIRM,
                body="DocumentPatch",
                answers={200: "Written, or unchanged.", 201: "New.", **_OUTCOMES},
                answer="Document",
            ),
            Endpoint(
                route=Route("DELETE", _ONE, self.delete, handler_s=HANDLER_S),
                summary="Delete what this node sees of a document; a write beside it survives.",
                query=CONFIRM,
                answers={200: "Deleted.", **_OUTCOMES},
                answer="DocumentDeleted",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/conflicts", self.conflicts),
                summary="All documents in conflict, and all guests on whom hosts disagree.",
                answer="Conflicts",
            ),
        )

    def overview(self, request: Request) -> Response:
        """`GET /v1/documents`."""
        request.query.check_known("conflict")
        wanted = request.query.get("conflict")
        if wanted not in (None, "true", "false"):
            raise refused("conflict", f"{wanted[:32]!r} is neither true nor false")
        rows: list[Json] = [
            {
                "key": one.key,
                "etag": etag_of(one),
                "conflict": bool(one.conflicts),
                "last_updated": format_us(one.updated_at),
            }
            for one in self._held.all()
            if wanted is None or (wanted == "true") == bool(one.conflicts)
        ]
        return json_response(200, {"documents": rows}, self._side())

    def show(self, request: Request) -> Response:
        """`GET /v1/documents/{key}`."""
        request.query.check_known()
        document = self._held.find(_key(request))
        if not document.exists:
            raise not_found(f"there is no document {document.key!r}")
        etag = etag_of(document)
        tags = _tags(request, "if-none-match")
        if tags is not None and {"*", etag}.intersection(tags):
            return Response(304, headers=self._tagged(document))
        return json_response(200, self._shape(document), self._tagged(document))

    async def put(self, request: Request) -> Response:
        """`PUT /v1/documents/{key}`."""
        fields = Fields(request.json_object(), DOCUMENT_FIELDS)
        fields.require("value")
        wanted = _values(fields)

        def make(before: Document) -> Mapping[str, bytes | None]:
            return documents.changes(before, wanted)

        return await self._write(request, fields, make)

    async def patch(self, request: Request) -> Response:
        """`PATCH /v1/documents/{key}`."""
        fields = Fields(request.json_object(), DOCUMENT_FIELDS)
        _values(fields)  # each part has to be a value of its own
        patch = fields.mapping("value")

        def make(before: Document) -> Mapping[str, bytes | None]:
            return _patched(before, patch)

        return await self._write(request, fields, make)

    async def delete(self, request: Request) -> Response:
        """`DELETE /v1/documents/{key}`."""
        request.query.check_known(*PARAMETERS)
        key = _key(request)
        with self._confirming.wish(request) as wish:
            with in_time():
                version = await self._held.delete(key, _conditions(request))
            shape = {"key": key, "status": "deleted", "version": version}
            return await self._confirming.answer(200, shape, version, wish, self._side())

    def conflicts(self, request: Request) -> Response:
        """`GET /v1/conflicts`."""
        request.query.check_known()
        held: list[Json] = [
            {"key": one.key, "etag": etag_of(one), "conflicts": self._conflicts(one)}
            for one in self._held.all()
            if one.conflicts
        ]
        guests: list[Json] = [
            {"id": one.record.id, "resolution": resolution_shape(one)}
            for one in self._guests.all_settled()
            if one.resolution.is_contested and one.resolution.rule != "owner"
        ]
        return json_response(200, {"documents": held, "guests": guests}, self._side())

    async def _write(self, request: Request, fields: Fields, make: Make) -> Response:
        request.query.check_known(*PARAMETERS)
        key = _key(request)
        asked = request_of(request.json_object(), f"{request.method} document {key}")
        owners = _owners(fields, self._me)
        with self._confirming.wish(request) as wish:
            with in_time():
                done = await self._held.write(key, make, owners, _conditions(request), asked)
            document = self._held.find(key)
            shape = {
                **self._shape(document), "version": done.version, "update_id": done.update_id
            }  # fmt: skip
            status, headers = 201 if done.created else 200, self._tagged(document)
            return await self._confirming.answer(status, shape, done.version, wish, headers)

    def _tagged(self, document: Document) -> Headers:
        return (*self._side(), ("ETag", etag_of(document)))

    def _shape(self, document: Document) -> dict[str, Json]:
        return {
            "key": document.key,
            "value": {name: _json(value) for name, value in document.values().items()},
            "etag": etag_of(document),
            "context": {
                id_text(writer): counter
                for writer, counter in sorted(document.state.context.items())
            },
            "conflict": bool(document.conflicts),
            "conflicts": self._conflicts(document),
            "owners": [id_text(owner) for owner in document.owners],
            "owners_rule": document.settled.rule,
            "ignored": [self._named(node) for node in document.ignored],
            "last_updated": format_us(document.updated_at),
        }

    def _conflicts(self, document: Document) -> list[Json]:
        return [
            {
                "field": name,
                "rule": decided.rule,
                "siblings": [
                    {
                        "value": _json(one.value),
                        **self._named(one.writer),
                        "written_at": format_us(one.written_at),
                        "shown": one.value == decided.value,
                    }
                    for one in document.fields[name]
                ],
            }
            for name, decided in document.conflicts.items()
        ]

    def _named(self, node: NodeId) -> dict[str, Json]:
        record = self._peer.registry.node(node)
        return {"writer": id_text(node), "node": record.name if record else short_id(node)}

    def _side(self) -> Headers:
        return (("X-Kith-Partition", self._peer.membership.partition().value),)


def resolution_shape(settled: Settled) -> dict[str, Json]:
    """How it was decided which host's word on a guest counts."""
    result, guest = settled.resolution, settled.record.id
    votes: list[Json] = []
    for one in result.votes:
        record = said(guest, one.value)
        votes.append(
            {
                "address": record.address,
                "metrics_port": record.metrics_port,
                "node_type": record.node_type.value,
                "is_load_balancer": record.is_load_balancer,
                "capabilities": list(record.capabilities),
                "hosts": [id_text(host) for host in one.voters],
            }
        )
    return {
        "rule": result.rule,
        "entitled": result.entitled,
        "votes": votes,
        "discrepancies": [
            {"host": id_text(one.voter), "blame": one.blame} for one in result.discrepancies
        ],
    }


def _key(request: Request) -> str:
    key = request.params["key"]
    try:
        rules.check_name("key", key)
    except ProposalError as error:
        raise refused(error.field, error.message) from None
    return key


def _values(fields: Fields) -> dict[str, bytes]:
    """Each top-level field as canonical JSON.

    Raises:
        ApiError: 400, naming the field.
    """
    found: dict[str, bytes] = {}
    if fields.is_null("value"):
        fields.refuse("value", "cannot be null; DELETE removes a document")
    for name, value in fields.mapping("value").items():
        place = f"value.{name[:64]}"
        try:
            rules.check_text(place, name, most=limits.NAME_MAX)
            found[name] = json_text.write(value)
        except ProposalError as error:
            raise refused(error.field, error.message) from None
        except MalformedError as error:
            raise refused(place, error.reason) from None
        if not name:
            raise refused("value", "has a field without a name; give each a name")
    return found


def _patched(before: Document, patch: Mapping[str, object]) -> Mapping[str, bytes | None]:
    """What a merge patch changes, field by field."""
    values = before.values()
    changed: dict[str, bytes | None] = {}
    for name, part in patch.items():
        old = values.get(name)
        if part is None:
            if old is not None:
                changed[name] = None
            continue
        new = json_text.write(merged(json_text.read(old) if old is not None else None, part))
        if new != old or name in before.conflicts:
            changed[name] = new
    return changed


def merged(target: object, patch: object) -> object:
    """A value after a merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return patch
    result: dict[str, object] = dict(target) if isinstance(target, dict) else {}
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), part)
    return result


def _owners(fields: Fields, me: NodeId) -> tuple[NodeId, ...] | None:
    """The list of owners that a request names; None: it says nothing of them."""
    if not fields.has("owners"):
        return None
    found: list[NodeId] = []
    for number, text in enumerate(fields.texts("owners")):
        try:
            found.append(me if text == "self" else parse_id(text))
        except MalformedError:
            fields.refuse(
                f"owners[{number}]", f"{text[:64]!r} is no node id; give all 52 characters, or self"
            )
    return tuple(sorted(dict.fromkeys(found)))


def _conditions(request: Request) -> Conditions:
    return Conditions(_tags(request, "if-match"), _tags(request, "if-none-match"))


def _tags(request: Request, header: str) -> tuple[str, ...] | None:
    text = request.headers.get(header)
    if text is None:
        return None
    return tuple(one.strip().removeprefix("W/") for one in text.split(","))


def _json(raw: bytes) -> Json:
    return cast(Json, json_text.read(raw))
