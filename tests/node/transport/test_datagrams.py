"""One suite over UDP and over the network in memory; what only UDP can do comes after it."""

import errno
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import trio
import trio.testing

from node.transport.binding import bind
from node.transport.datagrams import DatagramTransport, Packet, UdpTransport
from protocol.identity import Address
from protocol.limits import DATAGRAM_MAX

from .memory import MemoryNetwork

Open = Callable[[], DatagramTransport]


def udp_socket(host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    bound.bind((host, 0))
    return bound


@pytest.fixture(params=["udp4", "udp6", "memory"])
async def open_transport(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    opened: list[DatagramTransport] = []
    network = MemoryNetwork()

    def open_one() -> DatagramTransport:
        if request.param == "memory":
            opened.append(network.bind())
        else:
            host = "127.0.0.1" if request.param == "udp4" else "::1"
            opened.append(UdpTransport(udp_socket(host)))
        return opened[-1]

    yield open_one
    for transport in opened:
        transport.close()


async def receive(transport: DatagramTransport, count: int) -> list[Packet]:
    packets: list[Packet] = []
    with trio.fail_after(5):
        while len(packets) < count:
            packets += await transport.receive_batch()
    return packets


@pytest.mark.trio
async def test_a_datagram_arrives_whole_with_its_source(open_transport: Open) -> None:
    alice, bob = open_transport(), open_transport()

    alice.send_nowait(b"hello", bob.local)

    assert await receive(bob, 1) == [Packet(b"hello", alice.local)]


@pytest.mark.trio
async def test_an_answer_to_the_source_finds_its_way_back(open_transport: Open) -> None:
    alice, bob = open_transport(), open_transport()
    alice.send_nowait(b"ping", bob.local)
    [ping] = await receive(bob, 1)

    bob.send_nowait(b"pong", ping.source)

    assert await receive(alice, 1) == [Packet(b"pong", bob.local)]


@pytest.mark.trio
async def test_what_arrived_together_is_handed_over_together_in_order(open_transport: Open) -> None:
    alice, bob = open_transport(), open_transport()
    for number in range(100):
        alice.send_nowait(bytes([number]), bob.local)

    with trio.fail_after(5):
        batch = await bob.receive_batch()

    assert [packet.datagram for packet in batch] == [bytes([number]) for number in range(100)]


@pytest.mark.trio
async def test_one_turn_hands_over_no_more_than_its_bound(open_transport: Open) -> None:
    alice, bob = open_transport(), open_transport()
    for _ in range(257):
        alice.send_nowait(b"x", bob.local)

    with trio.fail_after(5):
        first, second = await bob.receive_batch(), await bob.receive_batch()

    assert (len(first), len(second)) == (256, 1)


@pytest.mark.trio
async def test_a_datagram_at_the_limit_is_whole_and_a_longer_one_is_seen_as_such(
    open_transport: Open,
) -> None:
    alice, bob = open_transport(), open_transport()
    for length in (0, DATAGRAM_MAX, DATAGRAM_MAX + 1, DATAGRAM_MAX + 500):
        alice.send_nowait(bytes(length), bob.local)

    lengths = [len(packet.datagram) for packet in await receive(bob, 4)]

    assert lengths == [0, DATAGRAM_MAX, DATAGRAM_MAX + 1, DATAGRAM_MAX + 1]


@pytest.mark.trio
async def test_a_cancelled_receive_loses_nothing(open_transport: Open) -> None:
    alice, bob = open_transport(), open_transport()
    received: list[Packet] = []
    for number in range(20):
        alice.send_nowait(bytes([number]), bob.local)
        with trio.CancelScope() as scope:
            scope.cancel()
            received += await bob.receive_batch()

    received += await receive(bob, 20 - len(received))

    assert [packet.datagram for packet in received] == [bytes([number]) for number in range(20)]


@pytest.mark.trio
async def test_sending_to_nobody_raises_nothing(open_transport: Open) -> None:
    alice, bob = open_transport(), open_transport()
    gone = bob.local
    bob.close()

    for _ in range(3):
        alice.send_nowait(b"anyone?", gone)
    alice.send_nowait(b"myself", alice.local)

    assert await receive(alice, 1) == [Packet(b"myself", alice.local)]


@pytest.mark.trio
async def test_a_host_name_is_not_resolved_but_counted_as_dropped(open_transport: Open) -> None:
    alice = open_transport()

    alice.send_nowait(b"x", Address("localhost", 9))

    assert (alice.counters.dropped_unsendable, alice.counters.packets_out) == (1, 0)


@pytest.mark.trio
async def test_packets_and_bytes_are_counted_at_both_ends(open_transport: Open) -> None:
    alice, bob = open_transport(), open_transport()
    alice.send_nowait(b"12345", bob.local)
    alice.send_nowait(b"123", bob.local)
    await receive(bob, 2)

    assert (alice.counters.packets_out, alice.counters.bytes_out) == (2, 8)
    assert (bob.counters.packets_in, bob.counters.bytes_in) == (2, 8)


@pytest.mark.trio
async def test_closing_wakes_whoever_waits(open_transport: Open) -> None:
    alice = open_transport()

    async with trio.open_nursery() as nursery:

        async def expect_closed() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await alice.receive_batch()

        nursery.start_soon(expect_closed)
        await trio.testing.wait_all_tasks_blocked()
        alice.close()

    with pytest.raises(trio.ClosedResourceError):
        alice.send_nowait(b"x", alice.local)


class FullSocket(socket.socket):
    """A UDP socket whose send buffer is full, or whose way is cut, when told so."""

    full = False
    cut = False

    def sendto(self, *args: object) -> int:
        if self.full:
            raise BlockingIOError
        if self.cut:
            raise OSError(errno.ENETUNREACH, "cut")
        return super().sendto(*args)  # type: ignore[call-overload, no-any-return]  # passed on as is


def full_transport(queue_max: int) -> tuple[FullSocket, UdpTransport]:
    bound = FullSocket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    return bound, UdpTransport(bound, send_queue_max=queue_max)


@pytest.mark.trio
async def test_what_the_socket_does_not_take_is_sent_later_in_order() -> None:
    bound, alice = full_transport(queue_max=4)
    bound.full = True
    for number in range(3):
        alice.send_nowait(bytes([number]), alice.local)
    assert alice.counters.packets_out == 0

    async with trio.open_nursery() as nursery:
        bound.full = False
        nursery.start_soon(alice.send_queued)
        received = await receive(alice, 3)
        nursery.cancel_scope.cancel()

    assert [packet.datagram for packet in received] == [b"\0", b"\1", b"\2"]
    alice.close()


@pytest.mark.trio
async def test_a_later_datagram_does_not_overtake_the_queue() -> None:
    bound, alice = full_transport(queue_max=4)
    bound.full = True
    alice.send_nowait(b"first", alice.local)
    bound.full = False
    alice.send_nowait(b"second", alice.local)

    received = await receive(alice, 2)

    assert [packet.datagram for packet in received] == [b"first", b"second"]
    alice.close()


@pytest.mark.trio
async def test_a_full_send_queue_drops_its_oldest_and_counts_it() -> None:
    bound, alice = full_transport(queue_max=4)
    bound.full = True
    for number in range(6):
        alice.send_nowait(bytes([number]), alice.local)
    bound.full = False
    alice.send_nowait(b"last", alice.local)

    received = await receive(alice, 5)

    assert [packet.datagram for packet in received] == [b"\2", b"\3", b"\4", b"\5", b"last"]
    assert alice.counters.dropped_overflow == 2
    alice.close()


@pytest.mark.trio
async def test_what_is_urgent_goes_first_and_is_not_dropped_for_what_is_not() -> None:
    bound, alice = full_transport(queue_max=2)
    bound.full = True
    for number in range(2):
        alice.send_nowait(bytes([number]), alice.local)
    alice.send_nowait(b"evidence", alice.local, urgent=True)
    alice.send_nowait(bytes([2]), alice.local)

    async with trio.open_nursery() as nursery:
        bound.full = False
        nursery.start_soon(alice.send_queued)
        received = await receive(alice, 3)
        nursery.cancel_scope.cancel()

    assert [packet.datagram for packet in received] == [b"evidence", b"\1", b"\2"]
    assert alice.counters.dropped_overflow == 1
    alice.close()


@pytest.mark.trio
async def test_what_is_urgent_overtakes_the_queue() -> None:
    bound, alice = full_transport(queue_max=2)
    bound.full = True
    alice.send_nowait(b"first", alice.local)
    bound.full = False
    alice.send_nowait(b"evidence", alice.local, urgent=True)
    alice.send_nowait(b"last", alice.local)

    received = await receive(alice, 3)

    assert [packet.datagram for packet in received] == [b"evidence", b"first", b"last"]
    alice.close()


@pytest.mark.trio
async def test_an_unreachable_network_is_as_good_as_loss_on_the_way() -> None:
    bound, alice = full_transport(queue_max=4)
    bound.cut = True

    alice.send_nowait(b"x", alice.local)

    assert (alice.counters.dropped_unsendable, alice.counters.packets_out) == (1, 0)
    alice.close()


@pytest.mark.trio
@pytest.mark.parametrize("to", [Address("::1", 9), Address("127.0.0.1", 70_000), Address("", -1)])
async def test_an_address_that_cannot_be_is_counted_as_dropped(to: Address) -> None:
    alice = UdpTransport(udp_socket())

    alice.send_nowait(b"x", to)

    assert alice.counters.dropped_unsendable == 1
    alice.close()


@pytest.mark.trio
async def test_a_socket_on_every_address_shows_ipv4_peers_as_ipv4() -> None:
    both = await bind("::", 0)
    alice = UdpTransport(udp_socket())
    alice.send_nowait(b"from v4", Address("127.0.0.1", both.address.port))

    [packet] = await receive(both.datagrams, 1)
    both.datagrams.send_nowait(b"to v4", packet.source)

    assert packet == Packet(b"from v4", alice.local)
    assert (await receive(alice, 1))[0].datagram == b"to v4"
    alice.close()
    both.close()
