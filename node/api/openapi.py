"""`GET /openapi.json`: the contract, written from the table that the routes come from."""

from collections.abc import Mapping, Sequence

import orjson

from node.http import PARAMETER_MAX, Request, Response, SyncRoute
from node.version import VERSION

from .schemas import NAME, NODE_ID, SCHEMAS
from .table import Endpoint

_VERSION = "3.1.0"
_JSON = "application/json"


def endpoint(others: Sequence[Endpoint], *, is_secured: bool) -> Endpoint:
    """The route of the contract itself, for all other routes and this one.

    `is_secured`: whether this node wants a secret; a contract that asks for what nobody checks
    would be wrong.
    """
    made: list[Response] = []

    def show(request: Request) -> Response:
        request.query.check_known()
        return made[0]

    own = Endpoint(
        route=SyncRoute("GET", "/openapi.json", show), summary="This contract, as OpenAPI 3.1."
    )
    made.append(Response(200, orjson.dumps(document((*others, own), is_secured=is_secured))))
    return own


def document(endpoints: Sequence[Endpoint], *, is_secured: bool = True) -> dict[str, object]:
    """The contract as OpenAPI."""
    paths: dict[str, dict[str, object]] = {}
    for one in endpoints:
        paths.setdefault(one.route.pattern, {})[one.route.method.lower()] = _operation(one)
    return {
        "openapi": _VERSION,
        "info": {
            "title": "Kith",
            "version": VERSION,
            "description": "A service registry without servers: the API of one node.",
        },
        "security": [{"secret": []}] if is_secured else [],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"secret": {"type": "http", "scheme": "bearer"}},
            "responses": {"Error": _content("What went wrong, in the one shape.", "Error")},
        },
    }


def _operation(one: Endpoint) -> dict[str, object]:
    operation: dict[str, object] = {
        "summary": one.summary,
        "operationId": _operation_id(one),
        "parameters": _parameters(one),
        "responses": _responses(one),
    }
    if one.body is not None:
        content = {_JSON: {"schema": _reference(one.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    if one.route.open:
        operation["security"] = []
    return operation


def _operation_id(one: Endpoint) -> str:
    words = one.route.pattern.replace("{", "").replace("}", "").replace(".", "/").split("/")
    return "_".join([one.route.method.lower(), *(word for word in words if word)])


def _parameters(one: Endpoint) -> list[dict[str, object]]:
    segments = one.route.pattern.split("/")
    names = [segment[1:-1] for segment in segments if segment.startswith("{")]
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _in_path(one, name)}
        for name in names
    ]
    in_query = [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.what,
            "schema": parameter.schema,
        }
        for parameter in one.query
    ]
    return [*in_path, *in_query]


def _in_path(one: Endpoint, name: str) -> Mapping[str, object]:
    if name == "id" and one.route.pattern.startswith("/v1/owners/"):
        return NODE_ID
    if one.route.pattern.startswith("/v1/documents/"):
        return NAME
    # No slash, and nothing that does not print; names that cannot be are merely not found.
    visible = "^[^\\x00-\\x1f\\x7f/\\\\]+$"
    return {"type": "string", "minLength": 1, "maxLength": PARAMETER_MAX, "pattern": visible}


def _responses(one: Endpoint) -> dict[str, object]:
    responses: dict[str, object] = {}
    for status, what in one.answers.items():
        if status < 300 and one.media is not None:
            content = {one.media: {"schema": {"type": "string"}}}
            responses[str(status)] = {"description": what, "content": content}
        elif status < 300 or (status == 503 and one.answer == "Readiness"):
            responses[str(status)] = _content(what, one.answer) if one.answer else _plain(what)
        elif status == 304:
            responses[str(status)] = _plain(what)
        else:
            responses[str(status)] = _content(what, "Error")
    responses["default"] = {"$ref": "#/components/responses/Error"}
    return responses


def _content(what: str, schema: str) -> dict[str, object]:
    return {"description": what, "content": {_JSON: {"schema": _reference(schema)}}}


def _plain(what: str) -> dict[str, object]:
    return {"description": what}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
