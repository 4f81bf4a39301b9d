"""What the measurements of simulated clusters measure, on clusters as small as can be."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.simulation import byzantine, cluster, curve, loss, pauses
from benchmarks.simulation.flags import Flag, flags_of, seen_after, toll_of
from benchmarks.simulation.worlds import Cluster, SharedMachine
from chaos.history import Belief, Believed, History
from chaos.sim.plan import Plan, Role
from chaos.sim.swarm import draw

SMALL = curve.CurveTrial(nodes=6, loss=0.0, seed=1, updates=2)
QUIET = loss.LossTrial(nodes=6, loss=0.0, seed=1)
ONE_PAUSE = pauses.PausesTrial(nodes=12, paused=2, pause_s=4.0, between_s=0.0, loss=0.0, seed=1)
LINKS = cluster.ClusterTrial(
    4, "links", step_ms=0.0, cores=0, ack_ms=0.0, seed=1, updates=1, kills=1
)
SLOW_S = 0.05


def history_of(*told: tuple[float, str, str, Belief], end_s: float = 100.0) -> History:
    history = History(("a", "b", "c"), end_s=end_s)
    history.beliefs += [
        Believed(at_s, node, subject, belief, certified=True)
        for at_s, node, subject, belief in told
    ]
    return history


# Flags


def test_a_flag_lasts_from_unreachable_to_alive_and_dead_lies_within() -> None:
    history = history_of(
        (1.0, "a", "b", Belief.SUSPECT),
        (2.0, "a", "b", Belief.UNREACHABLE),
        (17.0, "a", "b", Belief.DEAD),
        (20.0, "a", "b", Belief.ALIVE),
        (90.0, "c", "b", Belief.UNREACHABLE),
    )

    flags = flags_of(history)

    assert flags == [
        Flag("a", "b", 2.0, 20.0, dead=True),
        Flag("c", "b", 90.0, 100.0, dead=False),
    ]
    toll = toll_of(flags)
    assert (toll.flags, toll.pairs, toll.seconds, toll.longest_s, toll.dead) == (2, 2, 28.0, 18, 1)


def test_a_crash_is_seen_at_the_first_flag_that_stands_after_it() -> None:
    flags = [
        Flag("a", "b", 1.0, 2.0, dead=False),
        Flag("a", "b", 11.5, 20.0, dead=False),
        Flag("c", "b", 9.0, 20.0, dead=False),
        Flag("d", "b", 12.0, 20.0, dead=False),
    ]

    assert seen_after(flags, "b", 10.0, ["a", "c", "x"]) == {"a": 1.5, "c": 0.0}


# The curve


def test_an_update_reaches_everybody_and_takes_links_and_not_luck() -> None:
    result = curve.perform(SMALL)

    for half_s, all_s in zip(result.half_s, result.all_s, strict=True):
        assert half_s is not None
        assert all_s is not None
        assert 0.0018 < half_s <= all_s < 0.05
    assert all(each > 1 for each in result.datagrams)


def test_the_same_trial_gives_the_same_figures_and_another_seed_others() -> None:
    assert curve.perform(SMALL) == curve.perform(SMALL)
    assert curve.perform(SMALL) != curve.perform(replace(SMALL, seed=2))


def test_an_update_that_never_arrives_is_missed_and_not_left_out() -> None:
    cut = Cluster.joined(Plan(seed=1, profile="cut", nodes=4))
    cut.run(2.0)
    cut.world.network.block((0, other) for other in range(4))

    update = cut.update(cut.world.nodes[0], within_s=0.5, quiet_s=0.0)
    rows = curve.rows_of(
        [SMALL], [curve.CurveResult([None], [None], [None], [1.0], [2.0], [0.0], 2.0)]
    )

    assert update.time_s(0.5, 3) is None
    assert (rows[0]["updates"], rows[0]["missed"], rows[0]["all_ms"]) == (1, 1, None)


def test_large_clusters_are_measured_without_loss_only() -> None:
    trials = curve.trials_of([10, 100], [0.0, 0.1], [1], 1, lossy_nodes_max=10)

    assert [(one.nodes, one.loss) for one in trials] == [(10, 0.0), (10, 0.1), (100, 0.0)]


# Loss


def test_a_crash_is_seen_by_all_and_nobody_healthy_is_blamed() -> None:
    result = loss.perform(QUIET)

    assert (len(result.seen_s), result.unseen) == (5, 0)
    assert all(0.1 < seconds < 5.0 for seconds in result.seen_s)
    assert (result.flags, result.dead_pairs) == (0, 0)
    assert 1.5 < result.datagrams_node_s < 3.0


def test_a_flag_about_the_victim_is_false_until_the_crash_and_right_after_it() -> None:
    before = Flag("a", "v", 1.0, 4.0, dead=False)
    across = Flag("b", "v", 9.0, 40.0, dead=True)
    after = Flag("c", "v", 11.0, 40.0, dead=True)
    other = Flag("a", "b", 50.0, 51.0, dead=False)

    wrong = loss.false_flags([before, across, after, other], "v", 10.0)

    assert wrong == [before, Flag("b", "v", 9.0, 10.0, dead=False), other]


# Pauses


def test_members_that_stand_still_for_long_are_noticed_and_the_others_are_not_blamed() -> None:
    result = pauses.perform(ONE_PAUSE)

    assert len(result.first_s) == len(result.everywhere_s) == 2
    assert max(result.everywhere_s) < ONE_PAUSE.pause_s
    assert (result.pairs, result.flags, result.dead_pairs) == (90, 0, 0)


def test_a_short_pause_is_noticed_by_nobody() -> None:
    result = pauses.perform(replace(ONE_PAUSE, pause_s=0.1))

    assert (result.first_s, result.everywhere_s, result.flags_at_all) == ([], [], 0)


def test_false_flags_are_told_apart_by_who_holds_them() -> None:
    flags = [
        Flag("healthy", "other", 1.0, 2.0, dead=False),
        Flag("paused", "other", 1.0, 4.0, dead=True),
        Flag("healthy", "paused", 2.0, 3.0, dead=False),
    ]

    result = pauses.judged(flags, ["healthy", "other", "paused"], ["paused"], 0.5)

    assert (result.flags, result.flagged_s, result.dead_pairs) == (1, 1.0, 0)
    assert (result.flags_at_all, result.flagged_s_at_all, result.dead_pairs_at_all) == (2, 4.0, 1)
    assert (result.first_s, result.everywhere_s) == ([1.5], [])


# Beside real clusters


def test_a_simulated_cluster_answers_what_real_ones_are_asked() -> None:
    result = cluster.perform(LINKS)

    assert result.missed == 0
    assert [len(getattr(result, name)) for name, _, _ in cluster.FIGURES] == [1] * 9
    assert 1.9 < result.idle_packets[0] < 2.6


def test_on_one_machine_a_commit_leaves_its_owner_after_the_time_that_a_real_one_takes() -> None:
    slow = replace(LINKS, model="machine", step_ms=0.0, cores=1, ack_ms=80.0, kills=0)

    result = cluster.perform(slow)

    assert result.update_ack_ms == [80.0]
    assert 80.0 < result.update_half_ms[0] < 120.0


def test_on_one_machine_datagrams_wait_for_a_processor() -> None:
    plan = Plan(seed=1, profile="machine", nodes=3)

    def all_s(cores: int) -> float:
        shared = Cluster(SharedMachine(plan, cores=cores, step_s=SLOW_S))
        for node in shared.world.nodes:
            node.start()
        shared.run(2.0)
        took = shared.update(shared.world.nodes[0], within_s=5.0, quiet_s=0.0).time_s(1.0, 2)
        assert took is not None
        return took

    assert all_s(cores=8) >= SLOW_S
    assert all_s(cores=1) >= 2 * SLOW_S


def test_a_ratio_stands_only_where_there_is_a_real_figure() -> None:
    result = cluster.ClusterResult(update_all_ms=[10.0])

    rows = cluster.rows_of([LINKS], [result], {4: {"update_all_ms": 25.0}})

    found = {row["figure"]: (row["real"], row["links"], row["links_ratio"]) for row in rows}
    assert found["update_all_ms"] == (25.0, 10.0, 2.5)
    assert found["return_s"] == (None, None, None)


# Liars


@pytest.mark.parametrize(("profile", "observers"), [("byzantine", 8), ("byzantine-hostile", 16)])
def test_every_member_has_its_observers_and_liars_among_them_are_counted(
    profile: str, observers: int
) -> None:
    plan = draw(1, profile=profile)

    def liars(villains: Sequence[int]) -> dict[int, int]:
        roles = tuple((number, Role.FORGER) for number in villains)
        return dict(byzantine.liars_about(replace(plan, villains=roles)))

    all_but_one = liars(range(1, plan.nodes))
    each = [liars([number]) for number in range(plan.nodes)]

    assert all_but_one == {0: observers}
    assert sum(counts.get(0, 0) for counts in each) == observers


def test_who_is_outvoted_hangs_on_the_draw_alone() -> None:
    seeds = byzantine.outvoted_seeds("byzantine", range(1, 101))

    plans = [draw(seed, profile="byzantine") for seed in seeds]
    assert 0 < len(seeds) < 10
    assert all(max(byzantine.liars_about(plan).values()) >= 5 for plan in plans)
    assert byzantine.outvoted_seeds("byzantine-hostile", range(1, 101)) == []


def test_liars_who_all_slander_are_the_same_liars() -> None:
    drawn = byzantine.plan_of(byzantine.ByzantineTrial("byzantine", 1, slander=False))
    worst = byzantine.plan_of(byzantine.ByzantineTrial("byzantine", 1, slander=True))

    assert [number for number, _ in worst.villains] == [number for number, _ in drawn.villains]
    assert {role for _, role in worst.villains} == {Role.SLANDERER}
    assert worst.faults == drawn.faults


def test_a_broken_invariant_and_a_run_that_raised_are_counted() -> None:
    trial = byzantine.ByzantineTrial("byzantine", 1, slander=False)
    fine = byzantine.ByzantineResult(
        error="",
        verdicts={"P7 authenticity": "valid", "P1 set_full": "valid"},
        witnesses={},
        most_liars=3,
        outvoted=[],
        flags=0,
        flagged_s=0.0,
        longest_s=0.0,
        dead_pairs=0,
        outvoted_s=0.0,
        outvoted_longest_s=0.0,
        outvoted_dead=0,
    )
    forged = replace(fine, verdicts={"P7 authenticity": "invalid"}, outvoted=["n1"], most_liars=5)
    raised = replace(fine, error="ValueError: no", verdicts={})

    (row,) = byzantine.rows_of([trial] * 3, [fine, forged, raised])

    assert (row["changed"], row["lost"], row["raised"]) == (1, 0, 1)
    assert (row["outvoted_seeds"], row["most_liars"]) == (1, 5)
