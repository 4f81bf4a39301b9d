"""Many nodes in this process: peers, drivers, pools, UDP and TCP as in `kith node`.

What is left out, and whom it favours: there is no disk (a store in memory; memberlist has no disk
either), and no HTTP. All share one event loop and one processor, where memberlist uses all of them:
that favours memberlist.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random

import trio

from node.driver import Driver, instant
from node.transport.binding import Binding, bind
from node.transport.pool import StreamPool
from node.transport.sessions import KeyLore
from node.transport.streams import ServerLimits, StreamServer
from protocol.bodies import key_of
from protocol.commits import Dot
from protocol.detector.config import MembershipConfig
from protocol.detector.detection import Status
from protocol.events import Applied, Event
from protocol.identity import INCEPTION, Address, KeyChain, NodeId, commitment, make_event
from protocol.peer import Peer
from protocol.records import NodeRecord, ServiceRecord
from protocol.setup import PeerSetup
from protocol.signing import KeyPair, cluster_id
from protocol.sync.recollection import Hearing
from protocol.wire.handshake import Credentials, Session
from storage import MemoryStore, StorageError, Writer

HOST = "127.0.0.1"
CLUSTER = cluster_id("benchmark")
SEEDS = 3
JOIN_WITHIN_S = 240.0
UPDATE_WITHIN_S = 10.0
POLL_S = 0.05
ONE_HOST = ServerLimits(
    connections_per_origin_max=500, handshakes_max=500, handshakes_per_origin_max=500
)
"""All peers of a node come from one address here, of which it takes 64 connections by default."""
PRESENT = (Status.ALIVE, Status.SUSPECT)
"""A suspect is still in all lookups; on a busy machine somebody is doubted at any time."""
METADATA = (("build", "2026-02-11T08:30:00Z"), ("commit", "9f2c41d7e0b85a63"), ("team", "checkout"))
"""So that the record is some 300 bytes, as a real one."""


class TownError(Exception):
    """The nodes cannot be measured; the message says why."""


@dataclass(slots=True)
class Node:
    """One of them."""

    driver: Driver
    address: Address
    arrivals: dict[tuple[NodeId, int], float] = field(default_factory=dict)
    """When it applied the first commit of an owner that brings it up to a version."""

    def hear(self, event: Event) -> None:
        """Note what was applied."""
        if isinstance(event, Applied):
            self.arrivals.setdefault((event.owner, event.dot.version), time.perf_counter())

    def arrival_s(self, owner: NodeId, dot: Dot) -> float | None:
        """When it had that commit; a later one brings it with it."""
        times = [
            at_s
            for (of, version), at_s in self.arrivals.items()
            if of == owner and version >= dot.version
        ]
        return min(times, default=None)


class Town:
    """Nodes that know each other."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes

    async def join(self) -> None:
        """Wait until each sees all others.

        Raises:
            TownError: not in time.
        """
        seeds = [node.address for node in self._nodes[:SEEDS]]
        for node in self._nodes:
            for seed in seeds:
                if seed != node.address:
                    await node.driver.join(seed)
        with trio.move_on_after(JOIN_WITHIN_S):
            while not all(map(self._sees_all, self._nodes)):  # noqa: ASYNC110 - nobody tells
                await trio.sleep(POLL_S)
            return
        lacking = sum(not self._sees_all(node) for node in self._nodes)
        raise TownError(f"{lacking} of {len(self._nodes)} lack some after {JOIN_WITHIN_S:.0f} s")

    async def update(self, index: int, number: int) -> list[float]:
        """Commit a service with one node; ms until each of the others that got it had it."""
        for node in self._nodes:
            node.arrivals.clear()
        record = ServiceRecord(
            name=f"bench-{number}", id="i", address=HOST, port=20_000 + number,
            tags=("bench", "v2"), metadata=METADATA, updated_at=time.time_ns() // 1_000,
        )  # fmt: skip
        owner = self._nodes[index]
        began_s = time.perf_counter()
        dot = await owner.driver.propose({key_of(record): record})
        me = owner.driver.peer.me
        others = [node for node in self._nodes if node is not owner]
        with trio.move_on_after(UPDATE_WITHIN_S):
            # Arrivals have their own times: how often we look does not matter.
            while any(node.arrival_s(me, dot) is None for node in others):  # noqa: ASYNC110
                await trio.sleep(POLL_S)
        times = [node.arrival_s(me, dot) for node in others]
        return [(at_s - began_s) * 1e3 for at_s in times if at_s is not None]

    def _sees_all(self, node: Node) -> bool:
        membership = node.driver.peer.membership
        views = [membership.view(one) for one in membership.members()]
        present = sum(view is not None and view.status in PRESENT for view in views)
        return present == len(self._nodes)


@asynccontextmanager
async def open_town(count: int, first_port: int) -> AsyncIterator[Town]:
    """So many nodes on ports from there on, which have joined; ended at the end of the block.

    Raises:
        TownError: they do not come to see each other.
    """
    async with AsyncExitStack() as stack, trio.open_nursery() as tasks:
        nodes = []
        for number in range(count):
            binding = await bind(HOST, first_port + number)
            stack.callback(binding.close)
            nodes.append(await _open_node(number, binding, stack, tasks))
        town = Town(nodes)
        await town.join()
        yield town
        tasks.cancel_scope.cancel()


async def _open_node(
    number: int, binding: Binding, stack: AsyncExitStack, tasks: trio.Nursery
) -> Node:
    ours = _credentials(number + 1)
    store = MemoryStore(ours.chain.node)
    loaded, incarnation = store.load(), store.begin_life()
    address = binding.address
    record = NodeRecord(
        name=f"n{number}", host=address.host, port=address.port, api_host=HOST, api_port=8_400,
        software="bench", incarnation=incarnation, updated_at=time.time_ns() // 1_000,
    )  # fmt: skip
    setup = PeerSetup(
        cluster=CLUSTER, chain=ours.chain, signer=ours.signer, record=record,
        restored=loaded.branches, evidence=loaded.evidence, last_dot=loaded.last_dot,
        membership=MembershipConfig.lan(), hearing=Hearing.NOTHING,
    )  # fmt: skip
    writer = await stack.enter_async_context(Writer(store, on_fatal=_fail))
    peer = Peer(setup, rng=Random(number), now=instant())
    made: list[Driver] = []
    lore = KeyLore(peer.rotation.newer, lambda *shown: made[0].met(*shown))
    pool = StreamPool(ours, lore=lore)
    driver = Driver(peer, writer=writer, transport=binding.datagrams, pool=pool, tasks=tasks)
    made.append(driver)
    streams = StreamServer(driver.serve, ours, on_error=_ignore, limits=ONE_HOST, lore=lore)
    await tasks.start(partial(streams.run, binding.listener))
    tasks.start_soon(pool.run)
    tasks.start_soon(driver.run)
    await driver.ready()
    node = Node(driver, address)
    driver.listen(node.hear)
    return node


def _credentials(owner: int) -> Credentials:
    key = KeyPair(owner.to_bytes(32, "big"))
    event = make_event(
        INCEPTION, previous=None, key=key, next_commitment=commitment(bytes(32)), cluster=CLUSTER
    )
    return Credentials(KeyChain(NodeId(event.hash), (event,)), key, CLUSTER)


def _fail(error: StorageError) -> None:
    raise error


def _ignore(_error: Exception, _session: Session, _source: Address) -> None:
    """A stream that breaks is the protocol's business here as anywhere."""
