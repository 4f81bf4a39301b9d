"""`kith partitions`: what partitions did, as the node saw it."""

import argparse

from node.client import Json

from .errors import DEGRADED, GOOD
from .options import Command
from .session import note, session_of, show_json, text_of
from .tables import show_facts, show_table, shown_id

NAMED_MAX = 20
"""Diverged records that are shown without --all."""
CUT_HEADINGS = ("NAME", "ID", "SINCE", "CERTIFIED", "OUTCOME", "BACK AT")
DIVERGED_HEADINGS = ("NODE", "KIND", "KEY", "SIDE", "CHANGE", "VERSION")
CONFLICT_HEADINGS = ("WHAT", "KEY", "RULE", "DECIDED")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to show."""
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="only the newest N (5)")
    parser.add_argument("--all", action="store_true", help="show every record that diverged")


def run(arguments: argparse.Namespace) -> int:
    """Show the reports; 1 while a partition goes on."""
    with session_of(arguments) as session:
        query = [("limit", str(arguments.limit))]
        document = session.get("/v1/partitions", query=query)
        reports = session.rows(document, "partitions")
        if session.json:
            show_json(document)
        elif reports:
            for report in reports:
                _show(report, whole=arguments.all)
        else:
            note("no partition since the node began")
    return DEGRADED if any(report.get("open") is True for report in reports) else GOOD


def _show(report: dict[str, Json], *, whole: bool) -> None:
    is_open = report.get("open") is True
    diverged = _rows(report, "diverged")
    total = f"{text_of(report, 'diverged_total')} records"
    facts = [
        ("partition", text_of(report, "id")),
        ("state", text_of(report, "state")),
        ("began", text_of(report, "began_at")),
        ("contact", text_of(report, "contact_at") or "none"),
        ("reconciled", text_of(report, "reconciled_at") or ("not yet" if is_open else "never")),
        ("diverged", total if report.get("exact") is True else f"{total} (an estimate)"),
    ]
    show_facts(facts)
    show_table(CUT_HEADINGS, [_cut_row(one) for one in _rows(report, "cut_off")])
    shown = diverged if whole else diverged[:NAMED_MAX]
    if shown:
        show_table(DIVERGED_HEADINGS, [_row(one, DIVERGED_HEADINGS) for one in shown])
    if len(shown) < len(diverged):
        note(f"{len(diverged) - len(shown)} more records: --all shows them")
    conflicts = _rows(report, "conflicts")
    if conflicts:
        show_table(CONFLICT_HEADINGS, [_row(one, CONFLICT_HEADINGS) for one in conflicts])
    print()


def _row(one: dict[str, Json], headings: tuple[str, ...]) -> list[str]:
    return [text_of(one, heading.lower()) for heading in headings]


def _cut_row(cut: dict[str, Json]) -> tuple[str, ...]:
    return (
        text_of(cut, "name"),
        shown_id(text_of(cut, "id")),
        text_of(cut, "since"),
        "yes" if cut.get("certified") is True else "no",
        text_of(cut, "outcome"),
        text_of(cut, "back_at"),
    )


def _rows(report: dict[str, Json], name: str) -> list[dict[str, Json]]:
    value = report.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


COMMANDS = {
    "partitions": Command(
        add_arguments,
        run,
        "exit codes: 0 none goes on; 1 one does: members are cut off, or not all is known again",
    )
}
