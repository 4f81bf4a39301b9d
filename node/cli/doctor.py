"""`kith doctor`: what the data directories of stopped nodes hold, and whether it is whole."""

import argparse
from pathlib import Path

from node.client import Json
from node.durability.examination import Examination, State, examine
from protocol.commits import NOTHING, Dot
from protocol.identity import id_text, short_id
from protocol.records import Kind, ServiceRecord
from storage import Result

from .errors import DEGRADED, GOOD, UNKNOWN, UsageError
from .options import Command
from .session import note, show_json
from .tables import show_table

HEADINGS = (
    "DIRECTORY", "STATE", "NODE", "KEYS", "LIFE", "OWN VERSION", "OWN RECORDS", "OWNERS", "RECORDS",
    "RESULTS", "QUEUE", "SIZE", "FREE",
)  # fmt: skip
RESULTS_SHOWN_MAX = 100_000
HEADS_SHOWN_MAX = 10_000
PASSPHRASE_BYTES_MAX = 4096
_MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which directories, and how carefully."""
    parser.add_argument(
        "directories", nargs="+", type=Path, metavar="DIR", help="a node's --data-dir"
    )
    parser.add_argument(
        "--read-only", action="store_true",
        help="leave the database as it is, byte for byte: look at a copy in memory",
    )  # fmt: skip
    parser.add_argument(
        "--key-passphrase-file",
        type=Path,
        metavar="FILE",
        help="opens key files that are encrypted",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Examine each directory; 1 if one is damaged, else 2 if one could not be judged."""
    passphrase = passphrase_in(arguments.key_passphrase_file)
    found = [
        examine(directory, passphrase=passphrase, read_only=arguments.read_only)
        for directory in arguments.directories
    ]
    if getattr(arguments, "json", False):
        show_json({"directories": [_shape(one) for one in found]})
    else:
        show_table(HEADINGS, [_row(one) for one in found])
        for one in found:
            for problem in one.problems:
                note(f"{one.directory}: {problem}")
    states = {one.state for one in found}
    if State.DAMAGED in states:
        return DEGRADED
    return UNKNOWN if states & {State.ABSENT, State.IN_USE} else GOOD


def passphrase_in(path: Path | None) -> bytes | None:
    """The passphrase of a key store, from a file.

    Raises:
        UsageError: it cannot be read.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            line = file.read(PASSPHRASE_BYTES_MAX)
    except OSError as error:
        raise UsageError(f"--key-passphrase-file {path}: {error.strerror}") from None
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _shape(one: Examination) -> dict[str, Json]:
    return {
        "directory": str(one.directory),
        "state": one.state.value,
        "node": id_text(one.node) if one.node is not None else None,
        "cluster": one.cluster.hex() if one.cluster is not None else None,
        "keys": one.keys,
        "incarnation": one.incarnation,
        "own": {**_dot(one.own), "hash": one.own_hash.hex()} if one.own_hash is not None else None,
        "last": _dot(one.last) if one.last > NOTHING else None,
        "owners": one.owners,
        "heads": {
            id_text(owner): _dot(dot) for owner, dot in sorted(one.heads.items())[:HEADS_SHOWN_MAX]
        },
        "records": one.records,
        "root": one.root.hex() if one.root is not None else None,
        "own_records": [
            _service(body) if isinstance(body, ServiceRecord)
            else {"kind": Kind(key.kind).name.lower(), "key": key.key}
            for key, body in one.own_records.items()
        ],
        "results_count": len(one.results),
        "results": [_result(result) for result in one.results[-RESULTS_SHOWN_MAX:]],
        "queue": _queue(one),
        "rows": dict(one.rows),
        "bytes": dict(one.sizes),
        "free_bytes": one.free_bytes,
        "problems": list(one.problems),
    }  # fmt: skip


def _service(service: ServiceRecord) -> dict[str, Json]:
    return {
        "kind": "service",
        "key": f"{service.name}/{service.id}",
        "name": service.name,
        "id": service.id,
        "update_id": service.update_id,
        "updated_at_us": service.updated_at,
    }


def _result(result: Result) -> dict[str, Json]:
    return {
        "update_id": result.update_id,
        "name": result.name,
        "id": result.id,
        "version": result.version,
        "created_at_us": result.created_at_us,
    }


def _queue(one: Examination) -> dict[str, Json]:
    commits, oldest, newest = one.outbox.waiting(NOTHING)
    return {
        "deliveries": [
            {
                "peer": id_text(delivery.peer),
                "held": _dot(delivery.held),
                "stored": _dot(delivery.stored),
                "waiting": one.outbox.waiting(delivery.held)[0],
            }
            for delivery in one.deliveries
        ],
        "outbox": {
            "commits": commits,
            "oldest": _dot(oldest) if commits else None,
            "newest": _dot(newest) if commits else None,
        },
    }


def _waiting(one: Examination) -> str:
    """How many commits wait for how many peers."""
    waiting = [one.outbox.waiting(delivery.held)[0] for delivery in one.deliveries]
    lacking = sum(map(bool, waiting))
    return f"{max(waiting)} for {lacking}" if lacking else "0"


def _dot(dot: Dot) -> dict[str, Json]:
    return {"epoch": dot.epoch, "version": dot.version}


def _row(one: Examination) -> tuple[str, ...]:
    where = (str(one.directory), one.state.value)
    if one.node is None:
        return (*where, *[""] * (len(HEADINGS) - 3), _size(one.free_bytes))
    own = str(one.own.version) if one.own_hash else ""
    counts = (len(one.own_records), one.owners, one.records, len(one.results), _waiting(one))
    sizes = (sum(one.sizes.values()), one.free_bytes)
    return (
        *where, short_id(one.node), one.keys, str(one.incarnation), own, *map(str, counts),
        *map(_size, sizes),
    )  # fmt: skip


def _size(count: int) -> str:
    return f"{count / _MIB:.1f} MiB"


COMMANDS = {
    "doctor": Command(
        add_arguments,
        run,
        "example: kith doctor ./a ./b --json\n"
        "exit codes: 0 all are good, 1 one is damaged, 2 one is absent or in use, 64 wrong usage",
    ),
}
