"""Instances of services: `register` and `deregister`."""

import argparse
from collections.abc import Callable

from node.client import Json
from node.durations import DurationError, format_s, parse_ms

from .errors import DEGRADED, GOOD, UNKNOWN, CommandError, UsageError
from .options import TIMEOUT_DEFAULT_S, Command, duration_s
from .session import Session, note, plain, segment, session_of, show_json, text_of
from .tables import shown_id

PORT_MAX = 65_535
FAILURES_MAX = 1_000
WEIGHT_MAX = 65_535
DIGITS_MAX = 9
CONFIRM_MAX = 1_000
CONFIRM_S = 5.0
"""How long the node waits for receipts if nothing is said."""
UNCONFIRMED = 202
NAMED_MAX = 10
"""Instances that an error lists."""


def add_register(parser: argparse.ArgumentParser) -> None:
    """What to register, and how to check it."""
    parser.add_argument("name", metavar="NAME", help="of the service: a-z, 0-9, '.', '_', '-'")
    parser.add_argument("--port", required=True, type=_whole(1, PORT_MAX), metavar="N")
    parser.add_argument("--id", help="of the instance (NAME-PORT)")
    parser.add_argument("--address", metavar="HOST", help="(the one the node advertises)")
    parser.add_argument("--tag", action="append", default=[], help="may be repeated")
    parser.add_argument(
        "--meta", action="append", default=[], type=_pair, metavar="KEY=VALUE", help="repeatable"
    )
    parser.add_argument("--zone", help="(the node's)")
    parser.add_argument("--version", help="of the service")
    parser.add_argument(
        "--weight", type=_whole(0, WEIGHT_MAX), metavar="N", help="share of the load (100)"
    )
    checks = parser.add_argument_group("health checks")
    checks.add_argument(
        "--check",
        action="append",
        default=[],
        type=_check,
        metavar="WHAT",
        help="http://…, https://…, tcp:HOST:PORT or ttl:30s; repeatable, the worst counts",
    )
    checks.add_argument("--interval", type=_duration, metavar="TIME", help="between runs (5s)")
    checks.add_argument("--check-timeout", type=_duration, metavar="TIME", help="of a run (2s)")
    checks.add_argument(
        "--failures", type=_whole(1, FAILURES_MAX), metavar="N", help="until it is critical (3)"
    )
    checks.add_argument(
        "--deregister-after", type=_duration, metavar="TIME", help="critical so long: removed"
    )
    checks.add_argument(
        "--initial",
        choices=("passing", "warning", "critical"),
        help="health before the first result (critical)",
    )

    _add_confirm(parser)


