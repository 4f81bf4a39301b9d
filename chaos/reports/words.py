"""Figures, invariants and verdicts in words that need no knowledge of Kith's insides.

Rules this module keeps:

1. A figure that is not known here is shown under its own name: nothing is hidden.
2. A value is shown with its unit, and with no more digits than anybody reads.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from chaos.verdict import Finding, Verdict

INVARIANTS: Mapping[str, str] = {
    "P1": "What was acknowledged is seen by every node, and is never lost",
    "P2": "What was removed never comes back",
    "P3": "Nodes that heard the same hold the same, byte for byte",
    "P4": "A node that lives is not taken for dead",
    "P5": "A node that is gone is known to be gone everywhere, in time",
    "P6": "What was acknowledged survives kill -9 and power loss",
    "P7": "Nothing is accepted that its owner did not sign",
    "P8": "Memory, files and sockets stay bounded",
    "P9": "The same request is judged the same on every node",
    "P10": "The same seed gives the same run",
}
"""One line each; the design's section 11 has them in full."""
VERDICTS: Mapping[Verdict, str] = {
    Verdict.VALID: "All that was promised held.",
    Verdict.INVALID: "Something that was promised did not hold.",
    Verdict.UNKNOWN: "This run proves nothing either way.",
}
NOTHING_TO_JUDGE: Mapping[str, str] = {
    "set_full": "no acknowledged write was there to be looked for",
    "resurrection": "nothing was removed that could have come back",
    "roots": "no root was seen together with what it stands for",
    "false_death": "all the while some node did not run, or links were so bad that no time is "
    "promised",
    "burial": "nobody was held for unreachable, so nobody could be declared dead",
    "detection": "no node crashed and no link was cut, so there was nothing to notice",
    "documents": "no client edited a document",
}
"""By checker: why it had nothing to judge, where it does not say so itself."""
MEANS: Mapping[tuple[str, str], str] = {
    ("delay", "netem"): "netem, a queue of the kernel for each link",
    (
        "delay",
        "tun",
    ): "tun, a delay line of Kith's in each node's network: this kernel has no netem",
}
"""By kind of fault and means: what that is."""
_NOTICED = (
    "noticed_max_s", "detection_together_max_s", "split_max_s", "noticed_s", "detection_max_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is called, and what it means."""

    label: str
    about: str


FIGURES: Mapping[str, Figure] = {
    "noticed_s": Figure("time to notice", "until every other node knew that a node was gone"),
    "noticed_p50_s": Figure("time to notice, median", "half of the nodes knew by then"),
    "noticed_max_s": Figure("time to notice, longest", "the last node knew by then"),
    "detection_together_max_s": Figure(
        "time to notice a group, longest", "several nodes went at once; the last to know it"
    ),
    "split_p50_s": Figure("time to notice a partition, median", "half of the nodes knew by then"),
    "split_max_s": Figure("time to notice a partition, longest", "the last node knew by then"),
    "healed_s": Figure(
        "time to heal",
        "from the end of the last fault until all nodes were ready and held the same",
    ),
    "converged_after_heal_s": Figure(
        "time to the same root", "from the end of the last fault until all nodes held the same"
    ),
    "visible_p99_s": Figure(
        "an update is seen everywhere, p99", "also by nodes that were cut off when it was made"
    ),
    "wrongly_away_worst_s": Figure(
        "a live node taken for gone, longest", "for how long at worst, though it could be reached"
    ),
    "lookups_count": Figure("lookups", "asked by the clients"),
    "lookups_failed_count": Figure(
        "lookups that failed", "no answer, though the node that was asked had been up for a second"
    ),
    "writes_count": Figure("writes", "registrations, updates and removals that clients tried"),
    "writes_acknowledged_count": Figure("writes acknowledged", "the node said that it is done"),
    "updates_lost_count": Figure(
        "updates lost", "acknowledged, and at the end not there on some node"
    ),
    "operations_count": Figure("operations", "lookups and writes together"),
    "lookup_p50_ms": Figure("a lookup, median", "half were faster"),
    "lookup_p99_ms": Figure("a lookup, p99", "99 of 100 were faster"),
    "lookup_max_ms": Figure("a lookup, slowest", "of those that were answered"),
    "write_p50_ms": Figure("a write, median", "half were faster"),
    "write_p99_ms": Figure("a write, p99", "99 of 100 were faster"),
    "write_max_ms": Figure("a write, slowest", "of those that were acknowledged"),
    "broken_count": Figure("cases that broke it", "the witness is the smallest of them"),
    "lost_count": Figure("lost", "acknowledged, and gone at the end"),
    "acknowledged_count": Figure("acknowledged", "writes that were judged"),
    "pairs_count": Figure("pairs of nodes", "one looking at the other"),
    "pairs_flagged_count": Figure("pairs that took a live node for gone", "at least once"),
}
"""By name. What is not here is shown by its name."""
_UNITS = (
    ("_count", ""), ("_bytes", "bytes"), ("_share", "share"), ("_ms", "ms"), ("_s", "s"),
)  # fmt: skip


def label_of(name: str) -> str:
    """What a figure is called."""
    known = FIGURES.get(name)
    if known is not None:
        return known.label
    for ending, _ in _UNITS:
        name = name.removesuffix(ending)
    return name.replace("_", " ")


def about(name: str) -> str:
    """What a figure means, where that is known."""
    known = FIGURES.get(name)
    return "" if known is None else known.about


def value_of(name: str, value: float) -> str:
    """A figure's value with its unit: `1.47 s`, `12 ms`, `1,566`."""
    for ending, unit in _UNITS:
        if name.endswith(ending):
            return _with(value, unit)
    return amount(value)


def amount(value: float) -> str:
    """A number with three digits that count; whole ones whole, with commas."""
    if not math.isfinite(value):
        return "without end" if value > 0 else "not a number" if math.isnan(value) else "-∞"
    if value == int(value):
        return f"{int(value):,}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, min(digits, 6))}f}"


def _with(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.1%}" if math.isfinite(value) else amount(value)
    if unit == "bytes":
        return _bytes(value)
    if unit == "s" and 0 < value < 0.1:
        return f"{amount(round(value * 1000, 3))} ms"
    if unit == "ms" and 1000 <= value < math.inf:
        return f"{amount(value / 1000)} s"
    return f"{amount(value)} {unit}".strip()


def _bytes(value: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if not value >= 1024:
            return f"{amount(value)} {unit}"
        value /= 1024
    return f"{amount(value)} GiB"


def unjudged(finding: Finding) -> str:
    """What a checker did not judge, and why; empty if there was nothing of the kind."""
    if finding.unjudged or finding.verdict is not Verdict.UNKNOWN:
        return "; ".join(finding.unjudged)
    return NOTHING_TO_JUDGE.get(finding.checker, "there was nothing in this run to judge it by")


def means_of(kind: str, means: str) -> str:
    """By what a fault was made, in words; a means that is not known here under its own name."""
    return MEANS.get((kind, means), means)


def noticed_s(figures: Mapping[str, float]) -> float | None:
    """The longest time until something was noticed; None if that was not measured."""
    return max((figures[name] for name in _NOTICED if name in figures), default=None)


def invariant_place(name: str) -> int:
    """Where an invariant stands in the list; those that are not in it stand last."""
    return list(INVARIANTS).index(name) if name in INVARIANTS else len(INVARIANTS)
