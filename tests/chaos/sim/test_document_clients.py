"""Editors of documents in a simulated world: what they write, and what the history says of it."""

from dataclasses import replace

from chaos.history import Outcome
from chaos.sim.clients.documents import held
from chaos.sim.plan import Fault, FaultKind, Plan
from chaos.sim.run import Run
from protocol.agreement.documents import OWNERS

APART = Fault(FaultKind.SPLIT, 1.0, 11.0, groups=((0, 1), (2, 3)))
PLAN = Plan(
    seed=3, profile="test", nodes=4, safety_s=8.0, liveness_s=1.0, operations_per_s=0.1,
    faults=(APART,), edits_per_s=6.0,
)  # fmt: skip


def played(plan: Plan = PLAN) -> Run:
    run = Run(plan)
    run.play()
    return run


def test_a_plan_without_edits_has_no_editors() -> None:
    run = played(replace(PLAN, edits_per_s=0.0))

    assert run.world.history.document_writes == []
    assert list(run.core[0].peer.registry.documents()) == []


def test_every_acknowledged_write_is_a_dot_of_its_own() -> None:
    writes = played().world.history.document_writes
    dots = [(write.key, write.node, write.counter) for write in writes]

    assert len(writes) > 20
    assert {write.outcome for write in writes} == {Outcome.OK}
    assert len(set(dots)) == len(dots)


def test_a_write_has_seen_all_earlier_ones_of_its_node_and_none_from_behind_the_cut() -> None:
    writes = played().world.history.document_writes
    newest: dict[tuple[str, str], int] = {}
    cut_s = 6.0 + APART.at_s

    for write in sorted(writes, key=lambda write: write.invoked_s):
        seen = {writer: known[-1][1] for writer, known in write.seen}
        assert seen.get(write.node, 0) == newest.get((write.key, write.node), 0)
        newest[write.key, write.node] = write.counter
        theirs = ("n2", "n3") if write.node in ("n0", "n1") else ("n0", "n1")
        early = [
            other.counter
            for other in writes
            if other.node in theirs and other.key == write.key and other.invoked_s < cut_s
        ]
        assert all(seen.get(one, 0) <= max(early, default=0) for one in theirs)


def test_both_sides_words_on_a_field_stand_beside_each_other_after_the_heal() -> None:
    run = played(replace(PLAN, liveness_s=6.0))
    documents = [held(node, "plan") for node in run.core]

    assert len({one.version for one in documents}) == 1
    state = documents[0].state
    fields = [name for name, *_ in state.entries if name != OWNERS]
    assert len(fields) > len(set(fields))
