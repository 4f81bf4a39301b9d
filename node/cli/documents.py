"""Documents with several writers: `document get|put|patch|delete` and `conflicts`."""

import argparse
import sys

import orjson

from node.client import Json

from .errors import DEGRADED, GOOD, UsageError
from .options import Command
from .session import (
    Session,
    count_of,
    note,
    objects_of,
    plain,
    segment,
    session_of,
    show_json,
    text_of,
    texts_of,
)
from .tables import show_table, shown_id

ACTIONS = ("get", "put", "patch", "delete")
INPUT_BYTES_MAX = 64 * 1024
"""What a node takes at most as a body."""
VALUE_SHOWN = 60
"""Characters of a sibling's value in a table; JSON has all of it."""
HEADINGS = ("WHAT", "FIELD", "SHOWN", "VALUE", "BY", "WHEN", "RULE")


def add_document(parser: argparse.ArgumentParser) -> None:
    """What to do with which document."""
    parser.add_argument("action", choices=ACTIONS, metavar="|".join(ACTIONS))
    parser.add_argument("key", metavar="KEY", help="of the document: a-z, 0-9, '.', '_', '-'")
    parser.add_argument(
        "value", metavar="JSON", nargs="?", help="an object to put or to merge; - reads it"
    )
    parser.add_argument(
        "--if-match", metavar="ETAG", help="only if the document is still the one that was read"
    )
    parser.add_argument(
        "--owner", action="append", default=[], metavar="ID",
        help="a node that may write it, or self; repeatable; none: all may",
    )  # fmt: skip


def run_document(arguments: argparse.Namespace) -> int:
    """Read, write or delete one document."""
    action: str = arguments.action
    writes = action in ("put", "patch")
    if not writes and (arguments.value is not None or arguments.owner):
        raise UsageError(f"{action} takes no value and no --owner")
    if action == "get" and arguments.if_match is not None:
        raise UsageError("--if-match goes with put, patch and delete")
    body: dict[str, Json] | None = None
    if writes:
        body = {"value": _object(arguments.value)}
        if arguments.owner:
            body["owners"] = list(arguments.owner)
    headers = {} if arguments.if_match is None else {"If-Match": _quoted(arguments.if_match)}
    path = f"/v1/documents/{segment(arguments.key)}"
    with session_of(arguments) as session:
        reply = session.call(action.upper(), path, body=body, headers=headers)
        document = session.document(reply)
        if session.json:
            show_json(document)
        elif action == "delete":
            print(f"deleted: {plain(arguments.key)}")
        else:
            show_json(document.get("value"))
            _explain(document)
    return GOOD


def _explain(document: dict[str, Json]) -> None:
    note(f"etag {text_of(document, 'etag')}")
    for conflict in objects_of(document, "conflicts"):
        values = ", ".join(
            f"{_shown(one.get('value'))} by {text_of(one, 'node')}"
            for one in objects_of(conflict, "siblings")
        )
        note(f"field {text_of(conflict, 'field')} is in conflict: {values}; write it to settle it")
    for one in objects_of(document, "ignored"):
        note(f"what {text_of(one, 'node')} wrote is left out: it is no owner")


def _object(text: str | None) -> Json:
    """The JSON object that was typed, or that comes from standard input.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        raise UsageError("a JSON object is missing", hint='such as \'{"color": "red"}\', or -')
    raw = text.encode()
    if text == "-":
        raw = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
        if len(raw) > INPUT_BYTES_MAX:
            raise UsageError(f"the value is longer than {INPUT_BYTES_MAX} bytes")
    try:
        value: Json = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the value is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("the value is no JSON object", hint='such as \'{"color": "red"}\'')
    return value


def _quoted(etag: str) -> str:
    return etag if etag.startswith('"') or etag == "*" else f'"{etag}"'


def add_conflicts(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""


def run_conflicts(arguments: argparse.Namespace) -> int:
    """Show what is in conflict; 1 if anything is."""
    with session_of(arguments) as session:
        found = session.get("/v1/conflicts")
        documents, guests = session.rows(found, "documents"), session.rows(found, "guests")
        if session.json:
            show_json(found)
        elif documents or guests:
            rows = [row for one in documents for row in _document_rows(session, one)]
            show_table(HEADINGS, rows + [row for one in guests for row in _guest_rows(one)])
        else:
            note("nothing is in conflict")
    return DEGRADED if documents or guests else GOOD


def _document_rows(session: Session, document: dict[str, Json]) -> list[tuple[str, ...]]:
    key = text_of(document, "key")
    if not key:
        raise session.strange("a document without a key")
    return [
        (
            f"document {key}",
            text_of(conflict, "field"),
            "yes" if one.get("shown") is True else "no",
            _shown(one.get("value")),
            text_of(one, "node") or shown_id(text_of(one, "writer")),
            text_of(one, "written_at"),
            text_of(conflict, "rule"),
        )
        for conflict in objects_of(document, "conflicts")
        for one in objects_of(conflict, "siblings")
    ]


def _guest_rows(guest: dict[str, Json]) -> list[tuple[str, ...]]:
    resolution = guest.get("resolution")
    if not isinstance(resolution, dict):
        return []
    rule = text_of(resolution, "rule")
    entitled = count_of(resolution, "entitled")
    rows: list[tuple[str, ...]] = []
    for place, votes in enumerate(objects_of(resolution, "votes")):
        names = [shown_id(one) for one in texts_of(votes, "hosts")]
        rows.append(
            (
                f"guest {text_of(guest, 'id')}",
                "address",
                "no" if place else "yes",
                text_of(votes, "address"),
                ",".join(names),
                "",
                f"{rule}, {len(names)} of {entitled}",
            )
        )
    return rows


def _shown(value: Json) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= VALUE_SHOWN else text[: VALUE_SHOWN - 1] + "…"


COMMANDS = {
    "document": Command(
        add_document,
        run_document,
        'example: kith document put settings \'{"color": "red"}\'\n'
        "         kith document patch settings '{\"color\": null}' --if-match ETAG",
    ),
    "conflicts": Command(
        add_conflicts,
        run_conflicts,
        "exit codes: 0 nothing is in conflict, 1 something is\n"
        "a later write of the field settles it: kith document patch KEY JSON",
    ),
}
