"""A datagram network in memory, with the interface of the real one."""

from collections import deque
from typing import NoReturn

import trio

from node.transport.datagrams import BATCH_MAX, DatagramCounters, Packet
from protocol.identity import Address
from protocol.limits import DATAGRAM_MAX

INBOX_MAX = 1_024


class MemoryNetwork:
    """Lossless between bound addresses; whatever goes elsewhere is lost."""

    def __init__(self) -> None:
        self._bound: dict[Address, MemoryTransport] = {}

    def bind(self, host: str = "127.0.0.1") -> "MemoryTransport":
        local = Address(host, 10_000 + len(self._bound))
        self._bound[local] = MemoryTransport(self, local)
        return self._bound[local]

    def carry(self, datagram: bytes, source: Address, to: Address) -> None:
        if to in self._bound:
            self._bound[to].take(Packet(datagram[: DATAGRAM_MAX + 1], source))

    def unbind(self, local: Address) -> None:
        self._bound.pop(local, None)


class MemoryTransport:
    """One bound address of a `MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, local: Address) -> None:
        self.local = local
        self.counters = DatagramCounters()
        self._network = network
        self._inbox: deque[Packet] = deque(maxlen=INBOX_MAX)
        self._arrived = trio.Event()
        self._closed = False

    def take(self, packet: Packet) -> None:
        self._inbox.append(packet)
        self._arrived.set()

    async def receive_batch(self) -> list[Packet]:
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            self._check_open()
            self._arrived = trio.Event()
            await self._arrived.wait()
        self._check_open()
        batch = [self._inbox.popleft() for _ in range(min(BATCH_MAX, len(self._inbox)))]
        self.counters.packets_in += len(batch)
        self.counters.bytes_in += sum(len(packet.datagram) for packet in batch)
        return batch

    def send_nowait(self, datagram: bytes, to: Address, *, urgent: bool = False) -> None:
        self._check_open()
        if not to.host[:1].isdecimal() and ":" not in to.host:
            self.counters.dropped_unsendable += 1
            return
        self.counters.packets_out += 1
        self.counters.bytes_out += len(datagram)
        self._network.carry(datagram, self.local, to)

    async def send_queued(self) -> NoReturn:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._closed = True
        self._network.unbind(self.local)
        self._inbox.clear()
        self._arrived.set()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("closed")
