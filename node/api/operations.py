"""What operators and their tools ask: alive, ready, metrics; and to leave for good."""

import time

import trio

from node.context import NodeContext
from node.delivery.backlog import backlog_of
from node.http import Request, Response, Route, SyncRoute, json_response, text_response
from node.lifecycle import UNHEARD_REMEDY
from node.telemetry import CONTENT_TYPE
from node.times import format_us
from protocol.identity import id_text

from .metrics import Metrics
from .table import Endpoint


class OperationRoutes:
    """The handlers of `/healthz`, `/readyz`, `/telemetry`, `/v1/clock`, `/v1/leave`."""

    def __init__(self, context: NodeContext, metrics: Metrics) -> None:
        self._context = context
        self._peer = context.peer
        self._metrics = metrics

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/healthz", self.alive, open=True),
                summary="Whether the process serves at all.",
                answer="Alive",
            ),
            Endpoint(
                route=SyncRoute("GET", "/readyz", self.ready, open=True),
                summary="Whether the node is to be given work, with the state of its components.",
                answers={200: "Ready.", 503: "Not ready; `components` says why."},
                answer="Readiness",
            ),
            Endpoint(
                route=SyncRoute("GET", "/telemetry", self.telemetry),
                summary="Metrics in the text format of Prometheus.",
            ),
            Endpoint(
                route=SyncRoute("GET", "/metrics", self.telemetry),
                summary="The same as /telemetry.",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/clock", self.clock),
                summary="The version vector: the newest commit of each owner held here.",
                answer="Clock",
            ),
            Endpoint(
                route=Route("POST", "/v1/leave", self.leave),
                summary="Leave the cluster for good, gracefully.",
                answers={202: "It is leaving."},
                answer="Leaving",
            ),
        )

    def alive(self, request: Request) -> Response:
        """`GET /healthz`."""
        request.query.check_known()
        stage = self._context.lifecycle.stage.value
        uptime_s = (time.time_ns() // 1_000 - self._context.started_at_us) / 1_000_000
        return json_response(
            200, {"status": "alive", "stage": stage, "uptime_s": round(max(0.0, uptime_s), 3)}
        )

    def ready(self, request: Request) -> Response:
        """`GET /readyz`."""
        request.query.check_known()
        components = self.components()
        is_ready = all(status in ("ok", "degraded") for status, _ in components.values())
        shape = {
            "status": "ready" if is_ready else "not_ready",
            "components": {
                name: {"status": status, "detail": detail}
                for name, (status, detail) in components.items()
            },
        }
        return json_response(200 if is_ready else 503, shape)

    def components(self) -> dict[str, tuple[str, str]]:
        """Each component with its status (`ok`, `degraded` or `down`) and a word on it.

        Only `down` makes the node not ready: a full disk and lost peers leave lookups working.
        """
        context, peer = self._context, self._peer
        lifecycle, error = context.lifecycle, context.writer.statistics().last_error
        if error is not None and error.fatal:
            storage = ("down", str(error))
        elif context.driver.disk_full:
            storage = ("degraded", "no room on the disk: changes are refused, lookups go on")
        elif context.config.unsafe_no_sync:
            storage = ("degraded", "unsafe_no_sync: a crash loses what was acknowledged")
        else:
            storage = ("ok", "")
        if lifecycle.ending:
            gossip = ("down", f"the node is {lifecycle.stage.value}")
        elif peer.recollection.waiting:
            gossip = ("down", _unheard(context))
        elif not peer.ready:
            gossip = ("down", "the node has not yet committed its own record of this life")
        else:
            gossip = ("ok", "")
        return {
            "storage": storage,
            "gossip": gossip,
            "peers": self._peers(),
            "agreement": self._agreement(),
            "delivery": self._delivery(),
        }

    def telemetry(self, request: Request) -> Response:
        """`GET /telemetry`."""
        request.query.check_known()
        return text_response(200, self._metrics.render(), CONTENT_TYPE)

    def clock(self, request: Request) -> Response:
        """`GET /v1/clock`."""
        request.query.check_known()
        vector = {
            id_text(owner): {"epoch": dot.epoch, "version": dot.version}
            for owner, dot in sorted(self._peer.registry.vector().items())
        }
        return json_response(200, {"clock": vector, "now": format_us(time.time_ns() // 1_000)})

    async def leave(self, request: Request) -> Response:
        """`POST /v1/leave`."""
        request.query.check_known()
        self._context.lifecycle.stop(leaving=True)
        return json_response(202, {"status": "leaving", "id": id_text(self._context.me)})

    def _peers(self) -> tuple[str, str]:
        membership = self._peer.membership
        partition = membership.partition().value
        members = len(membership.members())
        if partition in ("minority", "even"):
            reached, known = membership.reach()
            return "degraded", (
                f"{partition}: this node reaches {reached} of the {known} members it knew; lookups "
                "and registrations go on, critical changes are refused"
            )
        if members == 1 and self._context.config.seeds:
            return "degraded", "no seed has answered yet; this node is alone"
        return "ok", f"{members} members, this one included"

    def _agreement(self) -> tuple[str, str]:
        state = self._peer.divergence.state(now=trio.current_time())
        heard = state.equal + state.differing
        if state.is_alarming:
            return "degraded", (
                f"{state.differing} of {heard} peers hold something else than this node, one for "
                f"{state.longest_s:.0f} s: repair does not get through"
            )
        return "ok", f"{state.equal} of {heard} peers hold the same"

    def _delivery(self) -> tuple[str, str]:
        now_us = time.time_ns() // 1_000
        backlog = backlog_of(self._peer.deliveries, self._peer.membership, now_us=now_us)
        if not backlog.peers:
            return "ok", "every peer has acknowledged what was committed here"
        waits = (
            f"peers that lack something that was committed here: {backlog.peers}, one for "
            f"{backlog.longest_s:.0f} s"
        )
        if backlog.late:
            return "degraded", f"{waits}; {backlog.late} of them can be reached all the same"
        return "ok", waits


def _unheard(context: NodeContext) -> str:
    """Why the node signs nothing yet, who was asked in vain, and what to do."""
    answered = "those that answered do not know it" if context.driver.acquainted else "none answers"
    return (
        f"{context.lifecycle.must_hear}: it signs nothing before a peer has shown what it holds of "
        f"it, and {answered}; lookups go on. {UNHEARD_REMEDY[0].upper()}{UNHEARD_REMEDY[1:]}"
    )
