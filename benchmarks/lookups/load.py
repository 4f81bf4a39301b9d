"""Clients that look up as fast as they are answered.

wrk makes the load, a process of its own with one thread. Its quantiles are corrected for what a
client could not send while it waited, as those of `benchmarks.registrations` are.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cluster.fleet import BenchError
from benchmarks.registrations.load import CLIENTS, cpu_s, run_wrk

from .sides import SERVICES, Side

SCRIPT = Path(__file__).with_name("ask.lua")


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
    load_before: float
    """What else the machine did: the load average of the minute before."""


def run(side: Side, seconds: int, *, names: int = SERVICES, clients: int = CLIENTS) -> Measured:
    """Let wrk's clients ask for random ones of so many things.

    Raises:
        BenchError: it could not be measured.
    """
    load_before, pid = os.getloadavg()[0], side.children[0].pid
    what = (side.method, side.path, side.body, str(names), side.coding, side.asked)
    cpu_before_s = cpu_s(pid)
    script = ("-s", str(SCRIPT), f"http://{side.address}", "--", *what)
    told = run_wrk(side.name, seconds, *script, clients=clients)
    used_s = cpu_s(pid) - cpu_before_s
    if not told["requests"]:
        raise BenchError(f"{side.name} answered nothing")
    return Measured(
        per_s=told["requests"] / told["took_us"] * 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        worst_ms=told["max_us"] / 1e3,
        cpu_us=used_s / told["requests"] * 1e6,
        requests=told["requests"],
        errors=told["refused"] + told["broken"],
        load_before=load_before,
    )
