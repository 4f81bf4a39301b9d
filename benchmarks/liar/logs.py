"""What the logs of all processes say of the lie, where looks are too far apart to see it.

Rules this module keeps:

1. Only what is about the accused counts, and only in the logs of honest members and of the accused.
2. A node of Kith writes a time on the machine's monotonic clock with each line; an agent of Serf
   does not, so that of Serf there are only counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

NS_PER_S = 1_000_000_000
THERE = ("alive", "suspect")
"""Statuses of a member that counts as there, on both sides. Serf never shows the second one."""
_SERF_FAILED = b" serf: EventMemberFailed: "
_SERF_REFUTES = b" memberlist: Refuting a "


@dataclass(frozen=True, slots=True)
class Logged:
    """Sums over honest members."""

    gone: int = 0
    """How often one came to take the accused for gone."""
    doubted: int = 0
    """How often a word against it stood, and decided nothing."""
    doubted_s: float = 0.0
    """For how long that was, in all."""
    refuted: int | None = None
    """How many accusations the accused heard and refuted; None: its log does not say so."""


def kith_logged(honest: Sequence[Iterable[bytes]], accused: str) -> Logged:
    """Of lines of Kith's; `accused` as logs call it."""
    gone = doubted = 0
    doubted_ns = 0
    for lines in honest:
        since_ns: int | None = None
        for line in lines:
            match orjson.loads(line):
                case {
                    "event": "member_changed", "member": member, "old": str(old), "new": str(new),
                    "mono_ns": int(at_ns),
                } if member == accused:  # fmt: skip
                    gone += old in THERE and new not in THERE
                    doubted += new == "suspect"
                    if since_ns is not None:
                        doubted_ns += at_ns - since_ns
                    since_ns = at_ns if new == "suspect" else None
                case _:
                    pass
    return Logged(gone, doubted, doubted_ns / NS_PER_S)


def serf_logged(
    honest: Sequence[Iterable[bytes]], accused: str, accused_lines: Iterable[bytes]
) -> Logged:
    """Of lines of Serf's agents, and those of the accused's own."""
    mark = _SERF_FAILED + accused.encode() + b" "
    gone = sum(mark in line for lines in honest for line in lines)
    return Logged(gone, refuted=sum(_SERF_REFUTES in line for line in accused_lines))
