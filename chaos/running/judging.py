"""From what was done and seen to a history, and from that to findings.

The simulator's checkers judge real clusters, too; `REAL` allows for what a real machine adds. What
a history of a real cluster lacks is what only the inside of a node could tell: who took which
commit when, proofs of forks with their commits, what a queue holds. Checkers that need these say
`unknown`, and count for nothing.

Rules this module keeps:

1. Nothing observed is no pass: without operations, or where a fault was not done, the verdict is
   `unknown`.
"""

from collections.abc import Sequence

from chaos.checkers import CHECKERS, Limits
from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import Cluster, Member
from chaos.history import Belief, History, Key, Operation, View
from chaos.verdict import Finding, Verdict

from .identities import Identities
from .journal import Journal
from .watching import Sightings, beliefs_of, heads_of
from .workload import NUMBER

REAL = Limits(
    # Beliefs are polled (0.1 s), processes share two processors with the clients, and a node that
    # waits for its turn notices later: half as long again as in the simulator.
    registration_visible_s=8.0,
    healed_s=8.0,
    started_s=12.0,
    wrongly_unreachable_s=4.5,
    wrongly_unreachable_lossy_s=9.0,
    detection_base_s=8.0,
    detection_together_s=15.0,
    split_detection_s=12.0,
)
JUDGED = ("set_full", "resurrection", "roots", "false_death", "burial", "detection")
"""The checkers that a real history can feed."""
NEEDED = "set_full"
"""Without its word nothing was observed."""


def view_of(member: Member, services: Sequence[str], identities: Identities) -> View | None:
    """What a node shows at the end; None if it does not answer."""
    try:
        rows = member.call("GET", "/v1/peers").rows("peers")
        clock = member.call("GET", "/v1/clock").value.get("clock")
        root = str(member.call("GET", "/v1/root").value.get("root"))
        found: list[tuple[Key, int]] = []
        for service in services:
            answer = member.call("GET", f"/v1/services/{service}?limit=10000")
            for row in answer.rows("instances"):
                metadata = row.get("metadata")
                number = metadata.get(NUMBER) if isinstance(metadata, dict) else None
                if isinstance(number, str) and number.isdigit():
                    owner = identities.name_of(str(row.get("owner")))
                    found.append((Key(owner, service, str(row.get("id"))), int(number)))
    except NoAnswerError:
        return None
    held = dict(clock) if isinstance(clock, dict) else {}
    beliefs = beliefs_of(rows, identities)
    return View(
        node=member.name,
        heads=heads_of(held),
        root=root,
        shown=tuple(sorted(found, key=lambda one: str(one[0]))),
        beliefs=tuple((name, belief) for name, belief in beliefs.items() if name != member.name),
        held=tuple(
            sorted((identities.name_of(owner), str(dot.get("version")))
            for owner, dot in held.items() if isinstance(dot, dict))
        ),
    )  # fmt: skip


def history_of(
    cluster: Cluster,
    journal: Journal,
    operations: Sequence[Operation],
    sightings: Sightings,
    views: Sequence[View],
    times_s: tuple[float, float],
) -> History:
    """All of a run, as checkers read it. `times_s`: when all was healed, when it ended."""
    villains = tuple(journal.villains)
    heal_at_s, end_s = times_s
    return History(
        nodes=tuple(
            name
            for name in cluster.plan.names
            if name not in cluster.plan.late or any(one.node == name for one in journal.lives)
        ),
        villains=villains,
        heal_at_s=heal_at_s,
        end_s=end_s,
        core=tuple(
            member.name
            for member in cluster.members
            if member.pid and not member.is_paused and member.name not in villains
        ),
        operations=sorted(operations, key=lambda one: one.completed_s),
        beliefs=sorted(sightings.beliefs, key=lambda one: one.at_s),
        lives=sorted(journal.lives, key=lambda one: one.at_s),
        links=list(journal.link_states),
        roots=sorted(sightings.roots, key=lambda one: one.at_s) if not villains else [],
        views=list(views),
    )


def judge(history: History, limits: Limits = REAL) -> list[Finding]:
    """The findings of all checkers that a real history can feed."""
    return [check(history, limits) for name, check in CHECKERS if name in JUDGED]


def verdict_of(
    findings: Sequence[Finding], others: Sequence[tuple[Verdict, str]], failed: str
) -> tuple[Verdict, str]:
    """One verdict, and why it is not valid.

    Args:
        findings: of the checkers.
        others: verdicts of the scenario's expectations, each with its reason.
        failed: why the run is no proof of anything, such as a fault that was not done; or nothing.
    """
    for finding in findings:
        if finding.verdict is Verdict.INVALID:
            return Verdict.INVALID, f"{finding.invariant} ({finding.checker}): {finding.witness}"
    for verdict, why in others:
        if verdict is Verdict.INVALID:
            return Verdict.INVALID, why
    if failed:
        return Verdict.UNKNOWN, failed
    if not any(one.checker == NEEDED and one.verdict is Verdict.VALID for one in findings):
        return Verdict.UNKNOWN, "no operation was observed on which to judge"
    for verdict, why in others:
        if verdict is Verdict.UNKNOWN:
            return Verdict.UNKNOWN, why
    return Verdict.VALID, ""


def is_alive(beliefs: Sequence[tuple[str, Belief]], node: str) -> bool:
    """Whether somebody who believes this takes a node for alive."""
    return dict(beliefs).get(node) is Belief.ALIVE
