"""The program: who starts, who stops, in which order.

    lock ▶ keys ▶ database ▶ sockets ▶ peer ▶ [ one nursery: driver, streams, HTTP, checks, … ]
    end asked for ▶ say `stopping` (signed) ▶ drain HTTP ▶ let the word out ▶ cancel ▶ flush ▶ close

Rules this module keeps:

1. The nursery of the parts is opened here, and exception groups are unwrapped here, nowhere else.
2. Whatever keeps a node from starting is one line on standard error that names the remedy.
3. The end is bounded in time, whatever hangs; a second signal ends it at once.
"""

import gc
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import SystemRandom

import trio

from protocol.bodies import Body
from protocol.commits import RecordKey
from protocol.delivery.standing import Priority, Queue
from protocol.detector.config import MembershipConfig
from protocol.errors import ProposalError
from protocol.identity import Address, short_id
from protocol.peer import NODE_RECORD, Peer
from protocol.records import NodeRecord, Phase
from protocol.setup import PeerSetup
from protocol.signing import cluster_id
from protocol.sync.recollection import Hearing
from protocol.wire.handshake import Credentials
from storage import Loaded, StorageError, Writer

from . import advertise, bootstrap, discovery, keystore, logs, parsing, parts, weight
from .config import NodeConfig
from .driver import DiskFull, Driver, instant
from .durability import backup, opening, restoring
from .durability.archive import BackupError
from .http import raise_open_files
from .keyfiles import KEY_FILE, KeyStoreError
from .lifecycle import UNHEARD_REMEDY, Lifecycle, Stage
from .transport.binding import Binding, bind
from .transport.errors import BindError
from .transport.resolver import Resolver
from .version import VERSION

log = logs.get()

GC_THRESHOLDS = (50_000, 20, 50)
"""When the collector of cycles looks: once there are so many objects more than when it last did.

The core's values are trees, without cycles, so it finds nothing among them; and each look goes
through all that was replaced since the last one, 75 ms for 5,000 instances that were registered
anew. With Python's own thresholds it takes a third of the time of a bulk join.
"""
LAST_WORD_S = 1.5
"""How long the signed word that we stop may take to be written."""
LAST_SENDS_S = 0.15
"""Time for the advert that follows the push of our last commit."""


class StartError(Exception):
    """The node cannot start; the message says what to do."""


class ShutOutError(Exception):
    """The node ended because its own key does not count any more; the log has said so."""


@dataclass(frozen=True, slots=True)
class _Sockets:
    """Everything that is listened on."""

    gossip: Binding
    http: Sequence[trio.SocketListener]
    http_port: int
    metrics: Sequence[trio.SocketListener]
    """None where `/telemetry` is on the HTTP port alone."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a node stands on before it runs."""

    config: NodeConfig
    identity: keystore.Identity
    disk: opening.Ground


def run(config: NodeConfig) -> int:
    """Run a node until it is asked to end; the exit code.

    0: ended as asked; 1: could not start, or failed.
    """
    logs.setup(level=config.log_level, form=config.log_format)
    raise_open_files()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with keystore.lock(config.data_dir):
            ground = _ground(config)
            try:
                return trio.run(_main, ground, strict_exception_groups=True)
            finally:
                ground.disk.store.close()
    except (
        StartError,
        KeyStoreError,
        StorageError,
        BackupError,
        advertise.AdvertiseError,
    ) as error:
        print(f"kith: cannot start: {error}", file=sys.stderr)  # noqa: T201 (before any log)
        return 1
    except KeyboardInterrupt:
        return 0


def _ground(config: NodeConfig) -> _Ground:
    cluster = cluster_id(config.cluster)
    passphrase = config.key_passphrase.reveal().encode() if config.key_passphrase else None
    restoring.check_whole(config.data_dir)
    backup.remove_left(config.data_dir, older_than_s=0.0)
    if not (config.data_dir / KEY_FILE).exists():
        opening.promise(config.data_dir)
    identity = keystore.load_or_create(config.data_dir, cluster, passphrase)
    if identity.chain.revoked:
        raise StartError("this node's identity was revoked; start anew in another --data-dir")
    disk = opening.take_up(
        config.data_dir, identity, cluster,
        rebuild=config.rebuild, unsafe_no_sync=config.unsafe_no_sync,
    )  # fmt: skip
    return _Ground(config, identity, disk)


async def _main(ground: _Ground) -> int:
    Resolver().install()
    failed: BaseException | None = None
    try:
        await _live(ground, await _open_sockets(ground.config))
    except* StartError as group:
        raise _first(group) from None
    except* ShutOutError as group:
        failed = _first(group)
    except* StorageError as group:
        failed = _first(group)
        log.critical("storage_failed", reason=str(failed))
    return 1 if failed else 0


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


