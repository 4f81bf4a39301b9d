"""A small network in virtual time, for the failure detector alone.

One heap of events, one `Random(seed)`: the same seed gives the same trace. Datagrams take 0.8–2 ms,
2 % of them up to 30 ms more; they are lost with a given chance, and never cross a cut. Records
travel as they do by push (everybody who can be reached hears within 50 ms), and a node that starts
syncs once. No cryptography: a signature here is the name of its author.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from protocol.detector.config import MembershipConfig
from protocol.detector.detection import (
    DetectorMessage,
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

Cut = Callable[[int, int], bool]
"""Whether datagrams from the first to the second are lost."""

AWAY = (Status.UNREACHABLE, Status.DEAD)


def node_id(number: int) -> NodeId:
    return NodeId(hashlib.blake2b(number.to_bytes(4, "big"), digest_size=32).digest())


@dataclass(slots=True)
class NamedVoice:
    """Signs by name and counts what it is asked to verify."""

    me: NodeId
    verified: int = 0

    def sign_ack(self, incarnation: int, counter: int) -> SignedAck:
        return SignedAck(self.me, 0, incarnation, counter, b"by" + self.me)

    def sign_votes(self, votes: tuple[Vote, ...], stamp: int) -> SignedVotes:
        return SignedVotes(self.me, 0, votes, stamp, b"by" + self.me)

    def verify(self, item: SignedAck | SignedVotes) -> bool:
        self.verified += 1
        author = item.node if isinstance(item, SignedAck) else item.author
        return item.signature == b"by" + author


@dataclass(slots=True)
class Node:
    """One simulated node, and when it does what."""

    number: int
    membership: Membership
    voice: NamedVoice
    incarnation: int = 1
    up: bool = True
    paused_until: float = 0.0
    lag_s: float = 0.0
    wake_at: float = float("inf")
    sent: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Change:
    """One node's change of mind about another."""

    at: float
    observer: int
    subject: int
    new: Status
    certified: bool


