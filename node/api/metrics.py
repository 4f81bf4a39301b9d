"""What the metrics stand at: gathered from the parts of the node when somebody asks.

Everything that a part counts for itself is read, not counted twice; only requests are counted here.
"""

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import trio

from node import logs
from node.agreement.documents import Documents
from node.agreement.tally import ABOUTS, Tally
from node.agreement.tidying import Tidying
from node.auth import Authenticator
from node.context import NodeContext
from node.delivery.backlog import backlog_of
from node.delivery.confirms import Confirms
from node.guests import Guests
from node.http import End, HttpServer
from node.registrar import CheckNews
from node.telemetry import Durations, Telemetry
from node.transport.datagrams import DatagramTransport
from node.transport.pool import StreamPool
from node.transport.streams import StreamServer
from node.version import VERSION
from node.watching.events import KINDS
from node.watching.hub import Hub
from node.watching.streams import Streams
from protocol.agreement.resolve import BLAMES, RULES
from protocol.detector.detection import Status
from protocol.detector.partition import Partition
from protocol.errors import RefusalCode
from protocol.identity import id_text
from protocol.records import Health, ServiceRecord
from storage import Statistics, StorageError

from .lookup import Lookups
from .shapes import health_of

log = logs.get()

STORE_EVERY_S = 60.0
"""Between two looks at the sizes on disk, which hold up writes for as long as they take."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATM = Path("/proc/self/statm")
_DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The parts that count for themselves."""

    pool: StreamPool
    streams: StreamServer
    transport: DatagramTransport
    auth: Authenticator
    lookups: Lookups
    news: CheckNews
    guests: Guests
    held: Documents
    tidying: Tidying
    tally: Tally
    confirms: Confirms
    hub: Hub
    event_streams: Streams


