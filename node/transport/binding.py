"""Bind UDP and TCP on one port, so that a node has one address."""

import errno
import os
import socket
from dataclasses import dataclass

import trio

from protocol.identity import Address

from .addresses import ANY_IPV6, from_socket
from .datagrams import UdpTransport
from .errors import BindError

BACKLOG = 512
"""Connections that the kernel completes before we accept them; it may cap this (somaxconn)."""
FREE_PORT_ATTEMPTS = 32
"""A port that is free for TCP may be taken for UDP; so many are tried where port 0 is asked."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Both sockets of a node, bound to `address`."""

    address: Address
    datagrams: UdpTransport
    listener: trio.SocketListener

    def close(self) -> None:
        """Close both; for those who have not handed them on."""
        self.datagrams.close()
        self.listener.socket.close()


async def bind(host: str, port: int) -> Binding:
    """Bind both protocols to the same port of `host`; port 0 takes one that is free for both.

    Args:
        host: numeric IPv4 or IPv6, or a name (its first address is taken). `::` takes IPv4 too.
        port: 0 to 65535.

    Raises:
        BindError: the host is not ours, the port is taken, forbidden, or none is free for both.
    """
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise BindError(host, port, f"the host cannot be resolved ({error})") from None
    family, *_, name = found[0]
    for _ in range(FREE_PORT_ATTEMPTS):
        try:
            return _bind_both(family, name)
        except OSError as error:
            if port != 0 or error.errno != errno.EADDRINUSE:
                raise BindError(host, port, os.strerror(error.errno or 0)) from None
    raise BindError(
        host, port, f"no port was free for UDP and TCP in {FREE_PORT_ATTEMPTS} attempts"
    )


def _bind_both(family: int, name: tuple[object, ...]) -> Binding:
    host, port, *rest = name
    stream = socket.socket(family, socket.SOCK_STREAM)
    datagram = socket.socket(family, socket.SOCK_DGRAM)
    try:
        # Connections of an earlier run in TIME_WAIT must not keep a node from its port.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            for each in (stream, datagram):
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != ANY_IPV6))
        stream.bind((host, port, *rest))
        taken = stream.getsockname()[1]
        datagram.bind((host, taken, *rest))
        stream.listen(BACKLOG)
    except OSError:
        stream.close()
        datagram.close()
        raise
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(stream))
    return Binding(from_socket(stream.getsockname()), UdpTransport(datagram), listener)
