"""How far one node's failure reaches: each node fails once in each way, and nothing else does.

Rules this module keeps:

1. Only what happened while the fault lasted counts for it.
2. Who never noticed is left out of the times, and counted by who did.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chaos.cli.tables import table
from chaos.faults.fault import Value
from chaos.reports.pictures.membership import AWAY
from chaos.reports.quantiles import LOOKUP, OK, kind_of
from chaos.reports.times import faults_of
from chaos.reports.words import value_of
from chaos.running.record import RunRecord
from chaos.scenarios.reading import Vocabulary, read
from chaos.scenarios.scenario import Scenario

from .writing import text_of

WAYS = ("kill", "pause", "isolate", "wipe")
BEGIN_S, FAULT_S = 3, 10


@dataclass(frozen=True, slots=True)
class Effect:
    """What one failure of one node did."""

    node: str
    way: str
    record: RunRecord
    noticed_by: tuple[str, ...]
    """The other nodes that took it for gone while it failed."""
    first_s: float | None
    """Until the first did so, from when it failed; None: nobody did."""
    last_s: float | None
    lookups_failed: int
    """Asked of other nodes."""
    writes_failed: int


def scenarios_of(
    names: Sequence[str], vocabulary: Vocabulary, ways: Sequence[str] = WAYS
) -> Iterator[tuple[str, str, Scenario]]:
    """Node, way and scenario, one after another."""
    for way in ways:
        for node in names:
            document: dict[str, Value] = {
                "title": f"{node} fails alone: {way}",
                "about": "One node fails in one way; all else is as it should be.",
                "cluster": {"names": list(names)},
                "time": {"faults": f"{BEGIN_S + FAULT_S}s"},
                "fault": [
                    {"kind": way, "at": f"{BEGIN_S}s", "for": f"{FAULT_S}s", "nodes": [node]}
                ],
            }
            yield node, way, read(f"blast-{way}-{node}", text_of(document), vocabulary)


def blast(
    names: Sequence[str],
    vocabulary: Vocabulary,
    run: Callable[[Scenario], RunRecord],
    ways: Sequence[str] = WAYS,
) -> list[Effect]:
    """Let each node fail in each way. Raises whatever `run` does."""
    return [
        effect_of(node, way, run(scenario))
        for node, way, scenario in scenarios_of(names, vocabulary, ways)
    ]


def effect_of(node: str, way: str, record: RunRecord) -> Effect:
    """What a run shows of it."""
    spans = [one for one in faults_of(record) if node in one.nodes]
    begin_s = min((one.begin_s for one in spans), default=0.0)
    end_s = max((one.end_s for one in spans), default=0.0)
    first: dict[str, float] = {}
    for one in sorted(record.seen, key=lambda one: one.at_s):
        gone = one.subject == node != one.node and one.belief in AWAY
        if gone and begin_s <= one.at_s < end_s:
            first.setdefault(one.node, one.at_s - begin_s)
    bad = [
        one
        for one in record.samples
        if one.outcome != OK and one.node != node and begin_s <= one.at_s < end_s
    ]
    lookups = sum(kind_of(one) == LOOKUP for one in bad)
    return Effect(
        node, way, record, tuple(sorted(first)), min(first.values(), default=None),
        max(first.values(), default=None), lookups, len(bad) - lookups,
    )  # fmt: skip


def text_of_effects(effects: Sequence[Effect]) -> str:
    """A table for people: node by effect."""
    headings = (
        "node", "fails by", "verdict", "noticed by", "first", "last", "lookups failed",
        "writes failed",
    )  # fmt: skip
    rows = [
        (
            one.node, one.way, one.record.verdict.value, " ".join(one.noticed_by) or "nobody",
            _seconds(one.first_s), _seconds(one.last_s), str(one.lookups_failed),
            str(one.writes_failed),
        )
        for one in effects
    ]  # fmt: skip
    return table(headings, rows, numbers=headings[4:])


def _seconds(value_s: float | None) -> str:
    return "" if value_s is None else value_of("_s", value_s)
