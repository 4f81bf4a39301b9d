"""Who watches whom, and who is told first: the same members in several random orders.

Each ring is all members in the order of a keyed hash of their ids (as in Fireflies, Johansen et
al., EuroSys 2006, and Rapid, Suresh et al., USENIX ATC 2018). Whoever knows the same members
computes the same rings, so nobody has to agree on anything; where two views differ by a member, its
neighbours' observers differ and nobody else's.

1. The *observers* of a member are the first K distinct others, taking on each ring the nearest
   predecessor not yet chosen. Hence all have K observers, or all others if there are fewer.
2. Adding or removing costs a bisection on each ring; observers are computed when asked for and kept
   until the rings change.
3. The orders depend on the members alone. So many nodes of one process that know the same may share
   them (`SharedOrders`); a real node has its own.
"""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Self
from weakref import WeakValueDictionary

from protocol.identity import NodeId

_PLACE_BYTES = 16
WALK_MAX = 64
"""How many members on one ring we look at for one that is wanted."""


class Orders:
    """All members in `count` orders, and who observes whom by them."""

    __slots__ = ("_observers", "_places", "_rings")

    def __init__(self, count: int) -> None:
        self._rings: list[list[bytes]] = [[] for _ in range(count)]
        self._places: dict[NodeId, tuple[bytes, ...]] = {}
        self._observers: dict[NodeId, tuple[NodeId, ...]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._places

    def plus(self, node: NodeId) -> Self:
        """These, with a member that was not in."""
        places = self.places_of(node)
        self._places[node] = places
        for ring, place in zip(self._rings, places, strict=True):
            insort(ring, place)
        self._observers.clear()
        return self

    def minus(self, node: NodeId) -> Self:
        """These, without a member that was in."""
        for ring, place in zip(self._rings, self._places.pop(node), strict=True):
            del ring[bisect_left(ring, place)]
        self._observers.clear()
        return self

    @property
    def count(self) -> int:
        """How many orders there are."""
        return len(self._rings)

    def ring(self, number: int) -> list[bytes]:
        """One order: places, which end in ids."""
        return self._rings[number]

    def places_of(self, node: NodeId) -> tuple[bytes, ...]:
        """Where a node stands, or would stand, on each ring."""
        known = self._places.get(node)
        if known is not None:
            return known
        return tuple(
            hashlib.blake2b(node, key=bytes([number]), digest_size=_PLACE_BYTES).digest() + node
            for number in range(len(self._rings))
        )

    def observers(self, node: NodeId) -> tuple[NodeId, ...]:
        """See `Rings.observers`."""
        known = self._observers.get(node)
        if known is not None:
            return known
        most = len(self) - (node in self._places)
        chosen: dict[NodeId, None] = {}
        for ring, place in zip(self._rings, self.places_of(node), strict=True):
            if len(chosen) == most:
                break
            index = bisect_left(ring, place) - 1  # from here down; index -1 is the last place
            while (other := NodeId(ring[index][_PLACE_BYTES:])) == node or other in chosen:
                index -= 1
            chosen[other] = None
        self._observers[node] = tuple(chosen)
        return self._observers[node]


class SharedOrders(Orders):
    """Orders that many nodes hold: they never change, and the same members are the same object.

    So what one node works out of them, the others find done.
    """

    __slots__ = ("__weakref__", "_family", "_sum")

    def __init__(self, count: int, family: "WeakValueDictionary[int, SharedOrders]") -> None:
        super().__init__(count)
        self._family = family
        self._sum = 0
        """All ids as numbers, added bit by bit: the same for the same members in any order."""

    @classmethod
    def of(cls, nodes: Iterable[NodeId], count: int) -> "SharedOrders":
        """The orders of these nodes, from which all others come."""
        orders = cls(count, WeakValueDictionary())
        for node in nodes:
            Orders.plus(orders, node)
            orders._sum ^= _number(node)
        orders._family[orders._sum] = orders
        return orders

    def plus(self, node: NodeId) -> "SharedOrders":
        """Those with one more member."""
        return self._relative(node, Orders.plus)

    def minus(self, node: NodeId) -> "SharedOrders":
        """Those with one member less."""
        return self._relative(node, Orders.minus)

    def _relative(self, node: NodeId, change: Callable[[Orders, NodeId], object]) -> "SharedOrders":
        key = self._sum ^ _number(node)
        found = self._family.get(key)
        if found is None:
            found = SharedOrders(0, self._family)
            found._rings = [ring.copy() for ring in self._rings]
            found._places = self._places.copy()
            found._sum = key
            change(found, node)
            self._family[key] = found
        return found


class Rings:
    """The orders as one node knows them."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.revision = 0
        """Rises with every change."""

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._orders

    def add(self, node: NodeId) -> None:
        """Take a member in; nothing happens if it is."""
        if node not in self._orders:
            self._orders = self._orders.plus(node)
            self.revision += 1

    def remove(self, node: NodeId) -> None:
        """Take a member out; nothing happens if it is not in."""
        if node in self._orders:
            self._orders = self._orders.minus(node)
            self.revision += 1

    def observers(self, node: NodeId) -> tuple[NodeId, ...]:
        """Who watches `node`, which need not be on the rings itself (a dead member's observers)."""
        return self._orders.observers(node)

    def subjects(self, node: NodeId) -> tuple[NodeId, ...]:
        """Whom `node` watches.

        On ring r an observer is at most r + 1 steps from its subject, since at most r members
        between them are chosen already: few candidates have to be asked.
        """
        candidates: dict[NodeId, None] = {}
        for number in range(self._orders.count):
            for step, candidate in enumerate(self.walk(node, number)):
                if step > number:
                    break
                candidates[candidate] = None
        return tuple(c for c in candidates if node in self.observers(c))

    def walk(self, node: NodeId, number: int, *, backward: bool = False) -> Iterator[NodeId]:
        """Everybody else on one ring, from the successor (or predecessor) of `node` on."""
        ring = self._orders.ring(number)
        start = bisect_left(ring, self._orders.places_of(node)[number])
        order = (
            range(start - 1, start - 1 - len(ring), -1)
            if backward
            else range(start, start + len(ring))
        )
        for index in order:
            other = NodeId(ring[index % len(ring)][_PLACE_BYTES:])
            if other != node:
                yield other

    def following(self, node: NodeId, count: int) -> tuple[NodeId, ...]:
        """The `count` members after `node` on the first ring, or all others if there are fewer."""
        return tuple(islice(self.walk(node, 0), count))

    def follows(self, other: NodeId, node: NodeId, count: int) -> bool:
        """Whether `other` is one of `following(node, count)`."""
        if other not in self._orders or other == node:
            return False
        ring, size = self._orders.ring(0), len(self._orders)
        first = bisect_left(ring, self._orders.places_of(node)[0])
        steps = (bisect_left(ring, self._orders.places_of(other)[0]) - first) % size
        return steps < count + (node in self._orders)

    def neighbours(
        self, node: NodeId, count: int, wanted: Callable[[NodeId], bool], *, backward: bool = False
    ) -> tuple[NodeId, ...]:
        """The nearest wanted member on each of the first `count` rings, distinct."""
        found: dict[NodeId, None] = {}
        for number in range(min(count, self._orders.count)):
            for step, other in enumerate(self.walk(node, number, backward=backward)):
                if step >= WALK_MAX:
                    break
                if other not in found and wanted(other):
                    found[other] = None
                    break
        return tuple(found)


def _number(node: NodeId) -> int:
    return int.from_bytes(node, "big")
