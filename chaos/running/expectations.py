"""What a scenario expects besides the invariants, by name; and whether it came so.

    sides           what each node says of the partition at a moment
    noticed         nodes that are gone are known to be gone, soon enough
    healed          steady again soon enough
    lookups-failed  at most so many lookups were not answered
    updates-lost    what was acknowledged is there at the end
    writes-go-on    nodes acknowledge writes all the while
    nobody-away     at most so many live nodes were taken for gone, and not for long
    refused         critical changes are refused, with that code
    evidence        everybody holds evidence against a node

Rules this module keeps:

1. A table that no expectation can be is refused when the scenario is read.
2. What could not be looked at is `unknown`, never fine.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chaos.cluster.client import NoAnswerError, Shape
from chaos.cluster.cluster import Cluster, Member
from chaos.faults.fault import Table
from chaos.faults.fields import Fields
from chaos.history import AWAY, Action, History, Outcome
from chaos.scenarios.scenario import Expectation, Scenario
from chaos.verdict import Verdict

from .figures import lost_updates, unanswered
from .record import Expected, RunRecord
from .watching import Sightings

SIDES = ("none", "majority", "minority", "even")
TIMES_MAX_S = 86_400.0
COUNT_MAX = 1_000_000
AT_THE_END = math.inf
PROBE = "chaos-probe"


@dataclass(slots=True)
class Scene:
    """All that expectations are judged by."""

    history: History
    record: RunRecord
    sightings: Sightings
    scenario: Scenario
    looked: dict[int, list[str]] = field(default_factory=dict)
    """By the expectation's place: what was found at the moment that it names."""


Judged = tuple[Verdict, str]
_FINE: Judged = (Verdict.VALID, "")


class Expects(Protocol):
    """One expectation, as read."""

    text: str
    look_at_s: float | None
    """When it has to look for itself; `AT_THE_END` before the cluster ends; None: never."""

    def look(self, cluster: Cluster) -> list[str]:
        """What it finds amiss now, one line each; nothing if all is as it should be."""

    def judge(self, scene: Scene, looked: list[str] | None) -> Judged:
        """How it came; `looked` is what `look` found, None if it never did."""


@dataclass(frozen=True, slots=True)
class ExpectationKind:
    """An expectation that scenarios can name."""

    name: str
    summary: str
    fields: Mapping[str, str]
    read: Callable[[Table, tuple[str, ...]], Expects]

    def check(self, table: Table, names: tuple[str, ...]) -> None:
        """Refuse a table that it cannot be. Raises UnreadableFaultError."""
        self.read(table, names)


@dataclass(slots=True)
class _ByRecord:
    """One that looks at nothing but what was recorded."""

    text: str
    by: Callable[[Scene], Judged]
    look_at_s: float | None = None

    def look(self, _cluster: Cluster) -> list[str]:
        """Nothing has to be looked at."""
        return []

    def judge(self, scene: Scene, _looked: list[str] | None) -> Judged:
        """See `Expects`."""
        return self.by(scene)


@dataclass(slots=True)
class _ByLook:
    """One that asks nodes at a moment."""

    text: str
    look_at_s: float | None
    nodes: tuple[str, ...]
    ask: Callable[[Member], str]
    """What is amiss with a node, or nothing. May raise NoAnswerError."""

    def look(self, cluster: Cluster) -> list[str]:
        """See `Expects`."""
        found = []
        for member in cluster.members:
            if member.name in self.nodes:
                try:
                    amiss = self.ask(member)
                except NoAnswerError as error:
                    amiss = f"it does not answer ({error})"
                if amiss:
                    found.append(f"{member.name}: {amiss}")
        return found

    def judge(self, _scene: Scene, looked: list[str] | None) -> Judged:
        """See `Expects`."""
        if looked is None:
            return Verdict.UNKNOWN, "nobody looked"
        return (Verdict.INVALID, "; ".join(looked)) if looked else _FINE


def read(expectation: Expectation, names: tuple[str, ...]) -> Expects:
    """An expectation that was checked before."""
    return EXPECTATIONS[expectation.kind].read(expectation.table, names)


def judge(scene: Scene, expects: Expects, place: int) -> Expected:
    """How an expectation came out."""
    verdict, why = expects.judge(scene, scene.looked.get(place))
    return Expected(expects.text, verdict, why)


