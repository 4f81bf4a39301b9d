"""`kith sign`: words of a guest that has a key of its own, for `POST /registration`.

Nobody is asked: a key is made, or a body signed or checked, on this machine alone. What a node
would refuse for its fields, its signature or its time is refused here, by the same rules.
"""

import argparse
import sys
import time
from pathlib import Path

import orjson

from mesh import GuestKey, GuestKeyError
from node.api.registration import word_of
from node.guests import check_time
from node.http import ApiError, HttpLimits
from node.times import format_us
from protocol.records import GuestRecord

from .errors import DEGRADED, GOOD, UNKNOWN, CommandError, UsageError
from .options import Command
from .session import note, plain, show_json

BODY_BYTES_MAX = HttpLimits().body_bytes_max
"""What a node reads of a request."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Make a key, sign, or check."""
    deed = parser.add_mutually_exclusive_group(required=True)
    deed.add_argument("--new-key", type=Path, metavar="FILE", help="make a guest's key, mode 0600")
    deed.add_argument("--key", type=Path, metavar="FILE", help="sign the body with this key")
    deed.add_argument("--check", action="store_true", help="say whether a body is well signed")
    parser.add_argument("--cluster", metavar="NAME", help="where it is said (what the body names)")
    parser.add_argument(
        "--after", metavar="TIME", help="last_updated of the word before; this one is later"
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document"
    )
    parser.add_argument(
        "body", nargs="?", metavar="BODY", help="file with the JSON body (-, standard input)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make a key, print a signed body, or say whose a signed body is."""
    try:
        if arguments.new_key is not None:
            return _make(arguments)
        body = _read(arguments.body)
        cluster = arguments.cluster or body.get("cluster")
        if not isinstance(cluster, str):
            raise UsageError("the cluster is missing", hint="name it: --cluster NAME")
        if arguments.check:
            return _check(arguments, body, cluster)
        signed = GuestKey.load(arguments.key).sign(body, cluster=cluster, after=arguments.after)
        check_time(_judged(signed, cluster).last_updated, time.time_ns() // 1_000)
    except GuestKeyError as error:
        raise CommandError(plain(str(error)), DEGRADED, code="unusable") from None
    except ApiError as error:
        raise CommandError(
            plain(error.message), DEGRADED, hint="a node would refuse it", code=error.code,
            field=error.field or "",
        ) from None  # fmt: skip
    print(orjson.dumps(signed).decode())
    return GOOD


def _make(arguments: argparse.Namespace) -> int:
    if arguments.body is not None or arguments.cluster or arguments.after:
        raise UsageError("--new-key takes no body and no other option", hint="sign with --key FILE")
    key = GuestKey.create()
    key.save(arguments.new_key)
    if getattr(arguments, "json", False):
        show_json({"file": str(arguments.new_key), "public_key": key.public_key})
    else:
        print(key.public_key)
        note("keep the file: only this key can ever speak for what it registers")
    return GOOD


def _check(arguments: argparse.Namespace, body: dict[str, object], cluster: str) -> int:
    if arguments.after:
        raise UsageError("--after means nothing to --check", hint="leave it out")
    if body.get("public_key") is None:
        raise CommandError("nobody signed it: it has no public_key", DEGRADED, code="unsigned")
    record = _judged(body, cluster)
    said_at = format_us(record.last_updated)
    if getattr(arguments, "json", False):
        shown = {"id": record.id, "cluster": cluster, "signed_by": str(body["public_key"])}
        show_json({**shown, "last_updated": said_at})
    else:
        print(f"well signed: {record.id} in {plain(cluster)}, said {said_at}")
    return GOOD


def _judged(body: dict[str, object], cluster: str) -> GuestRecord:
    """What it says, if a node of that cluster would take it for well formed and signed."""
    return word_of(body, cluster).record


def _read(name: str | None) -> dict[str, object]:
    try:
        if name is None or name == "-":
            raw = sys.stdin.buffer.read(BODY_BYTES_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                raw = file.read(BODY_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(f"{plain(str(name))}: {error.strerror}", UNKNOWN) from None
    if len(raw) > BODY_BYTES_MAX:
        raise CommandError(f"the body is longer than {BODY_BYTES_MAX} bytes", DEGRADED)
    try:
        body: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CommandError(f"the body is not JSON: {error}", DEGRADED) from None
    if not isinstance(body, dict):
        raise CommandError("the body is no JSON object", DEGRADED, hint="see: kith sign --help")
    return body


COMMANDS = {
    "sign": Command(
        add_arguments,
        run,
        "example: kith sign --new-key guest.key\n"
        "         kith sign --key guest.key --cluster kith body.json | curl -s -H 'Content-Type: "
        "application/json'\n           -d @- http://127.0.0.1:8400/registration",
    )
}
