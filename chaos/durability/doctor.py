"""What data directories hold, as `kith doctor` tells it: a node's own start, without a node."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.cluster.client import Json, Shape
from chaos.cluster.processes import ProcessError, clean_environment

from .ledger import SERVICE

COMMAND = (sys.executable, "-m", "node.cli", "doctor")
TIMEOUT_S = 300.0


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
    problems, last = one.get("problems"), one.get("last")
    return Found(
        state=str(one.get("state")),
        problems=tuple(map(str, problems)) if isinstance(problems, list) else (),
        version=_whole(last, "version") if isinstance(last, dict) else 0,
        instances={
            str(record.get("id")): str(record.get("update_id"))
            for record in _rows(one, "own_records")
            if record.get("kind") == "service" and record.get("name") == SERVICE
        },
        results={
            str(result.get("update_id")): _whole(result, "version")
            for result in _rows(one, "results")
        },
    )


def _rows(shape: Shape, name: str) -> list[Shape]:
    value = shape.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _whole(shape: Shape, name: str) -> int:
    value = shape.get(name)
    return value if isinstance(value, int) else 0