def _sides(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    at_s = fields.seconds("at", None, TIMES_MAX_S)
    sides = Fields(fields.table("sides"), "sides")
    wanted = {name: sides.text(name) for name in names if sides.has(name)}
    sides.end()
    fields.end()
    for name, side in wanted.items():
        if side not in SIDES:
            raise fields.wrong(f"sides: {name}", f"{side!r} is none of {', '.join(SIDES)}")
    if not wanted:
        raise fields.wrong("sides", 'say what which node is to say: { a = "majority" }')

    def ask(member: Member) -> str:
        said = member.call("GET", "/v1/node").value.get("partition")
        return "" if said == wanted[member.name] else f"says {said}, not {wanted[member.name]}"

    text = ", ".join(f"{name} says {side}" for name, side in wanted.items())
    return _ByLook(f"{text} at {at_s:g} s", at_s, tuple(wanted), ask)


def _noticed(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    subjects = fields.nodes("nodes", names)
    at_s = fields.seconds("at", None, TIMES_MAX_S)
    within_s = fields.seconds("within", None, TIMES_MAX_S)
    fields.end()

    def by(scene: Scene) -> Judged:
        late = []
        for viewer in scene.history.nodes:
            if viewer in subjects or viewer in scene.scenario.plan.late:
                continue
            for subject in subjects:
                seen_s = _away_at(scene.history, viewer, subject, at_s)
                if seen_s is None or seen_s > at_s + within_s:
                    when = "never" if seen_s is None else f"after {seen_s - at_s:.2f} s"
                    late.append(f"{viewer} noticed {subject} {when}")
        return (Verdict.INVALID, "; ".join(late)) if late else _FINE

    return _ByRecord(f"{' '.join(subjects)} known to be gone within {within_s:g} s", by)


def _away_at(history: History, viewer: str, subject: str, from_s: float) -> float | None:
    for one in history.beliefs:
        pair = one.node, one.subject
        if pair == (viewer, subject) and one.at_s >= from_s and one.belief in AWAY:
            return one.at_s
    return None


def _healed(table: Table, _names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    within_s = fields.seconds("within", None, TIMES_MAX_S)
    fields.end()

    def by(scene: Scene) -> Judged:
        took_s = scene.record.figures.get("healed_s")
        if took_s is None:
            return Verdict.INVALID, "it never was"
        return _FINE if took_s <= within_s else (Verdict.INVALID, f"it took {took_s:.2f} s")

    return _ByRecord(f"steady within {within_s:g} s of healing", by)


def _lookups_failed(table: Table, _names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    most = fields.whole("most", 0, 0, COUNT_MAX)
    fields.end()

    def by(scene: Scene) -> Judged:
        pairs = scene.scenario.workload.pairs
        failed = (
            [o for o in scene.history.operations if _is_failed_lookup(o.action, o.outcome)]
            if pairs
            else unanswered(scene.history)
        )
        if not scene.record.figures.get("lookups_count"):
            return Verdict.UNKNOWN, "nobody looked anything up"
        if len(failed) <= most:
            return _FINE
        first = failed[0]
        return Verdict.INVALID, (
            f"{len(failed)} were not answered, the first at {first.invoked_s:.2f} s by {first.node}"
        )

    return _ByRecord(f"at most {most} lookups without an answer", by)


def _is_failed_lookup(action: Action, outcome: Outcome) -> bool:
    return action is Action.LOOKUP and outcome is not Outcome.OK


def _updates_lost(table: Table, _names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    most = fields.whole("most", 0, 0, COUNT_MAX)
    fields.end()

    def by(scene: Scene) -> Judged:
        if not scene.record.figures.get("writes_acknowledged_count") or not scene.history.views:
            return Verdict.UNKNOWN, "nothing was written, or nobody shows anything"
        lost = lost_updates(scene.history)
        return _FINE if len(lost) <= most else (Verdict.INVALID, f"{len(lost)}: {lost[0]}")

    return _ByRecord(f"at most {most} acknowledged updates lost", by)


def _writes_go_on(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names, names)
    share = fields.number("share", 0.9, 0.0, 1.0)
    fields.end()

    def by(scene: Scene) -> Judged:
        few = []
        for node in nodes:
            writes = [
                one
                for one in scene.history.operations
                if one.node == node and one.action is not Action.LOOKUP
            ]
            done = sum(one.outcome is Outcome.OK for one in writes)
            if not writes:
                return Verdict.UNKNOWN, f"nothing was written with {node}"
            if done < share * len(writes):
                few.append(f"{node} acknowledged {done} of {len(writes)}")
        return (Verdict.INVALID, "; ".join(few)) if few else _FINE

    return _ByRecord(f"{' '.join(nodes)} acknowledge {share:.0%} of all writes", by)


def _nobody_away(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    most = fields.whole("most", 0, 0, COUNT_MAX)
    longest_s = fields.seconds("longest", 0.0, TIMES_MAX_S)
    fields.end()

    def by(scene: Scene) -> Judged:
        villains = scene.history.villains
        honest = [name for name in names if name not in villains]
        flags: list[tuple[float, str]] = []
        for viewer in honest:
            for subject in honest:
                since_s: float | None = None
                for one in scene.history.beliefs:
                    if (one.node, one.subject) != (viewer, subject):
                        continue
                    if one.belief in AWAY:
                        since_s = one.at_s if since_s is None else since_s
                    elif since_s is not None:
                        text = f"{viewer} took {subject} for gone at {since_s:.2f} s"
                        flags.append((one.at_s - since_s, text))
                        since_s = None
                if since_s is not None:
                    text = f"{viewer} took {subject} for gone from {since_s:.2f} s to the end"
                    flags.append((scene.history.end_s - since_s, text))
        worst_s, text = max(flags, default=(0.0, ""))
        if len(flags) > most or (flags and longest_s and worst_s > longest_s):
            return Verdict.INVALID, f"{len(flags)} times, {worst_s:.2f} s at worst: {text}"
        return _FINE

    return _ByRecord(f"live nodes taken for gone at most {most} times", by)


def _refused(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names)
    at_s, code = fields.seconds("at", None, TIMES_MAX_S), fields.text("code", "minority")
    fields.end()

    def ask(member: Member) -> str:
        # A document that names its owners is a critical one: it needs the majority.
        body: Shape = {"value": {}, "owners": ["self"]}
        answer = member.call("PUT", f"/v1/documents/{PROBE}", body)
        error = answer.value.get("error")
        said = error.get("code") if isinstance(error, dict) else f"status {answer.status}"
        return "" if said == code else f"says {said}, not {code}"

    return _ByLook(f"{' '.join(nodes)} refuse critical changes at {at_s:g} s", at_s, nodes, ask)


def _evidence(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    about = fields.nodes("about", names)
    fields.end()

    def ask(member: Member) -> str:
        rows = member.call("GET", "/v1/evidence").rows("evidence")
        named = {str(row.get("name") or row.get("node")) for row in rows}
        missing = [node for node in about if node not in named]
        return f"holds none about {' '.join(missing)}" if missing else ""

    others = tuple(name for name in names if name not in about)
    return _ByLook(f"evidence about {' '.join(about)} with everybody", AT_THE_END, others, ask)


_KINDS = (
    ExpectationKind(
        "sides", "what nodes say of the partition at a moment",
        {"at": 'when, "15s"', "sides": "a table: node = none, majority, minority or even"}, _sides,
    ),
    ExpectationKind(
        "noticed", "nodes are known to be gone soon enough",
        {"nodes": "who is gone", "at": "since when", "within": "how soon, by everybody else"},
        _noticed,
    ),
    ExpectationKind("healed", "steady again soon enough", {"within": 'such as "5s"'}, _healed),
    ExpectationKind(
        "lookups-failed", "lookups without an answer from a node that runs",
        {"most": "how many may be; 0"}, _lookups_failed,
    ),
    ExpectationKind(
        "updates-lost", "acknowledged writes that are not there at the end",
        {"most": "how many may be; 0"}, _updates_lost,
    ),
    ExpectationKind(
        "writes-go-on", "nodes acknowledge writes all the while",
        {"nodes": "names; all", "share": "of their writes, 0 to 1; 0.9"}, _writes_go_on,
    ),
    ExpectationKind(
        "nobody-away", "live nodes that are taken for gone",
        {"most": "how many times; 0", "longest": "and for how long; without it, any time"},
        _nobody_away,
    ),
    ExpectationKind(
        "refused", "critical changes are refused",
        {"nodes": "by whom", "at": "when", "code": "with which code; minority"}, _refused,
    ),
    ExpectationKind(
        "evidence", "everybody holds evidence about a node", {"about": "names"}, _evidence,
    ),
)  # fmt: skip
EXPECTATIONS: Mapping[str, ExpectationKind] = {kind.name: kind for kind in _KINDS}
"""By the name that scenarios use."""
