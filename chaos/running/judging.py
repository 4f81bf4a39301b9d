"""From what was done and seen to a history, and from that to findings and a verdict.

The simulator's checkers judge real clusters, too; `REAL` allows for what a real machine adds. Some
of them need what only the inside of a node could tell, and are not asked:

    authenticity, rotation   what a thief or a replay made a node take
    bounded                  the sizes of tables; memory is an expectation here
    evidence                 which commits a liar signed; that all hold proof is an expectation
    delivery                 what a receipt said when it came
    reports                  the names and hashes of the records behind every commit

Commits are told apart by owner and version. When one was signed is not seen from outside; it was
after the last of its writes was asked for and before the first was acknowledged, and the earlier
moment is taken: then a commit covers all that was acknowledged before it was signed.

Rules this module keeps:

1. Nothing observed is no pass: without operations, or where a fault was not done, the verdict is
   `unknown`.
2. What a node lost together with its identity, by a wiped disk, is nobody's any more: writes from
   before are not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaos.checkers import CHECKERS, Limits
from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import Cluster, Member
from chaos.history import (
    Accepted,
    DocumentState,
    DocumentWrite,
    History,
    Key,
    Life,
    Lived,
    Operation,
    Signed,
    View,
)
from chaos.verdict import Finding, Verdict

from . import editing
from .asking import shown
from .heads import Heads, heads_of
from .identities import Identities
from .journal import Journal
from .ledger import Ledger
from .watching import Sightings, beliefs_of, commit_of

REAL = Limits(
    # Beliefs are polled every 0.05 s, and nodes, clients and whatever else the machine does wait
    # for their turn on its processors: a second more than in the simulator, two where several
    # nodes are busy at once. A process needs a second or two until it can do anything.
    registration_visible_s=5.0,
    kept_after_s=2.0,
    healed_s=6.0,
    started_s=10.0,
    wrongly_unreachable_s=4.0,
    wrongly_unreachable_lossy_s=8.0,
    detection_base_s=6.0,
    detection_together_s=12.0,
    split_detection_s=10.0,
)
JUDGED = ("set_full", "resurrection", "roots", "false_death", "burial", "detection", "documents")
"""The checkers that a real history can feed."""
NEEDED = "set_full"
"""Without its word nothing was observed."""
STARTING_MAX_S = 15.0
"""So long a process may take to answer for the first time and is not taken for up; as many seconds
as it takes where two processors load a dozen programs at once."""
SHOWN_MAX = 10_000
TRIES = 20


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a run leaves behind."""

    cluster: Cluster
    journal: Journal
    ledger: Ledger
    sightings: Sightings
    identities: Identities
    views: Sequence[View]
    healed_at_s: float
    """When the last fault was over."""
    ended_at_s: float


def view_of(
    member: Member,
    services: Sequence[str],
    identities: Identities,
    writes: Mapping[int, DocumentWrite],
    suspects: Sequence[str] = (),
) -> View | None:
    """What a node shows at the end; None if it does not answer.

    `suspects`: nodes whose keys are misused in this run.
    """
    try:
        rows = member.call("GET", "/v1/peers").rows("peers")
        held = _heads_and_root(member, identities, suspects)
        found: list[tuple[Key, int]] = []
        for service in services:
            answer = member.call("GET", f"/v1/services/{service}?limit={SHOWN_MAX}")
            found += shown(answer, identities)
        documents: list[DocumentState] = []
        for key in editing.KEYS if writes else ():
            document = member.call("GET", f"/v1/documents/{key}")
            state = editing.state_of(key, document.value, writes)
            documents += [state] if state.entries else []
    except NoAnswerError:
        return None
    beliefs = beliefs_of(rows, identities)
    return View(
        node=member.name,
        heads=held.all,
        root=held.root,
        shown=tuple(sorted(found, key=lambda one: str(one[0]))),
        beliefs=tuple((name, belief) for name, belief in beliefs.items() if name != member.name),
        held=tuple(
            sorted((identities.name_of(owner), str(dot[1])) for owner, dot in held.dots.items())
        ),
        honest=held.honest,
        documents=tuple(documents),
    )


def _heads_and_root(member: Member, identities: Identities, suspects: Sequence[str]) -> Heads:
    """A root and the heads behind it: nothing was committed between the questions."""
    held = Heads({})
    for _ in range(TRIES):
        held = heads_of(member.call, identities, suspects) or held
        if held.root:
            break
    return held


