"""Numbers of a run: how many, how fast, how soon; and its worst moments with where to read on.

Rules this module keeps:

1. A figure that was not measured is left out, never zero.
2. Quantiles go by the nearest rank, as the checkers' do.
"""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from chaos.history import Action, Belief, History, Operation, Outcome
from chaos.verdict import Finding, Verdict

from .record import Coverage, Moment, RunRecord, Sample

MOMENTS_MAX = 12
SLOW_MS = 500.0
UP_BEFORE_S = 1.0
"""For so long a node must have run before one may blame it for not answering."""
LOG_BYTES_MAX = 64 * 1024 * 1024
_AWAY = (Belief.UNREACHABLE.value, Belief.DEAD.value)

T = TypeVar("T")


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
                figures[_RENAMED.get(name, name)] = finding.figures[name]
    return figures


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
_RENAMED = {"detection_p50_s": "noticed_p50_s", "detection_max_s": "noticed_max_s"}


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


def worst_moments(record: RunRecord, directory: Path) -> list[Moment]:
    """What one would look at first: broken invariants, unanswered and slow requests, flags."""
    found: list[tuple[float, str, str]] = []
    for finding in record.findings:
        if finding.verdict is Verdict.INVALID:
            at_s, node = _place_of(finding.witness, record.nodes)
            found.append((at_s, f"{finding.invariant}: {finding.witness}", node))
    bad = [one for one in record.samples if one.outcome != Outcome.OK.value]
    slow = sorted((one for one in record.samples if one.ms > SLOW_MS), key=lambda one: -one.ms)
    for sample in (*_first_each(bad), *slow[:3]):
        text = f"{sample.action} through {sample.node}: {sample.outcome}, {sample.ms:.0f} ms"
        found.append((sample.at_s, f"{text} {sample.why}".strip(), sample.node))
    found.extend(
        (at_s, f"{viewer} takes {subject} for {belief}", viewer)
        for at_s, viewer, subject, belief in _first_flags(record)
    )
    moments = []
    for at_s, text, node in found[:MOMENTS_MAX]:
        log = record.logs.get(node, "")
        line = line_at(directory / log, at_s, record) if log else 0
        moments.append(Moment(round(at_s, 3), text, node, log, line))
    return moments


def _first_each(samples: Iterable[Sample]) -> list[Sample]:
    first: dict[tuple[str, str], Sample] = {}
    for one in samples:
        first.setdefault((one.node, one.action), one)
    return list(first.values())[:4]


def _first_flags(record: RunRecord) -> list[tuple[float, str, str, str]]:
    first: dict[str, tuple[float, str, str, str]] = {}
    for one in record.seen:
        if one.belief in _AWAY:
            first.setdefault(one.subject, (one.at_s, one.node, one.subject, one.belief))
    return list(first.values())[:4]


def _place_of(witness: str, nodes: Sequence[str]) -> tuple[float, str]:
    words = witness.replace(",", " ").split()
    node = next((word for word in words if word in nodes), "")
    for before, after in itertools.pairwise(words):
        if after == "s" or after.startswith("s"):
            try:
                return float(before), node
            except ValueError:
                continue
    return 0.0, node


def line_at(log: Path, at_s: float, record: RunRecord) -> int:
    """The first line of a log at or after a moment of the run, from 1; 0 if there is none."""
    zero_ns = record.zero_mono_ns
    if not zero_ns or not log.is_file() or log.stat().st_size > LOG_BYTES_MAX:
        return 0
    wanted_ns = zero_ns + int(at_s * 1e9)
    with log.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                value = json.loads(line).get("mono_ns")
            except (ValueError, AttributeError):
                continue
            if isinstance(value, int) and value >= wanted_ns:
                return number
    return 0
