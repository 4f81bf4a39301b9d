"""What each node applied, by its log: every commit once, and how it came.

A node logs `applied` with the owner, the version that it held before (`after`) and holds now
(`version`), and by how many commits it got there (`steps`; 0: it took a newer state instead). So a
commit was applied in the spans that have its version after the one end and up to the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import orjson

SHORT_ID = 8
"""Characters of an owner's id in a log."""
_MARK, _READY = b'"applied"', b'"node_ready"'

Owned: TypeAlias = tuple[str, int]
"""A commit: its owner as logs have it, and its version."""


@dataclass(frozen=True, slots=True)
class Span:
    """A node went on in an owner's commits."""

    owner: str
    after: int
    version: int
    steps: int
    at_ns: int
    """On the machine's monotonic clock."""


@dataclass(frozen=True, slots=True)
class Account:
    """How a node came by certain commits."""

    stepped: int
    """So many were applied one after the other."""
    jumped: int
    """So many lay in a newer state that took the place of an older one."""
    twice: int
    """So many were applied more than once."""
    lacking: int
    """So many were not applied."""
    whole_ns: int
    """When the last of them was; 0: some never were."""


def spans_of(log: Path) -> list[Span]:
    """All that a node's log tells of, in the order in which it happened."""
    with log.open("rb") as file:
        return [span for line in file if _MARK in line and (span := _parse(line)) is not None]


def ready_ns(log: Path) -> int:
    """When the node was last ready to take work; 0: never."""
    with log.open("rb") as file:
        lines = [line for line in file if _READY in line]
    return int(orjson.loads(lines[-1])["mono_ns"]) if lines else 0


def account(spans: Iterable[Span], commits: Iterable[Owned]) -> Account:
    """Look for each commit in what a node applied."""
    by_owner: dict[str, list[Span]] = {}
    for span in spans:
        by_owner.setdefault(span.owner, []).append(span)
    stepped = jumped = twice = lacking = whole_ns = 0
    for owner, version in dict.fromkeys(commits):
        found = [one for one in by_owner.get(owner, ()) if one.after < version <= one.version]
        if not found:
            lacking += 1
            continue
        twice += len(found) > 1
        stepped += found[0].steps > 0
        jumped += found[0].steps == 0
        whole_ns = max(whole_ns, found[0].at_ns)
    return Account(stepped, jumped, twice, lacking, 0 if lacking else whole_ns)


def arrival_ns(spans: Mapping[str, Iterable[Span]], commit: Owned) -> dict[str, int]:
    """When each node of which there are spans came to hold a commit; those that did."""
    owner, version = commit
    found = {}
    for node, its in spans.items():
        times = (one.at_ns for one in its if one.owner == owner and one.version >= version)
        if (first := next(times, None)) is not None:
            found[node] = first
    return found


def _parse(line: bytes) -> Span | None:
    try:
        match orjson.loads(line):
            case {
                "event": "applied",
                "owner": str(owner),
                "after": int(after),
                "version": int(version),
                "steps": int(steps),
                "mono_ns": int(at_ns),
            }:
                return Span(owner, after, version, steps, at_ns)
            case _:
                return None
    except orjson.JSONDecodeError:
        return None  # cut short by a kill
