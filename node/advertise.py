"""Which address a node tells its peers.

The configured one, else the one it listens on, else (it listens on `0.0.0.0` or `::`) this
machine's address on its default route. Never an address that nobody can call.
"""

import ipaddress
import socket
from collections.abc import Callable

from protocol.identity import Address

from . import parsing
from .config import NodeConfig
from .parsing import Place


class AdvertiseError(Exception):
    """No address to tell the peers. Show the text, exit with 64."""


def advertised(
    config: NodeConfig, *, port: int = 0, route: Callable[[str], str | None] | None = None
) -> Address:
    """The gossip address to tell the peers: never `0.0.0.0`.

    `port` is what the system chose where the configured one is 0. `route` maps the wildcard
    listened on to this machine's address on its default route.

    Raises:
        AdvertiseError: it listens on every address, none is configured and there is no route.
    """
    return _advertised(config.gossip, config.advertise, "--advertise", port, route)


def advertised_http(
    config: NodeConfig, *, port: int = 0, route: Callable[[str], str | None] | None = None
) -> Address:
    """The address of the HTTP API to tell the peers; rules and errors as `advertised`."""
    return _advertised(config.http, config.advertise_http, "--advertise-http", port, route)


def default_route(wildcard: str) -> str | None:
    """This machine's address on its default route, or None. Sends nothing.

    A connected UDP socket asks the kernel for the route and so learns the source address. The
    far ends are documentation addresses (RFC 5737, RFC 3849), which no other route covers.
    """
    family, far = (
        (socket.AF_INET6, "2001:db8::1") if ":" in wildcard else (socket.AF_INET, "192.0.2.1")
    )
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            found = str(probe.getsockname()[0])
    except OSError:
        return None
    usable = parsing.is_ip(found) and not ipaddress.ip_address(found).is_link_local
    return found if usable and not parsing.is_unspecified(found) else None


def _advertised(
    listen: Address,
    told: Place | None,
    flag: str,
    port: int,
    route: Callable[[str], str | None] | None,
) -> Address:
    shown_port = (told.port if told else None) or listen.port or port
    if shown_port == 0:
        raise AdvertiseError(f"port 0 cannot be advertised: bind first, or set {flag} HOST:PORT")
    if told is not None:
        return Address(told.host, shown_port)
    if not parsing.is_unspecified(listen.host):
        return Address(listen.host, shown_port)
    found = (route or default_route)(listen.host)
    if found is None or parsing.is_unspecified(found):
        raise AdvertiseError(
            f"this node listens on {listen.host}, which cannot be advertised, and this machine has "
            f"no default route to take an address from; set {flag} HOST[:PORT]"
        )
    return Address(found, shown_port)
