"""From a request to the bytes of its answer: routing, the guard, the handler, the error shape.

Rules this module keeps:

1. Whatever a handler raises becomes an answer; a traceback goes to the log, never to the caller.
2. What was answered is reported once, after the answer was made, with the route's pattern, so that
   metrics have as many series as there are routes, whatever paths clients invent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import trio

from .errors import ApiError, handler_timed_out, internal_error
from .head import Head, request_id_of
from .later import Deferred, StreamResponse
from .messages import EMPTY_QUERY, Request, Response, error_response
from .router import AnyAnswer, AnyRoute, AtOnce, Match, Route, Router

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
NO_ROUTE = "-"
"""What stands for the pattern of a request that met no route."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One request and how it was answered: a line of the access log."""

    method: str
    pattern: str
    path: str
    status: int
    seconds: float
    """From the complete request to the complete answer, in the server."""
    client: str
    request_id: str


Answer: TypeAlias = tuple[Response, str]
"""A response and the id of its request."""
Resolved: TypeAlias = Match | ApiError
Guard: TypeAlias = Callable[[Request, AnyRoute], ApiError | None]
Observe: TypeAlias = Callable[[str, str, int, float | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the server calls on the way. None of them may wait or raise."""

    guard: Guard | None = None
    """Judges a request before its handler runs, with the route's `open` flag at hand; what it
    returns is answered instead."""
    observe: Observe | None = None
    """Told method, route pattern, status and seconds of each answer: for metrics. No seconds where
    the answer was to come later: how long that took says nothing about the server."""
    answered: Callable[[Answered], None] | None = None
    """Told of each answer: for the access log."""
    failed: Callable[[str, Exception], None] | None = None
    """Told the request id and the exception when a handler breaks: for the error log."""


class Pending(NamedTuple):
    """A request whose handler has to be awaited."""

    head: Head
    request: Request
    route: Route
    started: float


class Later(NamedTuple):
    """A request that was put off: no more of it than its answer will need, for many may wait."""

    head: Head
    """Without headers and query, unless the answer comes soon."""
    what: Deferred | StreamResponse
    route: AnyRoute
    client: str
    request_id: str
    started: float


class Dispatcher:
    """Answers requests; one for the whole server.

    Args:
        router: The table of routes.
        request_id_prefix: What the ids of requests that bring none start with; drawn at random
            per process, so that ids of two lives of a node differ.
        hooks: See `Hooks`.
    """

    def __init__(self, router: Router, *, request_id_prefix: str, hooks: Hooks) -> None:
        self._router = router
        self._hooks = hooks
        self._prefix = request_id_prefix
        self._count = 0

    def new_request_id(self) -> str:
        """An id for a request that brought none."""
        self._count += 1
        return f"{self._prefix}-{self._count:x}"

    def resolve(self, head: Head) -> Resolved:
        """The route for a head, or why there is none. Depends on the head alone."""
        try:
            return self._router.match(head.method, head.path)
        except ApiError as error:
            return error

    def begin(
        self, head: Head, body: bytes, resolved: Resolved, client: str
    ) -> Answer | Pending | Later:
        """Answer at once, unless the handler has to be awaited: then `finish` does.

        Of an answer that comes later `finished` has to be told.
        """
        started = perf_counter()
        request_id = request_id_of(head) or self.new_request_id()
        if isinstance(resolved, ApiError):
            response = error_response(resolved, request_id)
            self._report(head, None, (response, request_id), client, started)
            return response, request_id
        route = resolved.route
        method = "GET" if head.method == "HEAD" else head.method
        params = resolved.params
        request = Request(
            method, head.path, head.query, head.headers, body, client, request_id, params
        )
        refusal = self._judge(request, route)
        if refusal is not None:
            response = refusal
        else:
            at_once = route.at_once if isinstance(route, Route) else route.handler
            answer = None if at_once is None else self._call(at_once, request)
            if isinstance(answer, Response):
                response = answer
            elif answer is not None:
                return Later(_slim(head, answer), answer, route, client, request_id, started)
            else:
                assert isinstance(route, Route)  # others always answer
                return Pending(head, request, route, started)
        self._report(head, route, (response, request_id), client, started)
        return response, request_id

    async def finish(self, pending: Pending) -> Answer:
        """Await the handler: its response, or the error that it ended with."""
        request = pending.request
        response = await self._wait_for(pending.route, request)
        answer = response, request.request_id
        self._report(pending.head, pending.route, answer, request.client, pending.started)
        return answer

    def finished(self, later: Later, status: int) -> None:
        """What came later is answered, or over."""
        hooks, head = self._hooks, later.head
        if hooks.observe is not None:
            is_soon = isinstance(later.what, Deferred) and later.what.is_soon
            seconds = perf_counter() - later.started if is_soon else None
            hooks.observe(head.method, later.route.pattern, status, seconds)
        if hooks.answered is not None:
            seconds = perf_counter() - later.started
            hooks.answered(
                Answered(
                    head.method, later.route.pattern, head.path, status, seconds,
                    later.client, later.request_id,
                )
            )  # fmt: skip

    def report_failure(self, request_id: str, error: Exception) -> None:
        """Log what must not happen; the caller hears `internal` and the request id."""
        if self._hooks.failed is not None:
            self._hooks.failed(request_id, error)

    def _judge(self, request: Request, route: AnyRoute) -> Response | None:
        guard = self._hooks.guard
        if guard is None:
            return None
        try:
            refusal = guard(request, route)
        except Exception as error:
            # A guard that breaks must let nobody in.
            return self._broken(request, error)
        return None if refusal is None else error_response(refusal, request.request_id)

    def _call(self, handler: AtOnce, request: Request) -> AnyAnswer | None:
        try:
            return handler(request)
        except ApiError as error:
            return error_response(error, request.request_id)
        except Exception as error:  # rule 1
            return self._broken(request, error)

    async def _wait_for(self, route: Route, request: Request) -> Response:
        try:
            if route.handler_s is None:
                return await route.handler(request)
            with trio.move_on_after(route.handler_s):
                return await route.handler(request)
            return error_response(handler_timed_out(route.handler_s), request.request_id)
        except ApiError as error:
            return error_response(error, request.request_id)
        except Exception as error:  # rule 1
            return self._broken(request, error)

    def _broken(self, request: Request, error: Exception) -> Response:
        self.report_failure(request.request_id, error)
        return error_response(internal_error(), request.request_id)

    def report_unreadable(self, status: int) -> None:
        """Count an answer to what never became a request, under no method and no route."""
        if self._hooks.observe is not None:
            self._hooks.observe(NO_ROUTE, NO_ROUTE, status, 0.0)

    def _report(
        self, head: Head, route: AnyRoute | None, answer: Answer, client: str, started: float
    ) -> None:
        hooks, (response, request_id) = self._hooks, answer
        if hooks.observe is None and hooks.answered is None:
            return
        seconds = perf_counter() - started
        pattern = NO_ROUTE if route is None else route.pattern
        if hooks.observe is not None:
            hooks.observe(head.method, pattern, response.status, seconds)
        if hooks.answered is not None:
            hooks.answered(
                Answered(
                    head.method, pattern, head.path, response.status, seconds, client, request_id
                )
            )


def _slim(head: Head, answer: Deferred | StreamResponse) -> Head:
    if isinstance(answer, Deferred) and answer.is_soon:
        return head
    return head._replace(headers=_NO_HEADERS, query=EMPTY_QUERY)
