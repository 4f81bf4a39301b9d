"""Records: the facts that owners sign, their bodies, and the rules each field obeys.

A record is `(kind, key, body)`; its body is a canonical array. Every body type here encodes to
bytes, decodes from bytes with the limits applied, and validates its own fields: the HTTP edge
builds the same values, so that a client hears of the same rule by the name of the same field.

Times are Unix microseconds, durations milliseconds, text is UTF-8. Tuples of names are sorted.
"""

import enum
from dataclasses import dataclass, fields, is_dataclass, make_dataclass
from typing import TypeVar

from .identity import NodeId

T = TypeVar("T")


def quickly_made(kind: type[T]) -> type[T]:
    """A frozen dataclass of keywords, of which many are made: in a third of the time under `-O`.

    Python sets each field of a frozen one by a call of `object.__setattr__`. Under `-O`, as nodes
    are deployed, it is made like one that is not frozen. That nothing is assigned to it later mypy
    sees, and without `-O`, as in tests, Python too.
    """
    if not __debug__ and is_dataclass(kind):
        known = [(field.name, field.type, field) for field in fields(kind)]
        like_it = make_dataclass(kind.__name__, known, kw_only=True)
        setattr(kind, "__init__", vars(like_it)["__init__"])  # noqa: B010 - mypy has none assigned
        delattr(kind, "__setattr__")
        delattr(kind, "__delattr__")
    return kind


class Kind(enum.IntEnum):
    """What a record is about."""

    NODE = 0
    SERVICE = 1
    GUEST = 2
    DOCUMENT = 3
    FORGET = 4
    """This owner's operator says that a member, unreachable, is not to be waited for."""


class NodeType(enum.Enum):
    """A node's role. A governator also votes on critical changes."""

    PROXY = "proxy"
    BACKEND = "backend"
    GOVERNATOR = "governator"


class Phase(enum.Enum):
    """What an owner says of its own life."""

    RUNNING = "running"
    STOPPING = "stopping"
    LEFT = "left"


class Health(enum.Enum):
    """Of a check or an instance, best first."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"
    MAINTENANCE = "maintenance"


class CheckType(enum.Enum):
    """How health is found out."""

    HTTP = "http"
    TCP = "tcp"
    TTL = "ttl"


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """One health check of an instance: what to do, and its last result that mattered."""

    id: str
    type: CheckType
    target: str
    """The URL (http), `host:port` (tcp), or nothing (ttl)."""
    interval_ms: int
    """Time between runs; for ttl, how long one heartbeat lasts."""
    timeout_ms: int
    failures_before_critical: int
    passes_before_passing: int
    deregister_after_ms: int
    """Critical for this long: the instance is removed. 0: never."""
    status: Health
    output: str
    changed_at: int
    """When `status` last changed."""


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """One instance of a service, registered with its owner."""

    name: str
    id: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    version: str = ""
    weight: int = 100
    zone: str = ""
    checks: tuple[CheckRecord, ...] = ()
    maintenance: str | None = None
    """The reason while in maintenance, else None."""
    update_id: str = ""
    updated_at: int = 0

    @property
    def health(self) -> Health:
        """Maintenance, else the worst check, else passing."""
        if self.maintenance is not None:
            return Health.MAINTENANCE
        statuses = {check.status for check in self.checks}
        for worst in (Health.CRITICAL, Health.WARNING):
            if worst in statuses:
                return worst
        return Health.PASSING


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """What a node says of itself."""

    name: str
    host: str
    """Advertised address for gossip, UDP and TCP."""
    port: int
    api_host: str
    api_port: int
    metrics_port: int = 0
    node_type: NodeType = NodeType.BACKEND
    is_load_balancer: bool = False
    capabilities: tuple[str, ...] = ("service",)
    zone: str = ""
    region: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    software: str = ""
    """Version of Kith it runs."""
    incarnation: int = 1
    phase: Phase = Phase.RUNNING
    updated_at: int = 0
    lives: tuple[tuple[int, int], ...] = ()
    """First and last version of the earlier lives that this one knows of, in order. What lies
    between may have been signed in lives that it forgot; see `agreement.lives`."""
    born: int = 0
    """No version of this life is lower. `authoring` fills in both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRecord:
    """A participant without a node, as its host vouches for it."""

    id: str
    address: str
    metrics_port: int
    node_type: NodeType
    is_load_balancer: bool
    capabilities: tuple[str, ...]
    last_updated: int
    ttl_ms: int
    critical: bool = False
    """Its host has not heard from it for its `ttl`."""
    public_key: bytes = b""
    """The guest's own Ed25519 key, or nothing if its host vouches."""
    signed_body: bytes = b""
    """The canonical JSON that the guest signed, kept so that anyone can check it."""
    signature: bytes = b""
    update_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of a document as one write left it."""

    field: str
    """Its name; nothing for the list of the document's owners."""
    writer: NodeId
    counter: int
    """Of the writer's writes to this document; with the writer it names the write: a dot."""
    written_at: int
    """Hybrid logical time of the write."""
    value: bytes
    """Canonical JSON; of the list of owners their ids, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """One writer's word on a document: all that it had seen, and what of that stands.

    The document is the join of all its writers' words; see `agreement.documents`.
    """

    key: str
    context: tuple[tuple[NodeId, tuple[tuple[int, int], ...]], ...] = ()
    """Each writer's counters that this one had seen, as stretches; sorted by writer."""
    entries: tuple[Entry, ...] = ()
    """Sorted by field, writer, counter; nobody has settled which of several for a field stands."""
    update_id: str = ""
    updated_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetRecord:
    """An operator's word, given through this owner, that a member is gone for good.

    It binds only those who cannot reach the member themselves, and only up to `incarnation`: who
    returns with a higher one is back.
    """

    node: NodeId
    incarnation: int
    asked_at: int
