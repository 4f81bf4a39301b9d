"""The worst moments of a run, each with the line of a log where one reads on.

In this order, a few of each: broken invariants and expectations, troubles in logs, requests that
nobody answered, the slowest requests, the slowest updates, and when who was taken for gone.
"""

import itertools
from collections.abc import Iterable, Mapping

from chaos.checkers.believed import Beliefs
from chaos.checkers.lives import processes
from chaos.history import History, Outcome
from chaos.verdict import Verdict

from .logs import Log
from .record import Moment, RunRecord, Sample

MOMENTS_MAX = 16
EACH_MAX = 3
SLOW_MS = 250.0
SLOW_SPREAD_S = 1.0
_NS = 1e9
_Found = tuple[float, str, str]
"""When, what, at which node."""


def worst_moments(record: RunRecord, history: History, logs: Mapping[str, Log]) -> list[Moment]:
    """What one would look at first, in that order."""
    found = [
        *_broken(record),
        *_troubles(record, logs),
        *_unanswered(record.samples),
        *_slow(record),
        *_flags(history),
    ]
    zero_s = record.zero_mono_ns / _NS
    moments = []
    for at_s, text, node in found[:MOMENTS_MAX]:
        log = logs.get(node)
        line = log.line_at(zero_s + at_s) if log is not None else 0
        name = record.logs.get(node, "")
        moments.append(Moment(round(at_s, 3), text, node, name, line))
    return moments


def _broken(record: RunRecord) -> Iterable[_Found]:
    for finding in record.findings:
        if finding.verdict is Verdict.INVALID:
            at_s, node = place_of(finding.witness, record.nodes)
            yield at_s, f"{finding.invariant}: {finding.witness}", node
    for expected in record.expected:
        if expected.verdict is Verdict.INVALID:
            at_s, node = place_of(expected.why, record.nodes)
            yield at_s, f"{expected.text}: {expected.why}", node


def place_of(witness: str, nodes: Iterable[str]) -> tuple[float, str]:
    """The first time and the first node that a sentence names; 0 and nothing if none."""
    known = dict.fromkeys(nodes)
    words = witness.replace(",", " ").replace(":", " ").split()
    node = next((word for word in words if word in known), "")
    for number, unit in itertools.pairwise(words):
        if unit == "s":
            try:
                return float(number), node
            except ValueError:
                continue
    return 0.0, node


def _troubles(record: RunRecord, logs: Mapping[str, Log]) -> Iterable[_Found]:
    zero_s = record.zero_mono_ns / _NS
    for log in logs.values():
        for one in log.troubles[:EACH_MAX]:
            at_s = one.at_s - zero_s if one.at_s else 0.0
            yield at_s, f"{one.node} logs {one.event} {one.exception}".strip(), one.node


def _unanswered(samples: Iterable[Sample]) -> Iterable[_Found]:
    """The first of each node and action."""
    first: dict[tuple[str, str], Sample] = {}
    for one in samples:
        if one.outcome != Outcome.OK.value:
            first.setdefault((one.node, one.action), one)
    for one in list(first.values())[:EACH_MAX]:
        yield one.at_s, f"{_said(one)} {one.why}".strip(), one.node


def _slow(record: RunRecord) -> Iterable[_Found]:
    slow = sorted((one for one in record.samples if one.ms > SLOW_MS), key=lambda one: -one.ms)
    for one in slow[:EACH_MAX]:
        yield one.at_s, _said(one), one.node
    spread = [one for one in record.coverage if one.took_s and one.took_s[-1] > SLOW_SPREAD_S]
    for update in sorted(spread, key=lambda one: -one.took_s[-1])[:EACH_MAX]:
        text = f"an update of {update.owner} took {update.took_s[-1]:.2f} s to be on all nodes"
        yield update.at_s, text, update.owner


def _said(sample: Sample) -> str:
    return f"{sample.action} through {sample.node}: {sample.outcome}, {sample.ms:.0f} ms"


def _flags(history: History) -> Iterable[_Found]:
    """Of each subject the first time that somebody took it for gone, and the longest."""
    flags = Beliefs(history, processes(history)).flags()
    first: dict[tuple[str, bool], _Found] = {}
    for flag in sorted(flags, key=lambda one: one.begin_s):
        what = "dead" if flag.dead else "unreachable"
        text = (
            f"{flag.viewer} takes {flag.subject} for {what}, for {flag.end_s - flag.begin_s:.2f} s"
        )
        first.setdefault((flag.subject, flag.dead), (flag.begin_s, text, flag.viewer))
    return list(first.values())[: EACH_MAX * 2]