def _add_confirm(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("receipts")
    group.add_argument(
        "--confirm",
        type=_whole(0, CONFIRM_MAX),
        metavar="N",
        help="wait until N peers have it on disk; exit code 1 if not in time",
    )
    group.add_argument(
        "--confirm-timeout", type=duration_s, metavar="TIME", help="how long (5s, at most 60s)"
    )


def _confirm_query(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """What the API is asked; the answer may take as much longer.

    Raises:
        UsageError: a time without a number.
    """
    if arguments.confirm is None:
        if arguments.confirm_timeout is not None:
            raise UsageError("--confirm-timeout goes with --confirm N")
        return []
    query = [("confirm", str(arguments.confirm))]
    timeout_s = CONFIRM_S
    if arguments.confirm_timeout is not None:
        timeout_s = arguments.confirm_timeout
        query.append(("confirm_timeout", format_s(timeout_s)))
    arguments.timeout = timeout_s + getattr(arguments, "timeout", TIMEOUT_DEFAULT_S)
    return query


def _say_confirmed(document: dict[str, Json], status: int) -> int:
    """How many peers have it on disk, if that was asked; the exit code."""
    if "confirmed" not in document:
        return GOOD
    so_far = f"{text_of(document, 'confirmed')} of {text_of(document, 'peers')} peers"
    note(f"{so_far} have it on disk" + (", not enough in time" if status == UNCONFIRMED else ""))
    return DEGRADED if status == UNCONFIRMED else GOOD


def run_register(arguments: argparse.Namespace) -> int:
    """Register one instance and print what was registered; 1 if too few peers confirmed."""
    query = _confirm_query(arguments)
    with session_of(arguments) as session:
        reply = session.call("POST", "/v1/services", query=query, body=_body(arguments))
        document = session.document(reply)
        if not text_of(document, "id"):
            raise session.strange("it does not say what it registered")
        if session.json:
            show_json(document)
            return DEGRADED if reply.status == UNCONFIRMED else GOOD
        said = {201: "registered", UNCONFIRMED: "registered, not confirmed in time:"}
        print(
            plain(
                f"{said.get(reply.status, 'registered already, up to date:')} "
                f"{text_of(document, 'name')}/{text_of(document, 'id')}, "
                f"port {arguments.port}, with node {shown_id(text_of(document, 'owner'))}, "
                f"version {text_of(document, 'version')}"
            )
        )
    return _say_confirmed(document, reply.status)


def _body(arguments: argparse.Namespace) -> dict[str, Json]:
    body: dict[str, Json] = {"name": arguments.name, "port": arguments.port}
    for field in ("id", "address", "zone", "version", "weight"):
        value = getattr(arguments, field)
        if value is not None:
            body[field] = value
    if arguments.tag:
        body["tags"] = arguments.tag
    if arguments.meta:
        body["metadata"] = dict(arguments.meta)
    if arguments.check:
        body["checks"] = [_with_rules(check, arguments) for check in arguments.check]
    return body


def _with_rules(check: dict[str, Json], arguments: argparse.Namespace) -> Json:
    rules: dict[str, Json] = {
        "deregister_after": arguments.deregister_after,
        "initial": arguments.initial,
    }
    if check["type"] != "ttl":
        rules |= {
            "interval": arguments.interval,
            "timeout": arguments.check_timeout,
            "failures_before_critical": arguments.failures,
        }
    return {**check, **{name: value for name, value in rules.items() if value is not None}}


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX
        if not digits or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return int(text)

    return read


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _duration(text: str) -> str:
    try:
        parse_ms(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return text


def _check(text: str) -> dict[str, Json]:
    if text.startswith(("http://", "https://")):
        return {"type": "http", "url": text}
    kind, _, target = text.partition(":")
    if kind == "tcp" and target.rpartition(":")[0]:
        return {"type": "tcp", "address": target}
    if kind == "ttl" and target:
        return {"type": "ttl", "ttl": _duration(target)}
    raise argparse.ArgumentTypeError(
        f"{text!r} is not http://…, https://…, tcp:HOST:PORT or ttl:30s"
    )


def add_deregister(parser: argparse.ArgumentParser) -> None:
    """Which instance."""
    parser.add_argument("name", metavar="NAME", help="of the service")
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="of the instance; may be left out if there is one only"
    )
    _add_confirm(parser)


def run_deregister(arguments: argparse.Namespace) -> int:
    """Remove one instance that is registered with the node; 1 if too few peers confirmed."""
    name: str = arguments.name
    query = _confirm_query(arguments)
    with session_of(arguments) as session:
        instance = arguments.id if arguments.id is not None else _the_only(session, name)
        path = f"/v1/services/{segment(name)}/{segment(instance)}"
        reply = session.call("DELETE", path, query=query)
        document = reply.value if isinstance(reply.value, dict) else {"name": name, "id": instance}
        if session.json:
            show_json(document)
            return DEGRADED if reply.status == UNCONFIRMED else GOOD
        print(f"deregistered {plain(name)}/{plain(instance)}")
    return _say_confirmed(document, reply.status)


def _the_only(session: Session, name: str) -> str:
    """The id of the one instance of `name` that is registered with this node."""
    own_id = text_of(session.get("/v1/node"), "id")
    document = session.get(f"/v1/services/{segment(name)}")
    instances = session.rows(document, "instances")
    own = [text_of(one, "id") for one in instances if text_of(one, "owner") == own_id]
    if len(own) == 1:
        return own[0]
    if own:
        listed = plain(", ".join(sorted(own)[:NAMED_MAX])) + " …" * (len(own) > NAMED_MAX)
        raise CommandError(
            f"{len(own)} instances of {name!r} are registered with this node: {listed}",
            DEGRADED,
            hint=f"say which: kith deregister {plain(name)} ID",
            code="ambiguous",
        )
    nodes = sorted({text_of(one, "node") or text_of(one, "owner") for one in instances})
    elsewhere = plain(", ".join(nodes[:NAMED_MAX]))
    raise CommandError(
        f"no instance of {name!r} is registered with this node",
        UNKNOWN,
        hint=f"it is registered with {elsewhere}: ask there (--api URL)" if instances else "",
        code="not_found",
    )


COMMANDS = {
    "register": Command(
        add_register,
        run_register,
        "example: kith register web --port 8000 --tag v2 --check http://127.0.0.1:8000/health",
    ),
    "deregister": Command(add_deregister, run_deregister, "example: kith deregister web web-8000"),
}
