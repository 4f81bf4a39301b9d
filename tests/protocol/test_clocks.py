"""The laws of vector clocks, and the hybrid clock."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.clocks import HybridClock, Order, compare, merged
from protocol.commits import NOTHING, Dot
from protocol.identity import NodeId
from protocol.limits import WALL_CLOCK_AHEAD_MAX_US

from .laws import law

OWNERS = st.sampled_from([NodeId(bytes((n,)) * 32) for n in range(4)])
DOTS = st.builds(Dot, st.integers(0, 2), st.integers(1, 3))
VECTORS = st.dictionaries(OWNERS, DOTS, max_size=4)
OPPOSITE = {
    Order.BEFORE: Order.AFTER, Order.AFTER: Order.BEFORE, Order.EQUAL: Order.EQUAL,
    Order.CONCURRENT: Order.CONCURRENT,
}  # fmt: skip


@law
@given(VECTORS, VECTORS)
def test_comparison_is_antisymmetric(a: dict[NodeId, Dot], b: dict[NodeId, Dot]) -> None:
    assert compare(b, a) is OPPOSITE[compare(a, b)]
    assert compare(a, a) is Order.EQUAL
    assert (compare(a, b) is Order.EQUAL) == (a == b)


@law
@given(VECTORS, VECTORS, VECTORS)
def test_before_is_transitive(
    a: dict[NodeId, Dot], b: dict[NodeId, Dot], c: dict[NodeId, Dot]
) -> None:
    if compare(a, b) is Order.BEFORE and compare(b, c) is Order.BEFORE:
        assert compare(a, c) is Order.BEFORE


@law
@given(VECTORS, VECTORS, VECTORS)
def test_merging_is_a_semilattice(
    a: dict[NodeId, Dot], b: dict[NodeId, Dot], c: dict[NodeId, Dot]
) -> None:
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, a) == a
    assert compare(a, merged(a, b)) in (Order.BEFORE, Order.EQUAL)
    if compare(a, b) is Order.BEFORE:
        assert merged(a, b) == b


def test_nothing_is_before_every_dot_and_epochs_come_first() -> None:
    assert NOTHING < Dot(0, 1) < Dot(0, 2) < Dot(1, 1)
    owner = NodeId(bytes(32))
    assert compare({}, {owner: Dot(0, 1)}) is Order.BEFORE
    assert compare({owner: Dot(0, 9)}, {owner: Dot(1, 1)}) is Order.BEFORE


@law
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**9), st.integers(0, 10**18))))
def test_the_hybrid_clock_only_rises_and_never_runs_away(
    events: list[tuple[bool, int, int]],
) -> None:
    clock, last, walls = HybridClock(), -1, [0]
    ticks = 0
    for ticks_here, wall, theirs in events:
        walls.append(wall)
        if not ticks_here:
            clock.observe(theirs, wall)
            continue
        ticks += 1
        here = clock.tick(wall)
        assert here > last
        assert here >= wall
        assert here <= max(walls) + WALL_CLOCK_AHEAD_MAX_US + ticks
        last = here


def test_what_was_observed_is_earlier_than_what_happens_next() -> None:
    clock = HybridClock()
    clock.observe(1_000_500, 1_000_000)

    assert clock.tick(1_000_000) == 1_000_501
