"""Real networks that can be cut: a network namespace for each node, and a switch between them.

      node 0              node 1              node 2          namespaces
    10.77.0.1 eth0      10.77.0.2 eth0      10.77.0.3 eth0
        │                   │                   │             veth pairs
     port p0             port p1             port p2
        └────────── bridge, nft rules ──────────┘             the switch, one more namespace

The switch lies in a namespace of its own, so neither the machine's firewall nor a container engine
has a say, and nothing of the machine changes. What is cut is dropped by the switch without a word,
for every protocol and connections that stand, as between two buildings; no address is refused.

Rules this module keeps:

1. Traffic never leaves the namespaces: they have no route to anything else.
2. Names are unique to this object; `close` removes all of it, also after half of it failed.
3. A cut, and its end, is one transaction: all links at one moment.

Needs root, iproute2 and nftables; `why_not` says what is missing.
"""

import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

NODES_MAX = 200
COMMAND_TIMEOUT_S = 10.0
_CLONE_NEWNET = 0x40000000
"""To `setns(2)`: the file is a network namespace."""
_NAMESPACES = Path("/run/netns")
_TABLE = "kith"
_libc = ctypes.CDLL(None, use_errno=True)


class NetworkError(Exception):
    """The machine did not do what was asked of its network; call `close` all the same."""


def why_not() -> str:
    """What keeps this machine from having such networks; empty if nothing does."""
    missing = [tool for tool in ("ip", "nft") if not shutil.which(tool)]
    if os.geteuid() != 0:
        return "not root"
    if missing:
        return f"no {' and no '.join(missing)}; on Debian: apt-get install iproute2 nftables"
    try:
        with Namespaces(2) as two:
            two.cut([0], [1])
    except NetworkError as error:
        return str(error)
    return ""


class Namespaces:
    """So many networks of one address each, joined by a switch; a context manager that ends them.

    Raises:
        NetworkError: they cannot be made; nothing is left of them.
        ValueError: `count` is out of bounds.
    """

    def __init__(self, count: int) -> None:
        if not 1 <= count <= NODES_MAX:
            raise ValueError(f"count must be 1 to {NODES_MAX}, not {count}")
        prefix = f"kith-{secrets.token_hex(4)}"
        self._switch = f"{prefix}-switch"
        self._names = [f"{prefix}-{index}" for index in range(count)]
        try:
            self._make()
        except NetworkError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._names)

    def address(self, index: int) -> str:
        """The one address of a namespace; it is in all others' network."""
        return f"10.77.0.{index + 1}"

    def command(self, index: int, *words: str) -> list[str]:
        """What runs a program there. It takes the place of `ip`, so signals reach it."""
        return ["ip", "netns", "exec", self._names[index], *words]

    def open_socket(self, index: int, kind: socket.SocketKind) -> socket.socket:
        """A socket that lives there, for a process that lives here.

        Raises:
            NetworkError: the namespace cannot be entered.
        """
        opened: list[socket.socket] = []
        failed: list[OSError] = []

        def enter() -> None:
            # A thread's namespace ends with it; its sockets stay where they were made.
            try:
                _enter(self._names[index])
                opened.append(socket.socket(socket.AF_INET, kind))
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise NetworkError(f"namespace {self._names[index]} cannot be entered: {failed[0]}")
        return opened[0]

    def cut(self, *groups: Sequence[int]) -> None:
        """Let the groups reach each other no more; this replaces any cut before.

        Raises:
            NetworkError: the switch has no rules; it carries what it carried before.
        """
        rules = [
            f"iifname {_ports(ours)} oifname {_ports(theirs)} meta protocol {{ ip, ip6 }} drop"
            for place, ours in enumerate(groups)
            for other, theirs in enumerate(groups)
            if place != other and ours and theirs
        ]
        self._rule(rules)

    def heal(self) -> None:
        """Let everybody reach everybody.

        Raises:
            NetworkError: the switch still cuts what it cut.
        """
        self._rule([])

    def close(self) -> None:
        """Remove all; harmless when repeated. Processes in there lose their network.

        Raises:
            NetworkError: something of it is left; all that could be removed is.
        """
        failed: list[NetworkError] = []
        for name in (*self._names, self._switch):
            try:
                if (_NAMESPACES / name).exists():
                    _run(["ip", "netns", "delete", name])
            except NetworkError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _make(self) -> None:
        switch = self._switch
        for name in (switch, *self._names):
            _run(["ip", "netns", "add", name])
        lines = ["link add bridge type bridge", "link set bridge up"]
        for index, name in enumerate(self._names):
            lines += [
                f"link add p{index} type veth peer name eth0 netns {name}",
                f"link set p{index} master bridge up",
            ]
        _run(["ip", "-n", switch, "-batch", "-"], lines)
        for index, name in enumerate(self._names):
            lines = [
                f"address add {self.address(index)}/24 dev eth0",
                "link set lo up",
                "link set eth0 up",
            ]
            _run(["ip", "-n", name, "-batch", "-"], lines)

    def _rule(self, rules: Sequence[str]) -> None:
        chain = ["chain cut {", "type filter hook forward priority 0;", *rules, "}"]
        lines = [
            f"table bridge {_TABLE} {{}}",
            f"delete table bridge {_TABLE}",
            *([f"table bridge {_TABLE} {{", *chain, "}"] if rules else ()),
        ]
        _run(["ip", "netns", "exec", self._switch, "nft", "-f", "-"], lines)


def _enter(name: str) -> None:
    with (_NAMESPACES / name).open("rb") as namespace:
        if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns to {name}")


def _ports(group: Sequence[int]) -> str:
    return "{ " + ", ".join(f'"p{index}"' for index in group) + " }"


def _run(words: Sequence[str], lines: Sequence[str] = ()) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            words,
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"{' '.join(words)}: {error}") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise NetworkError(f"{' '.join(words)}: exit code {done.returncode}: {said}")
