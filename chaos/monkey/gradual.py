"""How much of a fault a cluster bears: the same scenario at rising rates, until one is not valid.

Rules this module keeps:

1. It stops at the first run that is not valid; no higher rate is claimed from luck.
2. A rate is borne only if its run was valid and so was every lower one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaos.cli.tables import table
from chaos.faults.fault import Value
from chaos.reports.words import noticed_s, value_of
from chaos.running.record import RunRecord
from chaos.scenarios.reading import Vocabulary, read
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict

from .writing import text_of

BEGIN_S, FAULT_S = 3, 20


@dataclass(frozen=True, slots=True)
class Ramp:
    """A fault with rates, ascending."""

    title: str
    rates: tuple[str, ...]
    """As the report shows them."""
    tables: tuple[Mapping[str, Value], ...]
    """Of the fault, for each rate."""


RAMPS: Mapping[str, Ramp] = {
    "loss": Ramp(
        "packets lost", ("5 %", "10 %", "20 %", "30 %", "40 %", "50 %", "60 %"),
        tuple({"kind": "loss", "share": share} for share in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
    ),
    "delay": Ramp(
        "latency in each direction", ("10 ms", "50 ms", "100 ms", "200 ms", "400 ms"),
        tuple({"kind": "delay", "latency": f"{ms}ms"} for ms in (10, 50, 100, 200, 400)),
    ),
    "crashes": Ramp(
        "a node is killed every", ("8 s", "6 s", "4 s", "3 s", "2 s"),
        tuple({"kind": "crash-storm", "every": f"{s}s", "down": "2s"} for s in (8, 6, 4, 3, 2)),
    ),
}  # fmt: skip
"""By name."""


@dataclass(frozen=True, slots=True)
class Climb:
    """What came of a ramp."""

    ramp: Ramp
    runs: tuple[RunRecord, ...]
    """One for each rate that was tried."""

    @property
    def borne(self) -> str:
        """The highest rate that was valid, with all below it; empty if the lowest was not."""
        valid = sum(one.verdict is Verdict.VALID for one in self.runs)
        return self.ramp.rates[valid - 1] if valid else ""


def scenarios_of(name: str, names: Sequence[str], vocabulary: Vocabulary) -> list[Scenario]:
    """One for each rate. Raises KeyError for a ramp that there is not."""
    ramp = RAMPS[name]
    found = []
    for place, (rate, fault) in enumerate(zip(ramp.rates, ramp.tables, strict=True), 1):
        document: dict[str, Value] = {
            "title": f"{ramp.title}: {rate}",
            "about": "A step of a ramp: the next one is harder.",
            "cluster": {"names": list(names)},
            "time": {"faults": f"{BEGIN_S + FAULT_S}s"},
            "fault": [{**fault, "at": f"{BEGIN_S}s", "for": f"{FAULT_S}s"}],
            "expect": [{"kind": "updates-lost", "most": 0}],
        }
        found.append(read(f"gradual-{name}-{place}", text_of(document), vocabulary))
    return found


def climb(
    name: str, names: Sequence[str], vocabulary: Vocabulary, run: Callable[[Scenario], RunRecord]
) -> Climb:
    """Run one rate after another until one is not valid. Raises whatever `run` does."""
    runs: list[RunRecord] = []
    for scenario in scenarios_of(name, names, vocabulary):
        runs.append(run(scenario))
        if runs[-1].verdict is not Verdict.VALID:
            break
    return Climb(RAMPS[name], tuple(runs))


def text_of_climb(found: Climb) -> str:
    """A table for people: a line each rate, and the highest that was borne."""
    headings = (found.ramp.title, "verdict", "noticed", "healed", "lookup p99", "updates lost")
    rows = []
    for rate, one in zip(found.ramp.rates, found.runs, strict=False):
        noticed = noticed_s(one.figures)
        cells = [
            value_of(name, one.figures[name]) if name in one.figures else ""
            for name in ("healed_s", "lookup_p99_ms", "updates_lost_count")
        ]
        told = "" if noticed is None else value_of("_s", noticed)
        rows.append((rate, one.verdict.value, told, *cells))
    last = f"borne: {found.borne}" if found.borne else "not even the lowest was borne"
    return f"{table(headings, rows, numbers=headings[2:])}\n\n  {last}"
