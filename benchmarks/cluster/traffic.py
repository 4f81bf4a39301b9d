"""Bytes and packets between ports of this machine, counted by the kernel (iptables, loopback).

Counts whole IP packets, headers included, as they arrive: each once. The rules stand in a chain of
their own, have no target (so they change nothing) and are removed afterwards, also on Ctrl-C; what
a killed run left behind is removed by the next.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

CHAIN = "KITH-BENCH"
WAIT_S = "5"
COMMAND_TIMEOUT_S = 15.0
INSTALL = "it needs root and iptables (on Debian: apt-get install iptables)"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counted so far."""

    packets: int
    bytes: int

    def since(self, before: Self) -> "Traffic":
        """What came after `before`."""
        return Traffic(self.packets - before.packets, self.bytes - before.bytes)


class TrafficError(Exception):
    """iptables failed; the message is its own."""


def available() -> bool:
    """Whether packets can be counted here."""
    return os.geteuid() == 0 and shutil.which("iptables") is not None


class Counter:
    """Counts what arrives at, or comes back from, a range of ports; a context manager."""

    def __init__(self, ports: range) -> None:
        self._ports = f"{ports[0]}:{ports[-1]}"

    def __enter__(self) -> Self:
        self._remove()
        try:
            _iptables("-N", CHAIN)
            for protocol, side in (("udp", "--dport"), ("tcp", "--dport"), ("tcp", "--sport")):
                _iptables("-A", CHAIN, "-p", protocol, side, self._ports)
            _iptables("-I", "INPUT", "1", "-i", "lo", "-j", CHAIN)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def read(self) -> Traffic:
        """What was counted until now.

        Raises:
            TrafficError: iptables does not tell.
        """
        return parse_counters(_iptables("-nvx", "-L", CHAIN))

    @staticmethod
    def _remove() -> None:
        for words in (("-D", "INPUT", "-i", "lo", "-j", CHAIN), ("-F", CHAIN), ("-X", CHAIN)):
            subprocess.run(_command(words), capture_output=True, check=False)


def parse_counters(listing: str) -> Traffic:
    """Add up the rules of `iptables -nvx -L`: two lines of head, then packets and bytes first."""
    packets = octets = 0
    for line in listing.splitlines()[2:]:
        words = line.split()
        if len(words) > 2 and words[0].isdigit() and words[1].isdigit():
            packets += int(words[0])
            octets += int(words[1])
    return Traffic(packets, octets)


def _command(words: Sequence[str]) -> list[str]:
    return ["iptables", "-w", WAIT_S, *words]


def _iptables(*words: str) -> str:
    try:
        done = subprocess.run(
            _command(words), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrafficError(f"iptables: {error}") from None
    if done.returncode:
        raise TrafficError(done.stderr.strip())
    return done.stdout
