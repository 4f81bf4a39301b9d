"""The benchmark of repairs measures repairs: both sides come to the same, by the way it says."""

import pytest

from benchmarks.cluster.fleet import BenchError
from benchmarks.repair.pair import Owner, Pair


def differing(*, kept: bool) -> Pair:
    """Two who hold 3 owners of 300 records, one of whom has changed ten."""
    owners = [Owner(number, 300) for number in range(3)]
    pair = Pair()
    for owner in owners:
        pair.hold(pair.asker, owner, owner.manifest())
        pair.hold(pair.asked, owner, owner.manifest())
    commit = owners[0].change(range(10), "2.0")
    if kept:
        pair.asked.registry.offer(owners[0].chain.node, [commit], now=0.0, is_old=True)
    else:
        pair.hold(pair.asked, owners[0], owners[0].manifest())
    return pair


def test_a_repair_costs_little_beside_a_join_whether_commits_are_kept_or_not() -> None:
    steps, trees, whole = differing(kept=True), differing(kept=False), Pair()
    owners = [Owner(number, 300) for number in range(3)]
    for owner in owners:
        whole.hold(whole.asked, owner, owner.manifest())

    few, some, everything = steps.repair(), trees.repair(), whole.join()

    assert few.round_trips == 1
    assert few.received < some.received < everything.received / 5
    for pair in (steps, trees, whole):
        assert pair.asker.registry.root == pair.asked.registry.root
    assert sum(1 for _ in trees.asker.registry.instances("service-3")) == 45


def test_a_join_that_does_not_get_everything_is_an_error() -> None:
    pair = Pair()
    pair.hold(pair.asked, owner := Owner(1, 3), owner.manifest())
    pair.hold(pair.asker, other := Owner(2, 3), other.manifest())

    with pytest.raises(BenchError):
        pair.join()
