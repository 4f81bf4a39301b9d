"""Requests as handlers see them, responses as handlers make them.

Rules this module keeps:

1. A request is complete and checked before a handler sees it; nothing in it is still on the wire.
2. Header names are lower case; a path and a query are percent-decoded exactly once.
3. What a request shares with the next one of its connection (headers, query) is read-only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import orjson

from .errors import ApiError, Headers, invalid_field, malformed

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a query string, in the order they came."""

    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """The value of a parameter, or None if it is absent.

        Raises:
            ApiError: 400, it was given more than once, so that no two readers differ on its value.
        """
        values = self.all(name)
        if len(values) > 1:
            raise invalid_field(name, f"query parameter {name!r} is given {len(values)} times")
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return [value for key, value in self.pairs if key == name]

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        """A whole number in `low..high`.

        Raises:
            ApiError: 400, the value is none, or out of range.
        """
        text = self.get(name)
        if text is None:
            return default
        # int() also takes "1_0", " 1" and digits of other scripts; a number has one spelling here.
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise invalid_field(name, f"{name} is {text[:32]!r}; a whole number is needed")
        if not low <= int(text) <= high:
            raise invalid_field(name, f"{name} is {text}; it must be in {low}..{high}")
        return int(text)

    def check_known(self, *names: str, prefix: str | None = None) -> None:
        """Refuse misspelt parameters instead of ignoring them.

        Args:
            names: The parameters that the handler reads.
            prefix: Further ones are allowed when they start so, as `meta.` does.

        Raises:
            ApiError: 400, naming the unknown parameter and the known ones.
        """
        for key, _ in self.pairs:
            if key not in names and not (prefix and key.startswith(prefix)):
                known = ", ".join(names) or "none"
                raise invalid_field(
                    key[:64], f"unknown query parameter {key[:64]!r}; known: {known}"
                )


EMPTY_QUERY = Query()


class Request(NamedTuple):
    """One complete request. A named tuple, as `Head` is."""

    method: str
    """As sent, but GET for a HEAD request: the server drops the body."""
    path: str
    """Percent-decoded, starting with a slash, without empty, `.` or `..` segments."""
    query: Query = EMPTY_QUERY
    headers: Mapping[str, str] = _NOTHING
    """By lower-case name; repeated list headers are joined by a comma."""
    body: bytes = b""
    client: str = ""
    """The address of the other end, without port."""
    request_id: str = ""
    params: Mapping[str, str] = _NOTHING
    """The values of the `{names}` in the route's pattern, percent-decoded."""

    def json(self) -> object:
        """The body as JSON.

        Raises:
            ApiError: 415, it is not declared as `application/json`, which a foreign web page could
                not do without asking first, or is compressed; 400 `malformed_body`, it is no JSON.
        """
        declared = self.headers.get("content-type", "")
        is_json = declared == JSON_TYPE or declared.partition(";")[0].strip().lower() == JSON_TYPE
        if not is_json:
            message = f"content type is {declared[:64]!r}; send Content-Type: {JSON_TYPE}"
            raise ApiError(415, "unsupported_media_type", message, "content-type")
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            message = "compressed bodies are not read; send the JSON as it is"
            raise ApiError(415, "unsupported_media_type", message, "content-encoding")
        try:
            value: object = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise malformed(f"the body is no JSON: {error}") from None
        return value

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object.

        Raises:
            ApiError: as for `json`; 400 `malformed_body`, it is another kind of JSON value.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise malformed("the body must be a JSON object: {…}")
        return value


class Kept:
    """Goes with a response that is given again: its first lines, once they are encoded."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines = b""


class Response(NamedTuple):
    """One answer, its body complete. A named tuple, as `Request` is.

    The server adds X-Request-Id, X-Kith-Node, Content-Length and, where needed, Connection.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Headers = ()
    kept: Kept | None = None
    """For whoever keeps this very response to give it again."""


def fitted(written: bytes) -> bytes:
    """The same bytes in no more memory than they need.

    orjson leaves what it wrote in the buffer in which it wrote it, 4 KiB and more: whoever keeps it
    keeps a copy.
    """
    return bytes(memoryview(written))


def json_response(status: int, value: object, headers: Headers = ()) -> Response:
    """An answer of JSON.

    Raises:
        TypeError: `value` cannot be written as JSON; a bug of the caller.
    """
    return Response(
        status, orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE), JSON_TYPE, headers
    )


def text_response(status: int, text: str, content_type: str = TEXT_TYPE) -> Response:
    """An answer of UTF-8 text."""
    return Response(status, text.encode(), content_type)


def error_response(error: ApiError, request_id: str) -> Response:
    """The one error shape."""
    return Response(error.status, error.encode(request_id), JSON_TYPE, error.headers)
