"""One run, as text for people and as a document for programs.

Rules this module keeps:

1. What it makes follows from the run alone, so that a seed prints the same on every machine; real
   time is said elsewhere.
2. The verdict stands first and last, and after it stands only what explains it.
"""

import dataclasses
import enum
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias, assert_never

from chaos.sim.plan import Fault, FaultKind, Plan
from chaos.sim.result import QUANTILES, Spread
from chaos.sim.run import WARM_S
from chaos.verdict import Finding, Verdict

from .runs import Ended, Judged, Raised
from .tables import coloured, facts, names_of, number, plain, seconds, section, table

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

LABELS = tuple("max" if share == 1 else f"p{share * 100:g}" for share in QUANTILES)
RAISED = "raised"
"""The word for a run that ended in an exception, beside those of `Verdict`."""
_SHARES = (FaultKind.LOSS, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.REPLAY)
UNITS = {
    **dict.fromkeys(_SHARES, "share"),
    FaultKind.CLOCK_DRIFT: "share",
    FaultKind.DELAY: "s",
    FaultKind.OLD_DISK: "s",
    FaultKind.HICCUPS: "s",
    FaultKind.SLOW: "s",
    FaultKind.CLOCK_JUMP: "s",
    FaultKind.DISK_SLOW: "s",
    FaultKind.BANDWIDTH: "B/s",
}


def word_of(ended: Ended) -> str:
    """`valid`, `invalid`, `unknown` or `raised`."""
    return RAISED if isinstance(ended, Raised) else ended.verdict.value


def is_failure(ended: Ended) -> bool:
    """Whether a sweep stops here."""
    return isinstance(ended, Raised) or ended.verdict is Verdict.INVALID


def full_text(ended: Ended, origin: str) -> str:
    """Everything that a person wants to know of one run."""
    match ended:
        case Raised():
            return short_text(ended, origin)
        case Judged(plan=plan):
            parts = [
                _headline(ended),
                section("world", _world(plan)),
                section("injected", _injected(plan.faults)),
                section("latencies, in seconds unless a name says otherwise", _latencies(ended)),
                section("checkers", _checkers(ended.findings)),
                *_figures(ended.findings),
                section("counts", _numbers(ended.counts)),
                _ending(ended, origin),
            ]
            return "\n\n".join(parts)
        case _:
            assert_never(ended)


def short_text(ended: Ended, origin: str) -> str:
    """Why one run failed, and how to see it again."""
    match ended:
        case Raised(request=request, error=error):
            word = coloured(RAISED.upper())
            line = facts([("replay", f"{request.command()}   # {origin}")])
            return f"{word}  seed {request.seed}: {plain(error)}\n{line}"
        case Judged():
            bad = [found for found in ended.findings if found.verdict is Verdict.INVALID]
            return f"{_headline(ended)}\n{_checkers(bad)}\n{_ending(ended, origin)}"
        case _:
            assert_never(ended)


def document_of(ended: Ended, origin: str) -> dict[str, Json]:
    """The same for programs; fixed keys, plain values, the plan counts nodes: 3 is `n3`."""
    request = ended.request
    head: dict[str, Json] = {
        "seed": request.seed,
        "profile": request.profile,
        "verdict": word_of(ended),
        "replay": request.command(),
        "origin": origin,
    }
    match ended:
        case Raised(error=error):
            return {**head, "error": error}
        case Judged(plan=plan):
            return {
                **head,
                "trace_hash": ended.trace_hash,
                "nodes": plan.nodes,
                "virtual_s": ended.virtual_s,
                "warm_s": WARM_S,
                "findings": [_finding(found) for found in ended.findings],
                "latencies": {name: _spread(one) for name, one in ended.latencies.items()},
                "counts": dict(ended.counts),
                "plan": dataclasses.asdict(plan),
            }
        case _:
            assert_never(ended)


def json_text(document: Mapping[str, Json], *, indent: int | None = 2) -> str:
    """A document as JSON; what an enumeration means is its value."""
    return json.dumps(document, indent=indent, ensure_ascii=False, default=_value_of)


