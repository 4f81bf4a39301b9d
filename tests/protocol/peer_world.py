"""A small world of whole peers: virtual time, lossy links, streams and disks in memory.

Seeded and single-threaded, so every run with one seed is the same run. Latencies are 0.8 to 2 ms,
a disk takes 1 ms. Not a simulator: just enough to try what `Peer` promises.
"""

import hashlib
import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from protocol import signing
from protocol.agreement.docket import Case
from protocol.bodies import Body, key_of
from protocol.clocks import Instant
from protocol.commits import NOTHING, Change, Commit, Dot, Record, RecordKey
from protocol.delivery.standing import Delivery, OutboxEntry, Queue
from protocol.detector.config import MembershipConfig
from protocol.effects import (
    Drop,
    DropDelivery,
    DropRecords,
    Effect,
    Keep,
    KeepChain,
    KeepCommit,
    KeepDelivery,
    KeepEvidence,
    KeepManifest,
    KeepMend,
    Mark,
    Notify,
    Persist,
    Recall,
    Request,
    Send,
    Store,
    TrimOutbox,
)
from protocol.events import Event, KeysChanged
from protocol.identity import (
    INCEPTION,
    REVOCATION,
    ROTATION,
    Address,
    KeyChain,
    NodeId,
    commitment,
    continued,
    make_event,
    verify_chain,
)
from protocol.limits import DATAGRAM_MAX, OWN_STEPS_KEPT
from protocol.peer import Peer
from protocol.records import NodeRecord, ServiceRecord
from protocol.restored import RestoredBranch
from protocol.setup import PeerSetup
from protocol.shared.joined import Joined
from protocol.shared.reading import PLAIN
from protocol.sync.recollection import Hearing
from protocol.wire.messages import Message, encode, seal

CLUSTER = signing.cluster_id("test")
TRUST = signing.Trust(CLUSTER)
WALL_US = 1_700_000_000_000_000
MARK_S = 0.02
"""Until what was stored is durable."""


def key_pair(number: int) -> signing.KeyPair:
    return signing.KeyPair(number.to_bytes(32, "big"))


def next_key(number: int, epoch: int) -> signing.KeyPair:
    """The key that the event of an epoch commits to; after the inception the same for all."""
    return signing.KeyPair(
        number.to_bytes(16, "big") + (1000 + epoch).to_bytes(16, "big")
        if epoch
        else bytes(31) + b"\xff"
    )


def chain_of(keys: signing.KeyPair, *, cluster: bytes = CLUSTER) -> KeyChain:
    following = commitment(next_key(0, 0).public_key)
    event = make_event(
        INCEPTION, previous=None, key=keys, next_commitment=following, cluster=cluster
    )
    return verify_chain([event.pack()], signing.Trust(cluster))


def service(name: str = "web", port: int = 8000, *, version: str = "") -> ServiceRecord:
    """An instance; `replace` what else a test means to say."""
    return ServiceRecord(
        name=name, id=f"{name}-{port}", address="127.0.0.1", port=port, version=version
    )