class World:
    """`size` nodes that know each other from the start."""

    def __init__(
        self,
        size: int,
        *,
        seed: int,
        loss: float = 0.0,
        config: MembershipConfig | None = None,
    ) -> None:
        self.now = 0.0
        self.loss = loss
        self.cut: Cut = lambda _from, _to: False
        self.changes: list[Change] = []
        self.refused: Counter[str] = Counter()
        self.config = config or MembershipConfig()
        self._rng = Random(seed * 7919 + size)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._number = {node_id(number): number for number in range(size)}
        self.nodes = [self._new_node(number, incarnation=1) for number in range(size)]
        for node in self.nodes:
            for other in range(size):
                self._perform(node, node.membership.admit(node_id(other), incarnation=1, now=0.0))

    # What tests do to it

    def run(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until

    def at(self, when: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, action))

    def crash(self, number: int) -> None:
        self.nodes[number].up = False

    def restart(self, number: int) -> None:
        incarnation = self.nodes[number].incarnation + 1
        self.nodes[number] = node = self._new_node(number, incarnation=incarnation)
        for other in self.nodes:
            if other is node:
                continue
            known = other.incarnation if other.up else max(1, other.incarnation)
            effects = node.membership.admit(node_id(other.number), incarnation=known, now=self.now)
            self._perform(node, effects)
            self._spread(node, other)
        peers = [n for n in self.nodes if n.up and n is not node and not self._is_cut(n, node)]
        if peers:
            peer = self._rng.choice(peers)
            items = peer.membership.standing()
            sender = node_id(peer.number)
            self._perform(node, node.membership.take_standing(items, sender, now=self.now))

    def stop(self, number: int, *, leaving: bool) -> None:
        """Say goodbye, then go."""
        node = self.nodes[number]
        for other in self.nodes:
            if other.up and other is not node and not self._is_cut(node, other):
                self._perform(
                    other,
                    other.membership.depart(
                        node_id(number), incarnation=node.incarnation, leaving=leaving, now=self.now
                    ),
                )
        node.up = False

    def pause(self, number: int, seconds: float) -> None:
        node = self.nodes[number]
        node.paused_until = self.now + seconds
        node.lag_s = seconds

    def slander(self, author: int, subjects: list[int], *, ahead: int = 0) -> None:
        """The author votes against everybody named, and tells four others."""
        node = self.nodes[author]
        self._sequence += 1
        votes = tuple(
            Vote(node_id(s), self.nodes[s].incarnation, self._shown(s) + ahead) for s in subjects
        )
        if not votes:
            return
        batch = node.voice.sign_votes(votes, self._sequence)
        others = [n.number for n in self.nodes if n.number != author]
        for to in self._rng.sample(others, min(4, len(others))):
            receiver = self.nodes[to]
            if receiver.up:
                self._perform(
                    receiver,
                    receiver.membership.take_standing([batch], node_id(author), now=self.now),
                )

    # What tests ask

    def status(self, observer: int, subject: int) -> Status | None:
        return self.nodes[observer].membership.status(node_id(subject))

    def away(self, observer: int) -> list[int]:
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
        total = sum(n.sent[second] for n in self.nodes for second in range(start, end))
        return total / len(self.nodes) / (end - start)

    def worst_second(self, start: int) -> int:
        return max(
            (count for n in self.nodes for second, count in n.sent.items() if second >= start),
            default=0,
        )

    # How it works

    def _new_node(self, number: int, *, incarnation: int) -> Node:
        me = node_id(number)
        voice = NamedVoice(me)
        membership = Membership(
            self.config,
            me,
            incarnation=incarnation,
            voice=voice,
            rng=Random(self._rng.getrandbits(64)),
            now=self.now,
        )
        return Node(number, membership, voice, incarnation)

    def _spread(self, node: Node, other: Node) -> None:
        delay = 0.005 + 0.045 * self._rng.random()

        def hear() -> None:
            if other.up and not self._is_cut(node, other):
                effects = other.membership.admit(
                    node_id(node.number), incarnation=node.incarnation, now=self.now
                )
                self._perform(other, effects)

        self.at(self.now + delay, lambda: self._when_awake(other, hear))

    def _shown(self, number: int) -> int:
        return self.nodes[number].membership.view(node_id(number)) is not None and (
            self.nodes[number].membership._pulse.counter
        )

    def _is_cut(self, sender: Node, receiver: Node) -> bool:
        return self.cut(sender.number, receiver.number)

    def _latency(self) -> float:
        tail = 0.03 * self._rng.random() if self._rng.random() < 0.02 else 0.0
        return 0.0008 + 0.0012 * self._rng.random() + tail

    def _perform(self, node: Node, effects: list[MembershipEffect]) -> None:
        for effect in effects:
            match effect:
                case Tell(to, message):
                    self._send(node, self._number[to], message)
                case TryStream(to):
                    self._try_stream(node, self._number[to])
                case StatusChanged(subject, _, new, certified):
                    self.changes.append(
                        Change(self.now, node.number, self._number[subject], new, certified)
                    )
                case Refused(_, code):
                    self.refused[code] += 1
                case _:
                    pass
        at = node.membership.next_deadline
        if at < node.wake_at:
            node.wake_at = at
            self.at(max(at, self.now), lambda: self._wake(node, at))

    def _wake(self, node: Node, at: float) -> None:
        if node.wake_at != at:
            return
        node.wake_at = float("inf")
        self._when_awake(node, lambda: self._perform(node, node.membership.tick(now=self.now)))

    def _send(self, node: Node, to: int, message: DetectorMessage) -> None:
        node.sent[int(self.now)] += 1
        receiver = self.nodes[to]
        if self._rng.random() < self.loss or self._is_cut(node, receiver):
            return
        sender = node_id(node.number)

        def arrive() -> None:
            receiver = self.nodes[to]
            self._when_awake(
                receiver,
                lambda: self._perform(
                    receiver, receiver.membership.receive(message, sender, now=self.now)
                ),
            )

        self.at(self.now + self._latency(), arrive)

    def _try_stream(self, node: Node, to: int) -> None:
        def answer() -> None:
            other = self.nodes[to]
            joined = not (self._is_cut(node, other) or self._is_cut(other, node))
            awake = other.up and self.now >= other.paused_until
            ok = joined and awake and self._rng.random() < (1 - self.loss) ** 4
            effects = node.membership.stream_answered(node_id(to), ok=ok, now=self.now)
            self._perform(node, effects)

        self.at(self.now + 0.005, lambda: self._when_awake(node, answer))

    def _when_awake(self, node: Node, action: Callable[[], None]) -> None:
        if not node.up or self.nodes[node.number] is not node:
            return
        if self.now < node.paused_until:
            # In order, since the heap keeps equal times in the order in which they were put in.
            self.at(node.paused_until, lambda: self._when_awake(node, action))
            return
        if node.lag_s:
            lag, node.lag_s = node.lag_s, 0.0
            node.membership.lagged(lag, now=self.now)
        action()
