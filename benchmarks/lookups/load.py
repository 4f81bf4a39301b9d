"""Clients that look up as fast as they are answered.

wrk makes the load, a process of its own with one thread; h2load makes etcd's over gRPC. wrk's
quantiles are corrected for what a client could not send while it waited, as those of
`benchmarks.registrations` are.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cluster.fleet import BenchError
from benchmarks.registrations.load import CLIENTS, GRACE_S, TIMEOUT_S, cpu_s, run_wrk

from .sides import SERVICES, Side

SCRIPT = Path(__file__).with_name("ask.lua")
H2LOAD = "h2load"
INSTALL_H2LOAD = "on Debian: apt-get install nghttp2-client"
RANGE = "/etcdserverpb.KV/Range"


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


def has_h2load() -> bool:
    """Whether etcd can be asked over gRPC."""
    return shutil.which(H2LOAD) is not None


def grpc_per_s(address: str, key: str, body: Path, seconds: int) -> float:
    """Ranges of one key a second over gRPC, by as many clients, one request each at a time.

    Raises:
        BenchError: it could not be measured.
    """
    body.write_bytes(range_request(key.encode()))
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    command = (H2LOAD, "-t1", f"-c{CLIENTS}", "-m1", f"-D{seconds}", "-d", str(body), *headers)
    try:
        done = subprocess.run(
            (*command, f"http://{address}{RANGE}"),
            capture_output=True,
            check=True,
            text=True,
            timeout=seconds + TIMEOUT_S + GRACE_S,
        )
    except subprocess.SubprocessError as error:
        raise BenchError(f"h2load did not measure etcd: {error}") from None
    return per_s_of(done.stdout)


def per_s_of(told: str) -> float:
    """What h2load found: `finished in 8.00s, 12345.67 req/s, 1.23MB/s`.

    Raises:
        BenchError: it told something else, or not all was answered.
    """
    lines = {line.partition(" ")[0]: line for line in told.splitlines()}
    finished, counted = lines.get("finished", ""), lines.get("requests:", "")
    words = finished.replace(",", "").split()
    if len(words) < 5 or words[4] != "req/s" or " 0 failed" not in counted:
        raise BenchError(f"h2load said {finished!r}, {counted!r}")
    return float(words[3])


def range_request(key: bytes) -> bytes:
    """A gRPC message: not compressed, its length, and a RangeRequest with the key as field 1."""
    assert len(key) < 0x80
    message = bytes([1 << 3 | 2, len(key)]) + key
    return b"\x00" + len(message).to_bytes(4, "big") + message
