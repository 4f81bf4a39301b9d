"""Lookups: where is a service, and is it healthy? Answered from memory, never from elsewhere.

Rules this module keeps:

1. An encoded answer is kept until something about that service changes: its change index says when.
   What depends on more than that (`near=self`, by round-trip times) is never kept.
2. Kept answers are bounded in bytes; what nobody asked for the longest goes first.
3. An instance whose owner cannot be reached, or is in dispute, is listed as critical with the
   reason beside it; one whose owner said that it stops is not listed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from node.context import NodeContext
from node.http import Request, Response, invalid_field, json_response
from node.http.errors import Headers
from node.http.messages import Kept
from protocol.detector.detection import Status
from protocol.detector.partition import Partition
from protocol.identity import id_text
from protocol.peer import Peer
from protocol.records import Health
from protocol.registry import Instance

from .answers.lately import Lately
from .shapes import Json, health_of, instance_shape, is_shown
from .table import Parameter

KEPT_BYTES_MAX = 32 * 1024 * 1024
"""Answers of 17,000 services with one instance each; more are made anew when they are asked for."""
KEPT_ANSWER_BYTES = 1_280
"""What a kept answer takes besides its body: key, header lines, objects. Measured."""
KEPT_QUERY_MAX = 512
"""Characters of a query whose answer is kept; longer ones are hardly asked twice."""
LIMIT_MAX = 10_000
HEALTHS = tuple(health.value for health in Health)
PARAMETERS = ("health", "tag", "version", "zone", "near", "limit", "index", "wait")
LOOKUP_QUERY = (
    Parameter("health", "Only of this health: passing, warning, critical …"),
    Parameter("tag", "Only with this tag; may be repeated: with all of them."),
    Parameter("meta.KEY", "Only with this metadata."),
    Parameter("version", "Only of this version."),
    Parameter("zone", "Only in this zone."),
    Parameter("near", "`self`: the nearest first, by round-trip time."),
    Parameter("limit", "At most so many, 1 to 10000."),
)
_META = "meta."
_NEAR_SELF = "self"

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a filter leaves an instance out."""

    filter: str
    wanted: str
    has: str


@dataclass(frozen=True, slots=True)
class Filters:
    """Which instances a caller wants."""

    health: str | None
    tags: tuple[str, ...]
    version: str | None
    zone: str | None
    metadata: Pairs
    limit: int
    near: bool

    def admits(self, found: Instance, peer: Peer) -> bool:
        """Whether an instance is wanted."""
        return next(self.misses(found, peer), None) is None

    def misses(self, found: Instance, peer: Peer) -> Iterator[Miss]:
        """The filters that leave it out; none if it is wanted."""
        service = found.service
        if self.tags and not set(self.tags).issubset(service.tags):
            yield Miss("tag", ", ".join(self.tags), ", ".join(service.tags))
        if self.version is not None and service.version != self.version:
            yield Miss("version", self.version, service.version)
        if self.zone is not None and service.zone != self.zone:
            yield Miss("zone", self.zone, service.zone)
        if self.metadata and not set(self.metadata).issubset(service.metadata):
            has = dict(service.metadata)
            keys = dict.fromkeys(key for key, _ in self.metadata)
            yield Miss("meta", _pairs(self.metadata), _pairs((k, has[k]) for k in keys if k in has))
        if self.health is not None and (health := health_of(peer, found).value) != self.health:
            yield Miss("health", self.health, health)


@dataclass(frozen=True, slots=True)
class _Kept:
    index: int
    partition: Partition
    etag: str
    response: Response


