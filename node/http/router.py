"""Which handler answers which request: a table, matched without searching.

Rules this module keeps:

1. Paths without parameters are found by one dictionary lookup; they win over patterns.
2. A pattern is matched segment by segment, each step one dictionary lookup, without going back:
   tables in which a literal and a `{parameter}` compete for one place are refused when built.
   Where all but a last parameter are literals, as in a lookup's path, one lookup does for them all.
3. Clients never bring patterns; there is no regular expression.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from .errors import ApiError, invalid_field, not_found
from .later import Deferred, StreamResponse
from .messages import Request, Response

PARAMETER_MAX = 128
"""Characters in one path parameter: the longest name there is (`protocol.limits.NAME_MAX`)."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""What a route may answer; HEAD and OPTIONS follow from it."""

AsyncHandler: TypeAlias = Callable[[Request], Awaitable[Response]]
AnyAnswer: TypeAlias = Response | Deferred | StreamResponse
"""An answer, or the promise of one: see `later`."""
SyncHandler: TypeAlias = Callable[[Request], AnyAnswer]
AtOnce: TypeAlias = Callable[[Request], AnyAnswer | None]
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Route:
    """A handler that may wait."""

    method: str
    pattern: str
    """Such as `/v1/services/{name}`; a parameter is a whole segment."""
    handler: AsyncHandler
    open: bool = field(default=False, kw_only=True)
    """Served to callers that are not authenticated; the guard decides, this only tells it."""
    handler_s: float | None = field(default=None, kw_only=True)
    """Seconds after which the handler is cancelled and 408 `timeout` answered; None: no bound."""
    at_once: AtOnce | None = field(default=None, kw_only=True)
    """Asked first: it answers what needs no task that waits, and has done nothing if it returns
    None."""
    body_bytes_max: int | None = field(default=None, kw_only=True)
    """Bytes of a body, in place of the server's own limit."""


@dataclass(frozen=True, slots=True)
class SyncRoute:
    """A handler that never waits: for lookups, where even starting a coroutine shows."""

    method: str
    pattern: str
    handler: SyncHandler
    open: bool = field(default=False, kw_only=True)
    """As in `Route`."""


AnyRoute: TypeAlias = Route | SyncRoute


class Match(NamedTuple):
    """The route for a request, and what its parameters stand for."""

    route: AnyRoute
    params: Mapping[str, str]


@dataclass(slots=True)
class _Place:
    """All routes of one pattern, and the segments that may follow."""

    routes: dict[str, AnyRoute] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    literals: "dict[str, _Place]" = field(default_factory=dict)
    parameter: "_Place | None" = None


class Router:
    """The table of routes.

    Raises:
        ValueError: a route has an unknown method or a bad pattern, or two compete; a bug of ours.
    """

    def __init__(self, routes: Iterable[AnyRoute]) -> None:
        self._static: dict[str, _Place] = {}
        self._root = _Place()
        self._tails: dict[str, _Place] = {}
        """By what comes before the last slash: places whose only parameter is the last segment."""
        for route in routes:
            self._add(route)

    def match(self, method: str, path: str) -> Match:
        """Find the route for a method and a decoded path.

        HEAD finds GET; OPTIONS is answered for every path that has a route.

        Raises:
            ApiError: 404 `not_found`; 405 `method_not_allowed` with `Allow`; 400 for a parameter
                that is too long.
        """
        if method == "OPTIONS":
            return Match(_options(self.allowed(path)), _NO_PARAMETERS)
        if method == "HEAD":
            method = "GET"
        place = self._static.get(path)
        if place is not None:
            route = place.routes.get(method)
            if route is not None:
                return Match(route, _NO_PARAMETERS)
            raise _method_not_allowed(method, place)
        before, _, last = path.rpartition("/")
        place = self._tails.get(before)
        if place is not None and 0 < len(last) <= PARAMETER_MAX and method in place.routes:
            return Match(place.routes[method], {place.names[0]: last})
        place, values = self._walk(path)
        route = place.routes.get(method)
        if route is None:
            raise _method_not_allowed(method, place)
        for name, value in zip(place.names, values, strict=True):
            if len(value) > PARAMETER_MAX:
                raise invalid_field(
                    name, f"{name} has {len(value)} characters; at most {PARAMETER_MAX} are allowed"
                )
        return Match(route, dict(zip(place.names, values, strict=True)))

    def allowed(self, path: str) -> str:
        """The value of an `Allow` header for a path; for `*`, of the whole server.

        Raises:
            ApiError: 404, there is no such path.
        """
        if path == "*":
            return ", ".join((*METHODS, "HEAD", "OPTIONS"))
        place = self._static.get(path)
        return _allow(self._walk(path)[0] if place is None else place)

    def _walk(self, path: str) -> tuple[_Place, list[str]]:
        place, values = self._root, []
        for segment in path[1:].split("/"):
            following = place.literals.get(segment)
            if following is None:
                following = place.parameter
                values.append(segment)
            if following is None or not segment:
                raise not_found(f"there is nothing at {path[:128]!r}")
            place = following
        if not place.routes:
            raise not_found(f"there is nothing at {path[:128]!r}")
        return place, values

    def _add(self, route: AnyRoute) -> None:
        if route.method not in METHODS or not route.pattern.startswith("/"):
            raise ValueError(f"not a route: {route.method} {route.pattern}")
        place = self._place_for(route.pattern)
        if route.method in place.routes:
            raise ValueError(f"two routes for {route.method} {route.pattern}")
        place.routes[route.method] = route

    def _place_for(self, pattern: str) -> _Place:
        if "{" not in pattern:
            return self._static.setdefault(pattern, _Place())
        place, names = self._root, []
        for segment in pattern[1:].split("/"):
            if segment.startswith("{") and segment.endswith("}"):
                names.append(segment[1:-1])
                place.parameter = place.parameter or _Place()
                following = place.parameter
            elif "{" in segment or not segment:
                raise ValueError(f"{pattern}: a parameter is a whole segment, and none is empty")
            else:
                following = place.literals.setdefault(segment, _Place())
            if place.literals and place.parameter is not None:
                raise ValueError(f"{pattern}: a literal and a parameter compete for one place")
            place = following
        if len(set(names)) < len(names) or place.names not in ((), tuple(names)):
            raise ValueError(f"{pattern}: parameter names repeat or differ from another route's")
        place.names = tuple(names)
        before, _, last = pattern.rpartition("/")
        if "{" not in before and last.startswith("{"):
            self._tails[before] = place
        return place


def _options(allow: str) -> SyncRoute:
    # Open, since what methods exist is in the documentation; and browsers ask without credentials.
    response = Response(204, headers=(("Allow", allow),))
    return SyncRoute("OPTIONS", "*", lambda _request: response, open=True)


def _allow(place: _Place) -> str:
    methods = list(place.routes)
    if "GET" in place.routes:
        methods.append("HEAD")
    return ", ".join([*methods, "OPTIONS"])


def _method_not_allowed(method: str, place: _Place) -> ApiError:
    allow = _allow(place)
    message = f"{method} is not possible here; {allow} are"
    return ApiError(405, "method_not_allowed", message, headers=(("Allow", allow),))
