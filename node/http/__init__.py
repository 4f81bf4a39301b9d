"""A small HTTP/1.1 server on trio: parser loop, limits, router, the one error shape."""

from .capacity import connections_within, open_files_max, raise_open_files
from .dispatch import Answered, Guard, Hooks, Observe
from .errors import (
    STATUS_OF,
    ApiError,
    Code,
    internal_error,
    invalid_field,
    malformed,
    not_found,
    too_large,
)
from .later import Deferred, End, Outlet, StreamResponse, StreamSource
from .limits import HttpLimits
from .messages import Query, Request, Response, error_response, json_response, text_response
from .router import PARAMETER_MAX, AnyAnswer, AnyRoute, Match, Route, Router, SyncRoute
from .server import HttpServer

__all__ = (
    "PARAMETER_MAX",
    "STATUS_OF",
    "Answered",
    "AnyAnswer",
    "AnyRoute",
    "ApiError",
    "Code",
    "Deferred",
    "End",
    "Guard",
    "Hooks",
    "HttpLimits",
    "HttpServer",
    "Match",
    "Observe",
    "Outlet",
    "Query",
    "Request",
    "Response",
    "Route",
    "Router",
    "StreamResponse",
    "StreamSource",
    "SyncRoute",
    "connections_within",
    "error_response",
    "internal_error",
    "invalid_field",
    "json_response",
    "malformed",
    "not_found",
    "open_files_max",
    "raise_open_files",
    "text_response",
    "too_large",
)