def history_of(seen: Observed) -> History:
    """All of a run, as checkers read it."""
    names, journal, ledger = seen.cluster.plan.names, seen.journal, seen.ledger
    villains = tuple(journal.villains)
    lost = _lost_writes(seen)
    operations = [
        replace(one, seen=tuple(pair for pair in one.seen if pair[1] not in lost)) if lost else one
        for one in ledger.operations
        if one.number not in lost
    ]
    accepted = sorted(seen.sightings.accepted, key=lambda one: one.at_s)
    lives = up_from_first_answer(journal.lives, seen.sightings.answered)
    up_s = [one.at_s for one in lives if one.life is Life.STARTED]
    return History(
        nodes=names,
        villains=villains,
        heal_at_s=max([seen.healed_at_s, *up_s]),
        end_s=seen.ended_at_s,
        core=tuple(
            member.name
            for member in seen.cluster.members
            if member.pid and not member.is_paused and member.name not in villains
        ),
        operations=sorted(operations, key=lambda one: one.completed_s),
        document_writes=[one for one in ledger.document_writes if one.number not in lost],
        beliefs=sorted(seen.sightings.beliefs, key=lambda one: one.at_s),
        accepted=accepted,
        signed=signed_of(operations, ledger.versions, accepted, seen.identities),
        lives=[*_never_there(seen), *lives],
        links=list(journal.link_states),
        roots=sorted(seen.sightings.roots, key=lambda one: one.at_s),
        views=[
            replace(view, shown=tuple(pair for pair in view.shown if pair[1] not in lost))
            for view in seen.views
        ],
    )


def up_from_first_answer(
    lives: Sequence[Lived], answered: Mapping[str, Sequence[float]]
) -> list[Lived]:
    """The same in the order of time; who was started is up once it has answered.

    A process is there long before it can do anything. It is not judged by what it cannot do yet,
    for `STARTING_MAX_S` at most, and never beyond what became of it next.
    """
    found: list[Lived] = []
    for one in lives:
        at_s = one.at_s
        if one.life is Life.STARTED:
            later = [other.at_s for other in lives if other.node == one.node and other.at_s > at_s]
            latest_s = min([at_s + STARTING_MAX_S, *later])
            first_s = (moment for moment in answered.get(one.node, ()) if moment >= at_s)
            at_s = min(latest_s, next(first_s, latest_s))
        found.append(replace(one, at_s=at_s))
    return sorted(found, key=lambda one: one.at_s)


def _never_there(seen: Observed) -> list[Lived]:
    """Nodes that were left out at first, and that nobody started."""
    started = {lived.node for lived in seen.journal.lives}
    late = [name for name in seen.cluster.plan.late if name not in started]
    return [Lived(0.0, name, Life.STOPPED) for name in late]


def _lost_writes(seen: Observed) -> dict[int, None]:
    """Writes of nodes that came back as somebody else, from before they lost their keys."""
    lost: dict[int, None] = {}
    for name in seen.cluster.plan.names:
        damaged_s = [
            one.at_s
            for one in seen.journal.lives
            if one.node == name and one.life is Life.DAMAGED
        ]  # fmt: skip
        if len(seen.identities.ids_of(name)) > 1 and damaged_s:
            lost |= {
                one.number: None
                for one in seen.ledger.operations
                if one.key is not None and one.node == name and one.invoked_s <= damaged_s[-1]
            }
            lost |= {
                one.number: None
                for one in seen.ledger.document_writes
                if one.node == name and one.invoked_s <= damaged_s[-1]
            }
    return lost


def signed_of(
    operations: Sequence[Operation],
    versions: Mapping[int, int],
    accepted: Sequence[Accepted],
    identities: Identities,
) -> list[Signed]:
    """The commits that were seen from outside, each as early as it may have been signed.

    Args:
        operations: all that were asked for.
        versions: by number, of the commits that acknowledged writes came into.
        accepted: which heads nodes were seen to hold.
        identities: whose they are.
    """
    asked_s: dict[tuple[str, int], float] = {}
    for one in operations:
        version = versions.get(one.number)
        if version is not None and one.key is not None:
            place = one.key.owner, version
            asked_s[place] = max(one.invoked_s, asked_s.get(place, one.invoked_s))
    commits = {(one.owner, one.version[1]): one.commit for one in accepted}
    signed: list[Signed] = []
    for owner in dict.fromkeys(owner for owner, _ in (*asked_s, *commits)):
        ids = identities.ids_of(owner)
        at_s = 0.0
        both = {version for name, version in (*asked_s, *commits) if name == owner}
        for version in sorted(both):
            at_s = max(at_s, asked_s.get((owner, version), 0.0))
            name = commits.get((owner, version)) or commit_of(ids[-1] if ids else owner, version)
            signed.append(Signed(at_s, owner, (0, version), name, ""))
    return sorted(signed, key=lambda one: one.at_s)


def judge(history: History, limits: Limits = REAL) -> list[Finding]:
    """The findings of all checkers that a real history can feed."""
    return [check(history, limits) for name, check in CHECKERS if name in JUDGED]


def quiet_until_s(journal: Journal, healed_at_s: float, limits: Limits = REAL) -> float:
    """Until when nothing may be asked of a cluster after its faults, so that all can be judged."""
    begun_s = [
        one.at_s + limits.started_s
        for one in journal.lives
        if one.life in (Life.STARTED, Life.RESUMED)
    ]
    settled_s = healed_at_s + max(limits.registration_visible_s, limits.healed_s)
    return max([settled_s, *begun_s])


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
