"""What happens, as it happens: `watch`.

Without a name every change is a line, from the node's stream of events; with one there is a table
of that service's instances, new with each change, from a long poll. Both come back by themselves
when the node was away: the stream with the id of the last event, so that none is missed while the
node still has them, and the poll with the index of what is shown.
"""

import argparse
from collections.abc import Iterator

import orjson

from node.cli.errors import GOOD, UsageError
from node.cli.options import Command, is_terminal, whole
from node.cli.services import HEADINGS, row_of
from node.cli.session import Session, note, plain, segment, session_of, text_of
from node.cli.tables import show_table
from node.client import ApiError, Json, ServerEvent

from .patience import Patience

KINDS = ("registered", "changed", "health", "removed", "member", "partition")
SILENCE_S = 40.0
"""The node gives a sign of life every 15 s: two that are missed, and some."""
CLEAR = "\x1b[2J\x1b[H"
COUNT_MAX = 1_000_000_000


def add_watch(parser: argparse.ArgumentParser) -> None:
    """What to watch."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="one service; without: all changes")
    parser.add_argument(
        "--kind", action="append", default=[], choices=KINDS, help="only such changes (repeatable)"
    )
    parser.add_argument("--since", metavar="ID", help="begin after the event of this id")
    parser.add_argument(
        "--count", type=whole(1, COUNT_MAX), metavar="N", help="end after so many changes"
    )


def run_watch(arguments: argparse.Namespace) -> int:
    """Watch until Ctrl-C, which is how it ends well."""
    if arguments.name is not None and (arguments.kind or arguments.since is not None):
        raise UsageError("--kind and --since choose events; a service by NAME has none")
    with session_of(arguments) as session:
        shown = _service(session, arguments) if arguments.name else _events(session, arguments)
        try:
            for number, _ in enumerate(shown, start=1):
                if number == arguments.count:
                    break
        except KeyboardInterrupt:
            note("ended")
    return GOOD


def _events(session: Session, arguments: argparse.Namespace) -> Iterator[None]:
    """One line for each event."""
    query = [("kind", kind) for kind in arguments.kind]
    last_id: str | None = arguments.since
    patience = Patience()
    while True:
        try:
            for event in session.follow("/v1/events", query, last_id, SILENCE_S):
                patience.succeeded()
                last_id = event.id or last_id
                if event.kind and event.kind != "closing":
                    _show_event(session, event)
                    yield
        except ApiError as error:
            patience.failed(error)
        else:
            patience.failed(None)


def _show_event(session: Session, event: ServerEvent) -> None:
    try:
        value: Json = orjson.loads(event.data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise session.strange("an event is not a JSON object")
    if session.json:
        print(orjson.dumps({"event": event.kind, "event_id": event.id, **value}).decode())
    elif event.kind == "reset":
        note("some changes are not known any more; what follows is new")
        return
    else:
        print(plain(line_of(event.kind, value)))
    _flush()


def line_of(kind: str, event: dict[str, Json]) -> str:
    """One event for people: time, kind, what, how it is, where."""
    at = text_of(event, "at")[11:23]
    if kind == "member":
        what, state = text_of(event, "name"), text_of(event, "status")
    elif kind == "partition":
        what, state = "this node", text_of(event, "stage") or text_of(event, "partition")
    else:
        what = f"{text_of(event, 'service')}/{text_of(event, 'id')}"
        state = text_of(event, "health")
    was = text_of(event, "was")
    if was and was != state:
        state = f"{state} (was {was})" if state else f"was {was}"
    line = f"{at:<12}  {kind:<10}  {what:<28}  {state:<30}"
    if "service" in event:
        address, port = text_of(event, "address"), text_of(event, "port")
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        line += f"  {text_of(event, 'node'):<12}  {place}"
    return line.rstrip()


def _service(session: Session, arguments: argparse.Namespace) -> Iterator[None]:
    """The service's instances, each time they change."""
    path = f"/v1/services/{segment(arguments.name)}"
    index, shown = "", False
    patience = Patience()
    while True:
        query = [("index", index), ("wait", f"{max(1, round(session.timeout_s * 500))}ms")]
        try:
            reply = session.ask("GET", path, query=query if index else ())
        except ApiError as error:
            patience.failed(error)
            continue
        patience.succeeded()
        document = session.document(reply)
        if text_of(document, "index") != index or not shown:
            index, shown = text_of(document, "index"), True
            _show_service(session, arguments.name, document)
            yield


def _show_service(session: Session, name: str, document: dict[str, Json]) -> None:
    instances = session.rows(document, "instances")
    if session.json:
        print(orjson.dumps(document).decode())
    else:
        if is_terminal():
            print(CLEAR, end="")
        print(f"{plain(name)}: {len(instances)} instances")
        show_table(HEADINGS, [row_of(instance) for instance in instances])
    _flush()


def _flush() -> None:
    print(end="", flush=True)


COMMANDS = {
    "watch": Command(
        add_watch,
        run_watch,
        "examples: kith watch\n"
        "          kith watch web\n"
        "          kith watch --kind health --json\n"
        "exit codes: 0 ended by Ctrl-C or --count, 1 refused, 2 no node answers at the beginning;\n"
        "a node that goes away later is tried again and again",
    )
}