def _value_of(value: object) -> Json:
    if isinstance(value, enum.Enum):
        return str(value.value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _headline(run: Judged) -> str:
    plan = run.plan
    return (
        f"{coloured(run.verdict.name)}  seed {plan.seed}: {plan.nodes:,} nodes, profile"
        f" {plan.profile}, {plan.safety_s:g} s of faults, {plan.liveness_s:g} s at most to converge"
    )


def _ending(run: Judged, origin: str) -> str:
    words = Counter(found.verdict for found in run.findings)
    told = ", ".join(f"{words[one]} {one.value}" for one in Verdict if words[one]) or "none"
    pairs = [
        ("trace hash", run.trace_hash),
        ("replay", f"{run.request.command()}   # {origin}"),
    ]
    return f"{facts(pairs)}\n{coloured(run.verdict.name)}  checkers: {told}"


def _world(plan: Plan) -> str:
    low_s, high_s = plan.latency_s
    villains = ", ".join(f"{names_of([node])} {role.value}" for node, role in plan.villains)
    pairs = [
        ("membership", plan.membership),
        ("start", "all know each other" if plan.joined else "they join by seeds"),
        ("links", f"{low_s * 1000:g} to {high_s * 1000:g} ms, {plan.loss:.1%} of datagrams lost"),
        ("clients", f"{plan.clients}, {plan.operations_per_s:g} operations a second in all"),
        ("byzantine", villains or "none"),
        ("lost for good", names_of(plan.lost) or "none"),
    ]
    return facts(pairs)


def _injected(faults: Sequence[Fault]) -> str:
    if not faults:
        return "  nothing"
    ordered = sorted(faults, key=lambda fault: (fault.at_s, fault.until_s))
    rows = [
        (_moment(fault.at_s), _moment(fault.until_s), _fault(fault), _whom(fault))
        for fault in ordered
    ]
    return table(("from s", "until s", "fault", "whom"), rows, numbers=("from s", "until s"))


def _moment(plan_s: float) -> str:
    """A plan counts from the end of the start; traces and witnesses from the start of the run."""
    return f"{WARM_S + plan_s:.3f}"


def _fault(fault: Fault) -> str:
    amount, unit = fault.amount, UNITS.get(fault.kind, "")
    if not amount:
        return fault.kind.value
    text = f"{amount:.1%}" if unit == "share" else f"{amount:g} {unit}".rstrip()
    return f"{fault.kind.value} {text}"


def _whom(fault: Fault) -> str:
    joint = " -x-> " if fault.kind is FaultKind.ONE_WAY else " | "
    groups = joint.join(names_of(group) for group in fault.groups)
    nodes = names_of(fault.nodes)
    return "; ".join(part for part in (nodes, groups) if part) or "all"


def _latencies(run: Judged) -> str:
    headings = ("latency", "count", *LABELS)
    rows = [
        (name, f"{one.count:,}", *([seconds(value) for value in one.quantiles] or ["-"] * 4))
        for name, one in run.latencies.items()
    ]
    return table(headings, rows, numbers=headings[1:]) if rows else "  nothing was measured"


def _checkers(findings: Sequence[Finding]) -> str:
    headings = ("invariant", "checker", "verdict", "cases", "witness")
    rows = [
        (one.invariant, one.checker, one.verdict.value, f"{one.looked_at:,}", plain(one.witness))
        for one in findings
    ]
    return table(headings, rows, numbers=("cases",))


def _figures(findings: Sequence[Finding]) -> list[str]:
    figures = {
        f"{one.checker}.{name}": value for one in findings for name, value in one.figures.items()
    }
    return [section("figures of the checkers", _numbers(figures))] if figures else []


def _numbers(values: Mapping[str, float]) -> str:
    rows = [(name, number(value)) for name, value in values.items()]
    width = max((len(value) for _, value in rows), default=0)
    return facts([(name, value.rjust(width)) for name, value in rows])


def _finding(found: Finding) -> dict[str, Json]:
    return {
        "invariant": found.invariant,
        "checker": found.checker,
        "verdict": found.verdict.value,
        "cases": found.looked_at,
        "witness": found.witness,
        "figures": dict(found.figures),
    }


def _spread(spread: Spread) -> dict[str, Json]:
    values = dict(zip(LABELS, spread.quantiles, strict=False))
    return {"count": spread.count, **{label: values.get(label) for label in LABELS}}
