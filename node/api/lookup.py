"""Lookups: where is a service, and is it healthy? Answered from memory, never from elsewhere.

Rules this module keeps:

1. An encoded answer is kept until something about that service changes: its change index says when.
   What depends on more than that (`near=self`, by round-trip times) is never kept.
2. The index that a caller sees is that of its query: it changes when what the query shows does, as
   long as the answer is kept; it is what a long poll waits for to change.
3. Kept answers are bounded in bytes; what nobody asked for the longest goes first.
4. An instance whose owner cannot be reached, or is in dispute, is listed as critical with the
   reason beside it; one whose owner said that it stops is not listed.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import orjson

from node.context import NodeContext
from node.durations import DurationError, parse_s
from node.http import AnyAnswer, Query, Request, Response, invalid_field, json_response
from node.http.errors import Headers
from node.http.messages import Kept, fitted
from node.watching.hub import Hub, Look, Watch
from node.watching.limits import WAIT_DEFAULT_S, WAIT_MAX_S
from protocol.detector.partition import Partition
from protocol.identity import id_text
from protocol.peer import Peer
from protocol.records import Health
from protocol.registry import Instance

from .answers.encoded import EncodedInstances
from .answers.lately import Lately
from .answers.narrowing import narrowed
from .answers.nearest import by_id, nearest, owners_of
from .shapes import Json, health_of, is_shown
from .table import TEXTS, TIMEOUT, Parameter, at_most, choice

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
    Parameter(
        "health", "Only of this health: passing, warning, critical …", schema=choice(*HEALTHS)
    ),
    Parameter("tag", "Only with this tag; may be repeated: with all of them.", schema=TEXTS),
    Parameter("meta.KEY", "Only with this metadata."),
    Parameter("version", "Only of this version."),
    Parameter("zone", "Only in this zone."),
    Parameter("near", "`self`: the nearest first, by round-trip time.", schema=choice("self")),
    at_most(LIMIT_MAX),
    Parameter("index", "Wait until the answer is another than the one with this index."),
    Parameter("wait", "How long at most, such as `30s`; up to 10m, without it 5m.", schema=TIMEOUT),
)
INDEX_CHARS_MAX = 128
_META = "meta."
_WAITING = ("index", "wait")
_NEAREST = ("near", "limit")
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
    index: str | None
    """The caller has the answer of this index, and waits for another."""
    wait_s: float

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
    checked: int
    """The service's change index for which it was last found to be right."""
    partition: Partition
    index: str
    """What callers see."""
    digest: bytes
    """Of what wakes those who watch: of what is listed, with `near=self` of the watched answer."""
    etag: str
    response: Response

    def answer(self, asked: str | None) -> Response:
        """The answer for a caller who may have one already."""
        if asked is not None and _matches(asked, self.etag):
            return Response(304, headers=self.response.headers)
        return self.response


