"""What expectations refuse when they are read, and what they say of runs that were written down."""

from collections.abc import Mapping

import pytest

from chaos.faults.fault import Table, UnreadableFaultError
from chaos.history import (
    Action,
    Belief,
    Believed,
    History,
    Key,
    Life,
    Links,
    Lived,
    Operation,
    Outcome,
    View,
)
from chaos.running.expectations import EXPECTATIONS, Scene, judge, read
from chaos.running.logs import Log, Trouble
from chaos.running.record import Expected, RunRecord
from chaos.running.watching import Sightings
from chaos.scenarios.scenario import Expectation
from chaos.verdict import Verdict

from .situations import scenario_of

NAMES = ("a", "b", "c")
TEXT = """
title = "t"
about = "t"
[cluster]
nodes = 3
[workload]
pairs = {pairs}
[time]
faults = "20s"
[[fault]]
kind = "pause"
at = "5s"
for = "10s"
nodes = ["c"]
"""
WEB = Key("a", "web", "1")
CUT = frozenset({("a", "b"), ("b", "a")})


def operation(
    number: int, at_s: float, outcome: Outcome, *, action: Action = Action.LOOKUP, node: str = "a"
) -> Operation:
    key = None if action is Action.LOOKUP else Key(node, "web", "1")
    return Operation(number, action, node, at_s, at_s + 0.01, outcome, key, "web")


def scene(
    *,
    operations: tuple[Operation, ...] = (),
    beliefs: tuple[Believed, ...] = (),
    lives: tuple[Lived, ...] = (),
    links: tuple[Links, ...] = (),
    views: tuple[View, ...] = (),
    figures: Mapping[str, float] | None = None,
    memory: Mapping[str, int] | None = None,
    logs: Mapping[str, Log] | None = None,
    pairs: bool = False,
) -> Scene:
    """A run of 60 s, healed at second 20, in which nothing happened but what is given."""
    history = History(
        nodes=NAMES, core=NAMES, heal_at_s=20.0, end_s=60.0, operations=list(operations),
        beliefs=list(beliefs), lives=list(lives), links=list(links), views=list(views),
    )  # fmt: skip
    record = RunRecord(
        scenario="t", title="t", about="t", cluster="processes", nodes=NAMES, seed=1,
        started_at="", commit="", versions={}, replay="", source="", verdict=Verdict.UNKNOWN,
        reason="", figures=dict(figures or {}),
    )  # fmt: skip
    sightings = Sightings(memory_bytes=dict(memory or {}))
    scenario = scenario_of(TEXT.format(pairs=str(pairs).lower()))
    return Scene(history, record, sightings, scenario, {}, logs or {})


def expected(of: Scene, kind: str, table: Table) -> Expected:
    return judge(of, read(Expectation(kind=kind, table=table), NAMES), 0)


def said(of: Scene, kind: str, table: Table) -> tuple[Verdict, str]:
    found = expected(of, kind, table)
    return found.verdict, found.why


def believed(at_s: float, viewer: str, subject: str, belief: Belief) -> Believed:
    return Believed(at_s, viewer, subject, belief, certified=False)


