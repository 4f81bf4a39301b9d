"""What a node's log says, as facts with a time on the machine's one monotonic clock.

A node of Kith writes a JSON object a line, with `mono_ns`, the clock at the time of writing. An
agent of Serf writes text with whole seconds, so a line of it gets the time at which it was read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import orjson

READ_BYTES_MAX = 1024 * 1024
"""Of one log in one go."""
LINE_BYTES_MAX = 64 * 1024
"""A longer line is none of those that we look for."""
GONE = frozenset({"unreachable", "dead"})
PRESENT = frozenset({"alive", "suspect"})
"""A suspect is still in all lookups."""
SERF_MARK = b" serf: Event"
SERF_STARTED = b" agent: Serf agent starting"


@dataclass(frozen=True, slots=True)
class Named:
    """The writer of this log is called so by its peers."""

    name: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The writer's process has started: it may now hear and be heard."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Believed:
    """The writer came to believe that a member is there, or is not."""

    name: str
    alive: bool
    at_ns: int


@dataclass(frozen=True, slots=True)
class Applied:
    """The writer applied a commit of `owner`."""

    owner: str
    version: int
    at_ns: int


Fact: TypeAlias = Named | Ready | Believed | Applied
Parse: TypeAlias = Callable[[bytes, int], list[Fact]]
"""Takes a line and the time at which it was read, in ns; gives the facts in it."""


def parse_kith(line: bytes, _read_ns: int) -> list[Fact]:
    """Read one line of a node's log; lines that tell nothing of interest give no facts."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(record, dict):
        return []
    facts: list[Fact] = []
    own, at_ns = record.get("node_id"), record.get("mono_ns")
    if isinstance(own, str):
        facts.append(Named(own))
    if not isinstance(at_ns, int):
        return facts
    match record:
        case {"event": "node_ready"}:
            facts.append(Ready(at_ns))
        case {"event": "applied", "owner": str(owner), "version": int(version)}:
            facts.append(Applied(owner, version, at_ns))
        case {"event": "member_changed", "member": str(node), "new": str(new)}:
            if new in GONE | PRESENT:
                facts.append(Believed(node, new in PRESENT, at_ns))
        case _:
            pass
    return facts


def parse_serf(line: bytes, read_ns: int) -> list[Fact]:
    """Read one line of an agent's log, `… [INFO] serf: EventMemberFailed: n3 127.0.0.1`."""
    if SERF_STARTED in line:
        return [Ready(read_ns)]
    _, mark, rest = line.partition(SERF_MARK)
    kind, _, names = rest.partition(b":")
    words = names.split()
    if not mark or not words:
        return []
    name = words[0].decode("utf-8", "replace")
    match kind:
        case b"MemberJoin":
            return [Believed(name, alive=True, at_ns=read_ns)]
        case b"MemberFailed" | b"MemberLeave" | b"MemberReap":
            return [Believed(name, alive=False, at_ns=read_ns)]
        case _:
            return []


class Tail:
    """Follows a growing file, whole lines at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def lines(self) -> list[bytes]:
        """The lines completed since the last call; none while there is no file."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return []
        *whole, rest = (self._rest + self._file.read(READ_BYTES_MAX)).split(b"\n")
        self._rest = rest if len(rest) <= LINE_BYTES_MAX else b""
        return whole

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
