"""Villains do what their role says, with their own keys only; honest nodes take no harm from it."""

from dataclasses import replace

import pytest

from chaos.checkers import Limits
from chaos.history import AWAY, Belief, Believed, History
from chaos.sim.plan import Fault, FaultKind, Plan, Role
from chaos.sim.result import Result
from chaos.sim.run import WARM_S, Run, run
from chaos.verdict import Verdict
from protocol.sync import repair

NODES = 6
LIAR = 5


def with_a(role: Role, *, nodes: int = NODES) -> Plan:
    """The last node is the villain."""
    return Plan(
        seed=1,
        profile="villain",
        nodes=nodes,
        safety_s=8.0,
        liveness_s=14.0,
        villains=((nodes - 1, role),),
        faults=(Fault(FaultKind.ROTATE, 3.0, 5.0, (0,)),) if role is Role.THIEF else (),
    )


def judged(role: Role, *, nodes: int = NODES) -> Result:
    return run(with_a(role, nodes=nodes))


def away_though_honest(history: History) -> list[Believed]:
    honest = [node for node in history.nodes if node not in history.villains]
    return [one for one in history.beliefs if one.subject in honest and one.belief in AWAY]


@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
def test_honest_nodes_keep_every_promise_beside_one_villain(role: Role) -> None:
    result = judged(role)

    broken = [one for one in result.findings if one.verdict is Verdict.INVALID]
    assert broken == []
    assert result.history.villains == (f"n{LIAR}",)
    assert f"n{LIAR}" not in result.history.core


def test_a_forker_shows_two_sides_and_is_in_dispute_everywhere() -> None:
    run_of = Run(with_a(Role.FORKER))
    run_of.play()

    liar = run_of.world.nodes[LIAR]
    branches = [node.peer.registry.branch(liar.id) for node in run_of.honest]
    assert len(liar.faces) == 2
    assert all(branch is not None and branch.disputed for branch in branches)


def test_a_forker_deceives_nobody_about_others() -> None:
    assert away_though_honest(judged(Role.FORKER).history) == []


def test_a_forger_is_refused_for_the_signature() -> None:
    counts = judged(Role.FORGER).counts

    assert counts["refused_bad_signature"] > 10


def test_a_thief_is_believed_until_its_victim_rotates_and_is_refused_then() -> None:
    result = judged(Role.THIEF)

    history = result.history
    turned_s = next(one.at_s for one in history.rekeyed if one.node == one.owner == "n0")
    stolen = {one.commit for one in history.stolen}
    taken_s = [one.at_s for one in history.accepted if one.commit in stolen]
    known_s = max(one.at_s for one in history.rekeyed if one.node != f"n{LIAR}")
    assert taken_s
    assert max(taken_s) < turned_s
    assert known_s < turned_s + 0.1
    assert len([one for one in history.stolen if one.at_s > known_s]) > 3
    assert result.counts["refused_bad_mac"] > 3
    assert {node.epoch for view in history.views for node in view.standings} == {1}


def test_a_thief_whose_victim_never_rotates_does_nothing() -> None:
    plan = with_a(Role.THIEF)
    history = run(replace(plan, faults=())).history

    assert history.thefts == []
    assert history.stolen == []


def test_a_flooder_is_refused_what_cannot_be_read_and_its_records_stay_its_own() -> None:
    result = judged(Role.FLOODER)

    assert result.counts["refused_malformed"] > 100
    owners = {key.owner for view in result.history.views for key, _ in view.shown}
    assert owners <= {f"n{number}" for number in range(NODES)}


def test_a_replayer_is_refused_as_replaying_or_not_for_us() -> None:
    counts = judged(Role.REPLAYER).counts

    assert counts["refused_bad_mac"] > 5
    assert sum(count for name, count in counts.items() if name.startswith("refused_")) > 20


def test_the_votes_of_a_slanderer_make_nobody_unreachable() -> None:
    result = judged(Role.SLANDERER, nodes=4)

    suspected = [one for one in result.history.beliefs if one.belief is Belief.SUSPECT]
    assert len(suspected) > 5
    assert away_though_honest(result.history) == []


def test_a_withholder_passes_nothing_on_and_all_is_known_all_the_same() -> None:
    run_of = Run(with_a(Role.WITHHOLDER))
    run_of.play()

    roots = {node.peer.registry.root for node in run_of.honest}
    assert len(roots) == 1


def test_a_tree_liar_is_found_out_and_its_records_are_taken_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repair, "WHOLE_RECORDS_MAX", 10)  # so that small states are compared
    alone = Fault(FaultKind.ISOLATE, 2.0, 10.0, (1,))
    plan = replace(
        with_a(Role.TREE_LIAR, nodes=3), safety_s=10.0, operations_per_s=40.0, faults=(alone,)
    )
    run_of = Run(plan)
    run_of.play()

    broken = [one for one in run_of.judge(Limits()).findings if one.verdict is Verdict.INVALID]
    lies = [node.peer.credit.lies for node in run_of.honest]
    assert broken == []
    assert sum(lies) > 0
    assert len({node.peer.registry.root for node in run_of.honest}) == 1


def test_a_villain_begins_with_the_work_and_not_before() -> None:
    taken = [one.at_s for one in judged(Role.FLOODER).history.accepted if one.owner == f"n{LIAR}"]

    assert [at_s for at_s in taken if 2.0 < at_s < WARM_S] == []
    assert len([at_s for at_s in taken if at_s >= WARM_S]) > 50
