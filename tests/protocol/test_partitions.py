"""What a partition did, compared with the history of those who wrote."""

import pytest

from protocol.agreement.report import Outcome
from protocol.detector.partition import Partition

from .split_world import QUIET_S, Expected, SplitWorld, newest, reported, sides

GROUPS = ((0, 1, 2), (3, 4))


def split_and_heal(seed: int, *groups: tuple[int, ...], each_s: float, for_s: float) -> SplitWorld:
    """Five nodes in which clients write before, during and after a split."""
    world = SplitWorld(sum(map(len, groups)), seed=seed)
    world.start_together()
    world.run(3.0)
    world.busy(3.0, each_s=each_s)
    world.run(0.5)
    world.divide(*groups)
    world.busy(for_s, each_s=each_s)
    world.run(0.2)
    return world


def after_heal(world: SplitWorld) -> Expected:
    expected = world.heal()
    world.run(QUIET_S)
    world.busy(1.0, each_s=0.2)
    world.run_until(world.settled, within=30)
    return expected


def test_who_joined_just_before_the_split_is_not_taken_for_new_on_the_other_side() -> None:
    world = SplitWorld(5, seed=1)
    world.start_joined()
    world.run(1.0)
    world.busy(1.0, each_s=0.1)
    world.run(0.5)
    world.divide(*GROUPS)
    world.busy(5.0, each_s=0.2)
    world.run(0.2)

    expected = after_heal(world)

    for node in world.nodes:
        assert reported(node, newest(node), world) == expected, f"{node.number}"
        assert newest(node).exact


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("each_s", [0.4, 0.04])
def test_each_report_lists_exactly_what_diverged(seed: int, each_s: float) -> None:
    world = split_and_heal(seed, *GROUPS, each_s=each_s, for_s=6.0)
    expected = after_heal(world)

    for node in world.nodes:
        episode = newest(node)
        ours = next(group for group in GROUPS if node.number in group)
        assert reported(node, episode, world) == expected, f"{node.number}"
        assert episode.exact
        assert episode.left == 0
        assert all(here == (owner in ours) for owner, here in sides(episode, world).items())
        assert episode.side is (Partition.MAJORITY if len(ours) == 3 else Partition.MINORITY)
        assert {cut.outcome for cut in episode.cuts.values()} == {Outcome.BACK}
        assert len(episode.cuts) == 5 - len(ours)
