"""Links between simulated nodes: how long a datagram takes, and all that may become of it.

A datagram from a to b is lost if the link is cut or by chance; else it arrives after the usual
latency, perhaps late, twice, out of order, with a burst when a clogged link opens, or once more
much later because somebody recorded it. Streams need both directions; what they carry is never
lost or reordered, only late.

Rules this module keeps:

1. Faults add to each other: a link that two faults cut is open when both are healed.
2. All chance comes from one generator, drawn in the order of the events.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from .timeline import Timeline

LATE_SHARE = 0.02
LATE_S = 0.03
"""Two of a hundred datagrams take up to this much longer, always."""
REORDER_S = 0.2
DUPLICATE_S = 0.05
RECORDED_MAX = 2_000
"""Datagrams that a replayer on the wire remembers."""
BACKLOG_S = 1.0
"""What a link with little bandwidth holds; more is lost."""
CLOGGED_MAX = 2_000

Pair = tuple[int, int]


@dataclass(slots=True)
class Weather:
    """What faults do to all links at once; each list holds one amount for each fault at work."""

    loss: list[float] = field(default_factory=list)
    duplicate: list[float] = field(default_factory=list)
    reorder: list[float] = field(default_factory=list)
    replay: list[float] = field(default_factory=list)

    @property
    def unusual(self) -> bool:
        """Whether anything but loss is in force."""
        return bool(self.duplicate or self.reorder or self.replay)


@dataclass(slots=True)
class Traffic:
    """What was sent, in all and at the worst."""

    datagrams: int = 0
    bytes: int = 0
    lost: int = 0
    requests: int = 0
    node_s_max: int = 0
    """Datagrams that one honest node sent in one second, at most."""


def either(amounts: Iterable[float]) -> float:
    """The chance that at least one of several independent things happens."""
    none = 1.0
    for amount in amounts:
        none *= 1.0 - amount
    return 1.0 - none


class Network:
    """All links. `arrive(receiver, sender, datagram)` is called for what comes through."""

    def __init__(
        self,
        timeline: Timeline,
        rng: Random,
        *,
        nodes: int,
        loss: float,
        latency_s: tuple[float, float],
        arrive: Callable[[int, int, bytes], None],
    ) -> None:
        self.weather = Weather()
        self.traffic = Traffic()
        self.counting_from_s = 0.0
        """Before this moment `traffic.node_s_max` is not counted."""
        self.uncounted: dict[int, None] = {}
        """Nor are these senders: villains."""
        self._timeline = timeline
        self._rng = rng
        self._usual_loss = loss
        self._loss = loss
        self._latency_s = latency_s
        self._arrive = arrive
        self._blocked: dict[Pair, int] = {}
        self._delay_s: dict[int, list[float]] = {}
        self._bytes_per_s: dict[int, list[float]] = {}
        self._free_at: dict[int, float] = {}
        self._clogged: dict[int, int] = {}
        self._waiting: dict[int, deque[tuple[int, bytes]]] = {}
        self._recorded: list[tuple[int, int, bytes]] = []
        self._second = [0] * nodes
        self._in_second = [0] * nodes

    @property
    def loss(self) -> float:
        """The chance that a datagram is lost, now."""
        return self._loss

    @property
    def hard(self) -> bool:
        """Whether some links are slow, narrow or clogged."""
        return bool(self._delay_s or self._bytes_per_s or self._clogged)

    def blocked(self) -> list[Pair]:
        """Every directed pair that carries nothing, in order."""
        return sorted(self._blocked)

    def carries(self, sender: int, receiver: int) -> bool:
        """Whether anything can get from one to the other."""
        return (sender, receiver) not in self._blocked

    def send(self, sender: int, receiver: int, datagram: bytes) -> None:
        """One datagram leaves `sender`."""
        timeline, traffic = self._timeline, self.traffic
        traffic.datagrams += 1
        traffic.bytes += len(datagram)
        second = int(timeline.now)
        if self._second[sender] != second:
            self._second[sender], self._in_second[sender] = second, 0
        self._in_second[sender] += 1
        if (
            self._in_second[sender] > traffic.node_s_max
            and second >= self.counting_from_s
            and sender not in self.uncounted
        ):
            traffic.node_s_max = self._in_second[sender]
        if self._blocked and (sender, receiver) in self._blocked:
            traffic.lost += 1
            return
        if self._loss and self._rng.random() < self._loss:
            traffic.lost += 1
            return
        if self._clogged.get(sender):
            waiting = self._waiting.setdefault(sender, deque(maxlen=CLOGGED_MAX))
            waiting.append((receiver, datagram))
            return
        delay = self._travel_s(sender, len(datagram))
        if delay is None:
            traffic.lost += 1
            return
        if self.weather.unusual:
            delay += self._oddities(sender, receiver, datagram)
        timeline.at(timeline.now + delay, self._arrive, receiver, sender, datagram)

    def round_trip_s(self, one: int, other: int, size: int) -> float | None:
        """How long `size` bytes and their answer take on a stream; None if a way is cut."""
        if not (self.carries(one, other) and self.carries(other, one)):
            return None
        there, back = self._travel_s(one, size), self._travel_s(other, 100)
        if there is None or back is None or self._clogged.get(one) or self._clogged.get(other):
            return None
        # A lost segment is sent again after about 0.2 s (RFC 6298 gives 1 s at least; Linux 0.2 s).
        again = 0.0
        while self._rng.random() < either((self._loss, self._loss)) and again < 5.0:
            again = 2 * again + 0.2
        return there + back + again

    # What faults do

    def block(self, pairs: Iterable[Pair]) -> None:
        """Cut these directed links once more."""
        for pair in pairs:
            self._blocked[pair] = self._blocked.get(pair, 0) + 1

    def unblock(self, pairs: Iterable[Pair]) -> None:
        """Take one cut away from each."""
        for pair in pairs:
            left = self._blocked.get(pair, 0) - 1
            if left > 0:
                self._blocked[pair] = left
            else:
                self._blocked.pop(pair, None)

    def weigh_loss(self) -> None:
        """The faults in `weather.loss` changed."""
        self._loss = either((self._usual_loss, *self.weather.loss))

    def delay(self, node: int, seconds: float, *, heal: bool) -> None:
        """What the node sends takes longer by `seconds` to twice that."""
        _change(self._delay_s, node, seconds, heal=heal)

    def narrow(self, node: int, bytes_per_s: float, *, heal: bool) -> None:
        """The node sends no more than so many bytes a second."""
        _change(self._bytes_per_s, node, bytes_per_s, heal=heal)

    def clog(self, node: int) -> None:
        """Hold back what the node sends."""
        self._clogged[node] = self._clogged.get(node, 0) + 1

    def unclog(self, node: int) -> None:
        """Let go what was held back, all at once, unless another fault still holds it."""
        self._clogged[node] -= 1
        if self._clogged[node]:
            return
        del self._clogged[node]
        for receiver, datagram in self._waiting.pop(node, ()):
            delay = self._rng.uniform(*self._latency_s)
            self._timeline.after(delay, self._arrive, receiver, node, datagram)

    def _travel_s(self, sender: int, size: int) -> float | None:
        low, high = self._latency_s
        chance = self._rng.random
        delay = low + (high - low) * chance()
        if chance() < LATE_SHARE:
            delay += LATE_S * chance()
        if self._delay_s:
            for extra in self._delay_s.get(sender, ()):
                delay += extra * (1.0 + chance())
        if self._bytes_per_s and sender in self._bytes_per_s:
            now = self._timeline.now
            start = max(now, self._free_at.get(sender, now))
            if start - now > BACKLOG_S:
                return None
            self._free_at[sender] = start + size / min(self._bytes_per_s[sender])
            delay += self._free_at[sender] - now
        return delay

    def _oddities(self, sender: int, receiver: int, datagram: bytes) -> float:
        weather, rng, timeline = self.weather, self._rng, self._timeline
        if weather.duplicate and rng.random() < either(weather.duplicate):
            again = rng.random() * DUPLICATE_S
            timeline.after(again, self._arrive, receiver, sender, datagram)
        if weather.replay:
            if len(self._recorded) < RECORDED_MAX:
                self._recorded.append((receiver, sender, datagram))
            else:
                place = rng.randrange(RECORDED_MAX)
                self._recorded[place] = (receiver, sender, datagram)
            if rng.random() < either(weather.replay):
                old = self._recorded[rng.randrange(len(self._recorded))]
                timeline.after(rng.random(), self._arrive, *old)
        if weather.reorder and rng.random() < either(weather.reorder):
            return rng.random() * REORDER_S
        return 0.0


def _change(table: dict[int, list[float]], node: int, amount: float, *, heal: bool) -> None:
    if not heal:
        table.setdefault(node, []).append(amount)
        return
    table[node].remove(amount)
    if not table[node]:
        del table[node]
