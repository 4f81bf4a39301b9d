"""Deliveries: `queue`, what has not reached everybody, and `update`, who holds one update."""

import argparse

from node.client import Json
from node.times import parse_us

from .errors import DEGRADED, GOOD
from .options import Command
from .session import (
    count_of,
    note,
    segment,
    session_of,
    show_json,
    text_of,
)
from .tables import show_facts, show_table, shown_id

LATE_S = 10.0
"""A peer that lacks something for longer is worth an exit code."""
QUEUE_HEADINGS = (
    "PEER", "ID", "STATUS", "WAITING", "PRIORITY", "SINCE", "ATTEMPTS", "NEXT TRY", "BREAKER",
)  # fmt: skip
UPDATE_HEADINGS = ("NAME", "ID", "STATE", "SINCE", "ATTEMPTS", "NEXT TRY", "BREAKER", "STATUS")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def add_queue(parser: argparse.ArgumentParser) -> None:
    """Which peers."""
    parser.add_argument("--all", action="store_true", help="also peers that lack nothing")


def run_queue(arguments: argparse.Namespace) -> int:
    """Show what waits; 1 if anything has for more than ten seconds."""
    query = [("all", "true")] if arguments.all else []
    with session_of(arguments) as session:
        document = session.get("/v1/queue", query=query)
        rows = session.rows(document, "deliveries")
        ages = [_age_s(document, one) for one in rows]
        if session.json:
            show_json(document)
        else:
            if rows:
                show_table(QUEUE_HEADINGS, [_queue_row(document, one) for one in rows])
                print()
            print(_summary(document, ages))
            if any(one.get("behind") is True for one in rows):
                note("+: it lacks more than is kept, and is shown the whole state")
            if count_of(document, "total") > len(rows):
                note(f"{count_of(document, 'total') - len(rows)} more peers are not listed")
    return DEGRADED if any(age is not None and age > LATE_S for age in ages) else GOOD


def _queue_row(document: dict[str, Json], one: dict[str, Json]) -> tuple[str, ...]:
    more = "+" if one.get("behind") is True else ""
    return (
        text_of(one, "name"),
        shown_id(text_of(one, "peer")),
        text_of(one, "status"),
        text_of(one, "waiting") + more,
        text_of(one, "priority"),
        _ago(_age_s(document, one)),
        text_of(one, "attempts"),
        "now" if one.get("under_way") is True else _in(document, one),
        text_of(one, "breaker"),
    )


def _summary(document: dict[str, Json], ages: list[float | None]) -> str:
    outbox = document.get("outbox")
    kept = outbox if isinstance(outbox, dict) else {}
    commits, size = count_of(kept, "commits"), count_of(kept, "bytes")
    lacking = [age for age in ages if age is not None]
    peers = count_of(document, "peers")
    if not lacking:
        return f"nothing waits: {peers} of {peers} peers hold all that was committed here"
    since = f"the first for {_span(max(lacking))}"
    return (
        f"{len(lacking)} of {peers} peers lack something, {since}; "
        f"{commits} commits wait, {size / 1024:.1f} KiB"
    )


def add_update(parser: argparse.ArgumentParser) -> None:
    """Which update."""
    parser.add_argument("update_id", metavar="ID", help="update_id of the answer to the change")


def run_update(arguments: argparse.Namespace) -> int:
    """Show who holds an update; 1 if a peer is known to lack it."""
    with session_of(arguments) as session:
        document = session.get(f"/v1/updates/{segment(arguments.update_id)}")
        holders, lacking = session.rows(document, "holders"), session.rows(document, "lacking")
        if session.json:
            show_json(document)
        else:
            _show_update(document, holders, lacking)
    return DEGRADED if lacking else GOOD


def _show_update(
    document: dict[str, Json], holders: list[dict[str, Json]], lacking: list[dict[str, Json]]
) -> None:
    name, id_ = text_of(document, "name"), text_of(document, "id")
    show_facts(
        [
            ("update", text_of(document, "update_id")),
            ("of", f"{name}/{id_}" if name else id_),
            ("version", text_of(document, "version")),
            ("committed", text_of(document, "committed_at")),
            ("held by", f"{len(holders)} of {len(holders) + len(lacking)} peers"),
        ]
    )
    rows = [_holder_row(one) for one in holders] + [_lacking_row(one) for one in lacking]
    if rows:
        print()
        show_table(UPDATE_HEADINGS, rows)
    if untracked := count_of(document, "untracked"):
        note(f"{untracked} more members: gossip brings it to them, and nobody asks whether")


def _holder_row(one: dict[str, Json]) -> tuple[str, ...]:
    state = "on disk" if one.get("stored") is True else "held"
    return (*_named(one), state, text_of(one, "since"), "", "", "", "")


def _lacking_row(one: dict[str, Json]) -> tuple[str, ...]:
    return (
        *_named(one),
        "lacks it",
        text_of(one, "since"),
        text_of(one, "attempts"),
        text_of(one, "next_try"),
        text_of(one, "breaker"),
        text_of(one, "status"),
    )


def _named(one: dict[str, Json]) -> tuple[str, str]:
    return text_of(one, "name"), shown_id(text_of(one, "id"))


def _age_s(document: dict[str, Json], one: dict[str, Json]) -> float | None:
    """For how long a peer has lacked something, by the node's clock; None: it does not."""
    since = _between_s(one.get("since"), document.get("at"))
    return None if since is None else max(0.0, since)


def _ago(age_s: float | None) -> str:
    return "" if age_s is None else f"{_span(age_s)} ago"


def _in(document: dict[str, Json], one: dict[str, Json]) -> str:
    left_s = _between_s(document.get("at"), one.get("next_try"))
    return "" if left_s is None else f"in {_span(max(0.0, left_s))}"


def _between_s(start: Json, end: Json) -> float | None:
    """Seconds between two times; None where one is none."""
    if not isinstance(start, str) or not isinstance(end, str):
        return None
    try:
        return (parse_us(end) - parse_us(start)) / 1_000_000
    except ValueError:
        return None


def _span(seconds: float) -> str:
    """A length of time in its two largest units: `3m12s`."""
    left = round(seconds)
    parts: list[str] = []
    for unit, scale in _UNITS:
        count, left = divmod(left, scale)
        if count or parts or unit == "s":
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


COMMANDS = {
    "queue": Command(
        add_queue,
        run_queue,
        "exit codes: 0 nothing waits, or not for long; 1 a peer has lacked something for over 10 s",
    ),
    "update": Command(
        add_update,
        run_update,
        "example: kith update 3f0c5f5e-6f0a-4b0e-9f43-0b8f6f3d1c11\n"
        "exit codes: 0 every peer that is asked holds it, 1 one lacks it, 2 no such update",
    ),
}
