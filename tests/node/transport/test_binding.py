"""One port for UDP and TCP, or a clear error."""

import socket

import pytest
import trio

from node.transport.addresses import from_socket, origin_of
from node.transport.binding import bind
from node.transport.errors import BindError
from protocol.identity import Address

from .files import open_files


@pytest.mark.trio
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_both_protocols_get_the_same_free_port(host: str) -> None:
    both = await bind(host, 0)

    tcp = from_socket(both.listener.socket.getsockname())

    assert tcp == both.datagrams.local == both.address
    assert both.address.port > 0
    both.close()


@pytest.mark.trio
async def test_a_port_that_udp_lacks_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []

    class Crowded(socket.socket):
        """The first three ports that are free for TCP are taken for UDP."""

        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]  # internet only
            if self.type == socket.SOCK_DGRAM and len(taken) < 3:
                taken.append(address[1])
                raise OSError(98, "taken")
            super().bind(address)

    monkeypatch.setattr("node.transport.binding.socket.socket", Crowded)

    both = await bind("127.0.0.1", 0)

    assert len(taken) == 3
    assert both.datagrams.local == both.address
    both.close()


@pytest.mark.trio
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_taken_port_is_refused_with_a_remedy_and_nothing_stays_bound(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        files = len(open_files())
        with pytest.raises(
            BindError, match=rf"127\.0\.0\.1:{port}: Address already in use; choose"
        ):
            await bind("127.0.0.1", port)
        assert len(open_files()) == files


@pytest.mark.trio
@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_a_host_that_is_not_ours_is_refused(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    if host.endswith("invalid"):
        monkeypatch.setattr(trio.socket, "getaddrinfo", resolve)

    with pytest.raises(BindError, match="cannot listen on"):
        await bind(host, 0)


def test_an_address_from_a_socket_is_the_one_that_a_person_would_write() -> None:
    assert from_socket(("::ffff:192.0.2.7", 5, 0, 0)) == Address("192.0.2.7", 5)
    assert from_socket(("fe80::1", 5, 0, 3)) == Address("fe80::1%3", 5)
    assert from_socket(("2001:db8::1", 5, 0, 0)) == Address("2001:db8::1", 5)


def test_ipv6_neighbours_count_as_one_origin() -> None:
    assert origin_of("2001:db8::1") == origin_of("2001:db8::ffff:2")
    assert origin_of("2001:db8::1") != origin_of("2001:db8:0:1::1")
    assert origin_of("fe80::1%3") == origin_of("fe80::2")
    assert origin_of("192.0.2.1") != origin_of("192.0.2.2")
