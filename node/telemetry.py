"""Metrics: one table of what there is, and the registry that counts, in Prometheus' text format.

Rules this module keeps:

1. A metric that is not in `METRICS` cannot be counted; docs/API.md lists the same table.
2. A metric has at most `SERIES_MAX` series; what would be one more is counted under `other`, so
   that no client can fill our memory, or that of whoever collects the metrics.
3. Counting never raises for what a client sent; a wrong name or number of labels is a bug of ours.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SERIES_MAX = 500
OTHER = "other"
SECONDS_BUCKETS = (0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
_NO_BUCKETS = (0.0,) * (len(SECONDS_BUCKETS) + 1)
"""One count for each bound and one beyond them."""

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name says its unit."""

    name: str
    kind: Kind
    what: str
    labels: Labels = ()


def _counter(name: str, what: str, *labels: str) -> Metric:
    return Metric(name, "counter", what, labels)


def _gauge(name: str, what: str, *labels: str) -> Metric:
    return Metric(name, "gauge", what, labels)


METRICS: tuple[Metric, ...] = (
    _gauge("kith_info", "Always 1; the labels say what runs.", "version", "node"),
    _gauge("kith_ready", "1 if the node is to be given work."),
    _gauge("kith_start_time_seconds", "When this life began, Unix time."),
    _gauge("kith_incarnation", "How many lives this identity has begun."),
    _counter("kith_http_requests_total", "Requests answered, by route and status; 499 where the "
             "client went before its answer came.",
             "method", "route", "status"),
    Metric("kith_http_request_seconds", "histogram",
           "From the complete request to the complete answer; without those that came later, "
           "such as long polls and streams.", ("method", "route")),
    _gauge("kith_http_connections", "Open HTTP connections."),
    _counter("kith_http_closed_for_room_total",
             "HTTP connections that were closed because others had no room."),
    _counter("kith_http_unauthenticated_total", "Requests refused for their credential."),
    _gauge("kith_lookup_kept_bytes", "Encoded answers of lookups that are kept."),
    _gauge("kith_watchers", "Long polls that wait."),
    _counter("kith_watchers_parked_total", "Long polls that began to wait."),
    _counter("kith_watchers_total",
             "What became of long polls: woken, timed_out, hung_up, refused.", "outcome"),
    _counter("kith_watchers_spurious_total",
             "Long polls that were woken to be shown what they had; must stay 0."),
    _gauge("kith_event_streams", "Streams of events that are open."),
    _counter("kith_event_streams_opened_total", "Streams of events that began."),
    _counter("kith_event_streams_refused_total", "Streams of events beyond the limits."),
    _counter("kith_event_streams_ended_total",
             "Streams of events by their end: gone, slow (cut off), draining, done.", "end"),
    _counter("kith_events_total", "Events noted for streams, by kind; none while nobody listens.",
             "kind"),
    _counter("kith_watch_changes_hidden_total",
             "Changes of a service that a query of watchers did not show, so that nobody woke."),
    _gauge("kith_members", "Members by status, this node included.", "status"),
    _gauge("kith_partition", "1 for the side of the cluster that this node is on.", "side"),
    _gauge("kith_partition_open", "1 while a partition goes on, or is not yet reconciled."),
    _gauge("kith_roots_equal", "Peers heard lately whose root is this node's."),
    _gauge("kith_roots_differing", "Peers heard lately whose root is another."),
    _gauge("kith_divergence_seconds", "For how long the one differs that has for longest."),
    _gauge("kith_owners", "Owners of branches that are held here."),
    _gauge("kith_disputed_owners", "Owners with a fork that is not settled."),
    _gauge("kith_evidence", "Forks of which the evidence is kept, by state.", "state"),
    _gauge("kith_services", "Services with at least one instance."),
    _gauge("kith_instances", "Instances of all services, by health.", "health"),
    _gauge("kith_own_instances", "Instances registered with this node."),
    _gauge("kith_guests", "Guests, by status.", "status"),
    _gauge("kith_documents", "Documents, by whether they are in conflict.", "conflict"),
    _counter("kith_document_words_dropped_total",
             "Own words on documents that another word made needless."),
    _counter("kith_documents_taken_over_total",
             "Documents taken over from writers that are gone."),
    _counter("kith_resolutions_total",
             "Statements that met and were decided, by what about and which rule.",
             "about", "rule"),
    _counter("kith_discrepancies_total", "Who was at odds with what was decided, and how.",
             "about", "blame"),
    _counter("kith_commits_total", "Own commits written to disk."),
    _gauge("kith_outbox_commits", "Own commits that some peer still lacks."),
    _gauge("kith_outbox_bytes", "Bytes of the changes in those commits."),
    _counter("kith_outbox_overflowed_total",
             "Commits that went for want of room; who lacks them is shown the state."),
    _gauge("kith_deliveries_waiting", "Peers that lack something that was committed here."),
    _gauge("kith_delivery_oldest_wait_seconds",
           "For how long the one does that has for longest."),
    _gauge("kith_delivery_breakers_open", "Peers that have not been answering deliveries."),
    _counter("kith_delivery_attempts_total", "Tries to deliver over a stream."),
    _counter("kith_delivery_failures_total", "Of those, without an answer."),
    _counter("kith_delivery_acknowledged_total", "Times that a peer came to lack nothing."),
    _counter("kith_delivery_resent_total", "Commits brought by deliveries that were answered."),
    _counter("kith_delivery_states_total", "Tries that showed a state, for want of the steps."),
    _counter("kith_delivery_expired_total", "Peers that left or were reaped lacking something."),
    _counter("kith_receipts_total", "Receipts of peers for own commits on their disks."),
    _gauge("kith_confirms_waiting", "Requests that wait for receipts."),
    _counter("kith_confirm_waits_total", "Requests that waited for receipts, by outcome.",
             "outcome"),
    _counter("kith_applied_total", "Commits and manifests of peers that were applied."),
    _counter("kith_refused_total", "What peers sent and was refused, by code.", "code"),
    _counter("kith_withheld_total", "What peers said they hold and did not show."),
    _counter("kith_lies_total", "Trees, heads and states shown by peers that cannot be true."),
    _counter("kith_peer_requests_total", "Requests sent to peers over streams."),
    _counter("kith_peer_requests_failed_total", "Of those, without an answer."),
    _counter(
        "kith_peer_requests_barred_total", "Not sent, to peers that failed three times in a row."
    ),
    _counter("kith_stores_skipped_total", "Branches of peers not written, for want of room."),
    _counter("kith_datagrams_total", "Datagrams, by direction.", "direction"),
    _counter("kith_datagram_bytes_total", "Their bytes, by direction.", "direction"),
    _counter("kith_datagrams_dropped_total", "Datagrams not sent or not read, by reason.",
             "reason"),
    _gauge("kith_pool_connections", "Kept streams to peers, by state.", "state"),
    _counter("kith_pool_events_total", "What happened to streams to peers.", "event"),
    _gauge("kith_streams_open", "Streams from peers that are open."),
    _counter("kith_streams_events_total", "What happened to streams from peers.", "event"),
    _gauge("kith_checks", "Health checks of own instances, by status.", "status"),
    _gauge("kith_checks_running", "Probes under way."),
    _gauge("kith_checks_waiting", "Checks that are due but find no free place."),
    _counter("kith_check_results_total", "Results of checks that were news."),
    _counter("kith_check_removals_total", "Instances removed for staying critical."),
    _gauge("kith_storage_waiting", "Writes that wait for the disk."),
    _counter("kith_storage_transactions_total", "Transactions written."),
    _counter("kith_storage_writes_total", "Writes in those transactions."),
    _counter("kith_storage_failures_total", "Transactions that were undone."),
    _counter("kith_storage_dropped_total", "Writes given up."),
    _gauge("kith_storage_bytes", "Size on disk, looked up once a minute.", "file"),
    _gauge("kith_storage_rows", "Rows on disk, looked up once a minute.", "table"),
    _gauge("kith_disk_full", "1 while own commits wait for room on the disk."),
    _gauge("kith_unsafe_no_sync", "1 if changes are acknowledged before they are written."),
    _gauge("kith_loop_lag_worst_seconds", "The latest that the driver ever came to its deadline."),
    _gauge("process_resident_memory_bytes", "Memory in use."),
    _gauge("process_open_fds", "Open file descriptors."),
    _counter("process_cpu_seconds_total", "Processor time, user and system."),
)  # fmt: skip
"""Every metric there is."""


