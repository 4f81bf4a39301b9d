"""Clusters of the real failure detector, and of nothing else.

Records travel as they do by push (everybody who can be reached hears within 50 ms), and a node that
starts syncs once. No cryptography: a signature here is the name of its author. Sizes are those of
the real datagrams.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from random import Random

from protocol.detector.config import MembershipConfig
from protocol.detector.detection import (
    Ack,
    DetectorMessage,
    Heartbeat,
    MembershipEffect,
    Refused,
    SignedAck,
    SignedVotes,
    Status,
    StatusChanged,
    Tell,
    TryStream,
    Vote,
)
from protocol.detector.membership import Membership
from protocol.identity import NodeId
from protocol.signing import SIGNATURE_BYTES
from protocol.wire.messages import OVERHEAD, Beat, encode

from .network import Host, Network, Opinion

AWAY = (Status.UNREACHABLE, Status.DEAD)
SLANDERED_AT_ONCE = 4
"""How many others hear each lie straight from the liar."""
_STREAM_S = 0.005


def node_id(number: int) -> NodeId:
    """The id of that node in every world."""
    return NodeId(hashlib.blake2b(number.to_bytes(4, "big"), digest_size=32).digest())


def size_bytes(message: DetectorMessage) -> int:
    """What a message takes on the wire, without the headers of UDP and IP."""
    encoded = Beat(message, b"") if isinstance(message, Heartbeat) else message
    return OVERHEAD + len(encode(encoded)[1])


@dataclass(slots=True)
class NamedVoice:
    """Signs by name and counts what it is asked to verify."""

    me: NodeId
    verified: int = 0

    def sign_ack(self, incarnation: int, counter: int) -> SignedAck:
        """Our word that we live, as long as a real one."""
        return SignedAck(self.me, 0, incarnation, counter, _signature(self.me))

    def sign_votes(self, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
        """Our findings, as long as real ones."""
        return SignedVotes(self.me, 0, votes, stamp, _signature(self.me))

    def verify(self, item: SignedAck | SignedVotes) -> bool:
        """Whether it is signed by its author's name."""
        self.verified += 1
        author = item.node if isinstance(item, SignedAck) else item.author
        return item.signature.startswith(b"by" + author)


@dataclass(slots=True, kw_only=True)
class Node(Host):
    """One simulated node; `counter` is the newest that it has shown, `wake_at` its next tick."""

    membership: Membership
    voice: NamedVoice
    incarnation: int = 1
    counter: int = 0
    wake_at: float = float("inf")


@dataclass(frozen=True, slots=True)
class Change:
    """One node's change of mind about another."""

    at: float
    observer: int
    subject: int
    new: Status
    certified: bool


