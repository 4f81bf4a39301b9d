"""How a simulated node finds its cluster: as a real one does, from seeds and its last peers.

    new identity ──▶ sign first record ──▶ join all seeds at once
    lived before ──▶ ask seeds and last-known peers what they hold of us ──▶ sign ──▶ go on joining

The rules and times are those of a real node; only resolving names is left out.
"""

from collections.abc import Callable, Sequence
from random import Random

from protocol.detector.detection import Status
from protocol.detector.partition import Partition
from protocol.identity import Address, NodeId
from protocol.peer import Peer

CONTACTS_MAX = 8
"""Last-known peers asked for our own branch at a start."""
FIRST_S, MOST_S = 1.0, 60.0
"""The waits between rounds of seeds: doubled from the first to the most."""
CALM_S = 1.0


PORT = 8401


def address_of(number: int) -> Address:
    """Where a node listens: a host of its own for each."""
    return Address(f"10.{number // 62_500}.{number // 250 % 250}.{number % 250 + 1}", PORT)


class Bootstrap:
    """Joins and joins again, in one life of a node."""

    def __init__(
        self,
        peer: Peer,
        seeds: Sequence[Address],
        rng: Random,
        *,
        node_at: Callable[[Address], NodeId | None],
        join: Callable[[Address], None],
        read_back: Callable[[], None],
    ) -> None:
        self._peer = peer
        self._seeds = seeds
        self._rng = rng
        self._node_at = node_at
        self._join = join
        self._read_back = read_back
        self._asked: dict[Address, bool] = {}
        self._joining: dict[Address, None] = {}
        self._wait_s = FIRST_S
        self._reading: dict[Address, None] | None = None
        self.acquainted = False
        """Whether a peer has answered in this life."""

    def begin(self) -> None:
        """Ask whoever may know us; seeds are asked by `round`."""
        if not self._peer.reading_back:
            return
        everybody = dict.fromkeys((*self._seeds, *self._last_known()))
        self._reading = dict(everybody)
        if not everybody:
            self._read_back()
        for address in everybody:
            self._ask(address)

    def round(self) -> float:
        """Ask the seeds if peers are needed; returns the seconds until the next round."""
        if not self._peer.ready:
            return 0.05
        if not self._needed() or not self._seeds:
            self._wait_s = FIRST_S
            return CALM_S
        for address in self._seeds:
            if not self._is_member(address):
                self._ask(address)
        wait = self._wait_s * self._rng.uniform(0.75, 1.0)
        self._wait_s = min(2 * self._wait_s, MOST_S)
        return wait

    def joined(self, address: Address, *, ok: bool) -> None:
        """A join ended."""
        self._joining.pop(address, None)
        self._asked[address] = ok
        self.acquainted = self.acquainted or ok
        if self._reading is not None:
            self._reading.pop(address, None)
            if not self._reading:
                self._reading = None
                self._read_back()

    def _ask(self, address: Address) -> None:
        if address not in self._joining:
            self._joining[address] = None
            self._join(address)

    def _needed(self) -> bool:
        membership = self._peer.membership
        return (
            not self._asked
            or not all(self._asked.values())
            or len(membership.members()) <= 1
            or membership.partition() is not Partition.NONE
        )

    def _last_known(self) -> list[Address]:
        known = []
        for owner in self._peer.registry.owners():
            record = self._peer.registry.node(owner)
            if record is not None and owner != self._peer.me:
                known.append(Address(record.host, record.port))
        return self._rng.sample(known, min(CONTACTS_MAX, len(known)))

    def _is_member(self, address: Address) -> bool:
        # Asked of the world, since a search of all members by all nodes takes their number squared.
        node = self._node_at(address)
        if node is None or node == self._peer.me or self._peer.registry.node(node) is None:
            return False
        return self._peer.membership.status(node) in (Status.ALIVE, Status.SUSPECT)
