"""What a run came to."""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.history import History
from chaos.verdict import Finding, Verdict, overall

from .plan import Plan

QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """Many measurements of one thing, in seconds unless the name says otherwise."""

    count: int
    quantiles: tuple[float, ...]
    """At `QUANTILES`; empty where there was nothing to measure."""


def spread(values: Sequence[float]) -> Spread:
    """Quantiles by the nearest rank."""
    if not values:
        return Spread(0, ())
    ordered = sorted(values)
    last = len(ordered) - 1
    ranks = (min(last, int(share * len(ordered))) for share in QUANTILES)
    return Spread(len(ordered), tuple(ordered[rank] for rank in ranks))


@dataclass(frozen=True, slots=True)
class Result:
    """One run, judged."""

    plan: Plan
    findings: tuple[Finding, ...]
    latencies: dict[str, Spread]
    """By name, each in seconds; see `latencies`."""
    counts: dict[str, float]
    """By name: `datagrams`, `bytes`, `requests`, `operations`, `messages_node_s_max`, …"""
    trace_hash: str
    history: History

    @property
    def verdict(self) -> Verdict:
        """One word for all findings."""
        return overall(self.findings)