async def _open_sockets(config: NodeConfig) -> _Sockets:
    try:
        gossip = await bind(config.gossip.host, config.gossip.port)
    except BindError as error:
        raise StartError(str(error)) from None
    http = await _listen(config.http, "--http HOST:PORT")
    metrics: Sequence[trio.SocketListener] = ()
    if config.metrics_port:
        metrics = await _listen(Address(config.http.host, config.metrics_port), "--metrics-port")
    return _Sockets(gossip, http, http[0].socket.getsockname()[1], metrics)


async def _listen(on: Address, flag: str) -> Sequence[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(on.port, host=on.host)
    except OSError as error:
        raise StartError(
            f"cannot listen on {on} for HTTP: {error.strerror or error}; "
            f"end what listens there, or choose another {flag}"
        ) from None


async def _live(ground: _Ground, sockets: _Sockets) -> None:
    store, loaded = ground.disk.store, ground.disk.loaded
    # Like a version: the clock keeps it rising even where the disk was put back to an older copy.
    incarnation = store.begin_life(at_least=parts.wall_us() // 1_000_000)
    lifecycle = Lifecycle(loaded.must_hear)
    broken: list[StorageError] = []

    def on_fatal(error: StorageError) -> None:
        broken.append(error)
        lifecycle.abort()

    unsafe = ground.config.unsafe_no_sync
    async with Writer(store, on_fatal=on_fatal, unsafe_no_sync=unsafe) as writer:
        setup = PeerSetup(
            cluster=cluster_id(ground.config.cluster),
            chain=ground.identity.chain,
            signer=ground.identity.keys,
            record=_record(ground.config, sockets, incarnation),
            restored=loaded.branches,
            evidence=loaded.evidence,
            last_dot=loaded.last_dot,
            queue=Queue(
                deliveries=loaded.deliveries, outbox=loaded.outbox, floor=loaded.outbox_floor
            ),
            membership=_membership(ground.config),
            hearing=_hearing(ground, loaded),
        )
        peer = Peer(setup, rng=SystemRandom(), now=instant())
        logs.bind_node(ground.config.name, peer.me)
        _warn_of_disk(ground)
        for owner, reason in peer.unrestored:
            log.warning("stored_branch_refused", owner=short_id(owner), reason=reason)
        async with trio.open_nursery() as tasks:
            foundation = parts.Foundation(
                config=ground.config,
                peer=peer,
                credentials=Credentials(ground.identity.chain, ground.identity.keys, setup.cluster),
                binding=sockets.gossip,
                http_listeners=sockets.http,
                metrics_listeners=sockets.metrics,
                writer=writer,
                lifecycle=lifecycle,
                tasks=tasks,
            )
            await _run(foundation)
            tasks.cancel_scope.cancel()
    if broken:
        raise broken[0]
    if lifecycle.failed:
        raise ShutOutError


async def _run(on: parts.Foundation) -> None:
    node = parts.assemble(on)
    on.tasks.start_soon(_watch_signals, on.lifecycle)
    on.tasks.start_soon(_cancel_when_forced, on.lifecycle, on.tasks)
    on.tasks.start_soon(_start, on, node)
    await on.lifecycle.end()
    await _shut_down(node, on.config)


async def _start(on: parts.Foundation, node: parts.Parts) -> None:
    config, tasks, rng = on.config, on.tasks, SystemRandom()
    contacts = bootstrap.last_known(on.peer, rng)
    own_address = advertise.advertised(config, port=on.binding.address.port)
    own = discovery.OwnAddresses(on.binding.address, own_address)
    boot = bootstrap.Bootstrap(node.driver, config.seeds, own=own, tasks=tasks, rng=rng)
    await tasks.start(node.streams.run, on.binding.listener)
    tasks.start_soon(node.pool.run)
    tasks.start_soon(node.driver.run)
    await tasks.start(node.http.serve, on.http_listeners)
    if on.metrics_listeners:
        await tasks.start(node.metrics.serve, on.metrics_listeners)
    if on.lifecycle.must_hear:
        log.warning("waits_to_hear_of_itself", why=on.lifecycle.must_hear, remedy=UNHEARD_REMEDY)
    tasks.start_soon(boot.run, contacts)
    if config.multicast:
        tasks.start_soon(_multicast, on, boot, own)
    await tasks.start(node.checker.run)
    await node.driver.ready()
    if on.lifecycle.must_hear:
        await _heard(on)
    await tasks.start(node.edge.run)
    on.lifecycle.running()
    log.info(
        "node_ready", id=short_id(on.peer.me), http=str(config.http),
        gossip=str(on.binding.address), cluster=config.cluster, version=VERSION,
    )  # fmt: skip
    _warn_if_open(config)
    weight.give_back()


async def _heard(on: parts.Foundation) -> None:
    """It has heard of itself: the next start need not."""
    log.info("heard_of_itself", version=on.peer.registry.claim(on.peer.me).dot.version)
    try:
        await on.writer.mark("")
    except StorageError as error:  # then the next start asks once more, which harms nothing
        log.warning("still_marked", reason=str(error))


def _warn_if_open(config: NodeConfig) -> None:
    if config.token is None and not parsing.is_loopback(config.http.host):
        log.warning(
            "api_open_to_the_network",
            http=str(config.http),
            remedy="anyone who reaches this address can register and deregister; set KITH_TOKEN or "
            "--token-file, or listen on 127.0.0.1",
        )


def _warn_of_disk(ground: _Ground) -> None:
    disk = ground.disk
    if disk.aside is not None:
        log.warning("database_made_anew", damage=disk.damage, aside=str(disk.aside))
    if ground.config.unsafe_no_sync:
        log.warning(
            "unsafe_no_sync",
            remedy="a crash loses registrations that were acknowledged, and the node may fork: "
            "never use this where anybody relies on what is registered; leave --unsafe-no-sync out",
        )


async def _multicast(
    on: parts.Foundation, boot: bootstrap.Bootstrap, own: discovery.OwnAddresses
) -> None:
    config = on.config
    try:
        group = discovery.Group(config.multicast_group)
    except OSError as error:
        log.warning("no_multicast", group=str(config.multicast_group), reason=str(error))
        return
    try:
        await discovery.announce_and_listen(
            group, tag=discovery.cluster_tag(cluster_id(config.cluster)),
            gossip_port=on.binding.address.port, found=boot.found, own=own, rng=SystemRandom(),
        )  # fmt: skip
    finally:
        group.close()


async def _shut_down(node: parts.Parts, config: NodeConfig) -> None:
    stage, driver = node.lifecycle.stage, node.driver
    log.info("node_ending", leaving=stage is Stage.LEAVING)
    with trio.move_on_after(config.drain_timeout_s):
        if driver.peer.ready and not driver.peer.rotation.shut:
            await _say_farewell(driver, leaving=stage is Stage.LEAVING)
        node.streams.stop()
        await node.http.drain(max(0.5, config.drain_timeout_s - LAST_WORD_S - LAST_SENDS_S))
        await trio.sleep(LAST_SENDS_S)
    log.info("node_ended")


async def _say_farewell(driver: Driver, *, leaving: bool) -> None:
    """The signed last word: stopping keeps what is registered here, leaving removes it."""
    phase = Phase.LEFT if leaving else Phase.STOPPING
    record = replace(driver.peer.record, phase=phase, updated_at=instant().wall_us)
    own = driver.peer.registry.branch(driver.peer.me)
    gone = list(own.records) if leaving and own is not None else []
    # The word itself comes first: so many removals may take more commits than there is time for.
    changes: dict[RecordKey, Body | None] = {NODE_RECORD: record}
    changes |= {key: None for key in gone if key != NODE_RECORD}
    with trio.move_on_after(LAST_WORD_S):
        try:
            await driver.propose(changes, priority=Priority.CRITICAL)
        except (DiskFull, ProposalError) as error:
            log.warning("ending_without_a_word", reason=str(error))


async def _watch_signals(lifecycle: Lifecycle) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("signal", name=signal.Signals(number).name)
            lifecycle.stop()


async def _cancel_when_forced(lifecycle: Lifecycle, tasks: trio.Nursery) -> None:
    await lifecycle.forced()
    tasks.cancel_scope.cancel()


def _hearing(ground: _Ground, loaded: Loaded) -> Hearing:
    if loaded.must_hear:
        return Hearing.SURELY
    if ground.disk.branch_lost:
        return Hearing.PATIENTLY
    has_peers = bool(len(loaded.branches) > 1 or ground.config.seeds)
    return Hearing.briefly_if(has_peers and not ground.identity.created)


def _membership(config: NodeConfig) -> MembershipConfig:
    profile = {
        "local": MembershipConfig.local,
        "lan": MembershipConfig.lan,
        "wan": MembershipConfig.wan,
        "hostile": MembershipConfig.hostile,
    }[config.profile]()
    if config.heartbeat_interval_s is not None:
        profile = replace(profile, heartbeat_interval_s=config.heartbeat_interval_s)
    if config.evict_after_s is not None:
        profile = replace(profile, evict_after_s=config.evict_after_s)
    return profile


def _record(config: NodeConfig, sockets: _Sockets, incarnation: int) -> NodeRecord:
    gossip = advertise.advertised(config, port=sockets.gossip.address.port)
    api = advertise.advertised_http(config, port=sockets.http_port)
    return NodeRecord(
        name=config.name,
        host=gossip.host,
        port=gossip.port,
        api_host=api.host,
        api_port=api.port,
        metrics_port=config.metrics_port or sockets.http_port,
        node_type=config.node_type,
        is_load_balancer=config.load_balancer,
        capabilities=config.capabilities,
        zone=config.zone,
        region=config.region,
        metadata=config.metadata,
        software=VERSION,
        incarnation=incarnation,
        updated_at=parts.wall_us(),
    )
