"""What clients are expected to get: answers, acknowledgements, and what they were promised."""

from chaos.faults.fault import Table
from chaos.faults.fields import Fields
from chaos.history import Action, Operation, Outcome
from chaos.running.figures import lost_updates, unanswered
from chaos.verdict import Verdict

from .kind import (
    COUNT_MAX,
    FINE,
    TIMES_MAX_S,
    ByRecord,
    ExpectationKind,
    Expects,
    Judged,
    Scene,
)


def _healed(table: Table, _names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    within_s = fields.seconds("within", None, TIMES_MAX_S)
    fields.end()

    def by(scene: Scene) -> Judged:
        took_s = scene.record.figures.get("healed_s")
        if took_s is None:
            return Verdict.INVALID, "it never was"
        return FINE if took_s <= within_s else (Verdict.INVALID, f"it took {took_s:.2f} s")

    return ByRecord(f"steady within {within_s:g} s of healing", by)


def _lookups_failed(table: Table, _names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    most = fields.whole("most", 0, 0, COUNT_MAX)
    wants_pairs = fields.flag("pairs", default=False)
    fields.end()

    def by(scene: Scene) -> Judged:
        pairs = scene.scenario.workload.pairs
        if wants_pairs and not pairs:
            return Verdict.UNKNOWN, "no client knew two nodes; set workload.pairs"
        lookups = [one for one in scene.history.operations if one.action is Action.LOOKUP]
        if not lookups:
            return Verdict.UNKNOWN, "nobody looked anything up"
        none = [one for one in lookups if one.outcome is not Outcome.OK]
        failed = none if pairs else unanswered(scene.history)
        if len(failed) <= most:
            return FINE
        first = failed[0]
        return Verdict.INVALID, (
            f"{len(failed)} were not answered, the first at {first.invoked_s:.2f} s by {first.node}"
        )

    return ByRecord(f"at most {most} lookups without an answer", by)


def _updates_lost(table: Table, _names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    most = fields.whole("most", 0, 0, COUNT_MAX)
    fields.end()

    def by(scene: Scene) -> Judged:
        if not scene.record.figures.get("writes_acknowledged_count") or not scene.history.views:
            return Verdict.UNKNOWN, "nothing was written, or nobody shows anything"
        lost = lost_updates(scene.history)
        return FINE if len(lost) <= most else (Verdict.INVALID, f"{len(lost)}: {lost[0]}")

    return ByRecord(f"at most {most} acknowledged updates lost", by)


def _writes_go_on(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names, names)
    share = fields.number("share", 0.9, 0.0, 1.0)
    fields.end()

    def by(scene: Scene) -> Judged:
        few = []
        for node in nodes:
            writes = [one for one in _written_under_faults(scene) if one.node == node]
            done = sum(one.outcome is Outcome.OK for one in writes)
            if not writes:
                return Verdict.UNKNOWN, f"nothing was written with {node} while a fault lasted"
            if done < share * len(writes):
                few.append(f"{node} acknowledged {done} of {len(writes)}")
        return (Verdict.INVALID, "; ".join(few)) if few else FINE

    return ByRecord(f"{' '.join(nodes)} acknowledge {share:.0%} of writes under faults", by)


def _written_under_faults(scene: Scene) -> list[Operation]:
    """Writes that were asked for while a fault lasted; all of them if there was none."""
    scenario = scene.scenario
    spans = [
        (step.at_s, scenario.faults_s if step.for_s is None else step.at_s + step.for_s)
        for step in scenario.steps
    ] or [(0.0, scenario.faults_s)]
    return [
        one
        for one in scene.history.operations
        if one.action is not Action.LOOKUP
        and any(begin_s <= one.invoked_s <= end_s for begin_s, end_s in spans)
    ]


CLIENTS = (
    ExpectationKind(
        "healed", "steady again soon enough", {"within": 'such as "5s"'}, _healed,
    ),
    ExpectationKind(
        "lookups-failed", "lookups without an answer from a node that runs",
        {
            "most": "how many may be; 0",
            "pairs": "only such as two nodes did not answer, whether these ran or not; needs "
            "workload.pairs, and is true with it",
        },
        _lookups_failed,
    ),
    ExpectationKind(
        "updates-lost", "acknowledged writes that are not there at the end",
        {"most": "how many may be; 0"}, _updates_lost,
    ),
    ExpectationKind(
        "writes-go-on", "nodes acknowledge writes while faults last",
        {"nodes": "names; all", "share": "of the writes with each, 0 to 1; 0.9"}, _writes_go_on,
    ),
)  # fmt: skip
