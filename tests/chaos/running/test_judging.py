"""From what is seen outside to a history: commits, spreading, healing; and the verdict."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cluster.cluster import ClusterPlan
from chaos.cluster.kinds import make_cluster
from chaos.history import (
    Accepted,
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
from chaos.running.healing import healed_s
from chaos.running.identities import Identities
from chaos.running.journal import Journal, RunClock
from chaos.running.judging import (
    REAL,
    STARTING_MAX_S,
    Observed,
    history_of,
    judge,
    quiet_until_s,
    signed_of,
    up_from_first_answer,
    verdict_of,
)
from chaos.running.ledger import Ledger
from chaos.running.noticing import noticed_s
from chaos.running.record import Coverage, Sample
from chaos.running.spreading import NUMBERS_MAX, Arrivals, coverage_of
from chaos.running.watching import Sightings
from chaos.verdict import Finding, Verdict

NODES = ("a", "b", "c")
WEB = Key("a", "web", "1")
AB_C = frozenset({("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")})


def write(
    number: int, invoked_s: float, *, took_s: float = 0.01, action: Action = Action.UPDATE
) -> Operation:
    return Operation(number, action, "a", invoked_s, invoked_s + took_s, Outcome.OK, WEB)


def accepted(at_s: float, node: str, version: int, owner: str = "a") -> Accepted:
    return Accepted(at_s, node, owner, (0, version), f"{owner}-{version}", "")


def arrived(*came: tuple[int, str, float], followed: tuple[str, ...] = NODES) -> Arrivals:
    arrivals = Arrivals()
    for node in followed:
        arrivals.begins(node, 0.0)
    for number, node, at_s in came:
        arrivals.came(number, node, at_s)
    return arrivals


def history(*operations: Operation, **more: object) -> History:
    made = History(nodes=NODES, core=NODES, end_s=60.0, operations=list(operations))
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_a_commit_is_taken_for_signed_after_the_last_of_its_writes_was_asked_for() -> None:
    identities = Identities()
    identities.note("a-id", "a")
    writes = [write(1, 1.0), write(2, 1.2), write(3, 2.0)]
    seen = [accepted(1.5, "b", 10), accepted(1.9, "b", 15), accepted(3.0, "b", 20)]

    signed = signed_of(writes, {1: 10, 2: 10, 3: 20}, seen, identities)

    # Nobody asked for 15; it was made after 10, and before 20.
    assert [(one.at_s, one.version, one.commit) for one in signed] == [
        (1.2, (0, 10), "a-10"), (1.2, (0, 15), "a-15"), (2.0, (0, 20), "a-20"),
    ]  # fmt: skip


def test_what_peers_took_before_a_disk_was_put_back_must_be_there() -> None:
    identities = Identities()
    identities.note("a-id", "a")
    registered = write(1, 5.0, action=Action.REGISTER)
    steps = (Life.CRASHED, Life.DAMAGED, Life.STARTED)
    lives = [Lived(10.0 + place / 10, "a", life) for place, life in enumerate(steps)]
    views = [View(node, "h", "r", (), ()) for node in NODES]

    def judged(*taken: Accepted) -> Verdict:
        signed = signed_of([registered], {1: 50}, taken, identities)
        made = history(registered, lives=lives, accepted=list(taken), signed=signed, views=views)
        made.heal_at_s = 20.0
        return {one.checker: one.verdict for one in judge(made)}["set_full"]

    assert judged(accepted(5.1, "b", 50)) is Verdict.INVALID
    assert judged(accepted(5.2, "c", 60)) is Verdict.INVALID, "a later commit covers it"
    assert judged(accepted(5.2, "b", 40)) is not Verdict.INVALID, "nobody had it"
    assert judged(accepted(10.05, "a", 50)) is not Verdict.INVALID, "its own disk keeps nothing"


def observed(directory: Path, *, ids: tuple[str, ...], damaged_s: float) -> Observed:
    """Node a wrote at 1 s and at 30 s; in between its disk was lost."""
    clock, identities = RunClock(), Identities()
    for node in ids:
        identities.note(node, "a")
    journal, ledger = Journal(clock, lambda _text: None), Ledger(clock, identities)
    journal.lives = [Lived(damaged_s, "a", Life.DAMAGED), Lived(damaged_s + 1, "a", Life.STARTED)]
    for one, version in ((write(1, 1.0), 10), (write(2, 30.0), 20)):
        ledger.keep(one, Sample(one.invoked_s, 10.0, "a", "update", "ok"), version)
    seen = ((WEB, 1), (WEB, 2))
    lookup = Operation(3, Action.LOOKUP, "b", 40.0, 40.1, Outcome.OK, None, "web", seen)
    ledger.keep(lookup, Sample(40.0, 100.0, "b", "lookup", "ok"))
    sightings = Sightings(accepted=[accepted(2.0, "b", 10)])
    views = [View("b", "h", "r", ((WEB, 1), (WEB, 2)), ())]
    cluster = make_cluster("processes", ClusterPlan(names=NODES), directory)
    return Observed(cluster, journal, ledger, sightings, identities, views, 50.0, 60.0)


def test_a_history_holds_the_commits_that_were_seen_from_outside(tmp_path: Path) -> None:
    made = history_of(observed(tmp_path, ids=("id-1",), damaged_s=10.0))

    assert [(one.owner, one.version[1], one.at_s) for one in made.signed] == [
        ("a", 10, 1.0), ("a", 20, 30.0)
    ]  # fmt: skip
    assert [one.number for one in made.operations] == [1, 2, 3]
    assert made.core == (), "nobody runs"


def test_what_a_node_wrote_under_an_identity_that_it_lost_is_nobodys(tmp_path: Path) -> None:
    made = history_of(observed(tmp_path, ids=("id-1", "id-2"), damaged_s=10.0))

    assert [one.number for one in made.operations] == [2, 3]
    assert made.operations[-1].seen == ((WEB, 2),)
    assert made.views[0].shown == ((WEB, 2),)


def test_who_was_started_is_up_from_its_first_answer_on_within_bounds() -> None:
    lives = [
        Lived(1.0, "a", Life.CRASHED), Lived(2.0, "a", Life.STARTED),
        Lived(9.0, "a", Life.CRASHED), Lived(10.0, "a", Life.STARTED),
        Lived(13.0, "a", Life.CRASHED), Lived(14.0, "a", Life.STARTED),
        Lived(3.0, "b", Life.PAUSED), Lived(4.0, "b", Life.RESUMED),
    ]  # fmt: skip

    found = up_from_first_answer(lives, {"a": [0.0, 8.2], "b": [5.0]})

    assert [(one.node, one.life, one.at_s) for one in found] == [
        ("a", Life.CRASHED, 1.0), ("b", Life.PAUSED, 3.0), ("b", Life.RESUMED, 4.0),
        ("a", Life.STARTED, 8.2), ("a", Life.CRASHED, 9.0),
        ("a", Life.STARTED, 13.0), ("a", Life.CRASHED, 13.0),
        ("a", Life.STARTED, 14.0 + STARTING_MAX_S),
    ]  # fmt: skip


def test_a_slow_start_is_no_loss_and_an_answer_without_the_write_long_after_it_is(
    tmp_path: Path,
) -> None:
    def judged(first_answer_s: float) -> Verdict:
        seen = replace(observed(tmp_path, ids=("id-1",), damaged_s=10.0), healed_at_s=32.0)
        seen.journal.lives += [Lived(31.0, "b", Life.CRASHED), Lived(32.0, "b", Life.STARTED)]
        stale = Operation(4, Action.LOOKUP, "b", 39.0, 39.1, Outcome.OK, None, "web", ((WEB, 1),))
        seen.ledger.keep(stale, Sample(39.0, 100.0, "b", "lookup", "ok"))
        seen.sightings.answered["a"] = [0.0, 11.5]
        seen.sightings.answered["b"] = [0.0, first_answer_s]
        made = history_of(seen)
        made.core = ("a", "b")
        return {one.checker: one.verdict for one in judge(made)}["set_full"]

    assert judged(38.9) is not Verdict.INVALID
    assert judged(32.5) is Verdict.INVALID


def test_a_cluster_has_as_long_after_its_faults_as_limits_allow_it() -> None:
    journal = Journal(RunClock(), lambda _text: None)
    after_s = max(REAL.healed_s, REAL.registration_visible_s)

    assert quiet_until_s(journal, 20.0) == 20.0 + after_s
    journal.lives = [Lived(15.0, "a", Life.STARTED), Lived(18.0, "b", Life.RESUMED)]
    assert quiet_until_s(journal, 20.0) == 18.0 + REAL.started_s


def test_coverage_counts_the_nodes_that_the_owner_reaches() -> None:
    apart = [Links(0.0, AB_C), Links(20.0)]
    came = arrived((1, "b", 1.03), (1, "c", 20.5), (2, "b", 30.0), (2, "c", 30.2))

    found = coverage_of(
        history(write(1, 1.0), write(2, 30.0, action=Action.DEREGISTER), links=apart), came
    )

    assert found == [Coverage(1.01, "a", (0.02,), 1)]


def test_a_node_that_shows_a_later_write_has_the_one_before() -> None:
    came = arrived((1, "b", 1.02), (2, "b", 5.02), (2, "c", 5.04))

    found = coverage_of(history(write(1, 1.0), write(2, 5.0)), came)

    assert found == [
        Coverage(1.01, "a", (0.01, 4.03), 2), Coverage(5.01, "a", (0.01, 0.03), 2)
    ]  # fmt: skip


def test_what_never_came_is_short_and_what_nobody_could_see_is_left_out() -> None:
    unseen = arrived((1, "b", 1.02), followed=("a", "b"))

    assert coverage_of(history(write(1, 1.0)), arrived((1, "b", 1.02))) == [
        Coverage(1.01, "a", (0.01,), 2)
    ]
    assert coverage_of(history(write(1, 1.0)), unseen) == [Coverage(1.01, "a", (0.01,), 1)]
    assert coverage_of(history(write(1, 1.0), links=[Links(2.0, AB_C)]), arrived()) == []


def test_what_is_kept_of_arrivals_is_bounded() -> None:
    arrivals = Arrivals()

    for number in range(NUMBERS_MAX * 5):
        arrivals.came(number, "b", 1.0)

    assert len(arrivals.by_number) <= NUMBERS_MAX
    assert arrivals.stride == 8
    assert not any(number % 8 for number in arrivals.by_number)


def test_a_cluster_is_healed_when_all_hold_what_was_there_and_see_each_other() -> None:
    heads = [
        *(accepted(1.0, node, 10, owner) for node in NODES for owner in NODES),
        accepted(9.0, "a", 20), accepted(10.5, "b", 20), accepted(10.7, "c", 21),
        accepted(40.0, "a", 22),
    ]  # fmt: skip
    seen = [
        Believed(5.0, "a", "c", Belief.UNREACHABLE, certified=False),
        Believed(11.5, "a", "c", Belief.ALIVE, certified=False),
    ]

    made = history(accepted=heads, beliefs=seen, heal_at_s=10.0)

    assert healed_s(made) == pytest.approx(1.5)
    made.beliefs.pop()
    assert healed_s(made) is None
    made.beliefs.clear()
    assert healed_s(made) == pytest.approx(0.7)
    made.lives = [Lived(8.0, "b", Life.CRASHED), Lived(10.6, "b", Life.STARTED)]
    assert healed_s(made) is None, "what b held before it crashed is no word of today's b"


def test_what_was_noticed_is_measured_for_cuts_and_crashes_of_any_length() -> None:
    def away(at_s: float, viewer: str, subject: str) -> Believed:
        return Believed(at_s, viewer, subject, Belief.UNREACHABLE, certified=False)

    cut = [Links(10.0, AB_C), Links(14.0)]
    seen = [away(11.0, "a", "c"), away(11.5, "c", "a"), away(12.0, "c", "b"), away(15.0, "b", "c")]
    crash = [Lived(30.0, "b", Life.CRASHED), Lived(33.0, "b", Life.STARTED)]

    assert noticed_s(history(links=cut, beliefs=seen)) == [1.0, 1.5, 2.0], "b noticed too late"
    assert noticed_s(history(lives=crash, beliefs=[away(30.9, "a", "b")])) == [0.9]
    assert noticed_s(history(lives=crash, beliefs=[away(33.9, "a", "b")])) == []

    both = [Lived(30.1, "a", Life.CRASHED), Lived(50.0, "a", Life.STARTED)]
    late = [away(31.0, "c", "b"), away(51.3, "a", "b")]
    found = noticed_s(history(lives=[crash[0], *both], beliefs=late))
    assert found == [1.0], "a was down itself, and found b gone as it returned"


BROKEN = "P1 (set_full): a, at 1.000 s, lacks it"


def finding(verdict: Verdict, checker: str = "set_full") -> Finding:
    return Finding("P1", checker, verdict, 1, "a, at 1.000 s, lacks it")


@pytest.mark.parametrize(
    ("findings", "others", "failed", "expected"),
    [
        ([finding(Verdict.VALID)], [], "", (Verdict.VALID, "")),
        ([finding(Verdict.INVALID)], [], "x", (Verdict.INVALID, BROKEN)),
        ([finding(Verdict.VALID)], [(Verdict.INVALID, "why")], "x", (Verdict.INVALID, "why")),
        ([finding(Verdict.VALID)], [], "no fault", (Verdict.UNKNOWN, "no fault")),
        ([finding(Verdict.VALID)], [(Verdict.UNKNOWN, "why")], "", (Verdict.UNKNOWN, "why")),
        (
            [finding(Verdict.UNKNOWN), finding(Verdict.VALID, "roots")], [], "",
            (Verdict.UNKNOWN, "no operation was observed on which to judge"),
        ),
        ([], [], "", (Verdict.UNKNOWN, "no operation was observed on which to judge")),
    ],
)  # fmt: skip
def test_the_verdict_is_the_worst_of_all(
    findings: list[Finding],
    others: list[tuple[Verdict, str]],
    failed: str,
    expected: tuple[Verdict, str],
) -> None:
    assert verdict_of(findings, others, failed) == expected


def test_streams_that_broke_are_known() -> None:
    arrivals = Arrivals()
    arrivals.begins("b", 1.0)
    arrivals.breaks("b", 5.0)
    arrivals.begins("b", 7.0)

    assert arrivals.misses_nothing("b", 1.0, 5.0)
    assert not arrivals.misses_nothing("b", 4.0, 8.0)
    assert arrivals.misses_nothing("b", 7.0, math.inf)
