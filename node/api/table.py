"""What a route is, to the router and to whoever reads the documentation: one value for both.

The table that `edge` gathers feeds the router, the guard, `/openapi.json` and the tests of the
documentation, so none of them can say something else than the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from node.http import AnyRoute

Body: TypeAlias = Literal[
    "Registration",
    "Batch",
    "InstancePatch",
    "Heartbeat",
    "Maintenance",
    "NodePatch",
    "Join",
    "GuestWord",
    "DocumentPut",
    "DocumentPatch",
    "Revocation",
]
"""Names of the request bodies in `schemas`."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter."""

    name: str
    what: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One route with its documentation."""

    route: AnyRoute
    summary: str
    query: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({200: "Done."}))
    """The statuses of success, and of what is particular to this route."""
    answer: str | None = None
    """Name of the answer's schema in `schemas`."""
    media: str | None = None
    """The content type of an answer that is not JSON."""

    @property
    def name(self) -> str:
        """Such as `GET /v1/node`."""
        return f"{self.route.method} {self.route.pattern}"

    @property
    def changes(self) -> bool:
        """Whether it changes something: refused while the node ends."""
        return self.route.method != "GET"
