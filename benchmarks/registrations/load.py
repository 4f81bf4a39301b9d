"""Clients that write as fast as they are answered, and what their answers were worth.

The load is made by `wrk`, a process of its own with one thread, so that it is not what limits. Its
quantiles are corrected for what a client could not send while it waited (`stats_correct`): a stall
counts for each request that it kept back. That makes the 99th percentile worse, on both sides.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.cluster.fleet import BenchError
from benchmarks.cluster.usage import MS_PER_S, cpu_ms_of

from .sides import KEYS, Side

CLIENTS = 16
PROGRAM = "wrk"
INSTALL = "on Debian: apt-get install wrk"
SCRIPT = Path(__file__).with_name("put.lua")
TIMEOUT_S = 10
GRACE_S = 30.0
SYNCS = 100
SYNC_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Measured:
    """One stretch of load on one side."""

    per_s: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    cpu_us: float
    """Processor time of the server for one request."""
    requests: int
    errors: int
    """Refused, or not answered."""
    lost: int
    """Acknowledged, and not there when read back."""
    load_before: float
    """What else the machine did: the load average of the minute before."""


def installed() -> bool:
    """Whether there is a wrk."""
    return shutil.which(PROGRAM) is not None


class Load:
    """The clients of one side, and what they sent so far."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._next = 0
        self._unanswered: set[int] = set()
        """Requests that were never sent, or that the clients were still waiting for as they were
        stopped, and that were not done, as it turned out."""

    def run(self, seconds: int, clients: int = CLIENTS) -> Measured:
        """Load it with so many clients, then read back.

        Raises:
            BenchError: it could not be measured.
        """
        side, load_before = self._side, os.getloadavg()[0]
        cpu_before_s = cpu_s(side.child.pid)
        told = _wrk(side, self._next, seconds, clients)
        used_s = cpu_s(side.child.pid) - cpu_before_s
        # The very first is asked for only to see how many requests it holds, and never sent.
        self._unanswered.add(self._next)
        requests, self._next = told["requests"], told["next"]
        if not requests:
            raise BenchError(f"{side.name} answered nothing")
        absent = missing(side.numbers(side.address), self._next, KEYS) - self._unanswered
        self._unanswered |= absent
        return Measured(
            per_s=requests / told["took_us"] * 1e6,
            p50_ms=told["p50_us"] / 1e3,
            p99_ms=told["p99_us"] / 1e3,
            worst_ms=told["max_us"] / 1e3,
            cpu_us=used_s / requests * 1e6,
            requests=requests,
            errors=told["refused"] + told["broken"],
            lost=max(0, len(absent) - clients),
            load_before=load_before,
        )


def missing(numbers: Iterable[int], after: int, keys: int) -> set[int]:
    """Of the requests below `after`, the newest under each key: those that are not there."""
    found = {number % keys: number for number in numbers}
    newest = range(max(0, after - keys), after)
    return {number for number in newest if found.get(number % keys) != number}


def sync_ms(directory: Path) -> float:
    """How long the disk takes to make 4 KiB durable, the median; what every commit waits for."""
    took = []
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"\x01" * SYNC_BYTES)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    return sorted(took)[SYNCS // 2] * 1e3


def _wrk(side: Side, first: int, seconds: int, clients: int) -> dict[str, int]:
    script = ("-s", str(SCRIPT), f"http://{side.address}", "--", side.path, side.body)
    numbers = (str(first), str(KEYS))
    return run_wrk(side.name, seconds, *script, *numbers, side.coding, clients=clients)


def run_wrk(name: str, seconds: int, *arguments: str, clients: int = CLIENTS) -> dict[str, int]:
    """Load a side with so many clients for so long: what the script told at the end.

    Raises:
        BenchError: it could not be measured.
    """
    options = ("-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", f"{TIMEOUT_S}s")
    command = (PROGRAM, *options, *arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=seconds + TIMEOUT_S + GRACE_S
        )
        told = orjson.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, orjson.JSONDecodeError, IndexError) as error:
        raise BenchError(f"wrk did not measure {name}: {error}") from None
    if not isinstance(told, dict):
        raise BenchError(f"wrk said {told!r}")
    return told


def cpu_s(pid: int) -> float:
    """Processor time that a server has used, in the kernel too. Raises BenchError if it ended."""
    try:
        return cpu_ms_of(pid) / MS_PER_S
    except FileNotFoundError:
        raise BenchError("the server has ended") from None
