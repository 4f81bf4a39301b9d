"""What a checker says of a history, and how verdicts add up.

`unknown` means that nothing was observed on which to judge; it is not a pass. One invalid finding
makes a run invalid, whatever the others say.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field


class Verdict(enum.Enum):
    """How an invariant fared."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One checker's word on one history."""

    invariant: str
    """Which of the design's invariants: `P1` … `P10`."""
    checker: str
    """The checker's name, as its module's."""
    verdict: Verdict
    looked_at: int
    """How many cases were judged; 0 makes the verdict unknown."""
    witness: str = ""
    """Where invalid: the smallest case that shows it, in one line: who, what, when."""
    figures: dict[str, float] = field(default_factory=dict)
    """What was measured on the way; the unit is the last part of each name (`_s`, `_count`)."""
    unjudged: tuple[str, ...] = ()
    """What happened and was not judged, with how often and why: a line each, for people."""


def overall(findings: Iterable[Finding]) -> Verdict:
    """One verdict for all: invalid if any is, else unknown if none is valid, else valid."""
    verdicts = [finding.verdict for finding in findings]
    if Verdict.INVALID in verdicts:
        return Verdict.INVALID
    return Verdict.VALID if Verdict.VALID in verdicts else Verdict.UNKNOWN
