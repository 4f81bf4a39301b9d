"""What was found, in the shape of all benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.report import Goal, Measurement, PeerValues, measure, write

from .load import CLIENTS, Measured

SUITE = "registrations"
NOTE = f"{CLIENTS} clients, one wrk, keep-alive; etcd over its JSON gateway"
GRPC = f"{CLIENTS} clients; etcd over gRPC (h2load), one call each at a time, of one key"
GOAL_RATIO = Goal(">=", 1.0, "ratio")
GOAL_P99_MS = Goal("<=", 10.0, "kith")
ROWS = (
    ("per_s", "durable registrations", "1/s", GOAL_RATIO),
    ("p50_ms", "durable registration, p50", "ms", None),
    ("p99_ms", "durable registration, p99", "ms", GOAL_P99_MS),
    ("worst_ms", "durable registration, slowest", "ms", None),
    ("cpu_us", "processor time for one registration", "µs", None),
    ("errors", "registrations refused or unanswered", "", Goal("<=", 0.0, "kith")),
    ("lost", "registrations acknowledged and not there", "", Goal("<=", 0.0, "kith")),
)
SUMMED = ("errors", "lost")
"""Of all rounds: a median would hide a single one."""


@dataclass(slots=True)
class Found:
    """What was measured, round by round."""

    sides: dict[str, list[Measured]] = field(default_factory=dict)
    etcd_grpc: list[float] = field(default_factory=list)
    """Puts a second over gRPC."""


def write_figures(path: Path, found: Found, about: Mapping[str, Sequence[str]]) -> None:
    """Write the figures, and beside them every stretch as it was measured."""
    stretches = {name: [asdict(one) for one in each] for name, each in found.sides.items()}
    write(path, SUITE, figures(found, about), about={**about, "stretches": stretches})


def figures(found: Found, about: Mapping[str, Sequence[str]]) -> list[Measurement]:
    """One line for each row, of as many rounds as there are."""
    versions = about.get("versions", [])
    version = versions[1] if len(versions) > 1 else ""
    ours, theirs = found.sides["kith"], found.sides.get("etcd", [])
    rows = [
        measure(
            name,
            unit,
            _values(ours, what),
            peer=PeerValues("etcd", version, _values(theirs, what)) if theirs else None,
            goal=goal,
            note=NOTE,
        )
        for what, name, unit, goal in ROWS
    ]
    if found.etcd_grpc:
        peer = PeerValues("etcd", version, found.etcd_grpc)
        values = _values(ours, "per_s")
        rows.append(measure(f"{ROWS[0][1]}, beside gRPC", "1/s", values, peer=peer, note=GRPC))
    return rows


def _values(measured: Sequence[Measured], field: str) -> list[float]:
    values = [float(getattr(one, field)) for one in measured]
    return [sum(values)] if field in SUMMED else values
