"""What was found, in the shape of all benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.registrations.load import CLIENTS
from benchmarks.report import Goal, Measurement, PeerValues, measure, write

from .load import Measured
from .sides import SERVICES

SUITE = "lookups"
NOTE = f"{CLIENTS} clients, one wrk, keep-alive, random ones of {SERVICES:,} services"
GATEWAY = f"{NOTE}; etcd over its JSON gateway"
GRPC = f"{CLIENTS} clients, one request each at a time; etcd over gRPC (h2load), one key"
FLOOR = "hypercorn on trio answers a constant"
ONE = f"{CLIENTS} clients, one wrk, keep-alive, always the same service"
IN_PROCESS = "the node's code in this process, no HTTP, answers encoded before"


@dataclass(slots=True)
class Found:
    """All stretches, by side, in rounds."""

    kith: list[Measured] = field(default_factory=list)
    kith_one: list[Measured] = field(default_factory=list)
    etcd: list[Measured] = field(default_factory=list)
    etcd_grpc: list[float] = field(default_factory=list)
    hypercorn: list[Measured] = field(default_factory=list)
    in_process_us: list[float] = field(default_factory=list)


def write_figures(path: Path, found: Found, about: Mapping[str, str]) -> None:
    """Write the figures, and beside them every stretch as it was measured."""
    write(path, SUITE, figures(found, about), about={**about, "stretches": asdict(found)})


def figures(found: Found, about: Mapping[str, str]) -> list[Measurement]:
    """The table; what was not measured is left out."""
    versions = {name: about.get(name, "") for name in ("etcd", "hypercorn")}
    etcd = _Other("etcd", versions["etcd"], found.etcd)
    floor = _Other("hypercorn", versions["hypercorn"], found.hypercorn)
    rows: list[Measurement] = []
    if found.kith:
        ours = found.kith
        rows = [
            _row("lookups", "1/s", "per_s", ours, etcd, Goal(">=", 3.0, "ratio"), GATEWAY),
            _row("lookup, p50", "ms", "p50_ms", ours, etcd, None, GATEWAY),
            _row("lookup, p99", "ms", "p99_ms", ours, etcd, Goal("<=", 2.0, "kith"), GATEWAY),
            _row("lookup, slowest", "ms", "worst_ms", ours, etcd, None, GATEWAY),
            _row("processor time for one lookup", "µs", "cpu_us", ours, etcd, None, GATEWAY),
        ]
        if found.hypercorn:
            goal = Goal(">=", 10.0, "ratio")
            rows.append(_row("lookups, beside hello", "1/s", "per_s", ours, floor, goal, FLOOR))
        if found.etcd_grpc:
            peer = PeerValues("etcd", versions["etcd"], found.etcd_grpc)
            values = _values(ours, "per_s")
            rows.append(measure("lookups, beside gRPC", "1/s", values, peer=peer, note=GRPC))
        errors = float(sum(one.errors for one in ours))
        goal = Goal("<=", 0.0, "kith")
        rows.append(measure("lookups refused or unanswered", "", [errors], goal=goal, note=NOTE))
    if found.kith_one:
        values = _values(found.kith_one, "per_s")
        rows.append(measure("lookups of one service", "1/s", values, note=ONE))
    if found.in_process_us:
        goal = Goal("<=", 5.0, "kith")
        times = found.in_process_us
        rows.append(measure("lookup in process", "µs", times, goal=goal, note=IN_PROCESS))
    return rows


@dataclass(frozen=True, slots=True)
class _Other:
    name: str
    version: str
    measured: Sequence[Measured]


def _row(  # noqa: PLR0913 - these are the fields of a line of the table
    name: str,
    unit: str,
    which: str,
    ours: Sequence[Measured],
    other: _Other,
    goal: Goal | None,
    note: str,
) -> Measurement:
    theirs = _values(other.measured, which)
    peer = PeerValues(other.name, other.version, theirs) if theirs else None
    return measure(name, unit, _values(ours, which), peer=peer, goal=goal, note=note)


def _values(measured: Sequence[Measured], which: str) -> list[float]:
    return [float(getattr(one, which)) for one in measured]
