"""The parts of a running node and how they are put together; `server` decides when they run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import SystemRandom

import trio

from node import logs
from protocol.events import (
    Event,
    ForkFound,
    ForkSettled,
    KeyForkFound,
    KeysChanged,
    MemberChanged,
    Parted,
    ShutOut,
)
from protocol.identity import Address, id_text, short_id
from protocol.peer import Peer
from protocol.wire.handshake import Credentials, Session
from storage import Writer

from . import api
from .checks.asking import LateProber
from .checks.checker import HealthChecker
from .config import NodeConfig
from .context import NodeContext
from .driver import Driver
from .http import (
    HttpLimits,
    HttpServer,
    Request,
    Response,
    Router,
    SyncRoute,
    connections_within,
    open_files_max,
    text_response,
)
from .lifecycle import Lifecycle
from .telemetry import CONTENT_TYPE
from .transport.binding import Binding
from .transport.pool import PoolLimits, StreamPool
from .transport.sessions import KeyLore
from .transport.streams import StreamServer
from .watching.limits import WatchLimits

log = logs.get()

METRICS_READERS_MAX = 64
"""Connections to the port of the metrics; collectors are few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What stands before the parts are made."""

    config: NodeConfig
    peer: Peer
    credentials: Credentials
    binding: Binding
    http_listeners: Sequence[trio.SocketListener]
    metrics_listeners: Sequence[trio.SocketListener]
    writer: Writer
    lifecycle: Lifecycle
    tasks: trio.Nursery


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A node, assembled."""

    driver: Driver
    pool: StreamPool
    streams: StreamServer
    checker: HealthChecker
    http: HttpServer
    metrics: HttpServer
    """`/telemetry` alone, open to whoever reaches its port."""
    edge: api.Edge
    lifecycle: Lifecycle
    tasks: trio.Nursery


def assemble(on: Foundation) -> Parts:
    """Make every part; nothing runs yet."""
    config = on.config
    driver: Driver
    # What the machine knows of keys may be asked at any time; what it learns, the driver performs.
    lore = KeyLore(on.peer.rotation.newer, lambda events, source: driver.met(events, source))
    pool = StreamPool(
        on.credentials, limits=PoolLimits(kept_max=min(500, config.peer_connections_max)), lore=lore
    )
    driver = Driver(
        on.peer, writer=on.writer, transport=on.binding.datagrams, pool=pool, tasks=on.tasks
    )
    driver.listen(_log_event)
    streams = StreamServer(driver.serve, on.credentials, on_error=_log_stream_error, lore=lore)

    def renew(credentials: Credentials) -> None:
        pool.renew(credentials)
        streams.credentials = credentials

    driver.renew = renew
    driver.listen(partial(_end_when_shut_out, on.lifecycle))
    edge: api.Edge
    checker = HealthChecker(
        LateProber(),
        SystemRandom(),
        on_result=lambda *result: edge.on_result(*result),
        on_expired=lambda *expired: edge.on_expired(*expired),
        wall_us=wall_us,
    )
    context = NodeContext(
        config=config,
        me=on.peer.me,
        driver=driver,
        writer=on.writer,
        checker=checker,
        lifecycle=on.lifecycle,
        started_at_us=wall_us(),
        secret=config.token.reveal().encode() if config.token else None,
    )
    limits = _http_limits(config)
    edge = api.Edge(
        context, pool=pool, streams=streams, transport=on.binding.datagrams,
        watch_limits=WatchLimits.within(
            connections=limits.connections_max, per_client=limits.connections_per_client_max
        ),
    )  # fmt: skip
    http = HttpServer(edge.router, node=id_text(on.peer.me), limits=limits, hooks=edge.hooks)
    edge.count_connections_of(http)
    return Parts(
        driver=driver, pool=pool, streams=streams, checker=checker, http=http,
        metrics=_metrics_server(edge, id_text(on.peer.me)), edge=edge,
        lifecycle=on.lifecycle, tasks=on.tasks,
    )  # fmt: skip


def _http_limits(config: NodeConfig) -> HttpLimits:
    files = open_files_max()
    wanted = config.http_connections_max
    most = connections_within(files, wanted)
    if wanted is not None and most < wanted:
        log.warning(
            "few_open_files", http_connections_max=wanted, admitted=most, open_files=files,
            remedy="raise the hard limit on open files (ulimit -Hn, LimitNOFILE in systemd)",
        )  # fmt: skip
    return HttpLimits(
        connections_max=most,
        connections_per_client_max=config.http_connections_per_client_max,
        requests_per_s=config.http_requests_per_s,
        requests_burst=config.http_requests_burst,
        loopback_is_limited=config.http_limit_loopback,
    )


def _metrics_server(edge: api.Edge, node: str) -> HttpServer:
    def telemetry(request: Request) -> Response:
        request.query.check_known()
        return text_response(200, edge.telemetry(), CONTENT_TYPE)

    paths = ("/telemetry", "/metrics")
    limits = HttpLimits(connections_max=METRICS_READERS_MAX)
    routes = (SyncRoute("GET", path, telemetry) for path in paths)
    return HttpServer(Router(routes), node=node, limits=limits)


def _end_when_shut_out(lifecycle: Lifecycle, event: Event) -> None:
    """A node whose own key does not count any more is of no use to anybody."""
    match event:
        case ShutOut(epoch):
            log.critical(
                "key_replaced_by_another", epoch=epoch,
                remedy="this directory is an old copy, or its next key was stolen: restore the "
                "newest identity.key, or start anew in another --data-dir",
            )  # fmt: skip
            lifecycle.fail()
        case _:
            pass


def wall_us() -> int:
    """Unix microseconds."""
    return time.time_ns() // 1_000


def _log_event(event: Event) -> None:
    match event:
        case MemberChanged(node, old, new, certified):
            log.info(
                "member_changed", member=short_id(node), old=old.value if old else None,
                new=new.value, certified=certified,
            )  # fmt: skip
        case ForkFound(evidence, found_at):
            log.warning(
                "fork_found", owner=short_id(evidence.owner), first=evidence.first.version,
                second=evidence.second.version, first_hash=evidence.first.hash.hex(),
                second_hash=evidence.second.hash.hex(), found_at_us=found_at,
            )  # fmt: skip
        case ForkSettled(case):
            log.info(
                "fork_settled", owner=short_id(case.owner), evidence=case.id.hex(),
                settled_at_us=case.settlement.at if case.settlement else 0,
            )  # fmt: skip
        case KeysChanged(owner, epoch, revoked):
            log.info("keys_changed", owner=short_id(owner), epoch=epoch, revoked=revoked)
        case KeyForkFound(fork):
            log.warning(
                "key_fork_found", owner=short_id(fork.owner), sequence=fork.sequence,
                stands=fork.first.hash.hex(), falls=fork.second.hash.hex(),
            )  # fmt: skip
        case Parted(number, stage):
            log.warning("partition", number=number, stage=stage.value)
        case _:
            pass


def _log_stream_error(error: Exception, session: Session, source: Address) -> None:
    log.warning(
        "stream_request_failed", peer=short_id(session.node),
        address=str(source), reason=repr(error),
    )  # fmt: skip
