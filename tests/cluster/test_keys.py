"""A real node rotates its key under load, restarts, and ends its identity, while a thief tries."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli.local_cluster import HOST, end_all
from protocol.commits import Change
from protocol.errors import RefusedError
from protocol.identity import parse_id
from protocol.wire.exchange import CheckRequest, encode_request
from protocol.wire.messages import DatagramKind

from .situations import (
    PATIENCE_S,
    Extra,
    Node,
    Town,
    clean_environment,
    expect_within,
    run_kith,
    say,
)
from .villain import Villain

EVERYWHERE_S = 1.0
"""Of a busy machine; on a quiet one it takes milliseconds."""
GRACE_S = 10.0
PING_BODY = b"\x92\x01\xc2"
STOLEN = Change(1, "web/stolen", b"\x91\x01")

pytestmark = pytest.mark.slow


def epochs(nodes: list[Node], owner: str) -> set[object]:
    """Which key of the owner the nodes know."""
    return {node.get(f"/v1/owners/{owner}/keys")["epoch"] for node in nodes}


def refused(node: Node, code: str) -> float:
    return node.metrics().get(f'kith_refused_total{{code="{code}"}}', 0.0)


def watched(nodes: list[Node], holds: Callable[[Node], bool], *words: str) -> tuple[int, int]:
    """Run a `kith` command, and look at every node all the while: looks, and how many failed."""
    command = subprocess.Popen(
        [sys.executable, "-m", "node.cli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    )  # fmt: skip
    looks = failures = 0
    end = time.monotonic() + PATIENCE_S  # noqa: TID251
    until = end
    while time.monotonic() < until:  # noqa: TID251
        for node in nodes:
            looks += 1
            failures += not holds(node)
        if command.poll() is not None and until == end:
            until = time.monotonic() + 2 * EVERYWHERE_S  # noqa: TID251
    _, errors = command.communicate()
    assert command.returncode == 0, errors
    return looks, failures


def test_a_key_is_rotated_under_load_and_the_stolen_old_one_opens_nothing(town: Town) -> None:
    nodes = town.nodes
    with town.one_more(name="rotator", seed=town.cluster.gossip_address(0)) as extra:
        extra.wait_ready()
        rotator = extra.node
        owner = rotator.id()
        rotator.register("web", 9100)
        everybody = [*nodes, rotator]
        expect_within(PATIENCE_S, lambda: all(n.healths("web") for n in everybody))
        expect_within(PATIENCE_S, lambda: all(len(n.statuses()) == 4 for n in everybody))
        before = [node.log.stat().st_size for node in everybody]
        stolen = extra.data_dir.with_name("stolen")
        shutil.copytree(extra.data_dir, stolen)
        (stolen / "identity.next").unlink()  # the thief got only what a running node needs
        a_port = int(town.cluster.gossip_address(0).rpartition(":")[2])
        thief = Villain.with_keys_of(
            stolen, a_port, parse_id(nodes[0].id()), parse_id(nodes[2].id())
        )

        looks, failures = watched(
            everybody, lambda node: node.healths("web") == {"web-9100": "passing"},
            "--api", f"http://{HOST}:{rotator.port}", "keys", "rotate",
        )  # fmt: skip

        assert failures == 0
        assert epochs(everybody, owner) == {1}
        changes = [
            line
            for node, offset in zip(everybody, before, strict=True)
            for line in node.events("member_changed", since=offset)
        ]
        assert changes == [], "nobody is suspected because of a rotation"
        expect_is_shut_out(thief, nodes[0])
        restart(extra)
        expect_within(PATIENCE_S, lambda: all(n.healths("web") for n in everybody))
        assert epochs(everybody, owner) == {1}
        expect_old_copy_ends(town, stolen)
        say(f"{looks} lookups on 4 nodes during the rotation, {failures} failed")
        expect_is_ended(extra, nodes, owner)


def expect_is_shut_out(thief: Villain, node: Node) -> None:
    """Handshakes at once; datagrams when the grace is over."""
    with pytest.raises(RefusedError) as caught:
        thief.request(encode_request(CheckRequest()))
    assert caught.value.code == "stale"
    bad = refused(node, "bad_mac")
    expect_within(GRACE_S + 5, lambda: _is_refused(thief, node, bad), "its datagrams are refused")


def _is_refused(thief: Villain, node: Node, before: float) -> bool:
    thief.send(thief.datagram(DatagramKind.PING, PING_BODY))
    return refused(node, "bad_mac") > before


def expect_old_copy_ends(town: Town, copy: Path) -> None:
    """A node on a copy from before the rotation is told so, signs nothing, and ends."""
    seed = ("--seed", town.cluster.gossip_address(0))
    one = Extra("copy", copy, seed)
    try:
        one.child.start()
        assert one.child.ended_by(time.monotonic() + PATIENCE_S)  # noqa: TID251
    finally:
        end_all([one.child])
    assert one.node.events("key_replaced_by_another")
    assert not one.node.events("node_ready")


def restart(extra: Extra) -> None:
    extra.kill()
    extra.child.start()
    extra.wait_ready()


def expect_is_ended(extra: Extra, nodes: list[Node], owner: str) -> None:
    """Revoked by command: the process ends, nothing of it is left, and it does not start again."""
    start = time.perf_counter()
    asked = run_kith(extra.node, "keys", "revoke", "--yes")
    assert asked.returncode == 0, asked.stderr
    gone = expect_within(PATIENCE_S, lambda: not any(n.healths("web") for n in nodes), "gone")
    took = time.perf_counter() - start
    assert extra.child.ended_by(time.monotonic() + PATIENCE_S)  # noqa: TID251
    for node in nodes:
        assert node.get(f"/v1/owners/{owner}/keys")["revoked"] is True
        status = node.call("GET", f"/v1/peers/{owner}")
        assert status.value.get("status") in ("left", None), status
    expect_within(PATIENCE_S, lambda: len({node.root() for node in nodes}) == 1, "one root")
    extra.child.start()
    assert extra.child.ended_by(time.monotonic() + PATIENCE_S)  # noqa: TID251
    assert "this node's identity was revoked" in extra.node.log.read_text()
    say(f"revoked: out of lookups everywhere {gone:.2f} s after the command ({took:.2f} s in all)")
