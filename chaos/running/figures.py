"""Numbers of a run: how many, how fast, how soon.

Rules this module keeps:

1. A figure that was not measured is left out, never zero.
2. Quantiles go by the nearest rank, as the checkers' do.
"""

import math
from collections.abc import Sequence

from chaos.history import Action, History, Operation, Outcome
from chaos.verdict import Finding

from .noticing import noticed_s
from .record import Coverage, Sample, Span

UP_BEFORE_S = 3.0
"""For so long a node must have run before one may blame it for not answering."""

HEALING = "healing"
"""The span of a run that is no fault."""


def thinned(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many, evenly; what did not end well stays as long as there is room."""
    if len(samples) <= most:
        return list(samples)
    bad = [one for one in samples if one.outcome != Outcome.OK.value][:most]
    good = [one for one in samples if one.outcome == Outcome.OK.value]
    room = most - len(bad)
    step = len(good) / room if room else math.inf
    kept = [good[int(place * step)] for place in range(room)] if room else []
    return sorted((*bad, *kept), key=lambda one: one.at_s)


def figures_of(
    history: History, findings: Sequence[Finding], samples: Sequence[Sample]
) -> dict[str, float]:
    """All that can be told of a run in numbers; the unit is the last part of each name."""
    lookups = [one for one in history.operations if one.action is Action.LOOKUP]
    writes = [one for one in history.operations if one.action is not Action.LOOKUP]
    figures: dict[str, float] = {
        "lookups_count": len(lookups),
        "lookups_failed_count": len(unanswered(history)),
        "writes_count": len(writes),
        "writes_acknowledged_count": sum(one.outcome is Outcome.OK for one in writes),
        "writes_failed_count": sum(one.outcome is Outcome.FAILED for one in writes),
        "writes_in_doubt_count": sum(one.outcome is Outcome.INDEFINITE for one in writes),
        "updates_lost_count": len(lost_updates(history)),
    }
    for name, actions in (("lookup", ("lookup",)), ("write", ("register", "update", "deregister"))):
        took = sorted(
            one.ms for one in samples if one.action in actions and one.outcome == Outcome.OK.value
        )
        if took:
            figures |= {f"{name}_{label}_ms": rank(took, share) for label, share in _SHARES}
    for finding in findings:
        for name in _KEPT_FIGURES.get(finding.checker, ()):
            if name in finding.figures:
                figures[name] = finding.figures[name]
    return figures | noticed(history)


def spread(coverage: Sequence[Coverage]) -> dict[str, float]:
    """How long updates took to be on all nodes that their owners reached."""
    whole = sorted(one.took_s[-1] for one in coverage if len(one.took_s) == one.reached_count)
    figures = {f"coverage_{label}_s": rank(whole, share) for label, share in _SHARES if whole}
    if coverage:
        figures["coverage_count"] = len(coverage)
        figures["coverage_short_count"] = len(coverage) - len(whole)
    return figures


_SHARES = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
_KEPT_FIGURES = {
    "detection": (
        "detection_p50_s", "detection_max_s", "detection_together_max_s", "split_p50_s",
        "split_max_s",
    ),
    "roots": ("converged_after_heal_s",),
    "false_death": ("wrongly_away_worst_s",),
    "set_full": ("visible_p99_s",),
}  # fmt: skip


def noticed(history: History) -> dict[str, float]:
    """How soon those who were gone, or cut off, were known to be."""
    took_s = noticed_s(history)
    figures = {f"noticed_{label}_s": rank(took_s, share) for label, share in _SHARES if took_s}
    return figures | ({"noticed_count": len(took_s)} if took_s else {})


def under_faults(history: History, spans: Sequence[Span]) -> dict[str, float]:
    """What clients got while faults lasted; nothing if there were none."""
    counts = {"lookups": [0, 0], "writes": [0, 0]}
    times = [(span.begin_s, span.end_s) for span in spans if span.kind != HEALING]
    for one in history.operations:
        if any(begin_s <= one.invoked_s <= end_s for begin_s, end_s in times):
            of = counts["lookups" if one.action is Action.LOOKUP else "writes"]
            of[0] += 1
            of[1] += one.outcome is Outcome.OK
    figures: dict[str, float] = {}
    for what, (asked, done) in counts.items():
        if asked:
            figures[f"{what}_under_faults_count"] = asked
            figures[f"{what}_under_faults_answered_share"] = round(done / asked, 4)
    return figures


def rank(ordered: Sequence[float], share: float) -> float:
    """The value at that share of a sorted sequence, by the nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def unanswered(history: History) -> list[Operation]:
    """Lookups that nobody answered though the node that was asked had been up for a while.

    With clients that ask a second node, both did not answer; then it counts whoever was down.
    """
    downs = _down_spans(history)
    return [
        one
        for one in history.operations
        if one.action is Action.LOOKUP
        and one.outcome is not Outcome.OK
        and not any(
            begin_s <= one.completed_s and one.invoked_s <= end_s + UP_BEFORE_S
            for begin_s, end_s in downs.get(one.node, ())
        )
    ]


def _down_spans(history: History) -> dict[str, list[tuple[float, float]]]:
    """When each node did not run or was frozen."""
    spans: dict[str, list[tuple[float, float]]] = {}
    since: dict[str, float] = {}
    for lived in history.lives:
        up = lived.life.value in ("started", "resumed")
        if up:
            begin_s = since.pop(lived.node, 0.0)
            spans.setdefault(lived.node, []).append((begin_s, lived.at_s))
        else:
            since.setdefault(lived.node, lived.at_s)
    for node, begin_s in since.items():
        spans.setdefault(node, []).append((begin_s, history.end_s))
    return spans


def lost_updates(history: History) -> list[str]:
    """Acknowledged writes, the newest of their keys, that a core node does not show at the end.

    Stricter than P1: it asks what the client was told, wherever the disk went. Left out are keys
    whose newest write is in doubt, owners that lost their disk for good, and villains.
    """
    newest: dict[str, Operation] = {}
    for one in history.operations:
        if one.key is not None and one.outcome is not Outcome.FAILED:
            newest[str(one.key)] = one
    left_out = {*history.villains, *_wiped(history)}
    found = []
    for view in history.views:
        if view.node not in history.core:
            continue
        shown = {str(key): number for key, number in view.shown}
        for name, one in newest.items():
            if one.outcome is not Outcome.OK or one.key is None or one.key.owner in left_out:
                continue
            gone = one.action is Action.DEREGISTER
            if gone and name in shown:
                found.append(f"{view.node} shows {name}, deregistered at {one.completed_s:.2f} s")
            elif not gone and shown.get(name) != one.number:
                held = f"as write {shown[name]} left it" if name in shown else "not at all"
                found.append(
                    f"{view.node} shows {name} {held}; write {one.number} was acknowledged at "
                    f"{one.completed_s:.2f} s"
                )
    return found


def _wiped(history: History) -> list[str]:
    """Nodes whose disks were damaged and that speak under another id since, as views show it."""
    damaged = {one.node for one in history.lives if one.life.value == "damaged"}
    twice = [
        node
        for view in history.views[:1]
        for node in damaged
        if sum(owner == node for owner, _ in view.held) > 1
    ]
    return sorted(twice)
