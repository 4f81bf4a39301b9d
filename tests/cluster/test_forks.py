"""An owner of two histories: a liar is caught by everybody, an honest node mends itself."""

import shutil
import socket
from functools import partial
from pathlib import Path

import pytest

from chaos.cluster.places import GOSSIP_PORT
from node.client import Json
from protocol.identity import NodeId, parse_id
from protocol.records import ServiceRecord

from .network import SHORT_ID, Country, open_country
from .situations import PATIENCE_S, Node, Shape, expect_within, rows, say, whole
from .villain import Villain

LIAR = 7
HALVES = (0, 1, 2, 3), (4, 5, 6)
CAUGHT_S = 5.0
"""On an idle machine it takes milliseconds; the figure is printed."""
NEVER_NS = 2**63
MENDED_S = 5.0
"""More than the promised second; the figure is printed."""

pytestmark = pytest.mark.slow


def told_by(country: Country, index: int, target: int) -> Villain:
    """One who speaks to a target with the keys of a node, and from its place."""
    return Villain.with_keys_of(
        country.data_dir(index),
        GOSSIP_PORT,
        parse_id(country.nodes[target].id()),
        NodeId(b""),
        host=country.networks.address(target),
        opened=partial(country.networks.open_socket, index),
    )


def forks_of(node: Node, owner: str) -> list[Shape]:
    """What a node's log says of an owner's forks."""
    return [line for line in node.events("fork_found") if line["owner"] == owner[:SHORT_ID]]


def evidence_of(node: Node, owner: str) -> list[list[tuple[Json, Json]]]:
    """Every proof against an owner that a node keeps: the signed bytes of both heads."""
    found = rows(node.get(f"/v1/evidence?owner={owner}"), "evidence")
    return [[(head["header"], head["signature"]) for head in rows(one, "heads")] for one in found]


def took_ns(node: Node, owner: str, version: int) -> int:
    """When a node took that commit of an owner; `NEVER_NS` if it did not."""
    times = [
        whole(line, "mono_ns")
        for line in node.events("applied")
        if line["owner"] == owner[:SHORT_ID] and line["version"] == version
    ]
    return min(times, default=NEVER_NS)


def ports(node: Node) -> dict[str, int]:
    """Every instance that a node shows, of services with one: id to port."""
    names = node.get("/v1/services")["services"]
    assert isinstance(names, dict)
    found = [one for name in names for one in rows(node.get(f"/v1/services/{name}"), "instances")]
    return {str(one["id"]): whole(one, "port") for one in found}


def mended(country: Country) -> bool:
    """Whether all hold the same, and no owner is in dispute anywhere."""
    return country.is_of_one_mind() and not any(
        node.metrics()["kith_disputed_owners"] for node in country.nodes
    )


def service(name: str) -> ServiceRecord:
    """What the liar says."""
    return ServiceRecord(name=name, id=name, address="10.77.0.8", port=80)


def test_a_liar_who_shows_each_half_another_commit_is_proved_one_to_all(tmp_path: Path) -> None:
    with open_country(8, tmp_path, ("--log-level", "debug")) as country:
        honest = [country.nodes[index] for half in HALVES for index in half]
        owner = country.nodes[LIAR].id()
        country.kill(LIAR)
        liars = {index: told_by(country, LIAR, index) for half in HALVES for index in half}
        commits = liars[0].fork(service("web"), service("api"))
        datagrams = [
            (country.networks.address(index), liars[index].push(commit))
            for half, commit in zip(HALVES, commits, strict=True)
            for index in half
        ]

        # From one socket and with both halves in turn, or the first would be everywhere before.
        with country.networks.open_socket(LIAR, socket.SOCK_DGRAM) as udp:
            for address, datagram in (*datagrams[::3], *datagrams[1::3], *datagrams[2::3]):
                udp.sendto(datagram, (address, GOSSIP_PORT))
        expect_within(
            CAUGHT_S, lambda: all(forks_of(node, owner) for node in honest), "all know of the fork"
        )

        versions = {commit.head.version for commit in commits}
        for node in honest:
            (found,) = forks_of(node, owner)
            assert {whole(found, "first"), whole(found, "second")} == versions
            assert node.metrics()["kith_disputed_owners"] == 1
            assert evidence_of(node, owner) == evidence_of(honest[0], owner)
            (case,) = rows(node.get(f"/v1/evidence?owner={owner}"), "evidence")
            assert (case["verified"], case["open"]) == (True, True)
        held = max(
            min(took_ns(node, owner, commit.head.version) for node in honest) for commit in commits
        )
        known = [whole(forks_of(node, owner)[0], "mono_ns") for node in honest]
        healths = [node.healths(name) for node in honest for name in ("web", "api")]
        assert not any("passing" in health.values() for health in healths)

    if held == NEVER_NS:  # a busy machine: who was sent the second half had the first by then
        held = min(known)
    say(f"both halves held {(min(known) - held) / 1e6:.1f} ms before the first node knew of it,")
    say(f"{(max(known) - held) / 1e6:.1f} ms before all {len(honest)} did")


def test_a_node_put_back_to_an_old_disk_while_cut_off_merges_what_it_was(tmp_path: Path) -> None:
    others, forgetful = (0, 1, 2, 3), 4
    with open_country(5, tmp_path, ("--log-level", "debug")) as country:
        node = country.nodes[forgetful]
        owner = node.id()
        for name, port in {"kept": 1, "gone-later": 2, "changed": 3, "changed-again": 4}.items():
            node.register(name, port, id=name)
        country.settle()
        country.kill(forgetful)
        old = country.data_dir(forgetful).with_name("old")
        shutil.copytree(country.data_dir(forgetful), old)
        country.start(forgetful)
        node.register("new", 5, id="new")
        node.deregister("gone-later", "gone-later")
        node.register("changed", 33, id="changed")
        node.register("changed-again", 44, id="changed-again")
        country.settle()
        country.kill(forgetful)
        shutil.rmtree(country.data_dir(forgetful))
        old.rename(country.data_dir(forgetful))

        country.cut(others, (forgetful,))
        country.start(forgetful)
        node.register("second-life", 6, id="second-life")
        node.register("changed-again", 444, id="changed-again")
        node.deregister("kept", "kept")
        country.expect_apart(others, (forgetful,))
        country.heal()
        expect_within(PATIENCE_S, country.see_each_other, "contact")
        wanted = {"new": 5, "changed": 33, "changed-again": 444, "second-life": 6}
        expect_within(
            MENDED_S,
            lambda: mended(country) and all(ports(one) == wanted for one in country.nodes),
            "all of one mind, nobody in dispute, nothing of either life lost",
        )
        for one in country.nodes:
            cases = rows(one.get(f"/v1/evidence?owner={owner}"), "evidence")
            assert not any(case["open"] for case in cases), one.name
        disputes = {one.name: len(forks_of(one, owner)) for one in country.nodes}
        contact = min(country.contacts_s(others, (forgetful,)))
        newest = node.head()
        merged = max(took_ns(one, owner, newest) for one in country.nodes) - country.healed_ns

    seen = [name for name, count in disputes.items() if count]
    say(f"the fork was seen by {', '.join(seen) or 'nobody: it was merged before'}")
    say(f"contact {contact:.2f} s after the link's return,")
    say(f"the merge on all {merged / 1e9 - contact:.2f} s after contact")
