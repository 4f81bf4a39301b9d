"""Between `Address` and what the socket calls take and give.

A socket bound to `::` takes IPv4 too (RFC 3493, section 5.3); its peers' addresses are shown as the
IPv4 addresses that they are, so one peer never has two addresses. Host names are never resolved
here: a datagram to a name would block the event loop in a DNS query.
"""

import ipaddress
import socket
from typing import cast

from protocol.identity import Address

ANY_IPV6 = "::"
_MAPPED = "::ffff:"

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


def family_of(host: str) -> socket.AddressFamily:
    """Which family a numeric host belongs to.

    Raises:
        ValueError: not a numeric IPv4 or IPv6 address.
    """
    version = ipaddress.ip_address(host).version
    return socket.AF_INET if version == 4 else socket.AF_INET6


def to_socket(address: Address, family: socket.AddressFamily) -> SocketAddress:
    """The numeric address for a socket of `family`.

    Raises:
        OSError: a host name, or an address that this family cannot reach.
    """
    host, port = address.host, address.port
    if family == socket.AF_INET:
        socket.inet_pton(socket.AF_INET, host)
        return (host, port)
    if ":" not in host:
        socket.inet_pton(socket.AF_INET, host)
        return (_MAPPED + host, port, 0, 0)
    bare, _, scope = host.partition("%")
    socket.inet_pton(socket.AF_INET6, bare)
    return (bare, port, 0, _scope_id(scope))


def from_socket(name: object) -> Address:
    """The address in what `recvfrom`, `getpeername` or `getsockname` gave."""
    host, port, *rest = cast(tuple[str, int] | tuple[str, int, int, int], name)
    if host.startswith(_MAPPED):
        host = host.removeprefix(_MAPPED)
    elif rest and rest[1] and "%" not in host:
        host = f"{host}%{rest[1]}"
    return Address(host, port)


def origin_of(host: str) -> str:
    """Whom to count a numeric host as: itself, or in IPv6 its /64, which one customer fills."""
    bare = host.partition("%")[0]
    try:
        if family_of(bare) == socket.AF_INET:
            return bare
    except ValueError:
        return host
    return str(ipaddress.ip_network((bare, 64), strict=False))


def _scope_id(scope: str) -> int:
    if not scope:
        return 0
    return int(scope) if scope.isdecimal() else socket.if_nametoindex(scope)
