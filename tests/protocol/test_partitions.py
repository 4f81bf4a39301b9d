"""What a partition did, compared with the history of those who wrote."""

import pytest

from protocol.agreement.documents import changes, joined, write
from protocol.agreement.report import Outcome
from protocol.detector.partition import Partition

from .split_world import QUIET_S, Expected, SplitWorld, newest, reported, sides

GROUPS = ((0, 1, 2), (3, 4))
THREE = ((0, 1, 2), (3, 4), (5, 6))


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


@pytest.mark.parametrize("seed", range(3))
def test_a_split_in_three_is_one_report(seed: int) -> None:
    world = split_and_heal(seed, *THREE, each_s=0.3, for_s=8.0)
    expected = after_heal(world)

    for node in world.nodes:
        episode = newest(node)
        assert episode.exact
        assert reported(node, episode, world) == expected
        assert episode.asked <= 6
        assert [one.number for one in node.peer.episodes.newest()] == [1]


@pytest.mark.parametrize("seed", range(4))
def test_what_was_on_its_way_when_the_links_were_cut_is_told_apart(seed: int) -> None:
    world = SplitWorld(5, seed=seed)
    world.loss = 0.05
    world.start_together()
    world.run(3.0)
    world.busy(3.0, each_s=0.2)
    for node in world.nodes:
        world.write(node)
    world.run(0.0015 * (1 + seed % 3))  # pushes arrive after 0.8 to 2 ms, some by way of others
    world.divide(*GROUPS)
    world.busy(6.0, each_s=0.4)
    world.loss = 0.0
    world.run(6.0)
    expected = world.between(world.nodes[0], world.nodes[4])
    assert len(expected) > 5

    world.heal()
    world.run_until(world.settled, within=30)

    for node in world.nodes:
        assert newest(node).exact
        assert reported(node, newest(node), world) == expected


@pytest.mark.parametrize("seed", range(3))
def test_of_a_split_too_short_for_all_to_notice_no_report_says_too_much(seed: int) -> None:
    world = split_and_heal(seed, (0,), (1,), (2,), (3, 4, 5, 6, 7, 8, 9), each_s=0.1, for_s=1.8)
    expected = after_heal(world)

    told = [newest(node) for node in world.nodes if list(node.peer.episodes.newest())]
    partly = [one for one in told if len(one.cuts) not in (3, 9)]
    assert told
    assert partly, "somebody missed only some of those that were cut off"
    for node in world.nodes:
        for episode in node.peer.episodes.newest():
            assert not episode.exact or reported(node, episode, world) == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_crash_is_a_report_of_what_the_crashed_one_missed(seed: int) -> None:
    world = SplitWorld(5, seed=seed)
    world.start_together()
    world.run(3.0)
    world.busy(3.0, each_s=0.3)
    world.run(0.5)
    world.divide(range(5))
    world.nodes[4].crash()
    world.busy(8.0, each_s=0.3)
    assert newest(world.nodes[0]).open
    world.run(0.2)
    expected = world.expected()

    world.nodes[4].start()
    world.nodes[4].join(world.nodes[0])
    world.run_until(world.settled, within=30)

    for node in world.nodes[:4]:
        episode = newest(node)
        assert episode.exact
        assert reported(node, episode, world) == expected
        assert [cut.outcome for cut in episode.cuts.values()] == [Outcome.BACK]
        assert episode.side is Partition.MAJORITY
    assert list(world.nodes[4].peer.episodes.newest()) == []


def test_one_that_stays_away_is_dead_and_the_report_is_closed() -> None:
    world = SplitWorld(5, seed=1)
    world.start_together()
    world.run(3.0)
    world.nodes[4].crash()
    world.run(world.config.evict_after_s + 5.0)

    for node in world.nodes[:4]:
        episode = newest(node)
        assert [cut.outcome for cut in episode.cuts.values()] == [Outcome.DEAD]
        assert not episode.open
        assert (episode.contact, episode.reconciled) == (None, None)


@pytest.mark.parametrize("seed", range(3))
def test_one_that_restarts_within_the_split_says_that_it_does_not_know_all(seed: int) -> None:
    world = split_and_heal(seed, *GROUPS, each_s=0.3, for_s=6.0)
    world.nodes[1].crash()
    world.busy(2.0, each_s=0.3)
    world.nodes[1].start()
    world.nodes[1].join(world.nodes[0])
    world.busy(5.0, each_s=0.3)
    world.run(0.2)
    expected = after_heal(world) | {(1, "node"): "changed"}

    for node in world.nodes[3:]:  # for whom its neighbours speak
        assert newest(node).exact
        assert reported(node, newest(node), world) == expected
    for node in (world.nodes[0], world.nodes[2]):  # who also list what it missed while it was down
        assert newest(node).exact
        assert reported(node, newest(node), world).items() >= expected.items()
    assert not newest(world.nodes[1]).exact


def test_documents_that_both_sides_wrote_are_named_with_their_conflicts() -> None:
    world = SplitWorld(5, seed=1)
    world.start_together()
    world.run(3.0)
    edit(world, 0, "limits", {"a": b"1", "b": b"1"})
    edit(world, 0, "notes", {"a": b"1"})
    world.run(2.0)
    world.divide(*GROUPS)
    world.run(6.0)
    edit(world, 1, "limits", {"a": b"2", "b": b"1"})
    edit(world, 1, "notes", {"a": b"1", "here": b"1"})
    edit(world, 3, "limits", {"a": b"3", "b": b"1"})
    edit(world, 3, "notes", {"a": b"1", "there": b"1"})
    world.run(1.0)
    world.heal()
    world.run_until(world.settled, within=30)

    for node in world.nodes:
        found = [(one.key, one.field) for one in newest(node).contested]
        assert found == [("limits", "a"), ("notes", "")]
        assert len(newest(node).diverged) == 4


def edit(world: SplitWorld, number: int, key: str, values: dict[str, bytes]) -> None:
    """One node writes a document, as it holds it."""
    node = world.nodes[number]
    before = joined(key, node.peer.registry.document(key))
    now_us = world.now.wall_us
    node.propose(write(before, changes(before, values), node.id, now_us))
