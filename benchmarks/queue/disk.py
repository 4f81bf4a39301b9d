"""The queue on disk: written, loaded, and under a node that starts.

The database is one that a node could have left behind: its own commits, signed, each a registration
that changes one of `SERVICES` instances, and a row for each peer, all of which lack all of it.
"""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

import trio

from benchmarks import deployed
from benchmarks.cluster.facts import parse_kith
from benchmarks.cluster.fleet import BLOCK_PORTS, BenchError, Fleet, free_block
from node.cli.local_cluster import HOST
from node.durability import DATABASE, opening
from node.keystore import Identity, load_or_create
from protocol.bodies import record_of
from protocol.clocks import Instant
from protocol.commits import NOTHING, Dot, RecordKey
from protocol.delivery.standing import Breaker, Delivery
from protocol.detector.config import MembershipConfig
from protocol.effects import Effect, Keep, KeepChain, KeepCommit, KeepDelivery, Persist, Store
from protocol.identity import NodeId
from protocol.peer import Peer
from protocol.records import NodeRecord, ServiceRecord
from protocol.setup import PeerSetup
from protocol.signing import cluster_id
from protocol.sync.recollection import Hearing
from storage import SqliteStore, Writer, open_store

from .figures import Figures

CLUSTER_NAME = "bench"
CLUSTER = cluster_id(CLUSTER_NAME)
SERVICES = 1_000
BATCH = 250
"""Commits written together while the database is made."""
REPEATS = 5
READY_WITHIN_S = 120.0
STALE_US = 3_600 * 1_000_000
METADATA = (("build", "2026-02-11T08:30:00Z"), ("commit", "9f2c41d7e0b85a63"))


def make(directory: Path, commits: int, peers: int) -> None:
    """Leave the files of a node behind, as if it had run."""
    directory.mkdir()
    opening.promise(directory)
    identity = load_or_create(directory, CLUSTER, None)
    store = _open(directory, identity)
    waiting: list[Keep] = []
    oldest = NOTHING
    for keep in _keeps(identity, commits):
        waiting.append(keep)
        if isinstance(keep, KeepCommit) and oldest == NOTHING:
            oldest = keep.commit.head.dot
        if len(waiting) >= BATCH:
            store.write(waiting)
            waiting.clear()
    store.write([*waiting, *rows(peers, oldest)])
    store.close()


def rows(peers: int, held: Dot, attempts: int = 9) -> list[Keep]:
    """A row for each peer, none of which has answered for a while."""
    since_us = time.time_ns() // 1_000 - STALE_US
    return [
        KeepDelivery(
            Delivery(
                peer=NodeId(number.to_bytes(32, "big")), held=held, stored=held,
                since_us=since_us, attempts=attempts, next_try_us=since_us + STALE_US,
                breaker=Breaker.OPEN, score=100, latency_us=3_000,
            )
        )
        for number in range(1, peers + 1)
    ]  # fmt: skip


def measure_writing(figures: Figures, directory: Path, peers: int) -> None:
    """All rows at once, as when all peers have come further."""
    identity = load_or_create(directory, CLUSTER, None)
    store = _open(directory, identity)
    took_ms = []
    for number in range(REPEATS):
        keeps = rows(peers, NOTHING, number)
        begun = time.perf_counter()
        store.write(keeps)
        took_ms.append((time.perf_counter() - begun) * 1e3)
    figures.add("writing all rows, on the writer's thread (ms)", took_ms)
    trio.run(_measure_handing, figures, store, peers)


async def _measure_handing(figures: Figures, store: SqliteStore, peers: int) -> None:
    took_ms = []
    async with Writer(store, on_fatal=_raise) as writer:
        for number in range(REPEATS):
            keeps = rows(peers, NOTHING, number)
            begun = time.perf_counter()
            for keep in keeps:
                writer.submit(keep)
            took_ms.append((time.perf_counter() - begun) * 1e3)
            await writer.write_through(())
    figures.add("handing all rows to the writer, on the event loop (ms)", took_ms)