@pytest.mark.parametrize(
    ("kind", "table", "complaint"),
    [
        ("sides", {"at": "5s", "sides": {"a": "left"}}, "sides: a: 'left' is none of"),
        ("sides", {"at": "5s"}, "sides: say what which node is to say"),
        ("sides", {"sides": {"a": "even"}}, "at: it is missing"),
        ("noticed", {"nodes": ["x"], "at": "1s", "within": "2s"}, "nodes: 'x' is no node"),
        ("healed", {"within": "soon"}, "within: 'soon' is no duration"),
        ("healed", {}, "within: it is missing"),
        ("lookups-failed", {"most": -1}, "most: -1 is out of bounds"),
        ("lookups-failed", {"mots": 1}, "mots: there is no such field; did you mean most"),
        ("updates-lost", {"most": 0.5}, "most: 0.5 is not whole"),
        ("writes-go-on", {"share": 1.5}, "share: 1.5 is out of bounds"),
        ("nobody-away", {"longest": 2}, "longest: 2 is no duration"),
        ("refused", {"at": "1s"}, "nodes: name at least one node"),
        ("evidence", {"about": []}, "about: name at least one node"),
        ("ready", {"nodes": ["a"], "at": "1s", "status": 404}, "status: 404 is"),
        ("ready", {"nodes": ["a"], "at": "1s", "component": "storage"}, "component: component and"),
        ("memory", {}, "mib: say how much"),
        ("prompt", {"nodes": ["a"]}, "at: it is missing"),
        ("sees", {"nodes": ["a"], "at": "1s"}, "alive: name at least one node"),
        ("log-has-not", {"events": "x"}, "events: 'x' is no list"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_the_field(
    kind: str, table: Table, complaint: str
) -> None:
    with pytest.raises(UnreadableFaultError) as refused:
        EXPECTATIONS[kind].check(table, NAMES)

    assert complaint in str(refused.value)


WHOLE: Mapping[str, Table] = {
    "sides": {"at": "5s", "sides": {"a": "even"}},
    "noticed": {"nodes": ["a"], "at": "1s", "within": "2s"},
    "nobody-away": {"most": 1, "longest": "2s", "slow-links": True},
    "refused": {"nodes": ["a"], "at": "1s", "code": "minority"},
    "evidence": {"about": ["a"]},
    "ready": {"nodes": ["a"], "at": "1s", "status": 503, "component": "storage", "says": "full"},
    "prompt": {"nodes": ["a"], "at": "1s", "within": "200ms"},
    "sees": {"nodes": ["a"], "alive": ["b", "c"], "at": "1s"},
    "memory": {"mib": 90, "nodes": ["a"]},
    "log-has-not": {"nodes": ["a"], "events": ["disk_full"]},
    "healed": {"within": "5s"},
    "lookups-failed": {"most": 1, "pairs": True},
    "updates-lost": {"most": 1},
    "writes-go-on": {"nodes": ["a"], "share": 0.5},
}


def test_every_expectation_takes_all_fields_that_it_tells_of() -> None:
    assert {name: set(kind.fields) for name, kind in EXPECTATIONS.items()} == {
        name: set(table) for name, table in WHOLE.items()
    }
    for name, table in WHOLE.items():
        EXPECTATIONS[name].check(table, NAMES)


def test_noticed_asks_all_who_ran() -> None:
    table: Table = {"nodes": ["c"], "at": "5s", "within": "3s"}
    gone = [believed(6.0, "a", "c", Belief.UNREACHABLE), believed(7.5, "b", "c", Belief.DEAD)]

    assert said(scene(beliefs=tuple(gone)), "noticed", table) == (Verdict.VALID, "")
    assert said(scene(beliefs=(gone[0],)), "noticed", table) == (
        Verdict.INVALID, "b noticed c never"
    )  # fmt: skip
    down = (Lived(4.0, "b", Life.CRASHED), Lived(6.0, "b", Life.STARTED))
    assert said(scene(beliefs=(gone[0],), lives=down), "noticed", table)[0] is Verdict.VALID
    late = believed(8.5, "b", "c", Belief.UNREACHABLE)
    assert said(scene(beliefs=(gone[0], late)), "noticed", table) == (
        Verdict.INVALID, "b noticed c after 3.50 s"
    )  # fmt: skip


def test_healed_is_in_time_late_or_never() -> None:
    table: Table = {"within": "5s"}

    assert said(scene(figures={"healed_s": 5.0}), "healed", table) == (Verdict.VALID, "")
    assert said(scene(figures={"healed_s": 5.1}), "healed", table)[0] is Verdict.INVALID
    assert said(scene(), "healed", table) == (Verdict.INVALID, "it never was")


def test_lookups_count_where_the_node_ran_and_always_where_two_were_asked() -> None:
    ok, failed = operation(1, 1.0, Outcome.OK), operation(2, 10.0, Outcome.INDEFINITE, node="c")
    frozen = (Lived(5.0, "c", Life.PAUSED), Lived(15.0, "c", Life.RESUMED))

    assert said(scene(), "lookups-failed", {})[0] is Verdict.UNKNOWN
    assert said(scene(operations=(ok,)), "lookups-failed", {})[0] is Verdict.VALID
    assert said(scene(operations=(ok, failed)), "lookups-failed", {}) == (
        Verdict.INVALID, "1 were not answered, the first at 10.00 s by c"
    )  # fmt: skip
    assert said(scene(operations=(ok, failed)), "lookups-failed", {"most": 1})[0] is Verdict.VALID
    excused = scene(operations=(ok, failed), lives=frozen)
    assert said(excused, "lookups-failed", {})[0] is Verdict.VALID
    both = scene(operations=(ok, failed), lives=frozen, pairs=True)
    assert said(both, "lookups-failed", {"pairs": True})[0] is Verdict.INVALID
    assert said(excused, "lookups-failed", {"pairs": True})[0] is Verdict.UNKNOWN


def test_an_acknowledged_write_that_no_view_shows_is_lost() -> None:
    done = operation(7, 1.0, Outcome.OK, action=Action.REGISTER)
    older = operation(3, 0.5, Outcome.OK, action=Action.REGISTER)
    figures = {"writes_acknowledged_count": 2.0}

    def shows(node: str, *pairs: tuple[Key, int]) -> View:
        return View(node, "h", "r", pairs, ())

    def lost(*views: View) -> tuple[Verdict, str]:
        made = scene(operations=(older, done), views=views, figures=figures)
        return said(made, "updates-lost", {})

    assert lost(shows("a", (WEB, 7)), shows("b", (WEB, 7))) == (Verdict.VALID, "")
    assert lost(shows("a", (WEB, 7)), shows("b"))[1].startswith("1: b shows a/web/1 not at all")
    assert lost(shows("a", (WEB, 3)))[1].startswith("1: a shows a/web/1 as write 3 left it")
    assert lost()[0] is Verdict.UNKNOWN


def test_writes_go_on_looks_at_the_time_of_faults_only() -> None:
    under = tuple(
        operation(number, 6.0, outcome, action=Action.UPDATE)
        for number, outcome in enumerate((Outcome.OK, Outcome.OK, Outcome.OK, Outcome.FAILED))
    )
    before = operation(9, 1.0, Outcome.FAILED, action=Action.UPDATE)
    made = scene(operations=(*under, before))

    assert said(made, "writes-go-on", {"nodes": ["a"], "share": 0.75})[0] is Verdict.VALID
    assert said(made, "writes-go-on", {"nodes": ["a"], "share": 0.8}) == (
        Verdict.INVALID, "a acknowledged 3 of 4"
    )  # fmt: skip
    assert said(made, "writes-go-on", {"nodes": ["b"]})[0] is Verdict.UNKNOWN


def test_who_is_taken_for_gone_counts_unless_it_was() -> None:
    flag = (believed(30.0, "a", "b", Belief.UNREACHABLE), believed(32.0, "a", "b", Belief.ALIVE))

    assert said(scene(), "nobody-away", {})[0] is Verdict.UNKNOWN
    assert said(scene(beliefs=flag), "nobody-away", {}) == (
        Verdict.INVALID, "1 times, 2.00 s at worst: a took b for gone at 30.00 s"
    )  # fmt: skip
    assert said(scene(beliefs=flag), "nobody-away", {"most": 1})[0] is Verdict.VALID
    assert said(scene(beliefs=flag), "nobody-away", {"most": 1, "longest": "1s"})[0] is (
        Verdict.INVALID
    )
    cut = (Links(28.0, CUT), Links(31.0))
    assert said(scene(beliefs=flag, links=cut), "nobody-away", {})[0] is Verdict.VALID
    slow = (Links(28.0, hard=True), Links(31.0))
    assert said(scene(beliefs=flag, links=slow), "nobody-away", {})[0] is Verdict.VALID
    told = said(scene(beliefs=flag, links=slow), "nobody-away", {"slow-links": True})
    assert told[0] is Verdict.INVALID
    other = (Links(28.0, frozenset({("a", "c")})), Links(31.0))
    assert said(scene(beliefs=flag, links=other), "nobody-away", {})[0] is Verdict.INVALID
    crashed = (Lived(29.0, "b", Life.CRASHED), Lived(31.0, "b", Life.STARTED))
    assert said(scene(beliefs=flag, lives=crashed), "nobody-away", {})[0] is Verdict.VALID
    long_gone = (Lived(1.0, "b", Life.CRASHED), Lived(5.0, "b", Life.STARTED))
    assert said(scene(beliefs=flag, lives=long_gone), "nobody-away", {})[0] is Verdict.INVALID


def test_memory_is_known_too_large_or_unseen() -> None:
    mib = 1024 * 1024
    held = {"a": 60 * mib, "b": 90 * mib, "c": 61 * mib}

    assert said(scene(memory=held), "memory", {"mib": 90})[0] is Verdict.VALID
    assert said(scene(memory=held), "memory", {"mib": 80}) == (Verdict.INVALID, "MiB at most: b 90")
    assert said(scene(memory={"a": 1}), "memory", {"mib": 80})[0] is Verdict.UNKNOWN


def test_troubles_in_logs_count_with_an_exception_or_by_name() -> None:
    def log(*troubles: Trouble) -> dict[str, Log]:
        return {name: Log(f"{name}.log", [1.0], [1], list(troubles)) for name in NAMES}

    bare, broken = Trouble("a", 4, 1.0, "disk_full", ""), Trouble("a", 5, 1.0, "x", "OSError: no")

    assert said(scene(logs=log()), "log-has-not", {})[0] is Verdict.VALID
    assert said(scene(logs=log(bare)), "log-has-not", {})[0] is Verdict.VALID
    assert said(scene(logs=log(bare)), "log-has-not", {"events": ["disk_full"]})[0] is (
        Verdict.INVALID
    )
    assert said(scene(logs=log(broken)), "log-has-not", {"nodes": ["a"]}) == (
        Verdict.INVALID, "1: a.log:5 x OSError: no"
    )  # fmt: skip
    assert said(scene(), "log-has-not", {})[0] is Verdict.UNKNOWN
