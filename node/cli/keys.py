"""`kith keys`: which keys the node has had, going on with the next one, or the end of it."""

import argparse
import sys

from node.client import Json

from .errors import DEGRADED, GOOD, CommandError, UsageError
from .options import Command
from .session import Session, note, session_of, show_json, text_of
from .tables import show_facts, show_table

DEEDS = ("show", "rotate", "revoke")
SHORT_ID_CHARS = 8
HASH_SHOWN_CHARS = 16
HEADINGS = ("SEQUENCE", "KIND", "PUBLIC KEY", "HASH")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with the keys."""
    parser.add_argument("deed", choices=DEEDS, help="what to do")
    parser.add_argument("--yes", action="store_true", help="revoke without asking for the id")


def run(arguments: argparse.Namespace) -> int:
    """Show or change the node's keys."""
    if arguments.yes and arguments.deed != "revoke":
        raise UsageError("--yes belongs to 'kith keys revoke'", hint="leave it out")
    with session_of(arguments) as session:
        match arguments.deed:
            case "rotate":
                document = session.document(session.call("POST", "/v1/keys/rotate"))
                done = f"the node has key {text_of(document, 'epoch')} now; the old one is refused"
            case "revoke":
                document = _revoke(session, asks=not arguments.yes)
                done = "the node's identity is revoked, and the node ends"
            case _:
                document = session.get("/v1/keys")
                done = ""
        if session.json:
            show_json(document)
        elif done:
            print(done)
        else:
            _show(session, document)
    return GOOD


def _revoke(session: Session, *, asks: bool) -> dict[str, Json]:
    own = text_of(session.get("/v1/keys"), "id")
    if asks:
        short = own[:SHORT_ID_CHARS]
        print(
            f"kith: node {short} and its services leave the cluster, and nobody ever takes its "
            f"word again. Type {short} to go on: ",
            end="", file=sys.stderr, flush=True,
        )  # fmt: skip
        if sys.stdin.readline().strip() not in (short, own):
            raise CommandError(
                "nothing was done", DEGRADED, hint="--yes goes ahead without asking",
                code="cancelled",
            )  # fmt: skip
    reply = session.call("POST", "/v1/keys/revoke", body={"confirm": own})
    return session.document(reply)


def _show(session: Session, document: dict[str, Json]) -> None:
    has_next = document.get("next_key") is True
    facts = [
        ("node", text_of(document, "id")),
        ("epoch", text_of(document, "epoch")),
        ("next key", "at hand" if has_next else "not in the data directory"),
    ]
    show_facts(facts)
    show_table(HEADINGS, [_row(event) for event in session.rows(document, "events")])
    if not has_next:
        note("put identity.next back from where it is kept before you rotate or revoke")


def _row(event: dict[str, Json]) -> tuple[str, ...]:
    return (
        text_of(event, "sequence"),
        text_of(event, "kind"),
        text_of(event, "public_key"),
        text_of(event, "hash")[:HASH_SHOWN_CHARS],
    )


COMMANDS = {
    "keys": Command(
        add_arguments,
        run,
        "example: kith keys rotate\nWhoever has stolen the current key cannot rotate or revoke: "
        "both need identity.next, which may be kept elsewhere.",
    )
}