def measure_loading(figures: Figures, directory: Path) -> None:
    """What a start reads before anything else."""
    identity = load_or_create(directory, CLUSTER, None)
    opened_s, loaded_s = [], []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        store = _open(directory, identity)
        opened_s.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        store.load()
        loaded_s.append(time.perf_counter() - begun)
        store.close()
    figures.add("opening the database, every page checked (s)", opened_s)
    figures.add("loading it (s)", loaded_s)


def measure_starts(cases: dict[str, Figures], directories: dict[str, Path], logs: Path) -> None:
    """From the start of the process until it is ready, in turn; each time on a copy.

    Raises:
        BenchError: one does not become ready.
    """
    took_s: dict[str, list[float]] = {name: [] for name in directories}
    for number in range(REPEATS):
        for name, directory in directories.items():
            copy = logs / f"{name}-{number}"
            shutil.copytree(directory, copy)
            took_s[name].append(_start(copy, logs))
            shutil.rmtree(copy)
    for name, figures in cases.items():
        figures.add("`kith node`, from its start until it is ready (s)", took_s[name])


def _start(directory: Path, logs: Path) -> float:
    port = free_block(1)
    command = [
        *deployed.NODE,
        *("--cluster", CLUSTER_NAME),
        *("--data-dir", str(directory)),
        *("--http", f"{HOST}:{port + BLOCK_PORTS // 2}"),
        *("--gossip", f"{HOST}:{port}"),
        *("--log-format", "json"),
    ]
    fleet = Fleet([directory.name], [command], logs, parse_kith)
    try:
        begun_ns = fleet.start(0)
        if not fleet.wait(lambda: fleet.ready_ns > begun_ns, READY_WITHIN_S):
            raise BenchError(f"{directory.name} is not ready after {READY_WITHIN_S:.0f} s")
        return (fleet.ready_ns - begun_ns) / 1e9
    finally:
        fleet.stop()


def _keeps(identity: Identity, commits: int) -> Iterable[Keep]:
    """What a node keeps of so many commits of its own."""
    record = NodeRecord(
        name="bench", host=HOST, port=8_401, api_host=HOST, api_port=8_400, incarnation=1
    )
    now = Instant(0.0, time.time_ns() // 1_000 - STALE_US)
    setup = PeerSetup(
        cluster=CLUSTER, chain=identity.chain, signer=identity.keys, record=record,
        membership=MembershipConfig.lan(), hearing=Hearing.NOTHING,
    )  # fmt: skip
    peer = Peer(setup, rng=Random(1), now=now)
    yield from _durable(peer, peer.tick(now=now), now)
    for number in range(commits):
        now = Instant(now.mono_s, now.wall_us + 1)
        instance = ServiceRecord(
            name="web", id=f"i-{number % SERVICES}", address=HOST, port=8_080, tags=("v2",),
            metadata=(*METADATA, ("number", str(number)), ("team", "checkout")), version="1",
            zone="z1", updated_at=now.wall_us,
        )  # fmt: skip
        made = record_of(instance)
        changes = {RecordKey(made.kind, made.key): instance}
        yield from _durable(peer, peer.propose(changes, None, now=now), now)


def _durable(peer: Peer, effects: list[Effect], now: Instant) -> Iterable[Keep]:
    waiting = list(effects)
    while waiting:
        effect = waiting.pop(0)
        if isinstance(effect, Store) and isinstance(effect.keep, KeepChain):
            yield effect.keep
        elif isinstance(effect, Persist):
            yield from effect.keeps
            waiting += peer.persisted(now=now)


def _open(directory: Path, identity: Identity) -> SqliteStore:
    return open_store(directory / DATABASE, cluster=CLUSTER, node=identity.node)


def _raise(error: Exception) -> None:
    raise error
