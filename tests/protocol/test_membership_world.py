"""Whole clusters on a bad network: invariants P4, P5, P10 and the times to reach.

The world is seeded, so each of these runs is exactly the same every time.
"""

import itertools
from functools import partial
from statistics import median

import pytest

from protocol.detector.config import MembershipConfig
from protocol.detector.detection import Ping, Status
from protocol.detector.partition import Partition
from tests.protocol.small_world import AWAY, World, node_id

LOSS = 0.1
START = 20.0
"""Seconds that a cluster runs quietly before anything happens to it."""


def cluster(
    size: int, *, seed: int = 1, loss: float = LOSS, config: MembershipConfig | None = None
) -> World:
    world = World(size, seed=seed, loss=loss, config=config)
    world.run(START)
    return world


def split(world: World, low: int) -> None:
    """Nobody below `low` hears anybody else, nor the other way round."""
    world.cut = lambda sender, receiver: (sender < low) != (receiver < low)


def heal(world: World) -> None:
    world.cut = lambda _sender, _receiver: False


def expect_nobody_away(world: World) -> None:
    assert {n.number: world.away(n.number) for n in world.nodes if n.up} == {
        n.number: [] for n in world.nodes if n.up
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("size", [2, 3, 8, 16, 32])
def test_a_crash_is_seen_by_all_within_a_few_seconds(size: int, seed: int) -> None:
    world = cluster(size, seed=seed)

    world.crash(0)
    world.run(START + 6)

    times = world.seen_after(0, list(range(1, size)), since=START)
    assert median(times) < 2.5
    assert max(times) < 4
    assert [c for c in world.flags() if c.subject != 0] == []


@pytest.mark.parametrize("seed", range(4))
def test_a_crash_is_seen_also_by_one_who_is_no_observer_and_heard_the_member_last(
    seed: int,
) -> None:
    world = World(32, seed=seed)
    world.run(40.0)
    victim = node_id(0)
    observers = world.nodes[1].membership.observers(victim)
    last = next(n for n in world.nodes if n.number and node_id(n.number) not in observers)

    # An accused ping makes it look for itself; the answer is newer than all that observers have.
    ping = Ping(1, accused=True)
    world.perform(last, last.membership.receive(ping, victim, now=world.now))
    world.run(40.05)
    world.crash(0)
    world.run(46.0)

    assert world.status(last.number, 0) in AWAY


@pytest.mark.parametrize("size", [3, 8, 16])
def test_a_crashed_member_is_dead_everywhere_and_a_restart_brings_it_back(size: int) -> None:
    world = cluster(size, seed=5)
    world.crash(0)
    world.run(START + 30)
    others = range(1, size)
    assert {world.status(o, 0) for o in others} == {Status.DEAD}
    assert {n.membership.partition() for n in world.nodes[1:]} == {Partition.NONE}

    world.restart(0)
    world.run(START + 31)

    assert {world.status(o, 0) for o in others} == {Status.ALIVE}
    expect_nobody_away(world)


@pytest.mark.parametrize(("size", "low"), [(3, 1), (8, 4), (8, 1), (16, 8), (32, 16)])
def test_both_sides_see_a_split_and_its_end(size: int, low: int) -> None:
    world = cluster(size)
    pairs = [(o, s) for o in range(size) for s in range(size) if (o < low) != (s < low)]

    split(world, low)
    world.run(START + 14)

    times = [world.seen_after(s, [o], since=START)[0] for o, s in pairs]
    assert median(times) < 4
    assert max(times) < 13
    wrong = [c for c in world.flags() if (c.observer < low) == (c.subject < low)]
    assert len(wrong) <= size // 8
    even = 2 * low == size
    small, big = (Partition.EVEN,) * 2 if even else (Partition.MINORITY, Partition.MAJORITY)
    assert world.nodes[0].membership.partition() is small
    assert world.nodes[-1].membership.partition() is big

    heal(world)
    world.run(START + 14 + 3)
    expect_nobody_away(world)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_that_are_left_alone_see_each_other_go_though_neither_observes_the_other(
    seed: int,
) -> None:
    world = cluster(20, seed=seed)
    observers = {n.number: n.membership.observers(node_id(n.number)) for n in world.nodes}
    one, other = next(
        (one, other)
        for one, other in itertools.combinations(range(20), 2)
        if node_id(one) not in observers[other] and node_id(other) not in observers[one]
    )
    pair = {one, other}
    world.cut = lambda sender, receiver: (sender in pair) != (receiver in pair)
    world.run(START + 14)
    assert world.status(one, other) is world.status(other, one) is Status.ALIVE

    world.cut = lambda sender, receiver: sender in pair or receiver in pair
    world.run(START + 22)

    assert world.status(one, other) is world.status(other, one) is Status.UNREACHABLE


def test_the_majority_buries_the_minority_and_takes_it_back() -> None:
    world = cluster(16, seed=5)
    split(world, 5)
    world.run(START + 60)

    assert {world.status(o, s) for o in range(5, 16) for s in range(5)} == {Status.DEAD}
    assert {world.status(o, s) for o in range(5) for s in range(5, 16)} == {Status.UNREACHABLE}

    heal(world)
    world.run(START + 63)

    expect_nobody_away(world)


@pytest.mark.parametrize("seed", range(1, 9))
def test_nobody_is_buried_just_after_a_split_has_healed(seed: int) -> None:
    world = cluster(16, seed=seed)
    split(world, 8)
    world.run(START + 15.5)

    heal(world)
    world.run(START + 25)

    expect_nobody_away(world)
    assert Status.DEAD not in [c.new for c in world.changes]


def test_if_many_go_at_once_the_last_are_certified_by_new_observers() -> None:
    world = cluster(16, seed=5)
    for number in range(6):
        world.crash(number)

    world.run(START + 60)

    assert {world.status(o, s) for o in range(6, 16) for s in range(6)} == {Status.DEAD}


def test_halves_never_bury_each_other() -> None:
    world = cluster(8, seed=2)
    split(world, 4)
    world.run(START + 100)

    assert Status.DEAD not in [c.new for c in world.changes]
    assert {n.membership.partition() for n in world.nodes} == {Partition.EVEN}


def test_if_half_go_at_once_the_rest_see_them_and_an_operator_may_forget_them() -> None:
    world = cluster(8)
    for number in range(4):
        world.crash(number)
    world.run(START + 40)
    assert {world.status(o, s) for o in range(4, 8) for s in range(4)} == {Status.UNREACHABLE}

    for node in world.nodes[4:]:
        for number in range(4):
            node.membership.forget(node_id(number), incarnation=1, now=world.now)

    assert {n.membership.partition() for n in world.nodes[4:]} == {Partition.NONE}


@pytest.mark.parametrize("size", [3, 8, 16, 32])
@pytest.mark.parametrize(("loss", "wrong_max"), [(0.0, 0), (0.1, 0), (0.2, 16)])
def test_where_nothing_happens_nobody_is_flagged_and_nobody_dies(
    size: int, loss: float, wrong_max: int
) -> None:
    world = World(size, seed=3, loss=loss)

    world.run(60.0)

    assert len(world.flags()) <= wrong_max
    assert Status.DEAD not in [c.new for c in world.changes]
    expect_nobody_away(world)


def test_an_idle_node_says_two_heartbeats_a_second_and_nothing_else() -> None:
    world = World(8, seed=1)

    world.run(60.0)

    assert world.messages_per_s(30, 60) == pytest.approx(2.0, abs=0.02)
    assert world.worst_second(30) <= 3
    assert sum(n.voice.verified for n in world.nodes) == 0


@pytest.mark.parametrize("size", [8, 16, 32])
def test_slander_by_an_eighth_has_no_lasting_effect(size: int) -> None:
    world = World(size, seed=2, loss=LOSS)
    liars = range(size // 8)

    def slander(liar: int) -> None:
        me = node_id(liar)
        subjects = [
            s
            for s in range(size)
            if s != liar and me in world.nodes[liar].membership.observers(node_id(s))
        ]
        world.slander(liar, subjects, ahead=1_000)
        world.at(world.now + 1.0, partial(slander, liar))

    for liar in liars:
        world.at(5.0, partial(slander, liar))
    world.run(40.0)

    honest = [c for c in world.flags() if c.observer not in liars]
    assert len(honest) <= size // 2
    assert all(
        world.status(o, s) not in AWAY for o in range(size) for s in range(size) if o not in liars
    )
    assert not any(c.certified for c in honest)
    assert Status.DEAD not in [c.new for c in world.changes]


@pytest.mark.parametrize("size", [3, 8, 16])
def test_a_paused_node_is_seen_away_then_back_and_never_dead(size: int) -> None:
    world = cluster(size, seed=4)

    world.pause(0, 8.0)
    world.run(START + 7.9)
    assert {world.status(o, 0) for o in range(1, size)} == {Status.UNREACHABLE}
    world.run(START + 10.5)

    expect_nobody_away(world)
    assert Status.DEAD not in [c.new for c in world.changes]
    assert [c for c in world.flags() if c.observer == 0] == []


@pytest.mark.parametrize("deaf", [True, False])
@pytest.mark.parametrize("size", [3, 8, 16])
def test_a_node_that_is_deaf_or_mute_is_away_for_all_and_back_at_once(
    size: int, *, deaf: bool
) -> None:
    world = cluster(size, seed=2)
    world.cut = lambda sender, receiver: (receiver if deaf else sender) == 0

    world.run(START + 14)

    others = range(1, size)
    assert world.away(0) == list(others)
    assert sum(world.status(o, 0) in AWAY for o in others) >= 0.9 * len(others)
    wrong = [c for c in world.flags() if 0 not in (c.observer, c.subject)]
    assert len(wrong) <= 2

    heal(world)
    world.run(START + 18)
    expect_nobody_away(world)


def test_one_cut_link_makes_nobody_unreachable_for_the_others() -> None:
    world = cluster(8, seed=1)
    world.cut = lambda sender, receiver: {sender, receiver} == {0, 1}

    world.run(START + 60)

    flags = [c for c in world.flags(since=START) if {c.observer, c.subject} != {0, 1}]
    assert len(flags) <= 4
    assert Status.DEAD not in [c.new for c in world.changes]


def test_a_rolling_restart_flags_nobody() -> None:
    world = cluster(8, seed=3)

    for number in range(8):
        world.stop(number, leaving=False)
        world.run(world.now + 3)
        world.restart(number)
        world.run(world.now + 2)

    assert world.flags(since=START) == []
    assert {world.status(o, s) for o in range(8) for s in range(8)} == {Status.ALIVE}


def test_who_leaves_is_watched_no_more() -> None:
    world = cluster(8, seed=3)

    world.stop(0, leaving=True)
    world.run(START + 20)

    assert {world.status(o, 0) for o in range(1, 8)} == {Status.LEFT}
    assert world.flags(since=START) == []
    assert all(node_id(0) not in n.membership.subjects() for n in world.nodes[1:])


@pytest.mark.parametrize(
    "config",
    [MembershipConfig.local(), MembershipConfig.wan(), MembershipConfig.hostile()],
    ids=["local", "wan", "hostile"],
)
def test_every_profile_sees_a_crash_and_flags_nobody_else(config: MembershipConfig) -> None:
    world = World(20, seed=1, loss=0.02, config=config)
    world.run(40.0)

    world.crash(0)
    world.run(40.0 + 2 * config.evict_after_s + 10)

    assert {world.status(o, 0) for o in range(1, 20)} == {Status.DEAD}
    assert [c for c in world.flags() if c.subject != 0] == []


def test_the_same_seed_gives_the_same_trace() -> None:
    def trace(seed: int) -> list[object]:
        world = cluster(8, seed=seed)
        world.crash(0)
        world.run(START + 5)
        return [*world.changes, *(n.sent for n in world.nodes)]

    assert trace(7) == trace(7)
    assert trace(7) != trace(8)


@pytest.mark.parametrize("seed", range(1, 4))
def test_no_node_sends_much_more_than_fifty_in_a_second_whatever_happens(seed: int) -> None:
    world = cluster(32, seed=seed)

    world.cut = lambda sender, receiver: sender < 10 <= receiver
    world.run(START + 14)
    heal(world)
    world.run(START + 20)

    assert world.worst_second(int(START)) <= 55


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_check_by_all_observers_does_not_leave_a_member_unwatched(seed: int) -> None:
    world = cluster(16, seed=seed, loss=0.0)
    for other in world.nodes[1:]:
        ask = Ping(1, accused=True)
        world.perform(other, other.membership.receive(ask, node_id(0), now=world.now))
    world.run(START + 0.2)

    world.crash(0)
    world.run(START + 3)

    assert max(world.seen_after(0, list(range(1, 16)), since=START)) < 2
