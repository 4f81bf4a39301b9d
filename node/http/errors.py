"""What goes wrong over HTTP, as one exception and one shape.

A handler raises `ApiError`; the server turns it into
`{"error": {"code", "message", "field", "definite", "request_id"}}`. `definite` says whether the
change surely did not happen: a caller may repeat a definite failure without a second thought.

Rules this module keeps:

1. Every code has exactly one status: `STATUS_OF` is the whole table, and clients match on codes.
2. A message names the field, the value and the remedy; it never holds a traceback or a secret.
"""

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Literal, Self, TypeAlias

import orjson

Code: TypeAlias = Literal[
    "invalid_field",
    "malformed_body",
    "unauthenticated",
    "forbidden",
    "not_owner",
    "not_found",
    "method_not_allowed",
    "timeout",
    "stale_version",
    "conflict",
    "precondition_failed",
    "too_large",
    "unsupported_media_type",
    "rate_limited",
    "internal",
    "minority",
    "overloaded",
    "disk_full",
    "shutting_down",
]

STATUS_OF: Mapping[Code, int] = MappingProxyType(
    {
        "invalid_field": 400,
        "malformed_body": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "not_owner": 403,
        "not_found": 404,
        "method_not_allowed": 405,
        "timeout": 408,
        "stale_version": 409,
        "conflict": 409,
        "precondition_failed": 412,
        "too_large": 413,
        "unsupported_media_type": 415,
        "rate_limited": 429,
        "internal": 500,
        "minority": 503,
        "overloaded": 503,
        "disk_full": 503,
        "shutting_down": 503,
    }
)
"""The status that each code travels with."""

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Header fields in the order they are sent."""


class ApiError(Exception):
    """A request was refused or failed; the caller is told `code`, `message` and `field`.

    State after: with `definite` nothing has changed; without, the change may have happened and
    the caller should repeat it with the same update id.

    Raises:
        ValueError: `status` is not the one of `code`; a bug of whoever raises it.
    """

    def __init__(
        self,
        status: int,
        code: Code,
        message: str,
        field: str | None = None,
        *,
        definite: bool = True,
        headers: Headers = (),
    ) -> None:
        super().__init__(message)
        if STATUS_OF.get(code) != status:
            raise ValueError(f"code {code!r} does not travel with status {status}")
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.definite = definite
        self.headers = headers
        self.details: dict[str, str] = {}

    def with_detail(self, name: str, value: str) -> Self:
        """Add one more member to the error object, such as `owner_address` to `not_owner`."""
        self.details[name] = value
        return self

    def shape(self, request_id: str) -> dict[str, object]:
        """The members of the one error shape, and details before them."""
        shape = {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "definite": self.definite,
            "request_id": request_id,
        }
        return {**self.details, **shape}

    def encode(self, request_id: str) -> bytes:
        """The one error shape as JSON."""
        error = {"error": self.shape(request_id)}
        return orjson.dumps(error, option=orjson.OPT_APPEND_NEWLINE)


def invalid_field(field: str, message: str) -> ApiError:
    """400: one field has a value that cannot be; nothing was done."""
    return ApiError(400, "invalid_field", message, field)


def malformed(message: str, field: str | None = None) -> ApiError:
    """400: the request or its body cannot be read; nothing was done."""
    return ApiError(400, "malformed_body", message, field)


def too_large(field: str, message: str) -> ApiError:
    """413: a part of the request exceeds its limit; nothing was done."""
    return ApiError(413, "too_large", message, field)


def rate_limited(wait_s: float) -> ApiError:
    """429: this client asks more often than one client may; nothing was done."""
    message = "too many requests from your address; wait as long as Retry-After says, and watch "
    message += "(index= and wait=) instead of asking again and again"
    # Rounded up: whoever comes back then is served.
    return ApiError(429, "rate_limited", message, headers=(("Retry-After", str(ceil(wait_s))),))


def not_found(message: str) -> ApiError:
    """404: there is nothing of that name here."""
    return ApiError(404, "not_found", message)


def internal_error() -> ApiError:
    """500: a bug of ours; the details are in the log under the request id, not in the answer."""
    message = "the node failed to answer; its log tells why, under this request id"
    return ApiError(500, "internal", message, definite=False)


def handler_timed_out(seconds: float) -> ApiError:
    """408: a handler exceeded its route's bound; whether it changed anything is not known."""
    message = f"not done within {seconds:g} s; look whether it happened, or repeat it"
    return ApiError(408, "timeout", message, definite=False)
