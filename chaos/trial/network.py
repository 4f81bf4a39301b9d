"""A small network in virtual time: one queue of events, links that lose, nodes that stop and pause.

Rules this module keeps:

1. All that happens is drawn from one `Random(seed)` in the order of events: the same seed, the same
   trace.
2. Datagrams take 0.8 to 2 ms, 2 % of them up to 30 ms more. They get lost with a given chance, and
   never cross a cut. It counts what each node sends in each second, lost or not.
3. A node that stopped does nothing more. One that is paused does all that waits when it resumes, in
   order.
"""

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar

Action = Callable[[], None]
Cut = Callable[[int, int], bool]
"""Whether datagrams from the first to the second are lost."""

_SEED_FACTOR = 7_919
"""A prime, so that no two pairs of seed and size share their randomness."""


@dataclass(slots=True)
class Host:
    """What the network knows of a node. Times are in seconds of the world."""

    number: int
    up: bool = True
    paused_until: float = 0.0
    lag_s: float = 0.0
    sent: Counter[int] = field(default_factory=Counter)
    sent_bytes: Counter[int] = field(default_factory=Counter)


HostT = TypeVar("HostT", bound=Host)


@dataclass(frozen=True, slots=True)
class Opinion:
    """One node's change of mind about another: whether it is away, and whether for good."""

    at: float
    observer: int
    subject: int
    away: bool
    dead: bool


class Network(ABC, Generic[HostT]):
    """Everything that happens to `size` nodes; what they are is for the heirs to say."""

    def __init__(self, size: int, *, seed: int, loss: float) -> None:
        self.now = 0.0
        self.loss = loss
        self.cut: Cut = lambda _from, _to: False
        self.nodes: list[HostT] = []
        self.opinions: list[Opinion] = []
        self.rng = Random(seed * _SEED_FACTOR + size)
        self._heap: list[tuple[float, int, Action]] = []
        self._sequence = 0

    def run(self, until: float) -> None:
        """Let everything happen up to a time."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until

    def at(self, when: float, action: Action) -> None:
        """Let something happen at a time; of equal times, in the order of the calls."""
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, action))

    def crash(self, number: int) -> None:
        """Stop a node without a word."""
        self.nodes[number].up = False

    def pause(self, number: int, seconds: float) -> None:
        """Freeze a node; what reaches it meanwhile waits."""
        node = self.nodes[number]
        node.paused_until = self.now + seconds
        node.lag_s = seconds

    @abstractmethod
    def restart(self, number: int) -> None:
        """Start a stopped node anew, with nothing but the list of members."""

    @abstractmethod
    def slander_subjects(self, author: int) -> None:
        """Let a liar say that those it may accuse do not answer."""

    def resumed(self, node: HostT, lag_s: float) -> None:
        """A node finds that it was paused, before it does anything else. Nothing by default."""

    def is_cut(self, sender: Host, receiver: Host) -> bool:
        """Whether datagrams on that way are lost now."""
        return self.cut(sender.number, receiver.number)

    def joined(self, one: Host, other: Host) -> bool:
        """Whether a stream between two nodes would come up now."""
        apart = self.is_cut(one, other) or self.is_cut(other, one)
        return other.up and self.now >= other.paused_until and not apart

    def stream_holds(self) -> bool:
        """Draw whether a short exchange over a stream is over in time, at this loss."""
        return self.rng.random() < (1 - self.loss) ** 4

    def latency_s(self) -> float:
        """Draw how long a datagram takes."""
        tail = 0.03 * self.rng.random() if self.rng.random() < 0.02 else 0.0
        return 0.0008 + 0.0012 * self.rng.random() + tail

    def transmit(
        self, node: HostT, to: int, arrive: Callable[[HostT], None], *, size_bytes: int
    ) -> None:
        """Send a datagram; `arrive` happens at the receiver as it is then, if it comes through."""
        second = int(self.now)
        node.sent[second] += 1
        node.sent_bytes[second] += size_bytes
        if self.rng.random() < self.loss or self.is_cut(node, self.nodes[to]):
            return

        def deliver() -> None:
            receiver = self.nodes[to]
            self.when_awake(receiver, lambda: arrive(receiver))

        self.at(self.now + self.latency_s(), deliver)

    def when_awake(self, node: HostT, action: Action) -> None:
        """Let a node do something now or, if it is paused, when it resumes."""
        if not node.up or self.nodes[node.number] is not node:
            return
        if self.now < node.paused_until:
            # In order, since the heap keeps equal times in the order in which they were put in.
            self.at(node.paused_until, lambda: self.when_awake(node, action))
            return
        if node.lag_s:
            lag_s, node.lag_s = node.lag_s, 0.0
            self.resumed(node, lag_s)
        action()

    def after(self, node: HostT, seconds: float, action: Action) -> None:
        """Let a node do something later, in this life."""
        self.at(self.now + seconds, lambda: self.when_awake(node, action))
