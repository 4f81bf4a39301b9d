"""Datagrams in and out of a node: a lossy, unordered network, and UDP as the real one.

Rules this module keeps:

1. Loss is the failure detector's business: sending raises nothing for a peer that is unreachable.
2. A turn of the event loop takes all that has arrived, up to a bound: one wake-up a packet would be
   the greatest cost of a busy node, and a bound keeps a flood from starving the timers.
3. Everything that is thrown away is counted.
"""

import contextlib
import socket
from collections import deque
from dataclasses import dataclass
from typing import NoReturn, Protocol

import trio

from protocol.identity import Address
from protocol.limits import DATAGRAM_MAX

from .addresses import from_socket, to_socket

BATCH_MAX = 256
"""Packets handed over in one turn."""
SEND_QUEUE_MAX = 1_024
"""Datagrams kept while the socket's own buffer is full: 1.2 MB at most."""
RECEIVE_BUFFER_BYTES = 1024 * 1024
"""Asked of the kernel: about 900 full datagrams while the event loop is busy."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One datagram and who sent it."""

    datagram: bytes
    source: Address


@dataclass(slots=True)
class DatagramCounters:
    """What went through a transport since it was opened."""

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    dropped_overflow: int = 0
    """Oldest waiting datagrams thrown away because the send queue was full."""
    dropped_unsendable: int = 0
    """The system refused them: unreachable, wrong family, a host name, too long."""
    receive_errors: int = 0


class DatagramTransport(Protocol):
    """A lossy, unordered datagram network, bound to one address."""

    @property
    def local(self) -> Address:
        """Where we are bound."""
        ...

    @property
    def counters(self) -> DatagramCounters:
        """Live counters; the same object all the time."""
        ...

    async def receive_batch(self) -> list[Packet]:
        """Wait until something arrived; at least one packet. A cancelled call loses none.

        Raises:
            trio.ClosedResourceError: the transport was closed.
        """
        ...

    def send_nowait(self, datagram: bytes, to: Address, *, urgent: bool = False) -> None:
        """Hand over one datagram, best effort; `to` is numeric. Loss on the way raises nothing.

        `urgent`: ahead of all that waits and is not.

        Raises:
            trio.ClosedResourceError: the transport was closed.
        """
        ...

    async def send_queued(self) -> NoReturn:
        """Send what the socket would not take at once. Run it as one task beside the receiver."""
        ...

    def close(self) -> None:
        """Let go of the address; whoever waits is told by `trio.ClosedResourceError`."""
        ...


class UdpTransport:
    """A bound UDP socket; `binding.bind` makes one."""

    def __init__(
        self,
        bound: socket.socket,
        *,
        datagram_max: int = DATAGRAM_MAX,
        batch_max: int = BATCH_MAX,
        send_queue_max: int = SEND_QUEUE_MAX,
    ) -> None:
        bound.settimeout(0)
        # Best effort: Linux cuts it to net.core.rmem_max without a word, others may refuse.
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket = bound
        self._family = socket.AddressFamily(bound.family)
        # One byte more than allowed: an oversized datagram must be seen as such by the protocol,
        # not be cut to a length that might parse.
        self._read_bytes = datagram_max + 1
        self._batch_max = batch_max
        self._urgent: deque[tuple[bytes, Address]] = deque()
        self._queue: deque[tuple[bytes, Address]] = deque()
        self._queue_max = send_queue_max
        self._queued = trio.Event()
        self._closed = False
        self.local = from_socket(bound.getsockname())
        self.counters = DatagramCounters()

    async def receive_batch(self) -> list[Packet]:
        """Wait until something arrived; at least one packet. A cancelled call loses none."""
        while True:
            self._check_open()
            await trio.lowlevel.wait_readable(self._socket)
            # No await from here on: what was read is handed over.
            if packets := self._drain():
                return packets

    def send_nowait(self, datagram: bytes, to: Address, *, urgent: bool = False) -> None:
        """Hand over one datagram, best effort; in order while the socket's buffer is full."""
        self._check_open()
        waits = bool(self._urgent or self._queue) and not self._flush(urgent_only=urgent)
        if waits or not self._send(datagram, to):
            self._enqueue(self._urgent if urgent else self._queue, datagram, to)

    async def send_queued(self) -> NoReturn:
        """Send what the socket would not take at once, for ever."""
        while True:
            self._check_open()
            await self._queued.wait()
            self._check_open()
            await trio.lowlevel.wait_writable(self._socket)
            self._flush()

    def close(self) -> None:
        """Let go of the address and of whatever is still queued; a second time does nothing."""
        if not self._closed:
            self._closed = True
            self._urgent.clear()
            self._queue.clear()
            self._queued.set()
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _drain(self) -> list[Packet]:
        packets: list[Packet] = []
        for _ in range(self._batch_max):
            try:
                datagram, name = self._socket.recvfrom(self._read_bytes)
            except BlockingIOError:
                break
            except OSError:
                # Some systems report an earlier datagram's ICMP error here; the socket is fine.
                self.counters.receive_errors += 1
                continue
            packets.append(Packet(datagram, from_socket(name)))
        self.counters.packets_in += len(packets)
        self.counters.bytes_in += sum(len(packet.datagram) for packet in packets)
        return packets

    def _send(self, datagram: bytes, to: Address) -> bool:
        """Give one datagram to the system; False if its buffer is full."""
        try:
            self._socket.sendto(datagram, to_socket(to, self._family))
        except BlockingIOError:
            return False
        except (OSError, ValueError, OverflowError):
            # As good as lost on the way; a port or host that is none ends here too.
            self.counters.dropped_unsendable += 1
            return True
        self.counters.packets_out += 1
        self.counters.bytes_out += len(datagram)
        return True

    def _enqueue(self, queue: deque[tuple[bytes, Address]], datagram: bytes, to: Address) -> None:
        if len(queue) >= self._queue_max:
            queue.popleft()
            self.counters.dropped_overflow += 1
        queue.append((datagram, to))
        self._queued.set()

    def _flush(self, *, urgent_only: bool = False) -> bool:
        """Send from the queues while the system takes it; True if nothing is left.

        `urgent_only`: nothing that is urgent is left; the rest waits on.
        """
        for queue in (self._urgent,) if urgent_only else (self._urgent, self._queue):
            while queue:
                if not self._send(*queue[0]):
                    return False
                queue.popleft()
        if not urgent_only and self._queued.is_set():
            self._queued = trio.Event()
        return True

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this datagram transport was closed")
