"""What a seed draws: always the same, always possible, and over many seeds everything there is."""

import pytest

from chaos.sim.plan import FaultKind, Plan, Role
from chaos.sim.swarm import NODES_MAX, PROFILES, PlanError, draw

MANY = range(1, 301)


def plans(profile: str = "swarm") -> list[Plan]:
    return [draw(seed, profile=profile) for seed in MANY]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_draws_the_same_plan_again(profile: str) -> None:
    assert draw(17, profile=profile) == draw(17, profile=profile)
    assert draw(17, profile=profile) != draw(18, profile=profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_whatever_is_drawn_can_be_done(profile: str) -> None:
    for plan in plans(profile):
        numbers = range(plan.nodes)
        assert 2 * len(plan.lost) < plan.nodes
        assert all(number in numbers for number in plan.lost)
        assert list(plan.faults) == sorted(plan.faults, key=lambda fault: fault.at_s)
        for fault in plan.faults:
            assert 0.0 < fault.at_s < fault.until_s <= plan.safety_s
            assert all(number in numbers for number in fault.nodes)
            if fault.groups:
                members = [number for group in fault.groups for number in group]
                assert sorted(members) == list(numbers)
                assert all(fault.groups)


def test_many_seeds_draw_every_kind_of_fault_and_many_sizes() -> None:
    drawn = plans()

    kinds = {fault.kind for plan in drawn for fault in plan.faults}
    assert kinds == set(FaultKind) - {FaultKind.ROTATE}, "rotations are of `agreement`"
    assert len({plan.nodes for plan in drawn}) >= 8
    assert {plan.safety_s for plan in drawn} == {20.0, 30.0, 45.0, 60.0}
    assert any(plan.lost for plan in drawn)
    assert any(not plan.lost for plan in drawn)
    assert any(plan.loss for plan in drawn)


@pytest.mark.parametrize(
    ("profile", "never"),
    [
        ("calm", set(FaultKind)),
        ("partitions", {FaultKind.CRASH, FaultKind.LOSS, FaultKind.SLOW}),
        ("crashes", {FaultKind.SPLIT, FaultKind.LOSS, FaultKind.SLOW}),
        ("network", {FaultKind.SPLIT, FaultKind.CRASH, FaultKind.SLOW}),
        ("clocks", {FaultKind.SPLIT, FaultKind.CRASH, FaultKind.LOSS}),
        ("byzantine", {FaultKind.SPLIT, FaultKind.CRASH, FaultKind.SLOW}),
    ],
)
def test_a_profile_draws_only_its_own_faults(profile: str, never: set[FaultKind]) -> None:
    drawn = {fault.kind for plan in plans(profile) for fault in plan.faults}

    assert drawn & never == set()


@pytest.mark.parametrize("profile", ["byzantine", "byzantine-hostile"])
def test_ten_of_a_hundred_are_villains_and_never_a_seed_of_the_cluster(profile: str) -> None:
    drawn = plans(profile)

    assert all(plan.nodes == 100 and len(plan.villains) == 10 for plan in drawn)
    assert all(number >= 3 for plan in drawn for number, _ in plan.villains)
    unasked = {Role.TREE_LIAR, Role.THIEF}
    assert {role for plan in drawn for _, role in plan.villains} == {*Role} - unasked
    assert {plan.membership for plan in drawn} == {"lan" if profile == "byzantine" else "hostile"}


def test_agreement_draws_halves_old_disks_behind_cuts_and_few_liars() -> None:
    drawn = plans("agreement")
    faults = [(plan, fault) for plan in drawn for fault in plan.faults]

    assert any(
        len(fault.groups) == 2 and len(fault.groups[0]) == len(fault.groups[1])
        for _, fault in faults
    )
    for plan, fault in faults:
        if fault.kind is FaultKind.OLD_DISK:
            alone = [f for f in plan.faults if f.kind is FaultKind.ISOLATE and f.at_s == fault.at_s]
            assert alone[0].nodes == fault.nodes
            assert alone[0].until_s >= fault.until_s
    assert any(not plan.villains for plan in drawn)
    assert all(3 * len(plan.villains) < plan.nodes for plan in drawn)
    roles = {role for plan in drawn for _, role in plan.villains}
    assert roles == {Role.FORKER, Role.WITHHOLDER, Role.THIEF}


def test_agreement_draws_rotations_of_honest_nodes_and_no_thief_without_one() -> None:
    drawn = plans("agreement")

    rotating = 0
    for plan in drawn:
        rotations = [fault for fault in plan.faults if fault.kind is FaultKind.ROTATE]
        rotating += bool(rotations)
        liars = {number for number, _ in plan.villains}
        assert not any(liars.intersection(fault.nodes) for fault in rotations)
        assert rotations or Role.THIEF not in {role for _, role in plan.villains}
    assert len(drawn) / 3 < rotating < len(drawn)


def test_nodes_and_time_can_be_chosen_and_the_rest_is_drawn() -> None:
    plan = draw(3, nodes=6, safety_s=12.5)

    assert (plan.nodes, plan.safety_s, plan.seed) == (6, 12.5, 3)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"profile": "nosuch"}, "profile"),
        ({"nodes": 1}, "nodes"),
        ({"nodes": NODES_MAX + 1}, "nodes"),
        ({"safety_s": 0.5}, "for"),
        ({"safety_s": 1e9}, "for"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_field(
    arguments: dict[str, object], field: str
) -> None:
    profile, nodes, safety_s = (arguments.get(name) for name in ("profile", "nodes", "safety_s"))
    assert profile is None or isinstance(profile, str)
    assert nodes is None or isinstance(nodes, int)
    assert safety_s is None or isinstance(safety_s, float)

    with pytest.raises(PlanError) as caught:
        draw(1, profile=profile or "swarm", nodes=nodes, safety_s=safety_s)

    assert caught.value.field == field
