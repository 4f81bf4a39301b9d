"""What nodes are expected to say, at a moment or all the while."""

from chaos.checkers.believed import Beliefs
from chaos.checkers.lives import Process, processes
from chaos.cluster.client import Answer, Shape
from chaos.cluster.cluster import Member
from chaos.faults.fault import Table
from chaos.faults.fields import Fields
from chaos.history import AWAY, History
from chaos.running.judging import REAL
from chaos.verdict import Verdict

from .kind import (
    AT_THE_END,
    COUNT_MAX,
    FINE,
    TIMES_MAX_S,
    ByLook,
    ByRecord,
    ExpectationKind,
    Expects,
    Judged,
    Scene,
)

SIDES = ("none", "majority", "minority", "even")
READY = (200, 503)
PROBE = "chaos-probe"
MIB = 1024 * 1024
MIB_MAX = 1024 * 1024
BRIEF_S = 0.1
"""Shorter than two polls: no flag of its own, the rest of one that was excused."""
_Spans = list[tuple[float, float]]


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
    return ByLook(f"{text} at {at_s:g} s", at_s, tuple(wanted), ask)


def _noticed(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    subjects = fields.nodes("nodes", names)
    at_s = fields.seconds("at", None, TIMES_MAX_S)
    within_s = fields.seconds("within", None, TIMES_MAX_S)
    fields.end()

    def by(scene: Scene) -> Judged:
        late = []
        lives = processes(scene.history)
        for viewer in scene.history.nodes:
            if viewer in subjects or not lives[viewer].ran(at_s, at_s + within_s):
                continue
            for subject in subjects:
                seen_s = _away_at(scene.history, viewer, subject, at_s)
                if seen_s is None or seen_s > at_s + within_s:
                    when = "never" if seen_s is None else f"after {seen_s - at_s:.2f} s"
                    late.append(f"{viewer} noticed {subject} {when}")
        return (Verdict.INVALID, "; ".join(late)) if late else FINE

    return ByRecord(f"{' '.join(subjects)} known to be gone within {within_s:g} s", by)


def _away_at(history: History, viewer: str, subject: str, from_s: float) -> float | None:
    for one in history.beliefs:
        pair = one.node, one.subject
        if pair == (viewer, subject) and one.at_s >= from_s and one.belief in AWAY:
            return one.at_s
    return None


def _nobody_away(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    most = fields.whole("most", 0, 0, COUNT_MAX)
    longest_s = fields.seconds("longest", 0.0, TIMES_MAX_S)
    slow_too = fields.flag("slow-links", default=False)
    fields.end()

    def by(scene: Scene) -> Judged:
        if not scene.history.beliefs:
            return Verdict.UNKNOWN, "nobody told what it believes"
        flags = _wrong_flags(scene.history, slow_too=slow_too)
        worst_s, text = max(flags, default=(0.0, ""))
        if len(flags) > most or (longest_s and worst_s > longest_s):
            return Verdict.INVALID, f"{len(flags)} times, {worst_s:.2f} s at worst: {text}"
        return FINE

    long = f" for longer than {longest_s:g} s" if longest_s else ""
    text = f"live nodes taken for gone at most {most} times"
    if most >= COUNT_MAX:
        text = f"no live node taken for gone{long}"
    elif longest_s:
        text += f", and none{long}"
    return ByRecord(text, by)


def _wrong_flags(history: History, *, slow_too: bool) -> list[tuple[float, str]]:
    """How long who was taken for gone by whom, though both ran and nothing lay between them."""
    lives = processes(history)
    found = []
    for flag in Beliefs(history, lives).flags():
        pair = flag.viewer, flag.subject
        if flag.dead or any(node in history.villains for node in pair):
            continue
        spans = [(flag.begin_s, flag.end_s)]
        for begin_s, end_s in _apart(history, lives, pair, slow_too=slow_too):
            spans = [part for span in spans for part in _without(span, begin_s, end_s)]
        wrong_s = sum(end_s - begin_s for begin_s, end_s in spans)
        if wrong_s > BRIEF_S:
            text = f"{flag.viewer} took {flag.subject} for gone at {spans[0][0]:.2f} s"
            found.append((wrong_s, text))
    return found


def _apart(
    history: History, lives: dict[str, Process], pair: tuple[str, str], *, slow_too: bool
) -> _Spans:
    """When a link between two was cut, or one did not run; and so long after as is allowed.

    Links that are too slow for any promise count as cut, but for `slow_too`.
    """
    spans: _Spans = []
    cut_s: float | None = None
    for links in sorted(history.links, key=lambda one: one.at_s):
        is_cut = pair in links.blocked or pair[::-1] in links.blocked
        is_cut = is_cut or (links.hard and not slow_too)
        if is_cut and cut_s is None:
            cut_s = links.at_s
        elif not is_cut and cut_s is not None:
            spans.append((cut_s, links.at_s + REAL.healed_s))
            cut_s = None
    if cut_s is not None:
        spans.append((cut_s, history.end_s))
    for node in pair:
        ended_s = 0.0
        for ran in lives[node].running:
            settled_s = ran.begin_s + (REAL.started_s if ran.begin_s > 0.0 else 0.0)
            spans.append((ended_s, settled_s))
            ended_s = ran.end_s
        spans.append((ended_s, history.end_s))
    return spans


def _without(span: tuple[float, float], begin_s: float, end_s: float) -> _Spans:
    first_s, last_s = span
    parts = [(first_s, min(last_s, begin_s)), (max(first_s, end_s), last_s)]
    return [part for part in parts if part[0] < part[1]]


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

    return ByLook(f"{' '.join(nodes)} refuse critical changes at {at_s:g} s", at_s, nodes, ask)


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
    return ByLook(f"evidence about {' '.join(about)} with everybody", AT_THE_END, others, ask)


def _ready(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names)
    at_s = fields.seconds("at", None, TIMES_MAX_S)
    status = fields.whole("status", READY[0], *READY)
    component = fields.text("component", "")
    says = fields.text("says", "")
    fields.end()
    if status not in READY:
        raise fields.wrong("status", f"{status} is neither of {READY}")
    if bool(component) != bool(says):
        raise fields.wrong("component", "component and says go together")

    def ask(member: Member) -> str:
        answer = member.call("GET", "/readyz")
        if answer.status != status:
            return f"/readyz answers {answer.status}, not {status}"
        said = _component(answer, component)
        return "" if said == says else f"its {component} is {said or 'not mentioned'}, not {says}"

    more = f", {component} {says}" if component else ""
    return ByLook(f"{' '.join(nodes)} ready: {status}{more} at {at_s:g} s", at_s, nodes, ask)


def _component(answer: Answer, name: str) -> str:
    components = answer.value.get("components")
    one = components.get(name) if isinstance(components, dict) else None
    return str(one.get("status")) if isinstance(one, dict) else ""


def _memory(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names, names)
    most_mib = fields.number("mib", 0.0, 0.0, MIB_MAX)
    fields.end()
    if not most_mib:
        raise fields.wrong("mib", "say how much resident memory a node may take")

    def by(scene: Scene) -> Judged:
        held = scene.sightings.memory_bytes
        unseen = [node for node in nodes if node not in held]
        above = [f"{node} {held[node] / MIB:.0f}" for node in nodes if _above(node, held, most_mib)]
        if above:
            return Verdict.INVALID, f"MiB at most: {', '.join(above)}"
        if unseen:
            return Verdict.UNKNOWN, f"the memory of {' '.join(unseen)} cannot be seen from here"
        return FINE

    return ByRecord(f"at most {most_mib:g} MiB resident memory each", by)


def _above(node: str, held: dict[str, int], most_mib: float) -> bool:
    return held.get(node, 0) > most_mib * MIB


def _log_has_not(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names, names)
    events = fields.texts("events")
    fields.end()

    def by(scene: Scene) -> Judged:
        found = []
        for node in nodes:
            log = scene.logs.get(node)
            if log is None or not log.lines:
                return Verdict.UNKNOWN, f"there is no log of {node}"
            found += [
                f"{log.file}:{one.line} {one.event} {one.exception}".strip()
                for one in log.troubles
                if one.exception or one.event in events
            ]
        return (Verdict.INVALID, f"{len(found)}: {found[0]}") if found else FINE

    return ByRecord("no line of trouble with an exception in the logs", by)


NODES = (
    ExpectationKind(
        "sides", "what nodes say of the partition at a moment",
        {"at": 'when, "15s"', "sides": "a table: node = none, majority, minority or even"}, _sides,
    ),
    ExpectationKind(
        "noticed", "nodes are known to be gone soon enough",
        {"nodes": "who is gone", "at": "since when", "within": "how soon, by all who run"},
        _noticed,
    ),
    ExpectationKind(
        "nobody-away", "live nodes that others reach are not taken for gone",
        {
            "most": "how many times; 0", "longest": "and for how long; without it, any time",
            "slow-links": "over links too slow for a promise of time, too; false",
        },
        _nobody_away,
    ),
    ExpectationKind(
        "refused", "critical changes are refused",
        {"nodes": "by whom", "at": "when", "code": "with which code; minority"}, _refused,
    ),
    ExpectationKind(
        "evidence", "everybody holds evidence about a node", {"about": "names"}, _evidence
    ),
    ExpectationKind(
        "ready", "what nodes say of their readiness at a moment",
        {
            "nodes": "names", "at": "when", "status": "of /readyz, 200 or 503; 200",
            "component": "one of its components, such as storage", "says": "and its status",
        },
        _ready,
    ),
    ExpectationKind(
        "memory", "the resident memory of nodes", {"mib": "at most", "nodes": "names; all"},
        _memory,
    ),
    ExpectationKind(
        "log-has-not", "no error with an exception, and no traceback, in the logs",
        {"nodes": "names; all", "events": "names of events that must not be there either"},
        _log_has_not,
    ),
)  # fmt: skip
