"""Nodes that end and return: all at once, in any order, politely, and for good."""

import time

import pytest

from .situations import PATIENCE_S, Extra, Town, expect_within, rows, run_kith, say

STOP_MAX_S = 5.0
AT_ONCE_S = 2.0
"""One push over loopback takes milliseconds; the rest is for a busy machine."""

pytestmark = pytest.mark.slow


def test_a_cluster_comes_up_again_in_any_order_with_its_services(town: Town) -> None:
    a, b, c = town.nodes
    for number, node in enumerate(town.nodes):
        node.register("web", 8000 + number)
    everything = {"web-8000": "passing", "web-8001": "passing", "web-8002": "passing"}
    expect_within(PATIENCE_S, lambda: all(n.healths("web") == everything for n in town.nodes))
    town.settle()
    ends = [town.end(index) for index in (0, 2, 1)]
    assert [code for _, code in ends] == [0, 0, 0]

    with town.one_more(seed=town.cluster.gossip_address(0)) as lonely:
        lonely.wait_ready()
        lonely.node.register("cache", 6379)
        assert lonely.node.healths("cache") == {"cache-6379": "passing"}
        ready = town.start(2)
        assert c.healths("web")["web-8002"] == "passing"
        town.start(0)
        town.start(1)
        together = town.settle()
        expect_within(PATIENCE_S, lambda: all(n.healths("web") == everything for n in town.nodes))
        joined = expect_within(
            PATIENCE_S,
            lambda: (
                all(node.healths("cache") == {"cache-6379": "passing"} for node in (a, b, c))
                and lonely.node.healths("web") == everything
            ),
            "the one whose only seed was down has joined",
        )

    say(f"SIGTERM to end: {', '.join(f'{took:.2f} s' for took, _ in ends)}")
    say(f"ready {ready:.2f} s after its start though all seeds were down")
    say(f"all agree {together:.2f} s after the last start, the lonely one {joined:.2f} s later")


def test_a_node_told_to_stop_is_out_at_once_and_back_when_it_returns(town: Town) -> None:
    a, b, c = town.nodes
    b.register("db", 5432)
    expect_within(PATIENCE_S, lambda: all("db-5432" in node.healths("db") for node in (a, c)))

    start = time.perf_counter()
    took, code = town.end(1, within=STOP_MAX_S)
    assert code == 0
    expect_within(AT_ONCE_S, lambda: town.all_see("b", "stopping"), "b is stopping")
    out = time.perf_counter() - start
    assert [node.healths("db") for node in (a, c)] == [{}, {}]

    town.start(1)
    back = expect_within(
        PATIENCE_S,
        lambda: (
            town.all_see("b", "alive")
            and all(node.healths("db") == {"db-5432": "passing"} for node in town.nodes)
        ),
        "b is back",
    )

    say(f"ended with 0 in {took:.2f} s; out of lookups everywhere by {out:.2f} s at the latest")
    say(f"back with its instance {back:.2f} s after it was ready")


def left_everywhere(town: Town, gone: Extra) -> bool:
    """Whether all three show it as left, and none of its instances."""
    return all(
        peer["status"] == "left"
        for node in town.nodes
        for peer in rows(node.get("/v1/peers"), "peers")
        if peer["name"] == gone.node.name
    ) and all(node.healths("mail") == {} for node in town.nodes)


def test_kith_leave_is_for_good(town: Town) -> None:
    with town.one_more(seed=town.cluster.gossip_address(1)) as extra:
        extra.wait_ready()
        extra.node.register("mail", 25)
        expect_within(
            PATIENCE_S, lambda: all("mail-25" in node.healths("mail") for node in town.nodes)
        )
        identity = extra.node.id()

        done = run_kith(extra.node, "leave", "--yes")

        assert (done.returncode, done.stderr) == (0, "")
        assert extra.child.ended_by(time.monotonic() + STOP_MAX_S)  # noqa: TID251
        assert extra.child.fallen is not None
        assert extra.child.fallen.exit_code == 0
        took = expect_within(AT_ONCE_S, lambda: left_everywhere(town, extra), "left everywhere")
    owners = [node.get(f"/v1/peers/{identity}")["status"] for node in town.nodes]
    assert owners == ["left"] * 3
    town.settle()
    say(f"left everywhere, its records gone, {took:.2f} s after its end")
