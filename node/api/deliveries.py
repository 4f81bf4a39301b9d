"""`/v1/updates` and `/v1/queue`: which peers hold what was committed here, and what waits."""

import time
from dataclasses import asdict

from node.context import NodeContext
from node.http import Request, Response, Route, SyncRoute, json_response, not_found
from node.registrar import UpdateIds
from node.times import format_us
from protocol.commits import NOTHING, Dot
from protocol.delivery import outbox
from protocol.delivery.deliveries import ROWS_MAX, Standing
from protocol.delivery.standing import SCORE_MAX
from protocol.detector.detection import Status
from protocol.identity import NodeId, id_text, short_id

from .fields import refused
from .shapes import Json
from .table import FLAG, Endpoint, Parameter, whole

FIND_S = 10.0


class DeliveryRoutes:
    """The handlers of `/v1/updates/{update_id}` and `/v1/queue`."""

    def __init__(self, context: NodeContext, updates: UpdateIds) -> None:
        self._peer = context.peer
        self._me = context.me
        self._updates = updates

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=Route("GET", "/v1/updates/{update_id}", self.update, handler_s=FIND_S),
                summary="Which peers hold an update that was made here, which do not, since when.",
                answer="Update",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/queue", self.queue),
                summary="What was committed here and has not reached every peer.",
                query=(
                    Parameter("all", "`true`: also peers that lack nothing.", schema=FLAG),
                    Parameter(
                        "limit",
                        f"At most so many peers, 1 to {ROWS_MAX}.",
                        schema=whole(1, ROWS_MAX),
                    ),
                ),
                answer="Queue",
            ),
        )

    async def update(self, request: Request) -> Response:
        """`GET /v1/updates/{update_id}`."""
        request.query.check_known()
        update_id = request.params["update_id"]
        found = await self._updates.find(update_id)
        if found is None:
            raise not_found(
                f"no update {update_id!r} was made through this node, or it is forgotten, or not "
                "on disk yet"
            )
        holders: list[Json] = []
        lacking: list[Json] = []
        deliveries = self._peer.deliveries
        standings = deliveries.standings()
        for one in standings:
            since_us = deliveries.held_at(one.peer, found.version)
            if since_us is None:
                lacking.append(self._lacking_shape(one, found.created_at_us))
                continue
            stored = deliveries.stores(one.peer, found.version)
            holders.append(
                {**self._named(one.peer), "since": format_us(since_us), "stored": stored}
            )
        shape: dict[str, Json] = {
            "update_id": found.update_id,
            "name": found.name,
            "id": found.id,
            "owner": id_text(found.owner),
            "version": found.version,
            "committed_at": format_us(found.created_at_us),
            "holders": holders,
            "lacking": lacking,
            "untracked": self._untracked(standings),
        }
        return json_response(200, shape, self._side())

    def queue(self, request: Request) -> Response:
        """`GET /v1/queue`."""
        query = request.query
        query.check_known("all", "limit")
        every = query.get("all")
        if every not in (None, "true", "false"):
            raise refused("all", f"{every[:32]!r} is neither true nor false")
        most = query.integer("limit", default=ROWS_MAX, low=1, high=ROWS_MAX)
        deliveries = self._peer.deliveries
        standings = deliveries.standings()
        wanted = [one for one in standings if one.since_us or every == "true"]
        # Who has waited longest comes first; who lacks nothing, last.
        wanted.sort(key=lambda one: (one.since_us == 0, one.since_us, one.peer))
        shape: dict[str, Json] = {
            "at": format_us(time.time_ns() // 1_000),
            "outbox": {
                "commits": len(deliveries.outbox),
                "bytes": deliveries.outbox.bytes,
                "commits_max": outbox.COMMITS_MAX,
                "bytes_max": outbox.BYTES_MAX,
                "overflowed": deliveries.outbox.overflowed,
            },
            "deliveries": [self._delivery_shape(one) for one in wanted[:most]],
            "total": len(wanted),
            "peers": len(standings),
            "counters": asdict(deliveries.counters),
        }
        return json_response(200, shape, self._side())

    def _lacking_shape(self, one: Standing, committed_us: int) -> dict[str, Json]:
        return {
            **self._named(one.peer),
            "since": format_us(max(committed_us, one.since_us)),
            "attempts": one.attempts,
            "next_try": _time(one.next_try_us),
            "breaker": one.breaker.name.lower(),
            "status": self._status(one.peer),
        }

    def _delivery_shape(self, one: Standing) -> dict[str, Json]:
        return {
            "peer": id_text(one.peer),
            "name": self._name(one.peer),
            "status": self._status(one.peer),
            "waiting": one.waiting,
            "oldest": _version(one.oldest),
            "newest": _version(one.newest),
            "priority": one.priority.name.lower() if one.since_us else None,
            "since": _time(one.since_us),
            "attempts": one.attempts,
            "next_try": _time(one.next_try_us),
            "breaker": one.breaker.name.lower(),
            "under_way": one.under_way,
            "behind": one.behind,
            "score": one.score / SCORE_MAX,
            "latency_ms": one.latency_us / 1_000 if one.latency_us else None,
        }

    def _untracked(self, standings: tuple[Standing, ...]) -> int:
        """How many members there are of which it is not known what they hold."""
        tracked = {self._me, *(one.peer for one in standings)}
        membership = self._peer.membership
        return sum(
            1
            for node in membership.members()
            if node not in tracked and membership.status(node) is not Status.LEFT
        )

    def _named(self, node: NodeId) -> dict[str, Json]:
        return {"id": id_text(node), "name": self._name(node)}

    def _name(self, node: NodeId) -> str:
        record = self._peer.registry.node(node)
        return record.name if record else short_id(node)

    def _status(self, node: NodeId) -> str:
        status = self._peer.membership.status(node)
        return status.value if status else "unknown"

    def _side(self) -> tuple[tuple[str, str], ...]:
        return (("X-Kith-Partition", self._peer.membership.partition().value),)


def _time(at_us: int) -> str | None:
    return format_us(at_us) if at_us else None


def _version(dot: Dot) -> int | None:
    return None if dot == NOTHING else dot.version