class Metrics:
    """Shows the node's metrics; `run` looks at the disk now and then."""

    def __init__(self, context: NodeContext, sources: Sources) -> None:
        self._context = context
        self._peer = context.peer
        self._sources = sources
        self._telemetry = Telemetry()
        self._requests: dict[tuple[str, str, int], Durations] = {}
        """By method, route and status: as many as there are of those, since the last `render`."""
        self.clients: HttpServer | None = None
        """Whose connections are shown; set when there is a server."""
        self._instances_at = 0
        self._documents_at = 0
        for code in sorted(get_args(RefusalCode)):
            self._telemetry.set("kith_refused_total", 0, code)

    @property
    def telemetry(self) -> Telemetry:
        """The counters."""
        return self._telemetry

    def observe(self, method: str, pattern: str, status: int, seconds: float | None) -> None:
        """Count one answered request; the hook of the HTTP server.

        That is done at each lookup, so it only finds one place; `render` sorts it out.
        """
        durations = self._requests.get((method, pattern, status))
        if durations is None:
            key = method if method in _METHODS else "other", pattern, status
            durations = self._requests.setdefault(key, Durations())
        durations.count += 1
        if seconds is not None:
            durations.add(seconds)

    def render(self) -> str:
        """All metrics as they stand now."""
        self._sample_requests()
        self._sample_clients()
        self._sample_node()
        self._sample_registry()
        self._sample_agreement()
        self._sample_driver()
        self._sample_delivery()
        self._sample_transport()
        self._sample_checks()
        self._sample_watching()
        self._sample_storage()
        self._sample_process()
        return self._telemetry.render()

    async def run(self) -> None:
        """Look at the sizes on disk once a minute, until cancelled."""
        while True:
            try:
                self._sample_store(await self._context.writer.store_statistics())
            except StorageError as error:
                log.debug("no_storage_statistics", reason=str(error))
            await trio.sleep(STORE_EVERY_S)

    def _sample_requests(self) -> None:
        """Move what was counted since the last time."""
        for (method, pattern, status), durations in self._requests.items():
            labels = method, pattern, str(status)
            self._telemetry.count("kith_http_requests_total", *labels, times=durations.count)
            self._telemetry.observe("kith_http_request_seconds", durations, method, pattern)
        self._requests.clear()

    def _sample_clients(self) -> None:
        clients = self.clients
        if clients is not None:
            self._telemetry.set("kith_http_connections", clients.connections)
            self._telemetry.set("kith_http_closed_for_room_total", clients.closed_for_room)

    def _sample_node(self) -> None:
        put, context, peer = self._telemetry.set, self._context, self._peer
        put("kith_info", 1, VERSION, id_text(context.me))
        put("kith_ready", float(peer.ready and not context.lifecycle.ending))
        put("kith_start_time_seconds", context.started_at_us / 1_000_000)
        put("kith_incarnation", peer.membership.incarnation)
        put("kith_http_unauthenticated_total", self._sources.auth.failures)
        put("kith_lookup_kept_bytes", self._sources.lookups.kept_bytes)
        side = peer.membership.partition()
        for one in Partition:
            put("kith_partition", float(one is side), one.value)
        put("kith_partition_open", float(peer.episodes.open))
        agreement = peer.divergence.state(now=trio.current_time())
        put("kith_roots_equal", agreement.equal)
        put("kith_roots_differing", agreement.differing)
        put("kith_divergence_seconds", agreement.longest_s)
        for status, count in peer.membership.counts().items():
            put("kith_members", count + (status is Status.ALIVE), status.value)

    def _sample_registry(self) -> None:
        put, registry = self._telemetry.set, self._peer.registry
        branches = [registry.branch(owner) for owner in registry.owners()]
        put("kith_owners", len(branches))
        put("kith_withheld_total", self._peer.credit.withheld)
        put("kith_lies_total", self._peer.credit.lies)
        put("kith_disputed_owners", sum(1 for one in branches if one and one.disputed))
        docket = self._peer.docket
        standing = sum(1 for case in docket.cases() if case.open)
        put("kith_evidence", standing, "open")
        put("kith_evidence", len(docket) - standing, "settled")
        if registry.index == self._instances_at:
            return  # counting is linear in the instances, and nothing has changed
        self._instances_at = registry.index
        by_health = dict.fromkeys(Health, 0)
        services = 0
        for name in registry.services():
            services += 1
            for found in registry.instances(name):
                by_health[health_of(self._peer, found)] += 1
        put("kith_services", services)
        for health, count in by_health.items():
            put("kith_instances", count, health.value)
        critical = [found.record.critical for found in self._sources.guests.all_settled()]
        put("kith_guests", sum(critical), "critical")
        put("kith_guests", len(critical) - sum(critical), "alive")

    def _sample_agreement(self) -> None:
        put, sources = self._telemetry.set, self._sources
        if self._documents_at != self._peer.registry.documents_index:
            self._documents_at = self._peer.registry.documents_index
            contested = [bool(one.conflicts) for one in sources.held.all()]
            put("kith_documents", len(contested) - sum(contested), "no")
            put("kith_documents", sum(contested), "yes")
        put("kith_document_words_dropped_total", sources.tidying.dropped)
        put("kith_documents_taken_over_total", sources.tidying.taken_over)
        for about in ABOUTS:
            for rule in RULES:
                count = sources.tally.rules.get((about, rule), 0)
                put("kith_resolutions_total", count, about, rule)
            for blame in BLAMES:
                blamed = sources.tally.blames.get((about, blame), 0)
                put("kith_discrepancies_total", blamed, about, blame)

    def _sample_driver(self) -> None:
        put, counters = self._telemetry.set, self._context.driver.counters
        put("kith_commits_total", counters.commits)
        put("kith_applied_total", counters.applied)
        put("kith_peer_requests_total", counters.requests)
        put("kith_peer_requests_failed_total", counters.requests_failed)
        put("kith_peer_requests_barred_total", counters.requests_barred)
        put("kith_stores_skipped_total", counters.stores_skipped)
        put("kith_loop_lag_worst_seconds", counters.lag_worst_s)
        put("kith_disk_full", float(self._context.driver.disk_full))
        put("kith_unsafe_no_sync", float(self._context.config.unsafe_no_sync))
        refused = dict(self._sources.streams.counters.refused)
        for code in get_args(RefusalCode):
            count = counters.refused.get(code, 0) + refused.get(code, 0)
            put("kith_refused_total", count, code)

    def _sample_delivery(self) -> None:
        put, deliveries = self._telemetry.set, self._peer.deliveries
        put("kith_outbox_commits", len(deliveries.outbox))
        put("kith_outbox_bytes", deliveries.outbox.bytes)
        put("kith_outbox_overflowed_total", deliveries.outbox.overflowed)
        now_us = time.time_ns() // 1_000
        backlog = backlog_of(deliveries, self._peer.membership, now_us=now_us)
        put("kith_deliveries_waiting", backlog.peers)
        put("kith_delivery_oldest_wait_seconds", backlog.longest_s)
        put("kith_delivery_breakers_open", backlog.breakers_open)
        counters = deliveries.counters
        put("kith_delivery_attempts_total", counters.attempts)
        put("kith_delivery_failures_total", counters.failures)
        put("kith_delivery_acknowledged_total", counters.acknowledged)
        put("kith_delivery_resent_total", counters.resent)
        put("kith_delivery_states_total", counters.states)
        put("kith_delivery_expired_total", counters.expired)
        put("kith_receipts_total", counters.receipts)
        put("kith_confirms_waiting", self._sources.confirms.waiting)
        for outcome, count in self._sources.confirms.outcomes.items():
            put("kith_confirm_waits_total", count, outcome)

    def _sample_transport(self) -> None:
        put = self._telemetry.set
        datagrams = self._sources.transport.counters
        put("kith_datagrams_total", datagrams.packets_in, "in")
        put("kith_datagrams_total", datagrams.packets_out, "out")
        put("kith_datagram_bytes_total", datagrams.bytes_in, "in")
        put("kith_datagram_bytes_total", datagrams.bytes_out, "out")
        put("kith_datagrams_dropped_total", datagrams.dropped_overflow, "overflow")
        put("kith_datagrams_dropped_total", datagrams.dropped_unsendable, "unsendable")
        put("kith_datagrams_dropped_total", datagrams.receive_errors, "receive_error")
        pool = self._sources.pool.counters
        put("kith_pool_connections", pool.idle, "idle")
        put("kith_pool_connections", pool.open - pool.idle, "busy")
        for event, count in (
            ("opened", pool.opened), ("reused", pool.reused), ("reopened", pool.reopened),
            ("failed", pool.failed), ("timeout", pool.timeouts), ("evicted", pool.evicted),
            ("expired", pool.expired),
        ):  # fmt: skip
            put("kith_pool_events_total", count, event)
        streams = self._sources.streams.counters
        put("kith_streams_open", streams.open)
        for event, count in (
            ("accepted", streams.accepted), ("turned_away", streams.turned_away),
            ("displaced", streams.displaced),
            ("request", streams.requests), ("handler_error", streams.handler_errors),
            ("timeout", streams.timeouts), ("broken", streams.broken),
            ("accept_error", streams.accept_errors),
        ):  # fmt: skip
            put("kith_streams_events_total", count, event)

    def _sample_checks(self) -> None:
        put, checker = self._telemetry.set, self._context.checker
        put("kith_checks_running", checker.probes_running)
        put("kith_checks_waiting", checker.probes_waiting)
        put("kith_check_results_total", self._sources.news.results)
        put("kith_check_removals_total", self._sources.news.removed)
        by_status = {Health.PASSING: 0, Health.WARNING: 0, Health.CRITICAL: 0}
        branch = self._peer.registry.branch(self._context.me)
        own = 0
        for body in branch.bodies.values() if branch else ():
            if isinstance(body, ServiceRecord):
                own += 1
                for check in body.checks:
                    by_status[check.status] = by_status.get(check.status, 0) + 1
        put("kith_own_instances", own)
        for status, count in by_status.items():
            put("kith_checks", count, status.value)

    def _sample_watching(self) -> None:
        put, hub = self._telemetry.set, self._sources.hub
        put("kith_watchers", hub.watching)
        put("kith_watchers_parked_total", hub.counters.parked)
        put("kith_watchers_spurious_total", hub.counters.spurious)
        put("kith_watch_changes_hidden_total", hub.counters.hidden)
        for outcome, count in (
            ("woken", hub.counters.woken), ("timed_out", hub.counters.timed_out),
            ("hung_up", hub.counters.hung_up), ("refused", hub.counters.refused),
        ):  # fmt: skip
            put("kith_watchers_total", count, outcome)
        streams = self._sources.event_streams
        put("kith_event_streams", streams.count)
        put("kith_event_streams_opened_total", streams.opened_count)
        put("kith_event_streams_refused_total", streams.refused)
        for end in get_args(End):
            put("kith_event_streams_ended_total", streams.ends[end], end)
        for kind in KINDS:
            put("kith_events_total", streams.record.counts[kind], kind)

    def _sample_storage(self) -> None:
        put, statistics = self._telemetry.set, self._context.writer.statistics()
        put("kith_storage_waiting", statistics.waiting)
        put("kith_storage_transactions_total", statistics.transactions)
        put("kith_storage_writes_total", statistics.keeps)
        put("kith_storage_failures_total", statistics.failures)
        put("kith_storage_dropped_total", statistics.dropped)

    def _sample_store(self, statistics: Statistics) -> None:
        put = self._telemetry.set
        put("kith_storage_bytes", statistics.file_bytes, "database")
        put("kith_storage_bytes", statistics.wal_bytes, "wal")
        put("kith_storage_rows", statistics.branches, "branches")
        put("kith_storage_rows", statistics.records, "records")
        put("kith_storage_rows", statistics.commits, "commits")
        put("kith_storage_rows", statistics.results, "results")
        put("kith_storage_rows", statistics.evidence, "evidence")

    def _sample_process(self) -> None:
        put = self._telemetry.set
        usage = resource.getrusage(resource.RUSAGE_SELF)
        put("process_cpu_seconds_total", usage.ru_utime + usage.ru_stime)
        try:
            pages = int(_STATM.read_text(encoding="ascii").split()[1])
            put("process_resident_memory_bytes", pages * resource.getpagesize())
            put("process_open_fds", sum(1 for _ in _DESCRIPTORS.iterdir()))
        except (OSError, ValueError, IndexError):
            # Not Linux: the most that was ever in use is what every system tells.
            put("process_resident_memory_bytes", usage.ru_maxrss * 1_024)
