"""The parts of a run's page, each made from the record alone.

Rules this module keeps:

1. Every picture stands beside a table that says the same in numbers.
"""

from collections.abc import Mapping, Sequence

from chaos.running.record import Moment, RunRecord
from chaos.verdict import Finding, Verdict

from .advice import RUNBOOK, Advice
from .logs import LogLine
from .markup import Markup, Part, element, join, link, table
from .pictures import coverage, latency, membership, timeline
from .quantiles import Bucket, by_phase
from .times import faults_of
from .words import (
    INVARIANTS,
    about,
    amount,
    invariant_place,
    label_of,
    means_of,
    noticed_s,
    unjudged,
    value_of,
)

SAID_SHOWN_MAX = 200
_GRAVITY = (Verdict.INVALID, Verdict.VALID, Verdict.UNKNOWN)


def section(title: str, name: str, *parts: Part) -> Markup:
    """One part of the page; `name` is its anchor."""
    return element("section", {"id": name}, element("h2", {}, title), *parts)


def facts_and_replay(facts: Sequence[tuple[str, str]], replay: str) -> list[Markup]:
    """What was run, as names and values, and the command that runs it again."""
    rows = (
        element("div", {}, element("dt", {}, name), element("dd", {}, value))
        for name, value in facts
    )
    return [
        element("dl", {"class": "facts"}, *rows),
        element("p", {}, "Run it again:"),
        element("pre", {"class": "command"}, replay),
    ]


def folded(title: str, *parts: Part) -> Markup:
    """Something that is read when one asks for it."""
    return element("details", {}, element("summary", {}, title), *parts)


def badge(verdict: Verdict) -> Markup:
    """A verdict as a word in its colour."""
    return element("span", {"class": f"badge {verdict.value}"}, verdict.value)


def tiles(record: RunRecord) -> Markup:
    """The few figures that everybody asks for; what was not measured says so."""
    figures = record.figures
    lookups = f"of {amount(figures['lookups_count'])}" if "lookups_count" in figures else ""
    writes = f"of {amount(figures['writes_count'])} tried" if "writes_count" in figures else ""
    noticed = noticed_s(figures)
    rows: list[tuple[str, str, str]] = [
        ("time to notice", "–" if noticed is None else value_of("_s", noticed), "longest"),
        ("time to heal", _figure(figures, "healed_s"), "after the last fault"),
        ("lookups failed", _figure(figures, "lookups_failed_count"), lookups),
        ("updates lost", _figure(figures, "updates_lost_count"), "of all acknowledged"),
        ("writes acknowledged", _figure(figures, "writes_acknowledged_count"), writes),
        ("lookup p99", _figure(figures, "lookup_p99_ms"), "99 of 100 were faster"),
    ]
    return element(
        "dl",
        {"class": "tiles"},
        *(
            element("div", {}, element("dt", {}, name), element("dd", {}, value),
                    element("dd", {"class": "soft"}, more))
            for name, value, more in rows
        ),
    )  # fmt: skip


def _figure(figures: Mapping[str, float], name: str) -> str:
    return value_of(name, figures[name]) if name in figures else "–"


def invariants(findings: Sequence[Finding]) -> Markup:
    """The verdict on each invariant, with what shows it and what was measured."""
    if not findings:
        return element("p", {}, "No checker said anything.")
    by_name: dict[str, list[Finding]] = {}
    for one in sorted(findings, key=lambda one: invariant_place(one.invariant)):
        by_name.setdefault(one.invariant, []).append(one)
    rows: list[Sequence[Part]] = []
    for name, those in by_name.items():
        verdict = next(one for one in _GRAVITY if any(f.verdict is one for f in those))
        detail = join([_finding(one) for one in those])
        promise = element("strong", {}, INVARIANTS.get(name, name))
        rows.append((name, badge(verdict), element("div", {}, promise, detail)))
    return table(("", "verdict", "what was promised, and what was found"), rows)


def _finding(one: Finding) -> Markup:
    text = f"{one.looked_at:,} cases judged" if one.looked_at else "nothing judged"
    parts: list[Part] = [
        element("p", {"class": "soft"}, element("code", {}, one.checker), f": {text}")
    ]
    if passed_over := unjudged(one):
        parts.append(element("p", {}, f"Not judged: {passed_over}."))
    if one.witness:
        parts.append(element("p", {"class": "witness"}, one.witness))
    measured = [(name, value) for name, value in one.figures.items() if value]
    if measured:
        told = [f"{label_of(name)} {value_of(name, value)}" for name, value in measured]
        parts.append(folded("measured on the way", element("p", {}, "; ".join(told))))
    return element("div", {"class": "finding"}, *parts)


def expectations(record: RunRecord) -> Markup:
    """What the scenario itself expected."""
    if not record.expected:
        return element("p", {"class": "soft"}, "The scenario expects nothing of its own.")
    rows = [
        (badge(one.verdict), element("span", {"class": "long"}, one.text), one.why or "–")
        for one in record.expected
    ]
    return table(("verdict", "expected", "why not"), rows)