class Durations:
    """How often, and how long each time: gathered where time is short, shown by a histogram."""

    __slots__ = ("buckets", "count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        """Also of what took no time worth telling; `add` leaves it alone."""
        self.seconds = 0.0
        self.buckets = [0.0] * len(_NO_BUCKETS)

    def add(self, seconds: float) -> None:
        """Something took so long."""
        self.seconds += seconds
        self.buckets[bisect_left(SECONDS_BUCKETS, seconds)] += 1


class _Series:
    """One metric's values by its labels' values."""

    __slots__ = ("buckets", "metric", "values")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.values: dict[Labels, float] = {}
        self.buckets: dict[Labels, list[float]] = {}

    def place(self, labels: Labels) -> Labels:
        """Where to count: under these labels, or under `other` if there are too many."""
        if labels in self.values or len(self.values) < SERIES_MAX:
            return labels
        return (OTHER,) * len(labels)


class Telemetry:
    """Counts and shows."""

    def __init__(self, metrics: Sequence[Metric] = METRICS) -> None:
        self._series = {metric.name: _Series(metric) for metric in metrics}

    def count(self, name: str, *labels: str, times: int = 1) -> None:
        """Count one more, or so many.

        Raises:
            KeyError, ValueError: no such metric, or other labels; a bug of the caller.
        """
        series = self._checked(name, labels)
        place = series.place(labels)
        series.values[place] = series.values.get(place, 0) + times

    def set(self, name: str, value: float, *labels: str) -> None:
        """Say what a gauge, or a counter kept elsewhere, stands at. Errors as `count`."""
        series = self._checked(name, labels)
        series.values[series.place(labels)] = value

    def observe(self, name: str, durations: Durations, *labels: str) -> None:
        """Put durations into a histogram. Errors as `count`."""
        series = self._checked(name, labels)
        place = series.place(labels)
        before = series.buckets.get(place, _NO_BUCKETS)
        series.buckets[place] = [a + b for a, b in zip(before, durations.buckets, strict=True)]
        series.values[place] = series.values.get(place, 0.0) + durations.seconds

    def clear(self, name: str) -> None:
        """Forget the series of a gauge whose labels come and go."""
        self._series[name].values.clear()

    def value(self, name: str, *labels: str) -> float:
        """What a counter or gauge stands at; 0 if it was never counted."""
        return self._checked(name, labels).values.get(labels, 0)

    def render(self) -> str:
        """Everything, in the text format of Prometheus, version 0.0.4."""
        lines: list[str] = []
        for series in self._series.values():
            metric = series.metric
            lines.append(f"# HELP {metric.name} {metric.what}")
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            for labels, value in series.values.items():
                if metric.kind == "histogram":
                    lines += _histogram(metric, labels, series.buckets[labels], value)
                else:
                    lines.append(f"{metric.name}{_braces(metric.labels, labels)} {value:.16g}")
        return "\n".join(lines) + "\n"

    def _checked(self, name: str, labels: Labels) -> _Series:
        series = self._series[name]
        if len(labels) != len(series.metric.labels):
            raise ValueError(f"{name} has the labels {series.metric.labels}, not {labels}")
        return series


def _histogram(metric: Metric, labels: Labels, buckets: list[float], total: float) -> list[str]:
    names = (*metric.labels, "le")
    lines, count = [], 0.0
    for bound, inside in zip((*map(str, SECONDS_BUCKETS), "+Inf"), buckets, strict=True):
        count += inside
        lines.append(f"{metric.name}_bucket{_braces(names, (*labels, bound))} {count:.16g}")
    shown = _braces(metric.labels, labels)
    return [
        *lines,
        f"{metric.name}_sum{shown} {total:.9g}",
        f"{metric.name}_count{shown} {count:.16g}",
    ]


def _braces(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
