"""A hundred nodes in one process: real sockets, and what is made of what they did."""

import pytest
import trio

from benchmarks.cluster.fleet import free_block
from benchmarks.many.__main__ import Round, figures, main
from benchmarks.many.town import open_town
from benchmarks.report import Spread

OURS = [Round([[10.0, 30.0], [20.0, 40.0]], 1_000.0, 0), Round([[10.0], [10.0, 10.0]], 500.0, 1)]
THEIRS = [Round([[100.0, 300.0]], 2_000.0, 0), Round([[100.0, 100.0]], 2_000.0, 0)]


@pytest.mark.trio
async def test_nodes_with_sockets_of_their_own_hear_of_an_update() -> None:
    with trio.fail_after(30.0):
        async with open_town(3, free_block(3)) as town:
            times_ms = await town.update(1, 0)

    assert len(times_ms) == 2
    assert min(times_ms) > 0


def test_arrivals_are_counted_together_and_the_last_of_each_update_by_itself() -> None:
    assert OURS[0].quantile_ms(0.5) == 30.0
    assert OURS[0].quantile_ms(0.99) == 40.0
    assert OURS[0].all_ms() == 40.0


def test_the_figures_compare_rounds_and_add_up_what_was_missed() -> None:
    found = {one.name: one for one in figures(OURS, THEIRS, 3)}

    assert found["3 nodes: an update on another node, p50"].ratio == Spread(10.0, 10.0, 10.0)
    assert found["3 nodes: bytes for an update, by a node"].ratio == Spread(0.375, 0.25, 0.5)
    assert found["3 nodes: arrivals missed"].kith == Spread(1.0, 1.0, 1.0)


def test_without_memberlist_what_is_known_of_it_is_quoted_as_such() -> None:
    found = figures(OURS, [], 100)

    assert found[0].peer is None
    assert "was not measured in this run" in found[0].note


def test_bytes_that_were_not_counted_have_no_line() -> None:
    names = [one.name for one in figures([Round([[1.0]], None, 0)], [], 2)]

    assert "2 nodes: bytes for an update, by a node" not in names


@pytest.mark.parametrize("nodes", ["1", "101"])
def test_a_number_of_nodes_that_cannot_be_is_refused(nodes: str) -> None:
    with pytest.raises(SystemExit):
        main(["--nodes", nodes])
