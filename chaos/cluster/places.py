"""Where nodes live that are processes of this machine: on its loopback, or each in a network alone.

Rules this module keeps:

1. Addresses and ports are known before anything is made; `open` makes it, `close` removes it.
2. Ports never change, so a node comes back where it was.
"""

import os
import signal
import socket
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from . import namespaces
from .client import HOST, Dial
from .cluster import ClusterError
from .commands import run
from .processes import ProcessError, free_ports

HTTP_PORT, GOSSIP_PORT = 8400, 8401


class Place(Protocol):
    """Room for so many nodes, by number. Its methods raise ClusterError."""

    def open(self) -> None:
        """Make it."""

    def close(self) -> None:
        """Remove it, with every process in it; harmless when repeated or when it was not made."""

    def address(self, index: int) -> str:
        """By which all others reach a node."""

    def ports(self, index: int) -> tuple[int, int]:
        """Of its HTTP API and of its gossip."""

    def inside(self, index: int, words: Sequence[str]) -> list[str]:
        """The words that run a program where the node is."""

    def beside(self) -> tuple[list[str], str]:
        """The words that run a program where all nodes reach it, and its address there."""

    def dial(self, index: int) -> Dial:
        """Opens sockets where the node is."""


class Loopback:
    """All on this machine's loopback, on ports that were free."""

    def __init__(self, count: int) -> None:
        try:
            ports = free_ports(2 * count)
        except ProcessError as error:
            raise ClusterError(f"{error}; end other nodes on this machine") from None
        self._ports = list(zip(ports[::2], ports[1::2], strict=True))

    def open(self) -> None:
        """Nothing has to be made."""

    def close(self) -> None:
        """Nothing was made."""

    def address(self, index: int) -> str:
        """The same for all: `index` does not matter."""
        return HOST

    def ports(self, index: int) -> tuple[int, int]:
        """Drawn when it was made."""
        return self._ports[index]

    def inside(self, index: int, words: Sequence[str]) -> list[str]:
        """As they are."""
        return list(words)

    def beside(self) -> tuple[list[str], str]:
        """On the loopback."""
        return [], HOST

    def dial(self, index: int) -> Dial:
        """A socket of this machine."""
        return partial(socket.socket, socket.AF_INET, socket.SOCK_STREAM)


class Apart:
    """Each in a network namespace of its own, joined by a switch; the same ports everywhere.

    Args:
        count: how many nodes.
        name: what the namespaces' names begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._networks: namespaces.Namespaces | None = None

    def open(self) -> None:
        """Make the namespaces."""
        try:
            self._networks = namespaces.Namespaces(self._count, name=self._name)
        except namespaces.NetworkError as error:
            raise ClusterError(f"no network could be made: {error}") from None

    def close(self) -> None:
        """Kill what runs in the namespaces, and remove them."""
        if self._networks is None:
            return
        for name in self._networks.existing():
            end_inside(name)
        try:
            self._networks.close()
        except namespaces.NetworkError as error:
            raise ClusterError(f"a network is left: {error}") from None

    def address(self, index: int) -> str:
        """One address each."""
        return namespaces.address_of(index)

    def ports(self, index: int) -> tuple[int, int]:
        """The same for all: `index` does not matter."""
        return HTTP_PORT, GOSSIP_PORT

    def inside(self, index: int, words: Sequence[str]) -> list[str]:
        """By `ip netns exec`, whose place the program takes."""
        return self._opened().command(index, *words)

    def beside(self) -> tuple[list[str], str]:
        """At the switch, where no fault of links is."""
        try:
            address = self._opened().give_switch_address()
        except namespaces.NetworkError as error:
            raise ClusterError(f"the switch has no address: {error}") from None
        return self._opened().switch_command(), address

    def dial(self, index: int) -> Dial:
        """A socket in the node's own namespace: what is asked there passes no link."""
        return partial(self._socket, index)

    def _socket(self, index: int) -> socket.socket:
        try:
            return self._opened().open_socket(index, socket.SOCK_STREAM)
        except namespaces.NetworkError as error:
            # As a connection that fails, which those who ask expect.
            raise ConnectionError(str(error)) from None

    def _opened(self) -> namespaces.Namespaces:
        if self._networks is None:
            raise ClusterError("the cluster was not started")
        return self._networks


def end_inside(namespace: str) -> None:
    """Kill -9 what runs in a network namespace. Raises ClusterError."""
    for pid in run(["ip", "netns", "pids", namespace]).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue
