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
2. Names are unique to this object and say whose it is (`names.py`); `close` removes all of it, also
   after half of it failed or was interrupted.
3. A cut, and its end, is one transaction: all links at one moment.

Needs root, iproute2 and nftables; `why_not` says what is missing.
"""

import ctypes
import functools
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from .names import new_name

NODES_MAX = 200
SWITCH_ADDRESS = "10.77.0.254"
"""Of the switch itself, where it has one."""
COMMAND_TIMEOUT_S = 10.0
_CLONE_NEWNET = 0x40000000
"""To `setns(2)`: the file is a network namespace."""
_NAMESPACES = Path("/run/netns")
_REVERSE_PATH = Path("/proc/sys/net/ipv4/conf/all/rp_filter")
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


@functools.cache
def why_not_cached() -> str:
    """As `why_not`, which makes two networks: once in this process."""
    return why_not()


class Namespaces:
    """So many networks of one address each, joined by a switch; a context manager that ends them.

    Args:
        count: how many.
        name: what the names of namespaces begin with; without, one of `names.new_name`.

    Raises:
        NetworkError: they cannot be made; nothing is left of them.
        ValueError: `count` is out of bounds.
    """

    def __init__(self, count: int, *, name: str = "") -> None:
        if not 1 <= count <= NODES_MAX:
            raise ValueError(f"count must be 1 to {NODES_MAX}, not {count}")
        prefix = name or new_name()
        self._switch = f"{prefix}-switch"
        self._names = [f"{prefix}-{index}" for index in range(count)]
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._names)

    def address(self, index: int) -> str:
        """The one address of a namespace; it is in all others' network."""
        return address_of(index)

    def command(self, index: int, *words: str) -> list[str]:
        """What runs a program there. It takes the place of `ip`, so signals reach it."""
        return ["ip", "netns", "exec", self._names[index], *words]

    def give_switch_address(self) -> str:
        """Let all namespaces reach the switch itself, at the address that is returned.

        Raises:
            NetworkError: it could not be done.
        """
        words = ["address", "replace", f"{SWITCH_ADDRESS}/24", "dev", "bridge"]
        _run(["ip", "-n", self._switch, *words])
        return SWITCH_ADDRESS

    def switch_command(self, *words: str) -> list[str]:
        """What runs a program at the switch. It takes the place of `ip`, so signals reach it."""
        return ["ip", "netns", "exec", self._switch, *words]

    def open_socket(self, index: int, kind: socket.SocketKind) -> socket.socket:
        """A socket that lives there, for a process that lives here.

        Raises:
            NetworkError: the namespace cannot be entered.
        """
        opened: list[socket.socket] = []
        # Sockets stay where they were made.
        self._within(index, lambda: opened.append(socket.socket(socket.AF_INET, kind)))
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

    def existing(self) -> list[str]:
        """The names of those namespaces, the switch's among them, that are there."""
        every = (*self._names, self._switch)
        return [name for name in every if (_NAMESPACES / name).exists()]

    def close(self) -> None:
        """Remove all; harmless when repeated. Processes in there lose their network.

        Raises:
            NetworkError: something of it is left; all that could be removed is.
        """
        failed: list[NetworkError] = []
        for name in self.existing():
            try:
                _run(["ip", "netns", "delete", name])
            except NetworkError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _within(self, index: int, act: Callable[[], None]) -> None:
        """Do something there, in a thread, whose namespace ends with it."""
        failed: list[OSError] = []

        def enter() -> None:
            try:
                _enter(self._names[index])
                act()
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise NetworkError(f"namespace {self._names[index]}: {failed[0]}")

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
            self._within(index, _loosen_reverse_path)

    def _rule(self, rules: Sequence[str]) -> None:
        chain = ["chain cut {", "type filter hook forward priority 0;", *rules, "}"]
        lines = [
            f"table bridge {_TABLE} {{}}",
            f"delete table bridge {_TABLE}",
            *([f"table bridge {_TABLE} {{", *chain, "}"] if rules else ()),
        ]
        _run(["ip", "netns", "exec", self._switch, "nft", "-f", "-"], lines)


def address_of(index: int) -> str:
    """The address of the namespace of this index, in any `Namespaces`."""
    return f"10.77.0.{index + 1}"


def _loosen_reverse_path() -> None:
    # What comes back another way than it went, as by a tun device, is no forgery here. The stricter
    # of this and of the device's own setting counts, unless this one is 2.
    _REVERSE_PATH.write_text("2")


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
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"{' '.join(words)}: {error}") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise NetworkError(f"{' '.join(words)}: exit code {done.returncode}: {said}")
