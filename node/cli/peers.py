"""Members of the cluster: `peers`, `join`, `forget`, `leave`."""

import argparse
import sys

from node.client import Json

from .errors import DEGRADED, GOOD, UNKNOWN, CommandError, UsageError
from .options import Command
from .session import (
    Session,
    note,
    plain,
    segment,
    session_of,
    show_json,
    text_of,
    texts_of,
)
from .tables import show_table, shown_id

FILTERS = ("status", "node_type", "capability", "zone")
STATUSES = ("alive", "suspect", "unreachable", "dead", "stopping", "left", "critical")
CANDIDATES_SHOWN = 10
PORT_MAX = 65_535
HEADINGS = ("ID", "NAME", "STATUS", "TYPE", "ADDRESS", "API", "ZONE", "CAPABILITIES", "RTT")


def add_peers(parser: argparse.ArgumentParser) -> None:
    """Filters, all of which must hold."""
    parser.add_argument("--status", choices=STATUSES, help="only members with this status")
    parser.add_argument(
        "--node-type", metavar="TYPE", help="only this type: proxy, backend or governator"
    )
    parser.add_argument("--capability", metavar="NAME", help="only members that can do this")
    parser.add_argument("--zone", metavar="NAME", help="only members in this zone")


def run_peers(arguments: argparse.Namespace) -> int:
    """List the members."""
    query = [
        (name, value) for name in FILTERS if (value := getattr(arguments, name, None)) is not None
    ]
    with session_of(arguments) as session:
        document = session.get("/v1/peers", query=query)
        peers = session.rows(document, "peers")
        if session.json:
            show_json(document)
        elif peers:
            show_table(HEADINGS, [_row(peer) for peer in sorted(peers, key=_by_name)])
        else:
            note("no member matches" if query else "the node lists no members")
    return GOOD


def _by_name(peer: dict[str, Json]) -> tuple[str, str]:
    return text_of(peer, "name"), text_of(peer, "id")


def _row(peer: dict[str, Json]) -> tuple[str, ...]:
    status = text_of(peer, "status")
    if status == "unreachable" and peer.get("certified") is True:
        status += " (certified)"
    kind = text_of(peer, "node_type")
    if peer.get("is_load_balancer") is True:
        kind += " (balancer)"
    host = text_of(peer, "host")
    rtt = text_of(peer, "rtt_ms")
    return (
        shown_id(text_of(peer, "id")),
        text_of(peer, "name"),
        status + (f" (guest of {shown_id(host)})" if host else ""),
        kind,
        text_of(peer, "address"),
        text_of(peer, "api_address"),
        text_of(peer, "zone"),
        ",".join(texts_of(peer, "capabilities")),
        f"{rtt} ms" if rtt else "",
    )


def add_join(parser: argparse.ArgumentParser) -> None:
    """Whom to join."""
    parser.add_argument("address", metavar="HOST:PORT", help="the other node's gossip address")


def run_join(arguments: argparse.Namespace) -> int:
    """Ask the node to join another."""
    address: str = arguments.address
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise UsageError(f"{address!r} is not HOST:PORT", hint="for example 10.0.0.7:8401")
    with session_of(arguments) as session:
        reply = session.call("POST", "/v1/peers", body={"address": address})
        if session.json:
            show_json(reply.value)
        else:
            print(f"joining {plain(address)}; 'kith peers' shows who is there")
    return GOOD


def add_forget(parser: argparse.ArgumentParser) -> None:
    """Whom to forget."""
    parser.add_argument("id", metavar="ID", help="the member's id, or the start of it if unique")


def run_forget(arguments: argparse.Namespace) -> int:
    """Forget a member that is gone."""
    with session_of(arguments) as session:
        peer = _the_one(session, arguments.id)
        reply = session.call("DELETE", f"/v1/peers/{segment(text_of(peer, 'id'))}")
        if session.json:
            show_json(reply.value)
        else:
            print(f"forgotten: {_called(peer)}")
    return GOOD


def _the_one(session: Session, start: str) -> dict[str, Json]:
    peers = session.rows(session.get("/v1/peers"), "peers")
    found = [peer for peer in peers if start and text_of(peer, "id").startswith(start)]
    exact = [peer for peer in found if text_of(peer, "id") == start]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if found:
        names = ", ".join(_called(peer) for peer in found[:CANDIDATES_SHOWN])
        more = f" and {len(found) - CANDIDATES_SHOWN} more" * (len(found) > CANDIDATES_SHOWN)
        raise CommandError(
            f"{start!r} starts {len(found)} ids: {names}{more}",
            DEGRADED,
            hint="give more of the id",
            code="ambiguous",
        )
    named = [_called(peer) for peer in peers if text_of(peer, "name") == start]
    hint = f"it is the name of {', '.join(named[:CANDIDATES_SHOWN])}: give the id" if named else ""
    raise CommandError(
        f"no member's id starts with {start!r}",
        UNKNOWN,
        hint=hint or "'kith peers' lists them",
        code="not_found",
    )


def _called(peer: dict[str, Json]) -> str:
    return plain(f"{text_of(peer, 'id')} ({text_of(peer, 'name') or 'no name'})")


def add_leave(parser: argparse.ArgumentParser) -> None:
    """Whether to ask first."""
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")


def run_leave(arguments: argparse.Namespace) -> int:
    """Make the node leave for good."""
    with session_of(arguments) as session:
        if not arguments.yes and sys.stdin.isatty():
            node = session.get("/v1/node")
            _confirm(f"node {_called(node)} and its services leave the cluster for good")
        reply = session.call("POST", "/v1/leave")
        if session.json:
            show_json(reply.value)
        else:
            print("the node leaves the cluster")
    return GOOD


def _confirm(what: str) -> None:
    print(f"kith: {what}. Type yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError(
            "nothing was done", DEGRADED, hint="--yes goes ahead without asking", code="cancelled"
        )


COMMANDS = {
    "peers": Command(add_peers, run_peers, "example: kith peers --status unreachable"),
    "join": Command(add_join, run_join, "example: kith join 10.0.0.7:8401"),
    "forget": Command(add_forget, run_forget, "example: kith forget 4kq7zw2a"),
    "leave": Command(
        add_leave,
        run_leave,
        "A node that is only stopped (Ctrl-C, SIGTERM) keeps its services and may come back.",
    ),
}
