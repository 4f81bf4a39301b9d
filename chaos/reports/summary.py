"""A run for the terminal: the same verdict as on its page, in plain tables.

Rules this module keeps:

1. The verdict stands first and last; between them stands only what explains it.
2. Whatever came from nodes or files cannot steer the terminal.
"""

from collections.abc import Sequence
from pathlib import Path

from chaos.cli.tables import coloured, facts, plain, section, table
from chaos.running.record import RunRecord
from chaos.verdict import Verdict

from .advice import advice_on
from .words import invariant_place, label_of, means_of, noticed_s, unjudged, value_of

MOMENTS_SHOWN_MAX = 3


def text_of(record: RunRecord, report: Path | None = None) -> str:
    """The record for people. `report`: where its page lies, if it has one."""
    parts = [
        _head(record),
        section("invariants", _findings(record)),
        *([section("expected", _expected(record))] if record.expected else ()),
        section("figures", _figures(record)),
        *([section("worst moments", _moments(record))] if record.moments else ()),
        *_advice(record),
        _ending(record, report),
    ]
    return "\n\n".join(parts)


def table_of(records: Sequence[RunRecord]) -> str:
    """Many runs, a line each."""
    headings = (
        "scenario", "seed", "verdict", "noticed", "healed", "lookups failed", "updates lost",
        "because",
    )  # fmt: skip
    rows = [
        (
            plain(one.scenario), str(one.seed), one.verdict.value, _noticed(one),
            _value(one, "healed_s"), _value(one, "lookups_failed_count"),
            _value(one, "updates_lost_count"), plain(one.reason),
        )
        for one in records
    ]  # fmt: skip
    return table(headings, rows, numbers=headings[3:7])


def _head(record: RunRecord) -> str:
    name = f"{plain(record.scenario)}, seed {record.seed}: {plain(record.title)}"
    pairs = [
        ("cluster", f"{len(record.nodes)} nodes, {plain(record.cluster)}"),
        ("took", f"{record.duration_s:.0f} s, from {plain(record.started_at)}"),
        ("commit", plain(record.commit)),
        *(
            (f"{plain(kind)} made by", plain(means_of(kind, means)))
            for kind, means in record.means.items()
        ),
    ]
    because = f"\n  because {plain(record.reason)}" if record.reason else ""
    return f"{coloured(record.verdict.name)}  {name}{because}\n{facts(pairs)}"


def _findings(record: RunRecord) -> str:
    ordered = sorted(record.findings, key=lambda one: invariant_place(one.invariant))
    rows = [
        (
            plain(one.invariant), plain(one.checker), one.verdict.value, f"{one.looked_at:,}",
            plain(one.witness or unjudged(one)),
        )
        for one in ordered
    ]  # fmt: skip
    if not rows:
        return "  no checker said anything"
    headings = ("invariant", "checker", "verdict", "cases", "what broke it, or was not judged")
    return table(headings, rows, numbers=("cases",))


def _expected(record: RunRecord) -> str:
    rows = [(one.verdict.value, plain(one.text), plain(one.why)) for one in record.expected]
    return table(("verdict", "what", "why not"), rows)


def _figures(record: RunRecord) -> str:
    values = [(label_of(name), value_of(name, one)) for name, one in record.figures.items()]
    width = max((len(value) for _, value in values), default=0)
    return facts([(plain(name), value.rjust(width)) for name, value in values]) or "  none"


def _moments(record: RunRecord) -> str:
    rows = [
        (
            f"{one.at_s:.2f}",
            plain(f"{one.log}:{one.line}" if one.line else one.log),
            plain(one.text),
        )
        for one in record.moments[:MOMENTS_SHOWN_MAX]
    ]
    return table(("second", "log", "what"), rows, numbers=("second",))


def _advice(record: RunRecord) -> list[str]:
    found = advice_on([record])
    if record.verdict is Verdict.VALID or not found:
        return []
    return [section("look at", "\n".join(f"  {one.what}\n    {one.look}" for one in found))]


def _ending(record: RunRecord, report: Path | None) -> str:
    pairs = [("replay", plain(record.replay))]
    if report is not None:
        pairs.insert(0, ("report", str(report)))
    counts = [
        f"{sum(one.verdict is verdict for one in record.findings)} {verdict.value}"
        for verdict in Verdict
        if any(one.verdict is verdict for one in record.findings)
    ]
    kept = sum(one.verdict is Verdict.VALID for one in record.expected)
    told = f"checkers: {', '.join(counts) or 'none'}"
    if record.expected:
        told += f"; expected: {kept} of {len(record.expected)}"
    return f"{facts(pairs)}\n{coloured(record.verdict.name)}  {told}"


def _noticed(record: RunRecord) -> str:
    value_s = noticed_s(record.figures)
    return "" if value_s is None else value_of("_s", value_s)


def _value(record: RunRecord, name: str) -> str:
    return value_of(name, record.figures[name]) if name in record.figures else ""