class Lookups:
    """Answers `GET /v1/services` and `GET /v1/services/{name}`."""

    def __init__(self, context: NodeContext, hub: Hub) -> None:
        self._context = context
        self._peer = context.peer
        self._hub = hub
        self._me = context.me
        self._prefix = life_of(context)
        self._kept: Lately[tuple[str, Pairs], _Kept] = Lately(KEPT_BYTES_MAX, _size)
        self._encoded = EncodedInstances(context.peer)
        self._overview: dict[bool, tuple[int, Partition, Response]] = {}

    @property
    def kept_bytes(self) -> int:
        """Bytes of encoded answers, and of encoded instances, that are kept."""
        return self._kept.bytes + self._encoded.kept_bytes

    def find(self, request: Request) -> AnyAnswer:
        """`GET /v1/services/{name}`."""
        name, pairs = request.params["name"], request.query.pairs
        kept, peer = self._kept.get((name, pairs)), self._peer
        if (
            kept is None
            or kept.checked != peer.registry.index_of(name)
            or kept.partition is not peer.membership.partition()
        ):
            filters = filters_of(request)
            if filters.index is not None:
                return self._watch(request, filters)
            kept = self._current(name, pairs, filters)
        asked = request.headers.get("if-none-match")
        return kept.response if asked is None else kept.answer(asked)

    def _is_right(self, name: str, kept: _Kept) -> bool:
        peer = self._peer
        if kept.checked != peer.registry.index_of(name):
            return False
        return kept.partition is peer.membership.partition()

    def _current(
        self, name: str, pairs: Pairs, filters: Filters, *, is_watched: bool = False
    ) -> _Kept:
        """The answer as it is now; its index is the last one's if it shows the same."""
        last = self._kept.get((name, pairs))
        if last is not None and self._is_right(name, last):
            return last
        if filters.near:
            rest = tuple(pair for pair in pairs if pair[0] not in _NEAREST)
            # All of it is listed and encoded only for those who watch it, or where it was before.
            watched = None
            if is_watched or self._kept.get((name, rest)) is not None:
                unlimited = replace(filters, near=False, limit=LIMIT_MAX)
                watched = self._current(name, rest, unlimited)
            return self._nearest(name, filters, watched)
        kept = self._answer(name, filters, last)
        if sum(len(k) + len(v) for k, v in pairs) <= KEPT_QUERY_MAX:
            self._kept.put((name, pairs), kept)
        return kept

    def _watch(self, request: Request, filters: Filters) -> AnyAnswer:
        """A long poll: answered at once if the caller's index is not that of the answer now.

        By round-trip times alone nobody is woken: with `near=self` it is watched what would be
        listed without it, and without `limit`; the nearest of those are then answered.
        """
        name = request.params["name"]
        pairs = tuple(pair for pair in request.query.pairs if pair[0] not in _WAITING)

        def look() -> Look:
            seen = self._current(name, pairs, filters, is_watched=True)
            return Look(seen.index, seen.digest, seen.answer)

        seen, asked = look(), request.headers.get("if-none-match")
        if seen.index != filters.index or not filters.wait_s:
            return seen.answer(asked)
        return self._hub.park(
            Watch(name, pairs, look),
            seen,
            client=request.client,
            wait_s=filters.wait_s,
            asked=asked,
        )

    def matching(self, name: str, filters: Filters) -> list[Instance]:
        """What a lookup lists, in its order, before the limit."""
        peer = self._peer
        wanted = narrowed(peer.registry.instances(name), filters, peer)
        if filters.near:
            return nearest(wanted, peer.membership.distances, len(wanted))
        return sorted(wanted, key=by_id)

    def overview(self, request: Request) -> Response:
        """`GET /v1/services`."""
        for parameter in _WAITING:
            if request.query.get(parameter) is not None:
                raise invalid_field(
                    parameter, f"{parameter}: this overview cannot be waited for, but one service "
                    f"can: GET /v1/services/NAME?{parameter}=",
                )  # fmt: skip
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

    def _answer(self, name: str, filters: Filters, last: _Kept | None) -> _Kept:
        """Look up anew. `last`: what was answered before."""
        checked = self._peer.registry.index_of(name)
        partition = self._peer.membership.partition()
        wanted = self.matching(name, filters)[: filters.limit]
        shapes = self._encoded.array(wanted)
        digest = hashlib.blake2b(shapes, digest_size=16).digest()
        is_same = last is not None and last.digest == digest
        if last is not None and is_same and last.partition is partition:
            return replace(last, checked=checked)
        index = last.index if last is not None and is_same else self._index(checked)
        etag = f'"{index}"'
        side: Headers = (("X-Kith-Index", index), ("X-Kith-Partition", partition.value))
        response = _listing(name, index, shapes, (*side, ("ETag", etag)))
        return _Kept(checked, partition, index, digest, etag, response)

    def _nearest(self, name: str, filters: Filters, watched: _Kept | None) -> _Kept:
        """Look up the nearest. `watched`: the answer whose changes wake who watches these.

        Without it the index is the service's own: it leads to what is watched as long as nothing
        changes, and changes more often.
        """
        peer = self._peer
        checked, partition = peer.registry.index_of(name), peer.membership.partition()
        wanted = narrowed(peer.registry.instances(name), filters, peer)
        shapes = self._encoded.array(nearest(wanted, peer.membership.distances, filters.limit))
        index = self._index(checked) if watched is None else watched.index
        digest = b"" if watched is None else watched.digest
        headers: Headers = (("X-Kith-Index", index), ("X-Kith-Partition", partition.value))
        response = _listing(name, index, shapes, headers)
        self._context.driver.measure(owners_of(wanted))
        return _Kept(checked, partition, index, digest, "", response)

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


def life_of(context: NodeContext) -> str:
    """What makes an index or an event id of another node or life unlike any of ours."""
    return f"{id_text(context.me)[:8]}-{context.peer.membership.incarnation}"


def filters_of(request: Request) -> Filters:
    """Read a lookup's query. Raises ApiError, 400."""
    query = request.query
    query.check_known(*PARAMETERS, prefix=_META)
    index, wait_s = _waiting_of(query)
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
        index=index,
        wait_s=wait_s,
    )


def _waiting_of(query: Query) -> tuple[str | None, float]:
    index, wait = query.get("index"), query.get("wait")
    if index is not None and len(index) > INDEX_CHARS_MAX:
        raise invalid_field("index", "index: give it as the last answer had it, in X-Kith-Index")
    if wait is None:
        return index, WAIT_DEFAULT_S
    if index is None:
        raise invalid_field("wait", "wait: also give the index of the answer you have, as index=")
    try:
        wait_s = parse_s(wait)
    except DurationError as error:
        raise invalid_field("wait", f"wait: {wait[:32]!r} is no duration; {error}") from None
    if wait_s > WAIT_MAX_S:
        raise invalid_field("wait", f"wait: {wait} is too long; at most 10m, then ask again")
    return index, wait_s


def _listing(name: str, index: str, shapes: bytes, headers: Headers) -> Response:
    document = {"service": name, "index": index, "instances": orjson.Fragment(shapes)}
    response = json_response(200, document, headers)
    return response._replace(body=fitted(response.body), kept=Kept())


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
