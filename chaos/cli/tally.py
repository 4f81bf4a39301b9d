"""What many runs came to: verdicts, checkers, and latencies over runs.

Bounded: a few numbers are kept of each run, and the whole of the first failures only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.sim.result import Spread, spread
from chaos.verdict import Verdict

from .errors import INVALID, UNKNOWN, VALID
from .report import LABELS, RAISED, Json, document_of, is_failure, word_of
from .runs import Ended, Judged
from .tables import coloured, seconds, section, table

FAILURES_KEPT_MAX = 100
SEEDS_SHOWN_MAX = 10
WORDS = (*(verdict.value for verdict in Verdict), RAISED)


@dataclass(slots=True)
class CheckerTally:
    """One checker over many runs."""

    runs: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    cases: int = 0


@dataclass(slots=True)
class LatencyTally:
    """One latency over many runs."""

    count: int = 0
    """Measurements in all."""
    medians_s: list[float] = field(default_factory=list)
    maxima_s: list[float] = field(default_factory=list)


class Tally:
    """Adds up runs as they end."""

    def __init__(self, *, seeds: int) -> None:
        self.seeds = seeds
        """How many were asked for."""
        self.ended = 0
        self.failed = 0
        self.virtual_s = 0.0
        self.failures: list[Ended] = []
        self.unknown_seeds: list[int] = []
        self._words = dict.fromkeys(WORDS, 0)
        self._checkers: dict[tuple[str, str], CheckerTally] = {}
        self._latencies: dict[str, LatencyTally] = {}

    def add(self, ended: Ended) -> None:
        """One more run."""
        self.ended += 1
        self._words[word_of(ended)] += 1
        if is_failure(ended):
            self.failed += 1
            if len(self.failures) < FAILURES_KEPT_MAX:
                self.failures.append(ended)
        if isinstance(ended, Judged):
            self._add_judged(ended)

    def exit_code(self) -> int:
        """0 only if every seed was valid: one that judged nothing, or never ran, is no pass."""
        if self.failed:
            return INVALID
        return VALID if self._words[Verdict.VALID.value] == self.seeds else UNKNOWN

    @property
    def word(self) -> str:
        """The verdict over all runs."""
        return {VALID: "valid", INVALID: "invalid", UNKNOWN: "unknown"}[self.exit_code()]

    def text(self) -> str:
        """Tables for people."""
        told = ", ".join(f"{count:,} {word}" for word, count in self._words.items() if count)
        missing = self.seeds - self.ended
        left = f"; {missing:,} of {self.seeds:,} not run to their end" if missing else ""
        last = f"{coloured(self.word.upper())}  seeds: {told or 'none'}{left}"
        parts = [
            section("checkers, by runs", self._checker_table()),
            section(
                "latencies over runs, in seconds: of the medians (p50) and of the maxima (max)",
                self._latency_table(),
            ),
        ]
        if self.unknown_seeds:
            shown = " ".join(str(seed) for seed in self.unknown_seeds)
            parts.append(section("seeds that judged nothing, the first", f"  {shown}"))
        return "\n\n".join([*parts, last])

    def document(self, head: Mapping[str, Json], origin: str) -> dict[str, Json]:
        """The same for programs, after what `head` says of the sweep."""
        checkers: list[Json] = [
            {
                "invariant": invariant,
                "checker": checker,
                **{verdict.value: one.runs[verdict] for verdict in Verdict},
                "cases": one.cases,
            }
            for (invariant, checker), one in self._checkers_in_order()
        ]
        latencies: dict[str, Json] = {
            name: {
                "runs": len(one.medians_s),
                "count": one.count,
                "p50": _labelled(spread(one.medians_s)),
                "max": _labelled(spread(one.maxima_s)),
            }
            for name, one in self._latencies.items()
        }
        return {
            **head,
            "verdict": self.word,
            "origin": origin,
            "seeds": self.seeds,
            "ended": self.ended,
            "verdicts": dict(self._words),
            "checkers": checkers,
            "latencies": latencies,
            "unknown_seeds": self.unknown_seeds,
            "failures": [
                document_of(one, origin)
                for one in sorted(self.failures, key=lambda one: one.request.seed)
            ],
        }

    def _checkers_in_order(self) -> list[tuple[tuple[str, str], CheckerTally]]:
        # P2 comes before P10.
        return sorted(self._checkers.items(), key=lambda pair: (len(pair[0][0]), pair[0]))

    def _add_judged(self, run: Judged) -> None:
        self.virtual_s += run.virtual_s
        if run.verdict is Verdict.UNKNOWN:
            # The smallest, so that it does not matter which ended first.
            self.unknown_seeds = sorted([*self.unknown_seeds, run.request.seed])[:SEEDS_SHOWN_MAX]
        for found in run.findings:
            checker = self._checkers.setdefault((found.invariant, found.checker), CheckerTally())
            checker.runs[found.verdict] += 1
            checker.cases += found.looked_at
        for name, one in run.latencies.items():
            latency = self._latencies.setdefault(name, LatencyTally())
            if one.quantiles:
                measured = dict(zip(LABELS, one.quantiles, strict=True))
                latency.count += one.count
                latency.medians_s.append(measured["p50"])
                latency.maxima_s.append(measured["max"])

    def _checker_table(self) -> str:
        words = [verdict.value for verdict in Verdict]
        headings = ("invariant", "checker", *words, "cases")
        rows = [
            (*key, *(f"{one.runs[verdict]:,}" for verdict in Verdict), f"{one.cases:,}")
            for key, one in self._checkers_in_order()
        ]
        return table(headings, rows, numbers=headings[2:]) if rows else "  none ran to its end"

    def _latency_table(self) -> str:
        labels = [f"{of}:{label}" for of in ("p50", "max") for label in LABELS]
        headings = ("latency", "runs", "count", *labels)
        rows = [
            (
                name,
                f"{len(one.medians_s):,}",
                f"{one.count:,}",
                *_cells(one.medians_s),
                *_cells(one.maxima_s),
            )
            for name, one in self._latencies.items()
        ]
        return table(headings, rows, numbers=headings[1:]) if rows else "  nothing was measured"


def pace(runs: int, virtual_s: float, real_s: float) -> str:
    """How long it took, and how fast virtual time went; not the same twice."""
    took = max(real_s, 1e-9)
    rate = f", {runs / took:.2f} runs a second" if runs > 1 else ""
    return f"took {real_s:.1f} s{rate}, {virtual_s / took:,.1f} virtual seconds a second"


def _cells(values: Sequence[float]) -> list[str]:
    return [seconds(value) for value in spread(values).quantiles] or ["-"] * len(LABELS)


def _labelled(one: Spread) -> dict[str, Json]:
    values = dict(zip(LABELS, one.quantiles, strict=False))
    return {label: values.get(label) for label in LABELS}
