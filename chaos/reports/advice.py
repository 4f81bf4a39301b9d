"""What to look at next, by rule: each names what it saw, where, and the page of the runbook.

Rules this module keeps:

1. A rule looks at records alone; the same records give the same advice in the same order.
2. A bound that a rule goes by is named here, with its reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.running.record import RunRecord
from chaos.verdict import Verdict

from .words import noticed_s, value_of

RUNBOOK = "docs/CHAOS.md"
HEALED_MAX_S = 3.0
"""All roots are meant to be equal within 3 s of the link."""
NOTICED_MAX_S = 3.0
"""A crash is seen by all in 1 to 1.7 s, a split in 1.4 to 3 s."""
LOOKUP_P99_MAX_MS = 50.0
"""A lookup comes from memory; more than this is waiting for the processor."""
WRITE_P99_MAX_MS = 250.0
"""A write waits for one fsync; more than this is waiting for the disk or the processor."""
CASES_MAX = 8
"""Runs that an advice names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to look at."""

    what: str
    """What was seen, in one line."""
    look: str
    """What to look at, in one or two sentences."""
    runbook: str
    """The heading's anchor in the runbook."""
    cases: tuple[str, ...]
    """Runs that show it: scenario, seed and figure."""


@dataclass(frozen=True, slots=True)
class _Rule:
    what: str
    look: str
    runbook: str
    shows: Callable[[RunRecord], str]
    """The figure, or empty if the run does not show it."""


def advice_on(records: Sequence[RunRecord]) -> list[Advice]:
    """All that applies, the gravest first."""
    found = []
    for rule in _RULES:
        shown = [(record, rule.shows(record)) for record in records]
        cases = [f"{one.scenario} (seed {one.seed}): {text}" for one, text in shown if text]
        if len(cases) > CASES_MAX:
            cases = [*cases[:CASES_MAX], f"… and {len(cases) - CASES_MAX} more"]
        if cases:
            found.append(Advice(rule.what, rule.look, rule.runbook, tuple(cases)))
    return found + _changing(records)


def _changing(records: Sequence[RunRecord]) -> list[Advice]:
    verdicts: dict[str, dict[int, Verdict]] = {}
    for one in records:
        verdicts.setdefault(one.scenario, {})[one.seed] = one.verdict
    cases = []
    for scenario, by_seed in verdicts.items():
        failed = [str(seed) for seed, one in by_seed.items() if one is Verdict.INVALID]
        if failed and len(failed) < len(by_seed):
            cases.append(f"{scenario}: invalid with seed {', '.join(failed[:CASES_MAX])}")
    if not cases:
        return []
    return [
        Advice(
            "A scenario fails with some seeds only",
            "Replay it with the seed that fails, alone on an idle machine. If it passes then, it "
            "was short of processor time; if it fails again, it is a real one.",
            "it-fails-now-and-then", tuple(cases),
        )
    ]  # fmt: skip


def _above(name: str, most: float) -> Callable[[RunRecord], str]:
    def shows(record: RunRecord) -> str:
        value = record.figures.get(name, 0.0)
        return value_of(name, value) if value > most else ""

    return shows


def _broken(*invariants: str) -> Callable[[RunRecord], str]:
    def shows(record: RunRecord) -> str:
        for one in record.findings:
            if one.verdict is Verdict.INVALID and one.invariant in invariants:
                return f"{one.invariant} ({one.checker})"
        return ""

    return shows


def _late(record: RunRecord) -> str:
    value_s = noticed_s(record.figures)
    return value_of("_s", value_s) if value_s is not None and value_s > NOTICED_MAX_S else ""


def _unsteady(record: RunRecord) -> str:
    for one in record.expected:
        if one.verdict is Verdict.INVALID and one.text.startswith("steady"):
            return one.why
    return ""


def _proves_nothing(record: RunRecord) -> str:
    return (record.reason or "nothing was observed") if record.verdict is Verdict.UNKNOWN else ""