class World(Network[Node]):
    """`size` nodes that know each other from the start."""

    def __init__(
        self,
        size: int,
        *,
        seed: int,
        loss: float = 0.0,
        config: MembershipConfig | None = None,
    ) -> None:
        super().__init__(size, seed=seed, loss=loss)
        self.changes: list[Change] = []
        self.refused: Counter[str] = Counter()
        self.config = config or MembershipConfig()
        self._number = {node_id(number): number for number in range(size)}
        self._sized: tuple[DetectorMessage | None, int] = (None, 0)
        self._stamp = 0
        self.nodes = [self._new_node(number, incarnation=1) for number in range(size)]
        for node in self.nodes:
            for other in range(size):
                self.perform(node, node.membership.admit(node_id(other), incarnation=1, now=0.0))

    # What can be done to it

    def restart(self, number: int) -> None:
        """Start a stopped node in its next incarnation; its record reaches all who can hear."""
        old = self.nodes[number]
        self.nodes[number] = node = self._new_node(number, incarnation=old.incarnation + 1)
        node.sent, node.sent_bytes = old.sent, old.sent_bytes
        for other in self.nodes:
            if other is node:
                continue
            known = other.incarnation if other.up else max(1, other.incarnation)
            effects = node.membership.admit(node_id(other.number), incarnation=known, now=self.now)
            self.perform(node, effects)
            self._spread(node, other)
        peers = [n for n in self.nodes if n.up and n is not node and not self.is_cut(n, node)]
        if peers:
            peer = self.rng.choice(peers)
            items = peer.membership.standing()
            sender = node_id(peer.number)
            self.perform(node, node.membership.take_standing(items, sender, now=self.now))

    def stop(self, number: int, *, leaving: bool) -> None:
        """Say goodbye, then go."""
        node = self.nodes[number]
        for other in self.nodes:
            if other.up and other is not node and not self.is_cut(node, other):
                self.perform(
                    other,
                    other.membership.depart(
                        node_id(number), incarnation=node.incarnation, leaving=leaving, now=self.now
                    ),
                )
        node.up = False

    def slander(self, author: int, subjects: list[int], *, ahead: int = 0) -> None:
        """The author votes against everybody named, and tells four others."""
        node = self.nodes[author]
        self._stamp += 1
        votes = tuple(
            Vote(node_id(s), self.nodes[s].incarnation, self.nodes[s].counter + ahead)
            for s in subjects
        )
        if not votes:
            return
        batch = node.voice.sign_votes(votes, self._stamp)
        others = [n.number for n in self.nodes if n.number != author]
        for to in self.rng.sample(others, min(SLANDERED_AT_ONCE, len(others))):
            receiver = self.nodes[to]
            if receiver.up:
                self.perform(
                    receiver,
                    receiver.membership.take_standing([batch], node_id(author), now=self.now),
                )

    def slander_subjects(self, author: int) -> None:
        """The author claims that none of those it watches answers, ahead of what they showed."""
        me = node_id(author)
        observers = self.nodes[author].membership.observers
        watched = [
            n.number
            for n in self.nodes
            if n.number != author and me in observers(node_id(n.number))
        ]
        self.slander(author, watched, ahead=int(self.now))

    # What can be asked of it

    def status(self, observer: int, subject: int) -> Status | None:
        """What one node believes of another."""
        return self.nodes[observer].membership.status(node_id(subject))

    def away(self, observer: int) -> list[int]:
        """Whom a node leaves out of lookups."""
        return [s.number for s in self.nodes if self.status(observer, s.number) in AWAY]

    def flags(self, *, since: float = 0.0) -> list[Change]:
        """Every time a node took another out of lookups."""
        return [c for c in self.changes if c.at >= since and c.new in AWAY]

    def seen_after(self, subject: int, observers: list[int], *, since: float) -> list[float]:
        """For each observer, how long after `since` it first held the subject unreachable."""
        return [
            next(
                (
                    c.at - since
                    for c in self.changes
                    if c.observer == o and c.subject == subject and c.at >= since and c.new in AWAY
                ),
                float("inf"),
            )
            for o in observers
        ]

    def messages_per_s(self, start: int, end: int) -> float:
        """The mean over all nodes and those seconds."""
        total = sum(n.sent[second] for n in self.nodes for second in range(start, end))
        return total / len(self.nodes) / (end - start)

    def worst_second(self, start: int) -> int:
        """The most that any node sent in a second from `start` on."""
        return max(
            (count for n in self.nodes for second, count in n.sent.items() if second >= start),
            default=0,
        )

    # How it works

    def perform(self, node: Node, effects: list[MembershipEffect]) -> None:
        """Do what a core asked for, and wake it when it is due."""
        for effect in effects:
            match effect:
                case Tell(to, message):
                    self._send(node, self._number[to], message)
                case TryStream(to):
                    self._try_stream(node, self._number[to])
                case StatusChanged(subject, _, new, certified):
                    self._note(Change(self.now, node.number, self._number[subject], new, certified))
                case Refused(_, code):
                    self.refused[code] += 1
                case _:
                    pass
        at = node.membership.next_deadline
        if at < node.wake_at:
            node.wake_at = at
            self.at(max(at, self.now), lambda: self._wake(node, at))

    def resumed(self, node: Node, lag_s: float) -> None:
        """Its event loop lagged, and it knows."""
        node.membership.lagged(lag_s, now=self.now)

    def _new_node(self, number: int, *, incarnation: int) -> Node:
        me = node_id(number)
        voice = NamedVoice(me)
        membership = Membership(
            self.config,
            me,
            incarnation=incarnation,
            voice=voice,
            rng=Random(self.rng.getrandbits(64)),
            now=self.now,
        )
        return Node(number, membership=membership, voice=voice, incarnation=incarnation)

    def _note(self, change: Change) -> None:
        self.changes.append(change)
        away, dead = change.new in AWAY, change.new is Status.DEAD
        self.opinions.append(Opinion(self.now, change.observer, change.subject, away, dead))

    def _spread(self, node: Node, other: Node) -> None:
        delay = 0.005 + 0.045 * self.rng.random()

        def hear() -> None:
            if other.up and not self.is_cut(node, other):
                effects = other.membership.admit(
                    node_id(node.number), incarnation=node.incarnation, now=self.now
                )
                self.perform(other, effects)

        self.after(other, delay, hear)

    def _wake(self, node: Node, at: float) -> None:
        if node.wake_at != at:
            return
        node.wake_at = float("inf")
        self.when_awake(node, lambda: self.perform(node, node.membership.tick(now=self.now)))

    def _send(self, node: Node, to: int, message: DetectorMessage) -> None:
        sender = node_id(node.number)
        if isinstance(message, Heartbeat | Ack):
            node.counter = message.counter

        def arrive(receiver: Node) -> None:
            effects = receiver.membership.receive(message, sender, now=self.now)
            self.perform(receiver, effects)

        # One gossip goes to several; it is measured once.
        if self._sized[0] is not message:
            self._sized = message, size_bytes(message)
        self.transmit(node, to, arrive, size_bytes=self._sized[1])

    def _try_stream(self, node: Node, to: int) -> None:
        def answer() -> None:
            ok = self.joined(node, self.nodes[to]) and self.stream_holds()
            effects = node.membership.stream_answered(node_id(to), ok=ok, now=self.now)
            self.perform(node, effects)

        self.after(node, _STREAM_S, answer)


def _signature(author: NodeId) -> bytes:
    return (b"by" + author).ljust(SIGNATURE_BYTES, b".")