def time_line(record: RunRecord) -> Markup:
    """Faults and notices: picture and tables."""
    faults = [
        (
            f"{one.begin_s:.2f}",
            f"{one.end_s:.2f}",
            one.kind,
            " ".join(one.nodes) or "–",
            element("span", {"class": "long"}, one.text),
        )
        for one in faults_of(record)
    ]  # fmt: skip
    said = [(f"{one.at_s:.2f}", one.text) for one in record.said[:SAID_SHOWN_MAX]]
    more = len(record.said) - len(said)
    notices = table(("second", "notice"), said, numbers=(0,))
    return element(
        "div",
        {},
        timeline.draw(record),
        table(("from s", "until s", "fault", "nodes", "in full"), faults, numbers=(0, 1))
        if faults
        else element("p", {}, "There were no faults."),
        folded(f"{len(record.said)} notices", notices,
               *([element("p", {}, f"{more} more are in the document.")] if more else ())),
    )  # fmt: skip


def members(record: RunRecord) -> Markup:
    """Who took whom for gone: picture and table."""
    headings = ("node", "taken for gone by", "first at", "last until", "longest")
    return element(
        "div",
        {},
        membership.draw(record),
        folded("the same as a table", table(headings, membership.rows_of(record))),
    )


def latencies(record: RunRecord) -> Markup:
    """Requests over time: picture and table."""
    rows = [
        (
            phase, kind, f"{one.count:,}", _ms(one, one.p50_ms), _ms(one, one.p99_ms),
            _ms(one, one.max_ms), f"{one.failed:,}", f"{one.indefinite:,}",
        )
        for phase, kind, one in by_phase(record)
    ]  # fmt: skip
    headings = ("phase", "what", "answered", "p50", "p99", "slowest", "failed", "no answer")
    left_out = record.samples_left_out
    note = (
        f"{left_out:,} requests are not shown: they were thinned out evenly, failures last."
        if left_out
        else "Every request is in the picture. A failure of a node that was down counts here too."
    )
    return element(
        "div",
        {},
        latency.draw(record),
        table(headings, rows, numbers=range(2, len(headings))),
        element("p", {"class": "soft"}, note),
    )


def _ms(bucket: Bucket, value_ms: float) -> str:
    return value_of("_ms", value_ms) if bucket.count else "–"


def spreading(record: RunRecord) -> Markup:
    """How updates spread: picture and table."""
    rows = coverage.rows_of(record)
    if not rows:
        return coverage.draw(record)
    headings = ("when", "other nodes", "updates that got there", "median", "p99")
    return element(
        "div",
        {},
        coverage.draw(record),
        folded("the same as a table", table(headings, rows, numbers=(1, 2, 3, 4))),
    )


def moments(record: RunRecord, lines: Mapping[Moment, Sequence[LogLine]]) -> Markup:
    """The worst moments, each with the log's lines around it."""
    if not record.moments:
        return element("p", {}, "Nothing stood out.")
    found = [_moment(one, lines.get(one, ())) for one in record.moments]
    return element("ol", {"class": "moments"}, *found)


def _moment(one: Moment, lines: Sequence[LogLine]) -> Markup:
    where = f"{one.log}, line {one.line}" if one.line else one.log
    parts: list[Part] = [element("strong", {}, f"{one.at_s:.2f} s"), " ", one.text]
    if where:
        parts += [" ", element("span", {"class": "soft"}, "(", link(one.log, where), ")")]
    if lines:
        text = join(
            [
                element("span", {"class": "here" if line.number == one.line else ""},
                        f"{line.number:>6}  {line.text}\n")
                for line in lines
            ]
        )  # fmt: skip
        parts.append(folded(f"the log of {one.node}", element("pre", {}, text)))
    return element("li", {}, *parts)


def recommendations(advice: Sequence[Advice]) -> Markup:
    """What to look at next."""
    if not advice:
        return element("p", {}, "Nothing: all figures are within their bounds.")
    items = []
    for one in advice:
        cases = element("ul", {}, *(element("li", {}, case) for case in one.cases))
        page = element("span", {"class": "soft"}, f"Runbook: {RUNBOOK}#{one.runbook}")
        items.append(
            element("li", {}, element("strong", {}, one.what), element("p", {}, one.look), cases,
                    page)
        )  # fmt: skip
    return element("ul", {"class": "advice"}, *items)


def figures(record: RunRecord) -> Markup:
    """All figures, with what they mean."""
    rows = [
        (element("span", {"title": name}, label_of(name)), value_of(name, value), about(name))
        for name, value in record.figures.items()
    ]
    return table(("figure", "value", "what it is"), rows, numbers=(1,))


def surroundings(record: RunRecord) -> Markup:
    """With what it was run, and by what means faults were made."""
    means = [(f"{kind}, made by", means_of(kind, one)) for kind, one in record.means.items()]
    rows = [*record.versions.items(), *means]
    logs = [element("li", {}, link(log, f"{node}: {log}")) for node, log in record.logs.items()]
    return element(
        "div",
        {},
        table(("what", "which"), rows),
        element("p", {}, "The logs of the nodes:"),
        element("ul", {"class": "logs"}, *logs),
    )
