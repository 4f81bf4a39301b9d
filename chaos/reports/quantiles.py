"""Requests in numbers: by phase for tables, by second for pictures. Quantiles by nearest rank."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.running.figures import rank
from chaos.running.record import RunRecord, Sample

from .times import phases_of

LOOKUP, WRITE = "lookup", "write"
BUCKETS_MAX = 240
OK = "ok"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Requests of a stretch of time that began then."""

    begin_s: float
    end_s: float
    count: int
    """Of those that were answered."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    failed: int
    indefinite: int


def kind_of(sample: Sample) -> str:
    """`lookup`, or `write` for all else."""
    return LOOKUP if sample.action == LOOKUP else WRITE


def bucket_of(samples: Iterable[Sample], begin_s: float, end_s: float) -> Bucket:
    """All of these as one. Times of what was not answered count for nothing."""
    outcomes: dict[str, int] = {}
    took_ms = []
    for one in samples:
        outcomes[one.outcome] = outcomes.get(one.outcome, 0) + 1
        if one.outcome == OK and math.isfinite(one.ms):
            took_ms.append(one.ms)
    took_ms.sort()
    p50, p99, most = (rank(took_ms, share) if took_ms else math.nan for share in (0.5, 0.99, 1.0))
    others = sum(count for name, count in outcomes.items() if name not in (OK, "indefinite"))
    return Bucket(
        begin_s, end_s, outcomes.get(OK, 0), p50, p99, most, others, outcomes.get("indefinite", 0)
    )


def buckets_of(samples: Sequence[Sample], window_s: tuple[float, float]) -> list[Bucket]:
    """By second, or by so many that there are at most `BUCKETS_MAX`; empty ones are left out."""
    begin_s, end_s = window_s
    width_s = max(1.0, math.ceil((end_s - begin_s) / BUCKETS_MAX))
    sorted_in: dict[int, list[Sample]] = {}
    for one in samples:
        if begin_s <= one.at_s <= end_s:
            sorted_in.setdefault(int((one.at_s - begin_s) // width_s), []).append(one)
    return [
        bucket_of(those, begin_s + place * width_s, begin_s + (place + 1) * width_s)
        for place, those in sorted(sorted_in.items())
    ]


def by_phase(record: RunRecord) -> list[tuple[str, str, Bucket]]:
    """Phase, kind of request, and its numbers; phases in which nothing was asked are left out."""
    rows = []
    for phase in phases_of(record):
        inside = [one for one in record.samples if phase.holds(one.at_s)]
        for kind in (LOOKUP, WRITE):
            those = [one for one in inside if kind_of(one) == kind]
            if those:
                rows.append((phase.name, kind, bucket_of(those, phase.begin_s, phase.end_s)))
    return rows
