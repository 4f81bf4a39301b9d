"""Nodes in this process, complete but for the program: real peers, sockets, writers and checks."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import orjson
import trio
import trio.testing

from node import config as configuration
from node import keystore
from node.api import Edge
from node.checks.asking import ProbeAnswer, ProbeFailed
from node.checks.checker import HealthChecker
from node.context import NodeContext
from node.driver import Driver, instant
from node.http import HttpServer
from node.lifecycle import Lifecycle
from node.transport.binding import bind
from node.transport.pool import StreamPool
from node.transport.sessions import KeyLore
from node.transport.streams import StreamServer
from protocol.delivery.standing import Queue
from protocol.detector.config import MembershipConfig
from protocol.identity import Address, id_text
from protocol.peer import Peer
from protocol.records import NodeRecord
from protocol.setup import PeerSetup
from protocol.sync.recollection import Hearing
from protocol.wire.handshake import Credentials, Session
from storage import MemoryStore, Writer
from tests.node.http.speaking import Answer, Client, request
from tests.node.transport.people import CLUSTER, credentials

CLUSTER_NAME = "test"
SOON_S = 5.0
NOWHERE = Path("/nowhere")


class StillProber:
    """Answers every HTTP probe with the status that the test chose; asks nobody."""

    def __init__(self) -> None:
        self.status = 200
        self.probed = 0

    async def ready(self) -> None:
        pass

    async def get(self, url: str, timeout_s: float) -> ProbeAnswer:
        await trio.lowlevel.checkpoint()
        self.probed += 1
        if self.status == 0:
            raise ProbeFailed("connection refused")
        return ProbeAnswer(self.status, b"")


@dataclass(slots=True)
class TestNode:
    """One node and a caller of its API."""

    __test__ = False

    context: NodeContext
    edge: Edge
    server: HttpServer
    prober: StillProber
    store: MemoryStore
    address: Address
    tasks: trio.Nursery
    secret: str | None

    @property
    def id(self) -> str:
        return id_text(self.context.me)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *headers: str,
        raw: bytes | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.tasks.start_soon(self.server.serve_stream, theirs, "127.0.0.1")
        content = raw if raw is not None else b"" if body is None else orjson.dumps(body)
        fields = [*headers]
        if content:
            fields.append("Content-Type: application/json")
        if self.secret is not None and not any(one.startswith("Authorization") for one in headers):
            fields.append(f"Authorization: Bearer {self.secret}")
        client = Client(ours)
        with trio.fail_after(SOON_S):
            await client.send(request(method, path, *fields, body=content))
            answer = await client.answer(body=method != "HEAD")
        await ours.aclose()
        return answer

    async def expect(
        self, status: int, method: str, path: str, body: object = None, *headers: str
    ) -> dict[str, object]:
        """The document of an answer that must have that status."""
        answer = await self.ask(method, path, body, *headers)
        assert answer.status == status, answer.body
        document = orjson.loads(answer.body)
        assert isinstance(document, dict)
        return document

    async def refused(
        self, status: int, code: str, method: str, path: str, body: object = None, *headers: str
    ) -> dict[str, object]:
        """The error of a request that must be refused so, in the one shape."""
        answer = await self.ask(method, path, body, *headers)
        assert answer.status == status, answer.body
        assert answer.error["code"] == code, answer.body
        expected = {"code", "message", "field", "definite", "request_id"}
        assert expected <= set(answer.error), "the one error shape"
        assert answer.headers["x-kith-node"] == self.id
        return answer.error

    async def instances(self, service: str, query: str = "") -> list[dict[str, object]]:
        document = await self.expect(200, "GET", f"/v1/services/{service}{query}")
        found = document["instances"]
        assert isinstance(found, list)
        return found


def stored(home: Path) -> Credentials:
    """Of the key files there, which are made if need be."""
    identity = keystore.load_or_create(home, CLUSTER, None)
    return Credentials(identity.chain, identity.keys, CLUSTER)


async def _hold_tasks(task_status: trio.TaskStatus[trio.Nursery]) -> None:
    async with trio.open_nursery() as tasks:
        task_status.started(tasks)
        await trio.sleep_forever()


async def until(condition: object, *, seconds: float = SOON_S) -> None:
    """Wait until a callable is true, looking at every step that the loop makes."""
    assert callable(condition)
    with trio.fail_after(seconds):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.001)


def configured(name: str, directory: Path, **flags: object) -> configuration.NodeConfig:
    told = {"name": name, "data_dir": str(directory), "cluster": CLUSTER_NAME, **flags}
    return configuration.load(told, {}, Path.read_bytes).config


def own_record(name: str, address: Address, incarnation: int, zone: str) -> NodeRecord:
    return NodeRecord(
        name=name, host=address.host, port=address.port, api_host="127.0.0.1", api_port=8400,
        zone=zone, software="0.1.0", incarnation=incarnation, updated_at=time.time_ns() // 1_000,
    )  # fmt: skip


@asynccontextmanager
async def open_node(  # noqa: PLR0915 (a node, put together in order)
    number: int = 1,
    *,
    store: MemoryStore | None = None,
    secret: str | None = None,
    zone: str = "z1",
    is_started: bool = True,
    home: Path | None = None,
) -> AsyncIterator[TestNode]:
    """A node that is ready, and ended at the end of the block; `home` holds its key files."""
    ours = credentials(number)
    if home is not None:
        ours = stored(home)
    me = ours.chain.node
    if store is None:
        store = MemoryStore(me)
    loaded, incarnation = store.load(), store.begin_life()
    binding = await bind("127.0.0.1", 0)
    name = f"node-{number}"
    setup = PeerSetup(
        cluster=CLUSTER, chain=ours.chain, signer=ours.signer,
        record=own_record(name, binding.address, incarnation, zone), restored=loaded.branches,
        evidence=loaded.evidence,
        last_dot=loaded.last_dot,
        queue=Queue(
            deliveries=loaded.deliveries, outbox=loaded.outbox, floor=loaded.outbox_floor
        ),
        membership=MembershipConfig.local(), hearing=Hearing.NOTHING,
    )  # fmt: skip
    try:
        async with Writer(store, on_fatal=_fail) as writer, trio.open_nursery() as outside:
            # In a task of its own, so that ending it does not end the test.
            tasks: trio.Nursery = await outside.start(_hold_tasks)
            peer = Peer(setup, rng=Random(number), now=instant())
            drivers: list[Driver] = []
            lore = KeyLore(peer.rotation.newer, lambda *shown: drivers[0].met(*shown))
            pool = StreamPool(ours, lore=lore)
            driver = Driver(
                peer, writer=writer, transport=binding.datagrams, pool=pool, tasks=tasks
            )
            drivers.append(driver)
            streams = StreamServer(driver.serve, ours, on_error=_on_stream_error, lore=lore)
            driver.renew = partial(_renew, pool, streams)
            prober = StillProber()
            parts: list[Edge] = []
            checker = HealthChecker(
                prober,
                Random(number),
                on_result=lambda *result: parts[0].on_result(*result),
                on_expired=lambda *expired: parts[0].on_expired(*expired),
                wall_us=lambda: time.time_ns() // 1_000,
            )
            lifecycle = Lifecycle()
            context = NodeContext(
                config=configured(name, home or NOWHERE), me=me, driver=driver, writer=writer,
                checker=checker, lifecycle=lifecycle, started_at_us=time.time_ns() // 1_000,
                secret=secret.encode() if secret else None,
            )  # fmt: skip
            edge = Edge(context, pool=pool, streams=streams, transport=binding.datagrams)
            parts.append(edge)
            server = HttpServer(edge.router, node=id_text(me), hooks=edge.hooks)
            node = TestNode(context, edge, server, prober, store, binding.address, tasks, secret)
            if is_started:
                await tasks.start(streams.run, binding.listener)
                tasks.start_soon(pool.run)
                tasks.start_soon(driver.run)
                await tasks.start(checker.run)
                with trio.fail_after(SOON_S):
                    await driver.ready()
                await tasks.start(edge.run)
                lifecycle.running()
            yield node
            tasks.cancel_scope.cancel()
    finally:
        binding.close()


@asynccontextmanager
async def open_pair() -> AsyncIterator[tuple[TestNode, TestNode]]:
    """Two nodes that know each other."""
    async with open_node(1) as alice, open_node(2, zone="z2") as bob:
        with trio.fail_after(SOON_S):
            assert await bob.context.driver.join(alice.address)
        await until(lambda: len(alice.context.peer.membership.members()) == 2)
        yield alice, bob


def web(**fields: object) -> dict[str, object]:
    """A registration of `web` at port 8000, with these fields besides or instead."""
    return {"name": "web", "port": 8000, **fields}


def _renew(pool: StreamPool, streams: StreamServer, ours: Credentials) -> None:
    pool.renew(ours)
    streams.credentials = ours


def _fail(error: Exception) -> None:
    raise error


def _on_stream_error(error: Exception, session: Session, source: Address) -> None:
    raise error
