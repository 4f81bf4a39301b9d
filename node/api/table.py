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


_VISIBLE = "[^\\x00-\\x1f\\x7f]"
TEXT: Mapping[str, object] = {"type": "string", "pattern": f"^{_VISIBLE}*$"}
FLAG: Mapping[str, object] = {"enum": ["true", "false"]}
TEXTS: Mapping[str, object] = {"type": "array", "items": TEXT}
NODE_ID_PATTERN = "[a-z2-7]{51}[aq]"
"""52 characters of base32; of the last one only the first bit counts."""
OWNER_ID: Mapping[str, object] = {"type": "string", "pattern": f"^(self|{NODE_ID_PATTERN})$"}
TIMEOUT: Mapping[str, object] = {
    "type": "string",
    "pattern": "^([1-5]?[0-9]s|[1-9][0-9]{0,3}ms|1m|60s)$",
}


def choice(*words: str) -> Mapping[str, object]:
    """One of these words."""
    return {"enum": list(words)}


def whole(low: int, high: int) -> Mapping[str, object]:
    """A whole number of this range."""
    return {"type": "integer", "minimum": low, "maximum": high}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter."""

    name: str
    what: str
    required: bool = False
    schema: Mapping[str, object] = field(default_factory=lambda: TEXT)
    """What it may be, as JSON Schema; a list may be given again and again."""


def at_most(most: int) -> Parameter:
    """How many of a list are wanted."""
    return Parameter("limit", f"At most so many, 1 to {most}.", schema=whole(1, most))


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
