"""`kith clock` and `kith log`: what a node has heard, and the last commits of an owner."""

import argparse

from node.client import Json
from protocol.clocks import Order, compare
from protocol.commits import NOTHING, Dot
from protocol.errors import MalformedError
from protocol.identity import NodeId, id_text, parse_id

from .errors import DEGRADED, GOOD
from .options import Command
from .session import (
    Session,
    count_of,
    note,
    objects_of,
    segment,
    session_of,
    show_json,
    text_of,
    texts_of,
)
from .tables import show_table, shown_id

CLOCK_HEADINGS = ("OWNER", "EPOCH", "VERSION")
DIFFERENCE_HEADINGS = ("OWNER", "HERE", "THERE")
LOG_HEADINGS = ("VERSION", "EPOCH", "COMMIT", "ISSUED", "PARENTS", "CHANGES")
CHANGES_SHOWN = 4
WORDS = {
    Order.EQUAL: "equal: both hold the same",
    Order.BEFORE: "before: the other node holds all that this one does, and more",
    Order.AFTER: "after: this node holds all that the other one does, and more",
    Order.CONCURRENT: "concurrent: each holds something that the other lacks",
}

Vector = dict[NodeId, Dot]


def add_clock(parser: argparse.ArgumentParser) -> None:
    """Beside whose."""
    parser.add_argument("--against", metavar="URL", help="compare with the node at this address")


def run_clock(arguments: argparse.Namespace) -> int:
    """Show the vector clock, or compare it with another node's; 0 if they are equal."""
    with session_of(arguments) as session:
        ours = _clock_of(session)
        if arguments.against is None:
            return _show(session, ours)
        as_json = session.json
    arguments.api = arguments.against
    with session_of(arguments) as session:
        theirs = _clock_of(session)
    order = compare(ours, theirs)
    owners = [one for one in sorted({*ours, *theirs}) if ours.get(one) != theirs.get(one)]
    if as_json:
        differing: list[Json] = [
            {"owner": id_text(one), "here": _shape(ours, one), "there": _shape(theirs, one)}
            for one in owners
        ]
        show_json({"order": order.value, "differing": differing})
    else:
        print(WORDS[order])
        if owners:
            rows = [(shown_id(id_text(o)), _text(ours, o), _text(theirs, o)) for o in owners]
            show_table(DIFFERENCE_HEADINGS, rows)
    return GOOD if order is Order.EQUAL else DEGRADED


def _show(session: Session, vector: Vector) -> int:
    if session.json:
        show_json({"clock": {id_text(one): _shape(vector, one) for one in sorted(vector)}})
    else:
        rows = [(shown_id(id_text(o)), str(d.epoch), str(d.version)) for o, d in vector.items()]
        show_table(CLOCK_HEADINGS, rows)
    return GOOD


def _clock_of(session: Session) -> Vector:
    clock = session.get("/v1/clock").get("clock")
    if not isinstance(clock, dict):
        raise session.strange("'clock' is not an object")
    vector: Vector = {}
    for owner, dot in clock.items():
        if not isinstance(dot, dict):
            raise session.strange("'clock' holds something that is no version")
        try:
            vector[parse_id(owner)] = Dot(count_of(dot, "epoch"), count_of(dot, "version"))
        except MalformedError:
            raise session.strange("'clock' names an owner that is no node id") from None
    return vector


def _shape(vector: Vector, owner: NodeId) -> dict[str, Json] | None:
    dot = vector.get(owner)
    return None if dot is None else {"epoch": dot.epoch, "version": dot.version}


def _text(vector: Vector, owner: NodeId) -> str:
    dot = vector.get(owner, NOTHING)
    return "" if dot == NOTHING else f"{dot.epoch}.{dot.version}"


def add_log(parser: argparse.ArgumentParser) -> None:
    """Whose log."""
    parser.add_argument("owner", metavar="OWNER", nargs="?", default="self", help="its whole id")
    parser.add_argument("--limit", type=int, default=32, metavar="N", help="only the newest N (32)")


def run_log(arguments: argparse.Namespace) -> int:
    """Show the last commits of an owner, the newest first."""
    path = f"/v1/owners/{segment(arguments.owner)}/log"
    with session_of(arguments) as session:
        document = session.get(path, query=[("limit", str(arguments.limit))])
        if session.json:
            show_json(document)
        else:
            show_table(LOG_HEADINGS, [_row(one) for one in session.rows(document, "commits")])
    if document.get("disputed") is True:
        note("this owner is in dispute: 'kith evidence' shows why")
        return DEGRADED
    return GOOD


def _row(commit: dict[str, Json]) -> tuple[str, ...]:
    changes = [_change(change) for change in objects_of(commit, "changes")]
    hidden = count_of(commit, "changes_total") - CHANGES_SHOWN
    more = f" and {hidden} more" if hidden > 0 else ""
    return (
        text_of(commit, "version"),
        text_of(commit, "epoch"),
        shown_id(text_of(commit, "hash")),
        text_of(commit, "issued_at"),
        " + ".join(shown_id(parent) for parent in texts_of(commit, "parents")),
        ", ".join(changes[:CHANGES_SHOWN]) + more,
    )


def _change(change: dict[str, Json]) -> str:
    sign = "-" if text_of(change, "change") == "removed" else "+"
    kind, key = text_of(change, "kind"), text_of(change, "key")
    return f"{sign}{key}" if kind == "service" else f"{sign}{kind} {key}"


COMMANDS = {
    "clock": Command(
        add_clock,
        run_clock,
        "example: kith clock --against http://127.0.0.1:8410\n"
        "exit codes: 0 equal (or nothing to compare), 1 before, after or concurrent",
    ),
    "log": Command(add_log, run_log, "example: kith log --limit 5"),
}
