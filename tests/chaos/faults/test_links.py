"""Faults of links on real networks: who hears whom while they last, and that nothing is left."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from chaos.faults.fault import Table
from chaos.faults.links import CHAIN, Effect, LinkTable
from tests.chaos.cluster.situations import expect_within

from .situations import (
    NEVER_S,
    PORT,
    SOON_S,
    Scene,
    arrivals,
    empty_networks,
    hears,
    reach,
    traces,
)

pytestmark = pytest.mark.slow

ALL = {a + b for a in "abcd" for b in "abcd" if a != b}


@pytest.fixture(scope="module")
def _four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with empty_networks(4, tmp_path_factory.mktemp("four")) as made:
        yield made


@pytest.fixture
def four(_four: Scene) -> Iterator[Scene]:
    _four.notes.links_.clear()
    _four.stage.held.clear()
    yield _four
    assert traces(_four) == [], "every test leaves the networks as it found them"


@pytest.mark.parametrize(
    ("kind", "table", "passes"),
    [
        ("partition", {"groups": [["a", "b"], ["c", "d"]]}, {"ab", "ba", "cd", "dc"}),
        ("partition", {"groups": [["a"], ["b"], ["c"]]}, ALL & {x for x in ALL if "d" in x}),
        ("one-way", {"from": ["a"], "to": ["b", "c"]}, ALL - {"ab", "ac"}),
        ("ring-partition", {}, ALL - {"ac", "ca", "bd", "db"}),
        ("isolate", {"nodes": ["a", "b"]}, {"cd", "dc"}),
    ],
)
def test_what_is_cut_does_not_pass_and_all_else_does(
    four: Scene, kind: str, table: Table, passes: set[str]
) -> None:
    with four.in_force(kind, table):
        assert reach(four) == passes
        blocked = four.notes.links_[-1][0]
        assert {a + b for a, b in blocked} == ALL - passes

    assert reach(four) == ALL
    assert four.notes.links_[-1] == (frozenset(), 0.0, False, False)


def test_two_cuts_add_up_and_each_heals_its_own(four: Scene) -> None:
    first = four.fault("isolate", {"nodes": ["a"]})
    second = four.fault("partition", {"groups": [["a", "b"], ["c", "d"]]})
    first.inject(four.stage)
    second.inject(four.stage)
    assert reach(four) == {"cd", "dc"}

    first.heal(four.stage)
    assert reach(four) == {"ab", "ba", "cd", "dc"}

    second.heal(four.stage)
    second.heal(four.stage)
    assert reach(four) == ALL


def test_a_fault_that_was_never_injected_is_healed_without_harm(four: Scene) -> None:
    four.fault("isolate", {"nodes": ["a"]}).heal(four.stage)
    four.fault("swizzle").heal(four.stage)
    four.fault("flap", {"groups": [["a"], ["b"]], "up": "1s", "down": "1s"}).heal(four.stage)

    assert four.notes.links_ == []


def test_a_cut_stops_a_connection_that_stands_and_it_goes_on_when_healed(four: Scene) -> None:
    with (
        contextlib.closing(four.socket_in("a", socket.SOCK_STREAM)) as server,
        contextlib.closing(four.socket_in("b", socket.SOCK_STREAM)) as client,
    ):
        server.bind((four.member("a").address, PORT))
        server.listen()
        client.connect((four.member("a").address, PORT))
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(NEVER_S)
            with four.in_force("one-way", {"from": ["b"], "to": ["a"]}):
                client.sendall(b"late")
                with pytest.raises(TimeoutError):
                    accepted.recv(16)

            accepted.settimeout(20.0)
            assert accepted.recv(16) == b"late"


def test_who_asks_from_within_a_member_s_network_is_not_hit(four: Scene) -> None:
    with four.in_force("isolate", {"nodes": ["a"]}):
        assert hears(four, "a", "a", SOON_S)


def test_loss_takes_about_its_share_of_both_directions(four: Scene) -> None:
    with four.in_force("loss", {"share": 0.3, "groups": [["a"], ["b", "c"]]}):
        there = arrivals(four, "a", "b", count=1_000, wait_s=0.5)
        back = arrivals(four, "b", "a", count=1_000, wait_s=0.5)
        beside = arrivals(four, "b", "c", count=1_000, wait_s=0.5)
        assert four.notes.links_[-1][1] == pytest.approx(0.3)

    # Seven standard deviations of a binomial distribution to either side.
    assert 600 < there < 800
    assert 600 < back < 800
    assert beside == 1_000


def test_losses_of_two_faults_add_up_as_chances_do(four: Scene) -> None:
    with four.in_force("loss", {"share": 0.5}), four.in_force("loss", {"share": 0.2}):
        assert four.notes.links_[-1][1] == pytest.approx(0.6)

    assert four.notes.links_[-1][1] == 0.0


def test_flapping_links_are_cut_whole_and_cut_again(four: Scene) -> None:
    told = four.notes.links_
    table: Table = {"groups": [["a", "b"], ["c", "d"]], "up": "100ms", "down": "100ms"}

    with four.in_force("flap", table):
        expect_within(SOON_S * 4, lambda: len(told) >= 5, "cut, whole, cut, whole, cut")

    cuts = [bool(blocked) for blocked, *_ in told]
    assert cuts[:5] == [True, False, True, False, True]
    assert not cuts[-1]
    assert reach(four) == ALL


def test_a_swizzle_isolates_all_one_by_one_and_brings_all_back(four: Scene) -> None:
    told = four.notes.links_

    with four.in_force("swizzle", {"nodes": ["a", "b", "c"], "every": "100ms"}):
        expect_within(SOON_S * 4, lambda: len(told) >= 6, "three isolated, and three healed")

    assert [len(blocked) for blocked, *_ in told] == [6, 10, 12, 10, 6, 0]
    assert reach(four) == ALL


def test_a_swizzle_that_is_healed_half_way_leaves_nothing_cut(four: Scene) -> None:
    with four.in_force("swizzle", {"nodes": ["a", "b", "c"], "every": "1h"}):
        expect_within(SOON_S * 4, lambda: bool(four.notes.links_), "the first is isolated")
        assert len(four.notes.links_[-1][0]) == 6

    assert reach(four) == ALL


def test_what_a_filter_holds_is_looked_up_where_it_is_not_known(four: Scene) -> None:
    """As after a member came back with a network that may be new."""
    table = LinkTable.of(four.stage)
    with four.in_force("isolate", {"nodes": ["a"]}):
        table.again("a")
        assert not hears(four, "b", "a", NEVER_S)
        four.inside("a", "iptables", "-F", CHAIN)
        four.inside("a", "iptables", "-D", "INPUT", "-j", CHAIN)
        four.inside("a", "iptables", "-X", CHAIN)

        table.again("a")

        assert not hears(four, "b", "a", NEVER_S)


def test_what_another_process_cut_is_found_and_ended(four: Scene) -> None:
    LinkTable.of(four.stage).put("held", Effect(frozenset({("a", "b")})))
    four.stage.held.clear()

    LinkTable.of(four.stage).clear()

    assert hears(four, "a", "b", SOON_S)
    assert traces(four) == []


def test_what_will_be_cut_is_noted_before_and_what_will_be_whole_after(four: Scene) -> None:
    """From one cut to another, both count as cut while the filters change."""
    table, cuts = LinkTable.of(four.stage), [frozenset({("a", "b")}), frozenset({("c", "d")})]
    table.put("one", Effect(cuts[0]))

    table.put("one", Effect(cuts[1]))

    assert [blocked for blocked, *_ in four.notes.links_] == [cuts[0], cuts[0] | cuts[1], cuts[1]]
    table.take("one")
