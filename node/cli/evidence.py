"""`kith evidence`: who forked, since when, and whether it is settled."""

import argparse

from node.client import Json

from .errors import DEGRADED, GOOD
from .options import Command
from .session import count_of, note, objects_of, session_of, show_json, text_of
from .tables import show_table, shown_id

HEADINGS = ("EVIDENCE", "OWNER", "NODE", "STATE", "FOUND", "REPORTED BY", "VERSIONS", "SETTLED")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which evidence."""
    parser.add_argument("--owner", metavar="ID", help="only against this owner (or: self)")
    parser.add_argument("--open", action="store_true", help="only what is not settled")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="at most N (100)")


def run(arguments: argparse.Namespace) -> int:
    """List the evidence; 1 while any of it is open."""
    query = [("limit", str(arguments.limit))]
    if arguments.owner is not None:
        query.append(("owner", arguments.owner))
    if arguments.open:
        query.append(("open", "true"))
    with session_of(arguments) as session:
        document = session.get("/v1/evidence", query=query)
        cases = session.rows(document, "evidence")
        if session.json:
            show_json(document)
        elif cases:
            show_table(HEADINGS, [_row(case) for case in cases])
            if count_of(document, "total") > len(cases):
                note(f"{count_of(document, 'total') - len(cases)} more: --limit shows them")
        else:
            note("no open evidence" if arguments.open else "nobody was caught forking")
    return DEGRADED if any(case.get("open") is True for case in cases) else GOOD


def _row(case: dict[str, Json]) -> tuple[str, ...]:
    by = case.get("settled_by")
    rule = text_of(by, "rule") if isinstance(by, dict) else ""
    state = "open" if case.get("open") is True else "settled"
    if case.get("verified") is not True:
        state += " (cannot be verified here)"
    return (
        shown_id(text_of(case, "id")),
        shown_id(text_of(case, "owner")),
        text_of(case, "node"),
        state,
        text_of(case, "found_at"),
        shown_id(text_of(case, "reported_by")),
        " / ".join(text_of(head, "version") for head in objects_of(case, "heads"))
        or " / ".join(f"key {text_of(one, 'sequence')}" for one in objects_of(case, "key_events")),
        f"{text_of(case, 'settled_at')} by {rule}" if rule else "",
    )


COMMANDS = {
    "evidence": Command(
        add_arguments,
        run,
        "example: kith evidence --open\nexit codes: 0 nothing is open, 1 an owner is in dispute",
    ),
}
