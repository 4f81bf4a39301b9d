"""What data directories hold, as `kith doctor` tells it: a node's own start, without a node."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.cluster.client import Json, Shape
from chaos.cluster.processes import ProcessError, clean_environment
from protocol.commits import NOTHING, Dot

from .ledger import SERVICE
from .shapes import dot, dots, rows, shape, whole

COMMAND = (sys.executable, "-m", "node.cli", "doctor")
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """One peer in the retry queue, as it is on disk."""

    held: Dot = NOTHING
    """The newest own commit that it is down as holding."""
    stored: Dot = NOTHING
    """… as having on its disk."""
    waiting: int = 0
    """Own commits after `held`."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in one directory."""

    state: str
    """`good`, `recovered`, `damaged`, `absent` or `in_use`."""
    problems: tuple[str, ...] = ()
    version: int = 0
    """The highest own version that it knows of: the next one is above it."""
    instances: Mapping[str, str] = field(default_factory=dict)
    """Own instances of the service of the load: id to the update id that wrote it last."""
    results: Mapping[str, int] = field(default_factory=dict)
    """Update id to the version that it was answered with."""
    node: str = ""
    """Whose directory it is."""
    own: Dot = NOTHING
    """Of its newest own commit."""
    heads: Mapping[str, Dot] = field(default_factory=dict)
    """How far it holds every owner."""
    outbox: int = 0
    """Own commits that some peer may lack."""
    queue: Mapping[str, Waiting] = field(default_factory=dict)
    """By peer."""

    @property
    def opens(self) -> bool:
        """Whether a node starts on it as it is; also where there was nothing yet."""
        return self.state in ("good", "recovered", "absent")


def examine(directories: Sequence[Path]) -> list[Found]:
    """Let the doctor look at all of them, in one process.

    Raises:
        ProcessError: it did not say.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            [*COMMAND, *map(str, directories), "--json"],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            env=clean_environment(),
        )  # fmt: skip
        document: Json = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise ProcessError(f"kith doctor: {error}") from None
    found = document.get("directories") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) != len(directories):
        raise ProcessError(f"kith doctor: {done.stderr or done.stdout}")
    return [_read(one) for one in found if isinstance(one, dict)]


def _read(one: Shape) -> Found:
    problems, queue = one.get("problems"), shape(one, "queue")
    return Found(
        state=str(one.get("state")),
        problems=tuple(map(str, problems)) if isinstance(problems, list) else (),
        version=whole(shape(one, "last"), "version"),
        instances={
            str(record.get("id")): str(record.get("update_id"))
            for record in rows(one, "own_records")
            if record.get("kind") == "service" and record.get("name") == SERVICE
        },
        results={
            str(result.get("update_id")): whole(result, "version")
            for result in rows(one, "results")
        },
        node=str(one.get("node")),
        own=dot(one.get("own")),
        heads=dots(one, "heads"),
        outbox=whole(shape(queue, "outbox"), "commits"),
        queue={
            str(row.get("peer")): Waiting(
                dot(row.get("held")), dot(row.get("stored")), whole(row, "waiting")
            )
            for row in rows(queue, "deliveries")
        },
    )
