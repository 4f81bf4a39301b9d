"""`python -m chaos.faults.delayline`, in the network of a node.

    standard input     a line a change: {"10.77.0.2": [latency_s, jitter_s, duplicate, reorder]}
    standard output    `ready` when packets can be led in, `obeyed` after a change, then figures

Rules this module keeps:

1. Nothing is left when it ends: the device goes with it, and the reverse path filter is as it was.
"""

import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from .queue import PACKETS_MAX, DelayQueue, Shape
from .wiring import DEVICE, MARK

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SO_MARK = 36
_PACKET_BYTES_MAX = 65_536
_BURST = 64
"""Packets taken in before it looks again what is due."""
_LINE_BYTES_MAX = 64 * 1024
_IDLE_S = 1.0
_REVERSE_PATH = Path("/proc/sys/net/ipv4/conf/all/rp_filter")
_LOOSE = "2"


class Line:
    """The device, the queue, and the way out."""

    def __init__(self, device: int, out: socket.socket) -> None:
        self._device, self._out = device, out
        self._queue = DelayQueue(Random())
        self._commands = b""
        self._sent_count = self._failed_count = 0
        self._late_sum_s = self._late_max_s = 0.0

    def run(self) -> None:
        """Until standard input ends."""
        control = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([self._device, control], [], [], self._wait_s())
            if self._device in ready:
                self._take_in()
            self._send(time.perf_counter())
            if control in ready and not self._obey(os.read(control, _LINE_BYTES_MAX)):
                break
        self._send(float("inf"))

    def figures(self) -> dict[str, float]:
        """What it has done; times are what it added beyond what was wanted."""
        return {
            "sent_count": self._sent_count,
            "dropped_count": self._queue.dropped_count,
            "failed_count": self._failed_count,
            "late_mean_s": self._late_sum_s / max(1, self._sent_count),
            "late_max_s": self._late_max_s,
        }

    def _wait_s(self) -> float:
        next_s = self._queue.next_s
        return _IDLE_S if next_s is None else max(0.0, next_s - time.perf_counter())

    def _take_in(self) -> None:
        for _ in range(_BURST):
            try:
                packet = os.read(self._device, _PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            self._queue.put(packet, now=time.perf_counter())

    def _send(self, now: float) -> None:
        for due_s, packet in self._queue.due(now=now):
            try:
                self._out.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
            except OSError:
                self._failed_count += 1
                continue
            self._sent_count += 1
            if now != float("inf"):
                late_s = time.perf_counter() - due_s
                self._late_sum_s += late_s
                self._late_max_s = max(self._late_max_s, late_s)

    def _obey(self, more: bytes) -> bool:
        """Take in what was said; whether there may come more."""
        self._commands += more
        *lines, self._commands = self._commands.split(b"\n")
        if lines:
            shapes = {
                socket.inet_aton(address): Shape(*numbers)
                for address, numbers in json.loads(lines[-1]).items()
            }
            self._queue.shape(shapes)
            print("obeyed", flush=True)  # noqa: T201 - whoever started it waits for that
        return bool(more) and len(self._commands) < _LINE_BYTES_MAX


@contextmanager
def _loose_reverse_path() -> Iterator[None]:
    """Answers of peers come by another way than packets to them go; that must not drop them."""
    before = _REVERSE_PATH.read_text().strip()
    if before == _LOOSE:
        yield
        return
    _REVERSE_PATH.write_text(_LOOSE)
    try:
        yield
    finally:
        _REVERSE_PATH.write_text(before)


def main() -> int:
    """Run a line; 1 if there can be none here."""
    try:
        device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        wanted = struct.pack("16sH", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(device, _TUNSETIFF, wanted.ljust(40, b"\0"))
        up = ["ip", "link", "set", DEVICE, "txqueuelen", str(PACKETS_MAX), "up"]
        subprocess.run(up, check=True, capture_output=True)  # noqa: S603 - our own words
        out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        out.setsockopt(socket.SOL_SOCKET, _SO_MARK, MARK)
        with out, _loose_reverse_path():
            line = Line(device, out)
            print("ready", flush=True)  # noqa: T201
            line.run()
            print(json.dumps(line.figures()), flush=True)  # noqa: T201
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no delay line: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
