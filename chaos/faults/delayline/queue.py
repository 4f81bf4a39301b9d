"""Packets that wait for their time.

Rules this module keeps:

1. Time is an argument, and randomness; nothing here reads or sends.
2. Of two packets that are due at one moment the one that came first leaves first.
3. What does not fit is dropped and counted.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

PACKETS_MAX = 20_000
QUEUED_BYTES_MAX = 32 * 1024 * 1024
_DESTINATION = slice(16, 20)
_HEADER_BYTES = 20
_VERSION = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """What happens to the packets of one link."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """Each takes so much longer or shorter, drawn evenly."""
    duplicate: float = 0.0
    """The share that is sent twice, each copy at a time of its own (0 to 1)."""
    reorder: float = 0.0
    """The share that is not held back, and so overtakes what came before (0 to 1)."""


class DelayQueue:
    """All links of one node.

    Args:
        rng: for jitter, duplicates and reordering.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._shapes: dict[bytes, Shape] = {}
        self._heap: list[tuple[float, int, bytes]] = []
        self._queued_bytes = 0
        self._count = 0
        self.dropped_count = 0
        """For want of room."""

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_s(self) -> float | None:
        """When the next is due; None if none waits."""
        return self._heap[0][0] if self._heap else None

    def shape(self, shapes: Mapping[bytes, Shape]) -> None:
        """From now on links are so, by packed IPv4 address; others hold nothing back."""
        self._shapes = dict(shapes)

    def put(self, packet: bytes, *, now: float) -> None:
        """Take in an IPv4 packet; anything else is passed over."""
        if len(packet) < _HEADER_BYTES or packet[0] >> 4 != _VERSION:
            return
        shape = self._shapes.get(packet[_DESTINATION])
        if shape is None:
            self._hold(packet, now)
            return
        draw = self._rng.random
        if shape.duplicate and draw() < shape.duplicate:
            self._hold(packet, now + self._delay_s(shape))
        if shape.reorder and draw() < shape.reorder:
            self._hold(packet, now)
        else:
            self._hold(packet, now + self._delay_s(shape))

    def due(self, *, now: float) -> list[tuple[float, bytes]]:
        """Take out what is due by then: when each was, and the packet."""
        taken: list[tuple[float, bytes]] = []
        while self._heap and self._heap[0][0] <= now:
            due_s, _, packet = heapq.heappop(self._heap)
            self._queued_bytes -= len(packet)
            taken.append((due_s, packet))
        return taken

    def _delay_s(self, shape: Shape) -> float:
        jitter_s = self._rng.uniform(-shape.jitter_s, shape.jitter_s) if shape.jitter_s else 0.0
        return max(0.0, shape.latency_s + jitter_s)

    def _hold(self, packet: bytes, due_s: float) -> None:
        size = len(packet)
        if len(self._heap) >= PACKETS_MAX or self._queued_bytes + size > QUEUED_BYTES_MAX:
            self.dropped_count += 1
            return
        self._count += 1
        self._queued_bytes += size
        heapq.heappush(self._heap, (due_s, self._count, packet))
