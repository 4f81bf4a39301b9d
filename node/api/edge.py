"""The HTTP API, put together: the parts behind the routes, the table of routes, the hooks.

request ──▶ guard (credential, shutting down) ──▶ route ──▶ registrar, guests, lookups
└──▶ answer ──▶ counted, logged
"""

from random import Random

import trio

from node import logs
from node.agreement.documents import Documents
from node.agreement.seeds import SeedLists
from node.agreement.tally import Tally
from node.agreement.tidying import Tidying
from node.auth import Authenticator
from node.checks.checker import InstanceKey
from node.context import NodeContext
from node.delivery.confirms import Confirms
from node.guests import Guests
from node.http import Answered, AnyRoute, ApiError, Hooks, HttpServer, Request, Router
from node.registrar import CheckNews, Instances, UpdateIds
from node.transport.datagrams import DatagramTransport
from node.transport.pool import StreamPool
from node.transport.streams import StreamServer
from node.watching.hub import Hub
from node.watching.limits import WatchLimits
from node.watching.news import News
from node.watching.streams import Streams
from protocol.records import Health

from . import openapi
from .backup import BackupRoutes
from .confirming import Confirming
from .deliveries import DeliveryRoutes
from .documents import DocumentRoutes
from .events import EventRoutes
from .evidence import EvidenceRoutes
from .explain import ExplainRoutes
from .instances import BatchRoutes, ServiceRoutes
from .keys import KeyRoutes
from .lookup import Lookups, life_of
from .metrics import Metrics, Sources
from .nodes import NodeRoutes
from .operations import OperationRoutes
from .owners import OwnerRoutes
from .partitions import PartitionRoutes
from .proofs import ProofRoutes
from .registration import RegistrationRoutes
from .table import Endpoint

log = logs.get()

_READING = ("GET", "HEAD", "OPTIONS")


class Edge:
    """The native HTTP API of one node. Give `router` and `hooks` to the HTTP server; start `run`.

    Args:
        context: The running node.
        pool: For its counters.
        streams: For its counters.
        transport: For its counters.
        watch_limits: How many may wait for changes.
    """

    def __init__(
        self,
        context: NodeContext,
        *,
        pool: StreamPool,
        streams: StreamServer,
        transport: DatagramTransport,
        watch_limits: WatchLimits | None = None,
    ) -> None:
        self._context = context
        self._updates = UpdateIds(context)
        self._instances = Instances(context, self._updates)
        self._news = CheckNews(context.driver, self._instances.forget)
        self._tally = Tally()
        self._guests = Guests(context, self._updates, self._tally)
        held = Documents(context, self._updates, self._tally)
        self._tidying = Tidying(context, held)
        self._seeds = SeedLists(context, self._tally)
        self._confirms = Confirms(context.driver)
        confirming = Confirming(self._confirms)
        self._auth = Authenticator(context.secret)
        self.hub, self.streams = _watching(context, watch_limits or WatchLimits())
        lookups = Lookups(context, self.hub)
        sources = Sources(
            pool=pool, streams=streams, transport=transport, auth=self._auth, lookups=lookups,
            news=self._news, guests=self._guests, held=held, tidying=self._tidying,
            tally=self._tally, confirms=self._confirms, hub=self.hub,
            event_streams=self.streams,
        )  # fmt: skip
        self._metrics = Metrics(context, sources)
        self._services = ServiceRoutes(context, self._instances, lookups, confirming)
        tables = (
            self._services,
            BatchRoutes(context, self._instances, self._updates, confirming),
            NodeRoutes(context, self._guests),
            RegistrationRoutes(context, self._guests),
            ProofRoutes(context),
            DocumentRoutes(context, held, self._guests, confirming),
            DeliveryRoutes(context, self._updates),
            EvidenceRoutes(context),
            OwnerRoutes(context),
            ExplainRoutes(context, lookups),
            OperationRoutes(context, self._metrics),
            PartitionRoutes(context, self._guests),
            KeyRoutes(context),
            BackupRoutes(context),
            EventRoutes(self.streams),
        )
        gathered = tuple(endpoint for table in tables for endpoint in table.endpoints())
        contract = openapi.endpoint(gathered, is_secured=context.secret is not None)
        self.endpoints: tuple[Endpoint, ...] = (*gathered, contract)
        """Every route, with its documentation."""
        self.router = Router(endpoint.route for endpoint in self.endpoints)
        self.hooks = Hooks(
            guard=self._guard,
            observe=self._metrics.observe,
            answered=_log_answer if context.config.log_level == "debug" else None,
            failed=_log_failure,
        )

    def count_connections_of(self, server: HttpServer) -> None:
        """Show this server's connections among the metrics."""
        self._metrics.clients = server

    def telemetry(self) -> str:
        """All metrics in the text format of Prometheus."""
        return self._metrics.render()

    def on_result(self, key: InstanceKey, check_id: str, status: Health, output: str) -> None:
        """The callback of `HealthChecker` for results that are news."""
        self._news.on_result(key, check_id, status, output)

    def on_expired(self, key: InstanceKey, check_id: str) -> None:
        """The callback of `HealthChecker` for checks that stayed critical."""
        self._news.on_expired(key, check_id)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check what is registered here, and keep guests, until cancelled.

        Start it when the node is ready, so that it knows what is registered with it.
        """
        self._instances.resume()
        self._guests.resume()
        # A nursery outside `server`: it bounds what belongs to the edge alone.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._news.run)
            nursery.start_soon(self._guests.run)
            nursery.start_soon(self._tidying.run)
            nursery.start_soon(self._metrics.run)
            nursery.start_soon(self._services.run)
            nursery.start_soon(self.hub.run)
            nursery.start_soon(self.streams.run)
            nursery.start_soon(self._end_waits)
            task_status.started()

    async def _end_waits(self) -> None:
        """Once the node is to end, nobody has to wait any more before it can."""
        await self._context.lifecycle.end()
        self._confirms.end()
        self.hub.end()
        self.streams.end()

    def _guard(self, request: Request, route: AnyRoute) -> ApiError | None:
        if not route.open:
            refusal = self._auth.judge(request)
            if refusal is not None:
                return refusal
        if self._context.lifecycle.ending and route.method not in _READING:
            stage = self._context.lifecycle.stage.value
            return ApiError(
                503, "shutting_down", f"this node is {stage} and takes no more changes; ask another"
            )
        return None


def _watching(context: NodeContext, limits: WatchLimits) -> tuple[Hub, Streams]:
    """Long polls and streams, told of all that changes here."""
    hub = Hub(limits, Random())  # noqa: S311 - spreads waits, keeps nothing secret
    news = News(context.peer, hub, life=life_of(context), events_max=limits.events_max)
    streams = Streams(news.record, limits)
    news.tell(streams)
    context.driver.settled = news.settled
    context.driver.listen(news.heard)
    return hub, streams


def _log_answer(answered: Answered) -> None:
    log.debug(
        "answered", method=answered.method, path=answered.path, status=answered.status,
        ms=round(answered.seconds * 1_000, 3), client=answered.client,
        request_id=answered.request_id,
    )  # fmt: skip


def _log_failure(request_id: str, error: Exception) -> None:
    log.error("request_failed", request_id=request_id, error=logs.describe(error))
