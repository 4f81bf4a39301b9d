"""Who watches whom, and who is told first: the same members in several random orders.

Each ring is all members in the order of a keyed hash of their ids (as in Fireflies, Johansen et
al., EuroSys 2006, and Rapid, Suresh et al., USENIX ATC 2018). Whoever knows the same members
computes the same rings, so nobody has to agree on anything; where two views differ by a member, its
neighbours' observers differ and nobody else's.

1. The *observers* of a member are the first K distinct others, taking on each ring the nearest
   predecessor not yet chosen. Hence all have K observers, or all others if there are fewer.
2. Adding or removing costs a bisection on each ring; observers are computed when asked for and kept
   until the rings change.
"""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from protocol.identity import NodeId

_PLACE_BYTES = 16
WALK_MAX = 64
"""How many members on one ring we look at for one that is wanted."""


class Rings:
    """All members in `count` orders."""

    def __init__(self, count: int) -> None:
        self._rings: list[list[bytes]] = [[] for _ in range(count)]
        self._places: dict[NodeId, tuple[bytes, ...]] = {}
        self._observers: dict[NodeId, tuple[NodeId, ...]] = {}
        self.revision = 0
        """Rises with every change."""

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._places

    def add(self, node: NodeId) -> None:
        """Take a member in; nothing happens if it is."""
        if node in self._places:
            return
        places = self._places_of(node)
        self._places[node] = places
        for ring, place in zip(self._rings, places, strict=True):
            insort(ring, place)
        self._changed()

    def remove(self, node: NodeId) -> None:
        """Take a member out; nothing happens if it is not in."""
        places = self._places.pop(node, None)
        if places is None:
            return
        for ring, place in zip(self._rings, places, strict=True):
            del ring[bisect_left(ring, place)]
        self._changed()

    def observers(self, node: NodeId) -> tuple[NodeId, ...]:
        """Who watches `node`, which need not be on the rings itself (a dead member's observers)."""
        known = self._observers.get(node)
        if known is not None:
            return known
        most = len(self) - (node in self._places)
        chosen: dict[NodeId, None] = {}
        for number in range(len(self._rings)):
            if len(chosen) == most:
                break
            chosen[next(o for o in self.walk(node, number, backward=True) if o not in chosen)] = (
                None
            )
        self._observers[node] = tuple(chosen)
        return self._observers[node]

    def subjects(self, node: NodeId) -> tuple[NodeId, ...]:
        """Whom `node` watches.

        On ring r an observer is at most r + 1 steps from its subject, since at most r members
        between them are chosen already: few candidates have to be asked.
        """
        candidates: dict[NodeId, None] = {}
        for number in range(len(self._rings)):
            for step, candidate in enumerate(self.walk(node, number)):
                if step > number:
                    break
                candidates[candidate] = None
        return tuple(c for c in candidates if node in self.observers(c))

    def walk(self, node: NodeId, number: int, *, backward: bool = False) -> Iterator[NodeId]:
        """Everybody else on one ring, from the successor (or predecessor) of `node` on."""
        ring = self._rings[number]
        places = self._places.get(node) or self._places_of(node)
        start = bisect_left(ring, places[number])
        order = (
            range(start - 1, start - 1 - len(ring), -1)
            if backward
            else range(start, start + len(ring))
        )
        for index in order:
            other = NodeId(ring[index % len(ring)][_PLACE_BYTES:])
            if other != node:
                yield other

    def neighbours(
        self, node: NodeId, count: int, wanted: Callable[[NodeId], bool], *, backward: bool = False
    ) -> tuple[NodeId, ...]:
        """The nearest wanted member on each of the first `count` rings, distinct."""
        found: dict[NodeId, None] = {}
        for number in range(min(count, len(self._rings))):
            for step, other in enumerate(self.walk(node, number, backward=backward)):
                if step >= WALK_MAX:
                    break
                if other not in found and wanted(other):
                    found[other] = None
                    break
        return tuple(found)

    def _places_of(self, node: NodeId) -> tuple[bytes, ...]:
        return tuple(
            hashlib.blake2b(node, key=bytes([number]), digest_size=_PLACE_BYTES).digest() + node
            for number in range(len(self._rings))
        )

    def _changed(self) -> None:
        self.revision += 1
        self._observers.clear()
