"""How far one node's failure reaches: each node fails once in each way, and nothing else does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from chaos.faults.fault import Value
from chaos.reports.pictures.membership import AWAY
from chaos.reports.quantiles import LOOKUP, OK, kind_of
from chaos.reports.series.reach import Effect
from chaos.reports.times import faults_of, window_of
from chaos.running.record import RunRecord, Seen
from chaos.scenarios.reading import Vocabulary, read
from chaos.scenarios.scenario import Scenario

from .writing import text_of

WAYS = ("kill", "pause", "isolate", "wipe")
BEGIN_S, FAULT_S = 3, 14
"""Longer than both sides of a cut may take to notice, so that P5 is judged."""
RUN_S = 35
"""About so long a failure takes, with start, healing and judging."""
ABOUT = (
    f"Each node fails alone in each way, a run of its own on a new cluster: {BEGIN_S} s of calm, "
    f"{FAULT_S} s of the failure, then healing. Who noticed, when, and what clients of the others "
    "felt is counted while it lasts. Freezing need not be noticed, nor wiping, after which a node "
    "starts at once; all else must be (P5)."
)


def scenarios_of(
    names: Sequence[str],
    vocabulary: Vocabulary,
    ways: Sequence[str] = WAYS,
    nodes: Sequence[str] = (),
) -> Iterator[tuple[str, str, Scenario]]:
    """Node, way and scenario, one after another; of all nodes, or of `nodes`."""
    for way in ways:
        for node in nodes or names:
            document: dict[str, Value] = {
                "title": f"{node} fails alone: {way}",
                "about": "One node fails in one way; all else is as it should be.",
                "cluster": {"names": list(names)},
                "time": {"faults": f"{BEGIN_S + FAULT_S}s"},
                "fault": [
                    {"kind": way, "at": f"{BEGIN_S}s", "for": f"{FAULT_S}s", "nodes": [node]}
                ],
                "expect": [{"kind": "updates-lost", "most": 0}],
            }
            yield node, way, read(f"blast-{way}-{node}", text_of(document), vocabulary)


def effects(
    scenarios: Sequence[tuple[str, str, Scenario]], run: Callable[[Scenario], RunRecord]
) -> Iterator[tuple[Effect, RunRecord]]:
    """Let each happen. Raises whatever `run` does."""
    for node, way, scenario in scenarios:
        record = run(scenario)
        yield effect_of(node, way, record), record


def placed(effect: Effect, run: str) -> Effect:
    """The effect with the directory of its run."""
    return replace(effect, run=run)


def effect_of(node: str, way: str, record: RunRecord) -> Effect:
    """What a run shows of it."""
    spans = [one for one in faults_of(record) if node in one.nodes]
    begin_s = min((one.begin_s for one in spans), default=0.0)
    end_s = max((one.end_s for one in spans), default=0.0)
    seen = sorted(record.seen, key=lambda one: one.at_s)
    away = [one for one in seen if one.belief in AWAY and begin_s <= one.at_s < end_s]
    noticed_s: dict[str, float] = {}
    for one in away:
        if one.subject == node != one.node:
            noticed_s.setdefault(one.node, round(one.at_s - begin_s, 3))
    bad = [
        one
        for one in record.samples
        if one.outcome != OK and one.node != node and begin_s <= one.at_s < end_s
    ]
    lookups = sum(kind_of(one) == LOOKUP for one in bad)
    return Effect(
        node=node, way=way, verdict=record.verdict, reason=record.reason,
        lasted_s=round(end_s - begin_s, 3), noticed_s=noticed_s,
        blind=tuple(one for one in record.nodes if one != node and one not in noticed_s),
        itself=tuple(dict.fromkeys(one.subject for one in away if one.node == node)),
        back_s=_back_s(seen, node, tuple(noticed_s), end_s, window_of(record)[1]),
        lookups_failed=lookups, writes_failed=len(bad) - lookups,
    )  # fmt: skip


def _back_s(
    seen: Sequence[Seen], node: str, viewers: Sequence[str], end_s: float, until_s: float
) -> float | None:
    """How long after the failure all who noticed held the node for alive, for good."""
    alive_s: dict[str, float] = {}
    for one in seen:
        if one.subject != node or one.at_s > until_s:
            continue
        if one.belief == "alive":
            alive_s.setdefault(one.node, one.at_s)
        else:
            alive_s.pop(one.node, None)
    if not viewers or any(viewer not in alive_s for viewer in viewers):
        return None
    return round(max(0.0, max(alive_s[viewer] for viewer in viewers) - end_s), 3)