@dataclass
class Disk:
    """What a node wrote, applied in order."""

    branches: dict[NodeId, RestoredBranch] = field(default_factory=dict)
    evidence: dict[bytes, Case] = field(default_factory=dict)
    incarnation: int = 0
    deliveries: dict[NodeId, Delivery] = field(default_factory=dict)
    own: list[KeepCommit] = field(default_factory=list)
    """Every commit of our own, of which `trimmed` and before are wanted no more."""
    trimmed: Dot = NOTHING

    def copy(self) -> "Disk":
        return Disk(
            dict(self.branches), dict(self.evidence), self.incarnation, dict(self.deliveries),
            list(self.own), self.trimmed,
        )  # fmt: skip

    def queue(self) -> Queue:
        """What a start is given of the retry queue."""
        outbox: list[OutboxEntry] = []
        for keep in self.own:
            head = keep.commit.head
            if outbox and head.parents[:1] != (outbox[-1].hash,):
                outbox.clear()
            if head.dot > self.trimmed:
                size = len(keep.commit.changes_encoded)
                outbox.append(OutboxEntry(head.dot, head.hash, keep.priority, size))
        before = [keep.commit.head.dot for keep in self.own]
        floor = max([dot for dot in before if outbox and dot < outbox[0].dot], default=self.trimmed)
        return Queue(
            deliveries=tuple(self.deliveries[peer] for peer in sorted(self.deliveries)),
            outbox=tuple(outbox), floor=floor,
        )  # fmt: skip

    def recall(self, after: Dot, count: int) -> tuple[Commit, ...]:
        found = [k.commit for k in self.own if k.commit.head.dot > max(after, self.trimmed)]
        return tuple(found[:count])

    def write(self, keep: Keep) -> None:  # noqa: C901 (a case each)
        match keep:
            case KeepChain(chain):
                old = self.branches.get(chain.node)
                events = tuple(chain.packed())
                self.branches[chain.node] = (
                    replace(old, key_events=events)
                    if old
                    else RestoredBranch(chain.node, events, None, (), (), reaped=False)
                )
            case KeepDelivery(delivery):
                self.deliveries[delivery.peer] = delivery
            case DropDelivery(peer):
                self.deliveries.pop(peer, None)
            case TrimOutbox(through):
                self.trimmed = max(self.trimmed, through)
            case KeepCommit(commit, changes):
                old = self.branches[commit.head.owner]
                commits: tuple[Commit, ...] = (*old.commits, commit)[-OWN_STEPS_KEPT:]
                self.branches[commit.head.owner] = replace(
                    old, head=commit.head, commits=commits, records=changed(old.records, changes),
                    reaped=False,
                )  # fmt: skip
            case KeepManifest(manifest):
                old = self.branches[manifest.head.owner]
                self.branches[manifest.head.owner] = replace(
                    old, head=manifest.head, commits=(), records=manifest.records, reaped=False
                )
            case KeepMend(head, changes):
                old = self.branches[head.owner]
                self.branches[head.owner] = replace(
                    old, head=head, commits=(), records=changed(old.records, changes), reaped=False
                )
            case DropRecords(head):
                old = self.branches[head.owner]
                self.branches[head.owner] = replace(
                    old, head=head, commits=(), records=(), reaped=True
                )
            case KeepEvidence(case, dropped):
                self.evidence[case.id] = case
                for old_case in dropped:
                    self.evidence.pop(old_case, None)


def changed(before: Sequence[Record], changes: Sequence[Change]) -> tuple[Record, ...]:
    records = {(r.kind, r.key): r for r in before}
    for change in changes:
        records.pop((change.kind, change.key), None)
        if change.body is not None:
            record = Record(change.kind, change.key, change.body)
            records[change.kind, change.key] = record
    return tuple(records.values())


