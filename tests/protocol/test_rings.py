"""Who watches whom: docs/PROTOCOL.md, "Membership", first paragraph."""

from random import Random

import pytest

from protocol.detector.rings import Orders, Rings, SharedOrders
from protocol.identity import NodeId
from tests.protocol.small_world import node_id


def rings_of(size: int, *, count: int = 8) -> Rings:
    rings = Rings(Orders(count))
    for number in range(size):
        rings.add(node_id(number))
    return rings


def brute_observers(members: list[NodeId], rings: Rings, node: NodeId, count: int) -> list[NodeId]:
    """The definition, word for word, on whole orders."""
    chosen: list[NodeId] = []
    for number in range(count):
        for other in rings.walk(node, number, backward=True):
            if other not in chosen:
                chosen.append(other)
                break
        if len(chosen) == len(members) - 1:
            break
    return chosen


@pytest.mark.parametrize("count", [8, 16])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 10, 17, 40])
def test_everybody_has_k_distinct_observers_or_all_others(size: int, count: int) -> None:
    rings = rings_of(size, count=count)

    for number in range(size):
        observers = rings.observers(node_id(number))
        assert len(observers) == len(dict.fromkeys(observers)) == min(count, size - 1)
        assert node_id(number) not in observers
        members = [node_id(n) for n in range(size)]
        assert list(observers) == brute_observers(members, rings, node_id(number), count)


@pytest.mark.parametrize("count", [8, 16])
@pytest.mark.parametrize("size", [1, 2, 3, 9, 33, 64])
def test_subjects_are_exactly_those_whom_one_observes(size: int, count: int) -> None:
    rings = rings_of(size, count=count)

    for number in range(size):
        watched = [n for n in range(size) if node_id(number) in rings.observers(node_id(n))]
        assert sorted(rings.subjects(node_id(number))) == sorted(node_id(n) for n in watched)


def test_rings_depend_on_the_members_and_on_nothing_else() -> None:
    numbers = list(range(30))
    Random(1).shuffle(numbers)
    shuffled = Rings(Orders(8))
    for number in [*numbers, 77, 78]:
        shuffled.add(node_id(number))
    shuffled.remove(node_id(77))
    shuffled.remove(node_id(78))
    shuffled.remove(node_id(78))
    shuffled.add(node_id(3))

    plain = rings_of(30)

    assert len(shuffled) == 30
    for number in range(30):
        assert shuffled.observers(node_id(number)) == plain.observers(node_id(number))


def test_a_member_off_the_rings_has_the_observers_it_had() -> None:
    rings = rings_of(20)
    before = rings.observers(node_id(5))

    rings.remove(node_id(5))

    assert rings.observers(node_id(5)) == before
    assert node_id(5) not in rings


def test_neighbours_are_distinct_and_skip_the_unwanted() -> None:
    rings = rings_of(20)
    unwanted = rings.neighbours(node_id(0), 4, lambda _: True)

    others = rings.neighbours(node_id(0), 4, lambda node: node not in unwanted)

    assert len(unwanted) == len(others) == 4
    assert not [node for node in others if node in unwanted]
    assert rings.neighbours(node_id(0), 4, lambda _: False) == ()


def test_one_more_member_changes_few_observers() -> None:
    rings = rings_of(1_000)
    before = {n: rings.observers(node_id(n)) for n in range(1_000)}

    rings.add(node_id(5_000))

    changed = [n for n in before if rings.observers(node_id(n)) != before[n]]
    assert 1 <= len(changed) <= 2 * sum(range(1, 9))


def test_ten_thousand_members_fit() -> None:
    rings = rings_of(10_000)

    assert len(rings.observers(node_id(1))) == 8
    assert 1 <= len(rings.subjects(node_id(1))) <= 36


@pytest.mark.parametrize("seed", range(10))
def test_shared_orders_are_those_of_a_node_that_has_its_own(seed: int) -> None:
    rng = Random(seed)
    start = SharedOrders.of([node_id(number) for number in range(12)], 8)
    shared, plain, untouched = Rings(start), rings_of(12), Rings(start)
    revision = plain.revision

    for _ in range(40):
        node = node_id(rng.randrange(20))
        deed = rng.choice((Rings.add, Rings.remove))
        deed(shared, node)
        deed(plain, node)
        assert len(shared) == len(plain)
        for number in range(20):
            assert (node_id(number) in shared) == (node_id(number) in plain)
            assert shared.observers(node_id(number)) == plain.observers(node_id(number))
        assert shared.subjects(node) == plain.subjects(node)
        assert shared.revision == plain.revision - revision
    assert [untouched.observers(node_id(n)) for n in range(20)] == [
        rings_of(12).observers(node_id(n)) for n in range(20)
    ]


def test_who_knows_the_same_members_shares_the_same_orders() -> None:
    start = SharedOrders.of([node_id(number) for number in range(5)], 8)

    there = start.plus(node_id(7)).minus(node_id(2))

    assert start.minus(node_id(2)).plus(node_id(7)) is there
    assert there.minus(node_id(7)).plus(node_id(2)) is start
