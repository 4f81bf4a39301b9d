"""Two whole `Peer`s in memory, and the frames between them, encoded as on a stream.

There are no sockets and no disk: what is measured is the protocol. Time is virtual and passes in
steps; datagrams and answers arrive at once, so round trips are counted and not waited for.

Owners are not nodes here: they sign their states, and a peer holds them as it would those of
members that it has not met.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from benchmarks.cluster.fleet import BenchError
from protocol.bodies import Body, decode, record_of
from protocol.branch import Branch
from protocol.clocks import Instant
from protocol.commits import Change, Commit, Dot, Draft, Manifest, Record, leaf_of, make_commit
from protocol.detector.config import MembershipConfig
from protocol.effects import Effect, Persist, Request, Send
from protocol.identity import INCEPTION, Address, KeyChain, commitment, make_event, verify_chain
from protocol.merkle import Tree
from protocol.peer import Peer
from protocol.records import NodeRecord, ServiceRecord
from protocol.setup import PeerSetup
from protocol.shared.joined import Joined
from protocol.shared.reading import Reading
from protocol.signing import KeyPair, Trust, cluster_id
from protocol.sync.recollection import Hearing

CLUSTER_NAME = "benchmark"
CLUSTER = cluster_id(CLUSTER_NAME)
TRUST = Trust(CLUSTER)
WALL_US = 1_800_000_000_000_000
STEP_S = 0.01
WITHIN_S = 30.0
SERVICES = 20
"""So many names have the instances of an owner, unless told otherwise."""
METADATA = (("build", "2026-02-11T08:30:00Z"), ("commit", "9f2c41d7e0b85a63"), ("team", "checkout"))


def chain_of(key: KeyPair) -> KeyChain:
    """The key events of a new identity."""
    following = commitment(KeyPair(bytes(31) + b"\xff").public_key)
    event = make_event(
        INCEPTION, previous=None, key=key, next_commitment=following, cluster=CLUSTER
    )
    return verify_chain([event.pack()], TRUST)


def instance(owner: int, number: int, version: str, services: int = SERVICES) -> ServiceRecord:
    """One of some 190 bytes."""
    return ServiceRecord(
        name=f"service-{number % services}", id=f"i-{owner}-{number}",
        address=f"10.1.{owner % 250}.7", port=1_024 + number % 60_000, tags=("canary", "v1"),
        metadata=METADATA, version=version, zone="z1", updated_at=WALL_US,
    )  # fmt: skip


class Owner:
    """Somebody who signs so many records."""

    def __init__(
        self,
        number: int,
        records: int,
        remembered: "Remembered | None" = None,
        *,
        services: int = SERVICES,
        first: int = 0,
    ) -> None:
        """`first`: of the numbers of its records, so that owners can have services of their own."""
        self.number = number
        self.key = KeyPair(number.to_bytes(32, "big"))
        self.chain = chain_of(self.key)
        self._branch = Branch(self.chain, TRUST, (remembered or Remembered()).read)
        numbers = range(first, first + records)
        self._begin([record_of(instance(number, one, "1.0", services)) for one in numbers])

    def _begin(self, records: Iterable[Record]) -> None:
        """Sign all of it at once."""
        state = tuple(sorted(records))
        draft = Draft(
            owner=self.chain.node,
            dot=Dot(0, 1),
            parents=(),
            issued_at=WALL_US,
            state_root=Tree.of(map(leaf_of, state)).root,
        )
        commit = make_commit(draft, (), key=self.key, cluster=CLUSTER)
        self._branch.adopt(Manifest(commit.head, state))

    def change(self, numbers: Iterable[int], version: str) -> Commit:
        """Sign another version of some records."""
        changed = [record_of(instance(self.number, number, version)) for number in numbers]
        changes = [Change(one.kind, one.key, one.body) for one in changed]
        head = self._branch.head
        draft = Draft(
            owner=self.chain.node,
            dot=Dot(0, head.version + 1 if head else 1),
            parents=(head.hash,) if head else (),
            issued_at=WALL_US,
            state_root=self._branch.preview(changes),
        )
        commit = make_commit(draft, changes, key=self.key, cluster=CLUSTER)
        self._branch.offer([commit], signed_here=True)
        return commit

    def manifest(self) -> Manifest:
        """All of it, in bytes of its own as if they had come over a wire."""
        manifest = self._branch.manifest()
        assert manifest is not None
        copies = tuple(Record(r.kind, r.key, bytes(bytearray(r.body))) for r in manifest.records)
        return replace(manifest, records=copies)


@dataclass(slots=True)
class Cost:
    """What went over the stream, and the processor time of either side."""

    sent: int = 0
    received: int = 0
    round_trips: int = 0
    asker_s: float = 0.0
    asked_s: float = 0.0


class Remembered:
    """Bodies that were read while a case was prepared: only the preparation is spared reading."""

    def __init__(self) -> None:
        self.prepares = True
        self._bodies: dict[Record, Body] = {}

    def read(self, record: Record) -> Body:
        """As `bodies.decode` does."""
        if not self.prepares:
            return decode(record)
        body = self._bodies.get(record)
        if body is None:
            body = self._bodies[record] = decode(record)
        return body


class Pair:
    """An asker and the one it asks, who know each other."""

    def __init__(self, remembered: Remembered | None = None) -> None:
        self._remembered = remembered or Remembered()
        self._remembered.prepares = True
        self._time = 100.0
        reading = Reading(body=self._remembered.read)
        setups = [replace(_setup(number), reading=reading) for number in (1, 2)]
        config = MembershipConfig.lan()
        joined = Joined.of(setups, TRUST, rings=config.rings, now=self._now)
        self.asker, self.asked = (
            Peer(replace(setup, joined=joined), rng=Random(1), now=self._now) for setup in setups
        )
        self._addresses = {
            Address(setup.record.host, setup.record.port): peer
            for setup, peer in zip(setups, (self.asker, self.asked), strict=True)
        }
        self._from = {peer.me: address for address, peer in self._addresses.items()}
        self.cost = Cost()

    @property
    def _now(self) -> Instant:
        return Instant(self._time, WALL_US + int(self._time * 1e6))

    def hold(self, peer: Peer, owner: Owner, manifest: Manifest) -> None:
        """Let a peer have had that state for long."""
        self._remembered.prepares = True
        peer.registry.learn(owner.chain.packed(), now=0.0)
        peer.registry.adopt(manifest, now=0.0, is_old=True)

    def follow(self, peer: Peer, owner: Owner, commit: Commit) -> None:
        """Let a peer have had that commit for long, and keep it."""
        self._remembered.prepares = True
        peer.registry.offer(owner.chain.node, [commit], now=0.0, is_old=True)

    def repair(self) -> Cost:
        """Let heartbeats show the difference, until both hold the same.

        Raises:
            BenchError: not within half a minute.
        """
        self.cost, self._remembered.prepares = Cost(), False
        begun = self._time
        while self.asker.registry.root != self.asked.registry.root:
            if self._time - begun > WITHIN_S:
                raise BenchError("two peers did not come to the same")
            self._time += STEP_S
            for peer in (self.asker, self.asked):
                self._perform(peer, peer.tick(now=self._now))
        return self.cost

    def join(self) -> Cost:
        """Let the asker, who holds nothing yet, ask for everything."""
        self.cost, self._remembered.prepares = Cost(), False
        self._perform(self.asker, self.asker.join(self._from[self.asked.me], now=self._now))
        if self.asker.registry.root != self.asked.registry.root:
            raise BenchError("a newcomer did not get everything")
        return self.cost

    def _perform(self, peer: Peer, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(to, datagram):
                    other = self._addresses[to]
                    source = self._from[peer.me]
                    self._perform(other, other.receive(datagram, source, now=self._now))
                case Request():
                    self._answer(peer, effect)
                case Persist():
                    self._perform(peer, peer.persisted(now=self._now))
                case _:
                    pass

    def _answer(self, peer: Peer, request: Request) -> None:
        other, cost = self._addresses[request.to], self.cost
        begun = time.process_time()
        answer, effects = other.serve(request.body, peer.me, self._from[peer.me], now=self._now)
        asked_s = time.process_time() - begun
        begun = time.process_time()
        taken = peer.answered(request.ticket, answer, other.me, now=self._now)
        asker_s = time.process_time() - begun
        if peer is self.asker:
            cost.round_trips += 1
            cost.sent += len(request.body)
            cost.received += len(answer or b"")
            cost.asker_s += asker_s
            cost.asked_s += asked_s
        self._perform(other, effects)
        self._perform(peer, taken)


def _setup(number: int) -> PeerSetup:
    key = KeyPair(bytes([255]) + number.to_bytes(31, "big"))
    record = NodeRecord(
        name=f"n{number}", host=f"10.0.0.{number}", port=8401, api_host=f"10.0.0.{number}",
        api_port=8400, incarnation=1,
    )  # fmt: skip
    return PeerSetup(
        cluster=CLUSTER, chain=chain_of(key), signer=key, record=record,
        membership=MembershipConfig.lan(), hearing=Hearing.NOTHING,
    )  # fmt: skip