_RULES = (
    _Rule(
        "Acknowledged updates were lost",
        "The gravest of all: keep the run's directory, and replay the run. Look for the owner's "
        "restarts and disk errors before the loss, and for its commits in the logs of the others.",
        "updates-are-lost", _above("updates_lost_count", 0),
    ),
    _Rule(
        "P1 or P6 broke: what was acknowledged was not seen, or not kept",
        "The witness names the key and the node. Read that node's log around the write and at the "
        "end; kith doctor on its data says whether the disk holds it.",
        "updates-are-lost", _broken("P1", "P6"),
    ),
    _Rule(
        "P2 broke: something removed came back",
        "The witness names the key. Look for a node that returned with an old disk, and for the "
        "commit that removed it.",
        "something-removed-comes-back", _broken("P2"),
    ),
    _Rule(
        "P3 broke: nodes do not hold the same",
        "Compare GET /v1/clock of both nodes: it names the owner that differs. Look for syncs "
        "between the two in their logs.",
        "nodes-do-not-hold-the-same", _broken("P3"),
    ),
    _Rule(
        "P4 broke: a live node was taken for dead",
        "The membership picture shows by whom and when. Look at that node's processor time and at "
        "loss on its links at that moment.",
        "a-live-node-is-taken-for-gone", _broken("P4"),
    ),
    _Rule(
        "P5 broke: a node that was gone was not known to be gone in time",
        "The membership picture shows who knew last. Look at what that node could reach.",
        "gone-nodes-are-noticed-late", _broken("P5"),
    ),
    _Rule(
        "P7, P8, P9 or P10 broke",
        "The witness says who accepted what, or what grew. Treat it as a fault of security.",
        "something-unsigned-was-accepted-or-something-grew", _broken("P7", "P8", "P9", "P10"),
    ),
    _Rule(
        "The cluster was not steady again in time",
        "The notice names the node that was last and what it lacked: not ready, a member not "
        "alive, or another root.",
        "healing-takes-long", _unsteady,
    ),
    _Rule(
        f"Healing took more than {HEALED_MAX_S:g} s",
        "Look at who was last to hold the same root, at its syncs and its processor time, and at "
        "how many writes went on meanwhile.",
        "healing-takes-long", _above("healed_s", HEALED_MAX_S),
    ),
    _Rule(
        f"It took more than {NOTICED_MAX_S:g} s to notice",
        "Look at the processor time of the observers, and at loss: at high loss they try more "
        "often before they vote.",
        "gone-nodes-are-noticed-late", _late,
    ),
    _Rule(
        "Lookups failed on nodes that ran",
        "Read what the clients were told, in the worst moments. A client that asks a second node "
        "would have had its answer; a node that starves of memory or processor would not.",
        "lookups-fail", _above("lookups_failed_count", 0),
    ),
    _Rule(
        "A live node was taken for gone for a while",
        "Within what is allowed, but worth a look: what did that node lack at that moment?",
        "a-live-node-is-taken-for-gone", _above("wrongly_away_worst_s", 0),
    ),
    _Rule(
        f"Lookups were slow: p99 above {LOOKUP_P99_MAX_MS:g} ms",
        "Lookups come from memory, so they waited for the processor: how many nodes share it?",
        "requests-are-slow", _above("lookup_p99_ms", LOOKUP_P99_MAX_MS),
    ),
    _Rule(
        f"Writes were slow: p99 above {WRITE_P99_MAX_MS:g} ms",
        "A write waits for the disk once. Measure fsync on that disk, and the processor's load.",
        "requests-are-slow", _above("write_p99_ms", WRITE_P99_MAX_MS),
    ),
    _Rule(
        "A run proved nothing",
        "It could not be done as written: the reason says why. It is no pass; run it where it can "
        "be done.",
        "a-run-proves-nothing", _proves_nothing,
    ),
)  # fmt: skip