class Lookups:
    """Answers `GET /v1/services` and `GET /v1/services/{name}`."""

    def __init__(self, context: NodeContext) -> None:
        self._peer = context.peer
        self._me = context.me
        # Opaque to callers; it makes an index of another node or life unlike any of ours.
        life = context.peer.membership.incarnation
        self._prefix = f"{id_text(context.me)[:8]}-{life}"
        self._kept: Lately[tuple[str, Pairs], _Kept] = Lately(KEPT_BYTES_MAX, _size)
        self._overview: dict[bool, tuple[int, Partition, Response]] = {}

    @property
    def kept_bytes(self) -> int:
        """Bytes of encoded answers that are kept."""
        return self._kept.bytes

    def find(self, request: Request) -> Response:
        """`GET /v1/services/{name}`."""
        key = request.params["name"], request.query.pairs
        index = self._peer.registry.index_of(key[0])
        partition = self._peer.membership.partition()
        kept = self._kept.get(key)
        if kept is None or kept.index != index or kept.partition is not partition:
            kept = self._find_anew(request, key, index, partition)
        asked = request.headers.get("if-none-match")
        if asked is not None and _matches(asked, kept.etag):
            return Response(304, headers=kept.response.headers)
        return kept.response

    def _find_anew(
        self, request: Request, key: tuple[str, Pairs], index: int, partition: Partition
    ) -> _Kept:
        filters = filters_of(request)
        found = self._answer(key[0], filters, index, partition)
        if not filters.near and sum(len(k) + len(v) for k, v in key[1]) <= KEPT_QUERY_MAX:
            self._kept.put(key, found)
        return found

    def matching(self, name: str, filters: Filters) -> list[Instance]:
        """What a lookup lists, in its order, before the limit."""
        peer = self._peer
        wanted = [
            found
            for found in peer.registry.instances(name)
            if is_shown(peer, found) and filters.admits(found, peer)
        ]
        wanted.sort(key=self._by_nearness if filters.near else by_id)
        return wanted

    def overview(self, request: Request) -> Response:
        """`GET /v1/services`."""
        request.query.check_known("node")
        node = request.query.get("node")
        if node not in (None, "self"):
            raise invalid_field(
                "node", f"node: {node[:32]!r} is unknown; leave it out, or use self"
            )
        own = node == "self"
        index = self._peer.registry.index
        partition = self._peer.membership.partition()
        kept = self._overview.get(own)
        if kept is None or kept[:2] != (index, partition):
            response = json_response(
                200, {"services": self._services(own=own)}, self._headers(index, partition)
            )
            kept = self._overview[own] = (index, partition, response)
        return kept[2]

    def _answer(self, name: str, filters: Filters, index: int, partition: Partition) -> _Kept:
        wanted = self.matching(name, filters)[: filters.limit]
        document = {
            "service": name,
            "index": self._index(index),
            "instances": [instance_shape(self._peer, found) for found in wanted],
        }
        headers, etag = self._headers(index, partition), ""
        if not filters.near:
            etag = f'"{self._index(index)}"'
            headers = (*headers, ("ETag", etag))
        response = json_response(200, document, headers)
        return _Kept(index, partition, etag, replace(response, kept=Kept()))

    def _services(self, *, own: bool) -> dict[str, Json]:
        registry = self._peer.registry
        services: dict[str, Json] = {}
        for name in sorted(registry.services()):
            found = [
                one
                for one in registry.instances(name)
                if is_shown(self._peer, one) and (not own or one.owner == self._me)
            ]
            if found:
                services[name] = self._summary(found)
        return services

    def _summary(self, instances: Iterable[Instance]) -> dict[str, Json]:
        count = passing = 0
        tags: dict[str, None] = {}
        for found in instances:
            count += 1
            passing += health_of(self._peer, found) is Health.PASSING
            tags.update(dict.fromkeys(found.service.tags))
        return {"instances": count, "passing": passing, "tags": sorted(tags)}

    def _index(self, index: int) -> str:
        return f"{self._prefix}-{index}"

    def _headers(self, index: int, partition: Partition) -> Headers:
        return (("X-Kith-Index", self._index(index)), ("X-Kith-Partition", partition.value))

    def _by_nearness(self, found: Instance) -> tuple[bool, float, str, bytes]:
        view = self._peer.membership.view(found.owner)
        rtt_s = view.rtt_s if view else None
        if view is not None and view.status is Status.DEAD:
            rtt_s = None
        return (rtt_s is None, rtt_s or 0.0, *by_id(found))


def filters_of(request: Request) -> Filters:
    """Read a lookup's query. Raises ApiError, 400."""
    query = request.query
    query.check_known(*PARAMETERS, prefix=_META)
    for name in ("index", "wait"):
        if query.get(name) is not None:
            raise invalid_field(
                name, f"{name}: waiting for changes is not supported by this version; ask again, "
                "with If-None-Match to be told cheaply that nothing changed",
            )  # fmt: skip
    health, near = query.get("health"), query.get("near")
    if health is not None and health not in HEALTHS:
        raise invalid_field(
            "health", f"health: {health[:32]!r} is unknown; use one of {', '.join(HEALTHS)}"
        )
    if near not in (None, _NEAR_SELF):
        raise invalid_field("near", f"near: {near[:32]!r} is unknown; use self")
    metadata = tuple(
        (key.removeprefix(_META), value) for key, value in query.pairs if key.startswith(_META)
    )
    return Filters(
        health=health,
        tags=tuple(query.all("tag")),
        version=query.get("version"),
        zone=query.get("zone"),
        metadata=metadata,
        limit=query.integer("limit", default=LIMIT_MAX, low=1, high=LIMIT_MAX),
        near=near is not None,
    )


def by_id(found: Instance) -> tuple[str, bytes]:
    """The order of lookups."""
    return found.service.id, found.owner


def _size(kept: _Kept) -> int:
    return len(kept.response.body) + KEPT_ANSWER_BYTES


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in pairs)


def _matches(asked: str, etag: str) -> bool:
    """If-None-Match by weak comparison (RFC 9110, section 13.1.2)."""
    if not etag:
        return False
    tags = [one.strip().removeprefix("W/") for one in asked.split(",")]
    return "*" in tags or etag in tags
