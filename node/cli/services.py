"""What is registered, and where: `services` and `lookup`."""

import argparse

from node.client import Json, Reply

from .errors import DEGRADED, GOOD, UNKNOWN, CommandError
from .options import Command, whole
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

OUTPUT_SHOWN = 60
"""Characters of a check's output in a table; JSON has all of it."""
LIMIT_MAX = 10_000
WHY_HEADINGS = ("CODE", "EFFECT", "BECAUSE")
HEADINGS = ("ID", "ADDRESS", "HEALTH", "NODE", "ZONE", "VERSION", "TAGS", "CHECKS")


def add_services(parser: argparse.ArgumentParser) -> None:
    """Which services."""
    parser.add_argument("--own", action="store_true", help="only those registered with this node")


def run_services(arguments: argparse.Namespace) -> int:
    """List the services."""
    query = [("node", "self")] if arguments.own else []
    with session_of(arguments) as session:
        document = session.get("/v1/services", query=query)
        services = services_in(session, document)
        if session.json:
            show_json(document)
        elif services:
            rows = [
                (
                    name,
                    str(count_of(facts, "instances")),
                    str(count_of(facts, "passing")),
                    ",".join(texts_of(facts, "tags")),
                )
                for name, facts in sorted(services.items())
            ]
            show_table(("SERVICE", "INSTANCES", "PASSING", "TAGS"), rows)
        else:
            note("no service is registered; 'kith register NAME --port N' registers one")
    return GOOD


def services_in(session: Session, document: dict[str, Json]) -> dict[str, dict[str, Json]]:
    """What `GET /v1/services` lists, by name.

    Raises:
        CommandError: not in the documented shape.
    """
    services = document.get("services")
    if not isinstance(services, dict):
        raise session.strange("'services' is not an object")
    return {name: facts for name, facts in services.items() if isinstance(facts, dict)}


def add_lookup(parser: argparse.ArgumentParser) -> None:
    """What to look up, and which instances."""
    parser.add_argument("name", metavar="NAME", help="of the service")
    parser.add_argument("--passing", action="store_true", help="only instances that pass")
    parser.add_argument(
        "--tag", action="append", default=[], help="only with this tag (may be repeated)"
    )
    parser.add_argument("--zone", help="only in this zone")
    parser.add_argument("--limit", type=whole(1, LIMIT_MAX), metavar="N", help="at most so many")
    parser.add_argument("--why", action="store_true", help="explain why instances are in or out")


def run_lookup(arguments: argparse.Namespace) -> int:
    """Show a service's instances; 0 if one passes, 1 if none does, 2 if there is no service."""
    query = _query(arguments)
    path = f"/v1/services/{segment(arguments.name)}"
    with session_of(arguments) as session:
        reply = session.call("GET", path, query=query)
        document = session.document(reply)
        instances = session.rows(document, "instances")
        _warn_of_partition(reply)
        known = bool(instances) or (bool(query) and _has_instances(session, path))
        why = _explanation(session, arguments.name, query) if arguments.why else None
        if session.json:
            show_json(document if why is None else {**document, "why": why})
        else:
            if instances:
                show_table(HEADINGS, [row_of(instance) for instance in instances])
            if why is not None:
                _show_why(why)
                known = known or count_of(why, "total") > 0
        if not known:
            return _unknown(arguments.name, as_json=session.json)
        if not instances:
            note(f"no instance of {arguments.name!r} matches")
    passing = any(text_of(instance, "health") == "passing" for instance in instances)
    return GOOD if passing else DEGRADED


def _query(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    query = [("tag", tag) for tag in arguments.tag]
    if arguments.passing:
        query.append(("health", "passing"))
    if arguments.zone is not None:
        query.append(("zone", arguments.zone))
    if arguments.limit is not None:
        query.append(("limit", str(arguments.limit)))
    return query


def _has_instances(session: Session, path: str) -> bool:
    return bool(session.rows(session.get(path, query=[("limit", "1")]), "instances"))


def _unknown(name: str, *, as_json: bool) -> int:
    message = f"no service {name!r} is known"
    if as_json:  # the empty list has been printed, which is the document
        note(message)
        return UNKNOWN
    raise CommandError(message, UNKNOWN, hint="'kith services' lists them", code="not_found")


def _warn_of_partition(reply: Reply) -> None:
    side = reply.headers.get("x-kith-partition", "none")
    if side in {"minority", "even"}:
        reach = "fewer than half" if side == "minority" else "only half"
        note(f"this node reaches {reach} of the members; what it shows may be old")


def row_of(instance: dict[str, Json]) -> tuple[str, ...]:
    """An instance as a row below `HEADINGS`."""
    address, port = text_of(instance, "address"), text_of(instance, "port")
    health = text_of(instance, "health")
    if instance.get("disputed") is True:
        health += " (disputed)"
    owner = text_of(instance, "owner")
    node = text_of(instance, "node")
    return (
        text_of(instance, "id"),
        f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
        health,
        shown_id(owner) if not node or node == owner else node,
        text_of(instance, "zone"),
        text_of(instance, "version"),
        ",".join(texts_of(instance, "tags")),
        "; ".join([*_of_node(instance), *map(_check, objects_of(instance, "checks"))]),
    )


def _of_node(instance: dict[str, Json]) -> list[str]:
    """What the state of its node does to an instance, where it does."""
    status = text_of(instance, "node_status")
    return [f"its node is {status}"] if status not in ("", "alive") else []


def _check(check: dict[str, Json]) -> str:
    output = text_of(check, "output")
    if len(output) > OUTPUT_SHOWN:
        output = output[: OUTPUT_SHOWN - 1] + "…"
    said = f": {output}" if output else ""
    return f"{text_of(check, 'type')} {text_of(check, 'status')}{said}"


def _explanation(
    session: Session, name: str, query: list[tuple[str, str]]
) -> dict[str, Json] | None:
    path = f"/v1/explain/services/{segment(name)}"
    reply = session.call("GET", path, query=query, accept=(404, 405))
    if reply.status >= 400:
        note("this node cannot explain; it is of an older version")
        return None
    return session.document(reply)


def _show_why(why: dict[str, Json]) -> None:
    """For each instance, listed or not, all that speaks for and against it."""
    for instance in objects_of(why, "instances"):
        place = "in" if instance.get("in") is True else "out"
        ident, node = text_of(instance, "id"), text_of(instance, "node")
        print(f"\n{plain(ident)} on {plain(node)}: {place}, {text_of(instance, 'health')}")
        show_table(WHY_HEADINGS, [_reason(reason) for reason in objects_of(instance, "reasons")])
    for remark in objects_of(why, "notes"):
        note(text_of(remark, "because"))
    hidden = count_of(why, "total") - len(objects_of(why, "instances"))
    if hidden > 0:
        note(f"{hidden} more instances are not explained")


def _reason(reason: dict[str, Json]) -> tuple[str, ...]:
    effect = text_of(reason, "effect")
    because = text_of(reason, "because")
    voted = [text_of(voter, "node") for voter in objects_of(reason, "voted")]
    if voted:
        because += f" (voted: {', '.join(voted)})"
    return text_of(reason, "code"), "" if effect == "none" else effect, because


COMMANDS = {
    "services": Command(add_services, run_services, "example: kith services --json"),
    "lookup": Command(
        add_lookup,
        run_lookup,
        "example: kith lookup web --passing --tag v2\n"
        "exit codes: 0 an instance passes, 1 none does, 2 no such service",
    ),
}
