"""What a checker writes down while it reads: cases looked at, the smallest witness, figures.

Rules this module keeps:

1. The witness is the earliest case that broke the rule; what comes later may follow from it.
2. A figure that was not measured is left out, never zero.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chaos.verdict import Finding, Verdict

_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


@dataclass(slots=True)
class Casebook:
    """One checker at work on one history."""

    looked_at: int = 0
    broken: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    unjudged: list[str] = field(default_factory=list)
    """As in `Finding`."""
    _first_s: float = math.inf
    _witness: str = ""

    def blame(self, at_s: float, witness: str) -> None:
        """A case that breaks the rule, and when."""
        self.broken += 1
        if at_s < self._first_s or not self._witness:
            self._first_s, self._witness = at_s, witness

    def measured(self, name: str, values: Iterable[float]) -> None:
        """Quantiles of many measurements, in seconds, by the nearest rank."""
        self.figures |= quantiles(name, sorted(values))

    def finding(self, invariant: str, checker: str) -> Finding:
        """What it comes to."""
        if self.broken:
            self.figures["broken_count"] = self.broken
            verdict = Verdict.INVALID
        else:
            verdict = Verdict.VALID if self.looked_at else Verdict.UNKNOWN
        # What broke a rule was looked at, whether or not its kind is counted.
        cases = max(self.looked_at, self.broken)
        return Finding(
            invariant, checker, verdict, cases, self._witness, self.figures, tuple(self.unjudged)
        )


def counted(count: int, one: str, many: str) -> str:
    """`1 crash`, `3 crashes`."""
    return f"{count:,} {one if count == 1 else many}"


def quantiles(name: str, ordered: Sequence[float]) -> dict[str, float]:
    """`name_p50_s` … `name_max_s` and `name_count`; nothing of nothing."""
    if not ordered:
        return {}
    ranks = {label: max(0, math.ceil(share * len(ordered)) - 1) for label, share in _QUANTILES}
    figures = {f"{name}_{label}_s": round(ordered[rank], 6) for label, rank in ranks.items()}
    return {**figures, f"{name}_count": float(len(ordered))}


def moment(at_s: float) -> str:
    """A time as a witness shows it."""
    return f"{at_s:.3f} s"
