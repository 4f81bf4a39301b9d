"""How a node finds its cluster: seeds, the peers of its last run, and the local network if asked.

    new identity ──▶ sign first record ──▶ join all seeds at once
    lived before ──▶ ask seeds and last-known peers what they hold of us ──▶ sign ──▶ go on joining
    an old copy  ──▶ … ask again until one has shown that it knows us   ──▶ sign ──▶ go on joining

Every seed is asked, and asked again with backoff until it answered once, also where its name led
nowhere while others answered; and again whenever this node finds itself alone or cut off. A cluster
so comes up in any order, and seeds that are down are never fatal.
"""

from collections.abc import Sequence
from random import Random

import trio

from node import logs
from protocol.detector.detection import Status
from protocol.detector.partition import Partition
from protocol.identity import Address
from protocol.peer import Peer

from . import discovery
from .driver import Driver

log = logs.get()

CONTACTS_MAX = 8
"""Last-known peers asked for our own branch at a start."""
ASK_AGAIN_MOST_S = 5.0
"""Between two rounds of asking for our own branch, where we sign nothing before we have it."""
JOINS_MAX = 64
"""Joins under way at once."""


def last_known(peer: Peer, rng: Random) -> list[Address]:
    """Addresses of some peers of the last run."""
    known = []
    for owner in peer.registry.owners():
        record = peer.registry.node(owner)
        if record is not None and owner != peer.me:
            known.append(Address(record.host, record.port))
    return rng.sample(known, min(CONTACTS_MAX, len(known)))


class Bootstrap:
    """Joins and joins again. `run` is its task."""

    def __init__(
        self,
        driver: Driver,
        seeds: Sequence[Address],
        *,
        own: discovery.OwnAddresses,
        tasks: trio.Nursery,
        rng: Random,
    ) -> None:
        self._driver = driver
        self._seeds = seeds
        self._own = own
        self._tasks = tasks
        self._rng = rng
        self._asked: dict[Address, bool] = {}
        """Whether it answered, by address."""
        self._backoff = discovery.Backoff(rng)
        self._unresolved = False
        """Whether a seed's name led nowhere when it was last looked up."""
        self._joining: dict[Address, None] = {}

    async def run(self, contacts: Sequence[Address]) -> None:
        """Read ourselves back if that is due, then keep joining until cancelled."""
        if self._driver.peer.reading_back:
            await self._read_back(contacts)
        await self._driver.ready()
        await discovery.seek(
            self._seeds,
            needed=self._needed,
            looked=self._looked,
            own=self._own,
            backoff=self._backoff,
        )

    def found(self, address: Address) -> None:
        """An address at which there may be a peer."""
        if self._is_member(address):
            self._asked[address] = True
            return
        if address in self._joining or self._own(address):
            return
        if len(self._joining) < JOINS_MAX:
            self._joining[address] = None
            self._tasks.start_soon(self._join, address)

    def _looked(self, answers: discovery.Round) -> None:
        """Seeds were looked up: nobody waits any more for where names no longer lead."""
        self._unresolved = bool(answers.unresolved)
        self._asked = {
            address: ok
            for address, ok in self._asked.items()
            if address in answers.found or (ok and self._unresolved)
        }
        alone = self._is_alone()
        self._backoff.hold_to(discovery.ALONE_MOST_S if alone else discovery.RETRY_MOST_S)
        for address in answers.found:
            self.found(address)

    async def _read_back(self, contacts: Sequence[Address]) -> None:
        """Ask everybody who may know us, once or for as long as it takes."""
        backoff = discovery.Backoff(self._rng, most_s=ASK_AGAIN_MOST_S)
        while self._driver.peer.reading_back:
            async with trio.open_nursery() as asking:
                # At once: names may take longer to be looked up than we wait to hear of ourselves.
                for address in contacts:
                    asking.start_soon(self._join, address)
                seeds = await discovery.resolve(self._seeds, self._own)
                self._unresolved = bool(seeds.unresolved)
                for address in seeds.found:
                    if address not in contacts:
                        asking.start_soon(self._join, address)
            self._driver.read_back()
            with trio.move_on_after(backoff.take_s()):
                await self._driver.ready()
            contacts = last_known(self._driver.peer, self._rng)  # also who has called us since

    async def _join(self, address: Address) -> None:
        ok = await self._driver.join(address)
        self._joining.pop(address, None)
        if not ok and self._asked.get(address, True):
            log.warning("seed_does_not_answer", address=str(address))
        if ok and not self._asked.get(address, False):
            log.info("joined", address=str(address))
        self._asked[address] = ok

    def _needed(self) -> bool:
        membership = self._driver.peer.membership
        return (
            not self._asked
            or self._unresolved
            or not all(self._asked.values())
            or self._is_alone()
            or membership.partition() is not Partition.NONE
        )

    def _is_alone(self) -> bool:
        return len(self._driver.peer.membership.members()) <= 1

    def _is_member(self, address: Address) -> bool:
        peer = self._driver.peer
        status = peer.membership.status
        return any(
            (record := peer.registry.node(node)) is not None
            and (record.host, record.port) == (address.host, address.port)
            for node in peer.membership.members()
            if node != peer.me and status(node) in (Status.ALIVE, Status.SUSPECT)
        )