class Node:
    """One peer with its disk."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.address = Address(f"10.0.{number // 250}.{number % 250 + 1}", 8401)
        self.keys = key_pair(number + 1)
        self.chain = chain_of(self.keys)
        self.key_file = self.keys, self.chain
        """What a start reads: ahead of what is shown on streams while a rotation lands."""
        self.disk = Disk()
        self.hearing = Hearing.BRIEFLY
        """What it has to hear of itself when it starts again."""
        self.up = False
        self.marks_fail = False
        """Whether what was stored before a mark is lost."""
        self.life = 0
        self.events: list[tuple[float, Event]] = []
        self.drops: dict[str, int] = {}
        self.peer: Peer

    @property
    def id(self) -> NodeId:
        return self.chain.node

    def start(self, joined: Joined | None = None) -> None:
        self.up = True
        self.life += 1
        self.keys, self.chain = self.key_file
        lived = bool(self.disk.branches)
        self.disk.incarnation += 1
        own = self.disk.branches.get(self.id)
        setup = replace(
            self.setup(),
            restored=() if joined else tuple(self.disk.branches.values()),
            evidence=tuple(self.disk.evidence.values()),
            last_dot=own.head.dot if own and own.head else NOTHING,
            hearing=self.hearing if lived else Hearing.NOTHING,
            joined=joined,
            queue=self.disk.queue(),
        )
        rng = Random(self.number * 1000 + self.life)
        self.peer = Peer(setup, rng=rng, now=self.world.now)
        self.plan()

    def setup(self) -> PeerSetup:
        """As it is on a node that starts for the first time."""
        record = NodeRecord(
            name=f"n{self.number}", host=self.address.host, port=self.address.port,
            api_host=self.address.host, api_port=8400, incarnation=max(1, self.disk.incarnation),
        )  # fmt: skip
        return PeerSetup(
            cluster=CLUSTER, chain=self.chain, signer=self.keys, record=record,
            membership=self.world.config, hearing=Hearing.NOTHING, verifier=self.world.verifier,
            reading=self.world.reading,
        )  # fmt: skip

    def crash(self) -> None:
        self.up = False

    def plan(self) -> None:
        at = max(self.peer.next_deadline, self.world.time)
        life = self.life
        if at < float("inf"):
            self.world.at(at, lambda: self.tick(life))

    def tick(self, life: int) -> None:
        if self.up and life == self.life and self.peer.next_deadline <= self.world.time:
            self.perform(self.peer.tick(now=self.world.now))

    def propose(
        self, *bodies: Body, remove: tuple[RecordKey, ...] = (), ticket: int | None = None
    ) -> None:
        changes: dict[RecordKey, Body | None] = {key_of(body): body for body in bodies}
        changes |= dict.fromkeys(remove)
        self.perform(self.peer.propose(changes, ticket, now=self.world.now))

    def successor(self, kind: int = ROTATION) -> tuple[signing.KeyPair, KeyChain]:
        """The key that the newest event committed to, and the chain with it."""
        keys = next_key(self.number, self.chain.epoch)
        following = commitment(next_key(self.number, self.chain.epoch + 1).public_key)
        event = make_event(
            kind, previous=self.chain.events[-1], key=keys, next_commitment=following,
            cluster=CLUSTER,
        )  # fmt: skip
        return keys, continued(self.chain, event, TRUST)

    def rotate(self, ticket: int | None = None) -> None:
        keys, chain = self.successor()
        effects = self.peer.rotate(chain, keys, ticket, now=self.world.now)
        self.key_file = keys, chain
        self.perform(effects)

    def revoke(self, ticket: int | None = None) -> None:
        keys, chain = self.successor(REVOCATION)
        self.key_file = keys, chain
        self.perform(self.peer.revoke(chain, ticket, now=self.world.now))

    def meets(self, other: "Node") -> bool:
        """Whether the other is talked to on a stream."""
        good, effects = self.peer.met(other.chain.packed(), other.address, now=self.world.now)
        self.perform(effects)
        return good

    def is_shown(self, by: "Node") -> None:
        """Who refuses our key as replaced shows the events that replaced it."""
        chain = by.peer.registry.chain(self.id)
        if chain is not None and chain.epoch > self.chain.epoch:
            self.perform(self.peer.met(chain.packed(), by.address, now=self.world.now)[1])

    def join(self, other: "Node") -> None:
        self.perform(self.peer.join(other.address, now=self.world.now))

    def perform(self, effects: list[Effect]) -> None:  # noqa: C901 (a case each)
        world, life = self.world, self.life
        for effect in effects:
            world.trace(self, effect)
            match effect:
                case Send(to, datagram):
                    world.send(self, to, datagram)
                case Request():
                    world.request(self, effect)
                case Persist(keeps):
                    world.at(world.time + 0.001, partial(self.landed, keeps, life))
                case Store(keep):
                    self.disk.write(keep)
                case Mark(number):
                    world.at(world.time + MARK_S, partial(self.marked, number, life))
                case Recall(after, count, _, ticket):
                    read = partial(self.recalled, ticket, self.disk.recall(after, count), life)
                    world.at(world.time + 0.001, read)
                case Notify(event):
                    self.events.append((world.time, event))
                    if isinstance(event, KeysChanged) and event.owner == self.id:
                        self.keys, self.chain = self.key_file
                case Drop(_, reason):
                    self.drops[reason] = self.drops.get(reason, 0) + 1
        self.plan()

    def landed(self, keeps: tuple[Keep, ...], life: int) -> None:
        if self.up and life == self.life:
            for keep in keeps:
                self.disk.write(keep)
                if isinstance(keep, KeepCommit):
                    self.disk.own.append(keep)
            self.perform(self.peer.persisted(now=self.world.now))

    def marked(self, number: int, life: int) -> None:
        if self.up and life == self.life:
            ok = not self.marks_fail
            self.perform(self.peer.stored(number, ok=ok, now=self.world.now))

    def recalled(self, ticket: int, commits: tuple[Commit, ...], life: int) -> None:
        if self.up and life == self.life:
            self.perform(self.peer.recalled(ticket, commits, now=self.world.now))


class World:
    """All nodes, one clock, one queue."""

    def __init__(self, nodes: int, *, seed: int = 1, loss: float = 0.0) -> None:
        self.config = MembershipConfig.lan()
        self.verifier: signing.Verifier = signing.ED25519
        self.reading = PLAIN
        self.rng = Random(seed)
        self.time = 0.0
        self.loss = loss
        self.cut: Callable[[Node, Node], bool] = lambda _a, _b: False
        self.sent = 0
        self.datagrams: list[tuple[Node, Node, bytes]] | None = None
        """Set it to a list, and all that is delivered is recorded: who, to whom, what."""
        self.frames: list[tuple[Node, Node, bytes, bytes | None]] | None = None
        """The same of streams: asker, asked, request, answer."""
        self.traced = False
        """Whether every effect goes into `trace_hash`; costs time."""
        self.trace_hash = hashlib.blake2b()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self.nodes = [Node(self, number) for number in range(nodes)]
        self._by_address = {node.address: node for node in self.nodes}

    @property
    def now(self) -> Instant:
        return Instant(self.time, WALL_US + int(self.time * 1e6))

    def at(self, time: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (time, self._sequence, action))

    def trace(self, node: Node, effect: Effect) -> None:
        if self.traced:
            self.trace_hash.update(f"{self.time} {node.number} {effect!r}\n".encode())

    def run(self, seconds: float) -> None:
        end = self.time + seconds
        while self._queue and self._queue[0][0] <= end:
            self.time, _, action = heapq.heappop(self._queue)
            action()
        self.time = end

    def run_until(self, holds: Callable[[], bool], *, within: float) -> float:
        """Seconds until it holds, looked at every 10 ms."""
        start = self.time
        while not holds():
            assert self.time - start < within, f"not within {within} s"
            self.run(0.01)
        return self.time - start

    def send(self, sender: Node, to: Address, datagram: bytes) -> None:
        assert len(datagram) <= DATAGRAM_MAX, "nobody would take it"
        receiver = self._by_address.get(to)
        self.sent += 1
        if receiver is None or self.rng.random() < self.loss or self.cut(sender, receiver):
            return
        if self.datagrams is not None:
            self.datagrams.append((sender, receiver, datagram))
        self.at(self.time + self._latency(), lambda: self._deliver(sender, receiver, datagram))

    def _deliver(self, sender: Node, receiver: Node, datagram: bytes) -> None:
        if receiver.up:
            receiver.perform(receiver.peer.receive(datagram, sender.address, now=self.now))

    def request(self, sender: Node, request: Request) -> None:
        receiver = self._by_address.get(request.to)
        life = sender.life

        def answered(answer: bytes | None, by: NodeId | None) -> None:
            if sender.up and life == sender.life:
                sender.perform(sender.peer.answered(request.ticket, answer, by, now=self.now))

        def serve() -> None:
            assert receiver is not None
            wrong = request.expected is not None and request.expected != receiver.id
            if not receiver.up or wrong or self.cut(sender, receiver):
                self.at(self.time + 0.2, lambda: answered(None, None))
                return
            if not (receiver.meets(sender) and sender.meets(receiver)):
                sender.is_shown(receiver)
                self.at(self.time + 0.002, lambda: answered(None, None))
                return
            answer, effects = receiver.peer.serve(
                request.body, sender.id, sender.address, now=self.now
            )
            if self.frames is not None:
                self.frames.append((sender, receiver, request.body, answer))
            receiver.perform(effects)
            self.at(self.time + self._latency(), lambda: answered(answer, receiver.id))

        if receiver is None or self.cut(sender, receiver) or not receiver.up:
            self.at(self.time + 0.2, lambda: answered(None, None))
        else:
            self.at(self.time + 2 * self._latency(), serve)

    def _latency(self) -> float:
        return self.rng.uniform(0.0008, 0.002)

    # What tests ask for and do

    def start_joined(self) -> "World":
        """All nodes up and joined by way of the first."""
        for node in self.nodes:
            node.start()
        self.run(0.1)
        for node in self.nodes[1:]:
            node.join(self.nodes[0])
        self.run_until(self.converged, within=30)
        return self

    def start_together(self) -> "World":
        """All nodes up, knowing each other from the start."""
        setups = [node.setup() for node in self.nodes]
        joined = Joined.of(setups, TRUST, rings=self.config.rings, now=self.now)
        for node in self.nodes:
            node.disk.branches = {branch.owner: branch for branch in joined.stored()}
            node.start(joined)
        return self

    def live(self) -> list[Node]:
        return [node for node in self.nodes if node.up]

    def converged(self) -> bool:
        """Everybody who is up holds the same."""
        return len({node.peer.registry.root for node in self.live()}) == 1 and all(
            len(set(node.peer.registry.owners())) >= len(self.live()) for node in self.live()
        )

    def holding(self, name: str) -> list[int]:
        """The numbers of the live nodes that know an instance of the service."""
        return [n.number for n in self.live() if any(True for _ in n.peer.registry.instances(name))]


def vector(node: Node) -> Mapping[NodeId, Dot]:
    return node.peer.registry.vector()


def sealed(sender: Node, to: Node, message: Message) -> bytes:
    """A datagram as it goes out."""
    secret = sender.keys.agree(to.keys.public_key)
    assert secret is not None
    kind, body = encode(message)
    return seal(sender.id, signing.mac_key(secret, CLUSTER), kind, body)
