"""Hostile clients at a real node: each is refused or ended, and nobody else notices.

No time is compared here, for a busy machine would fail that: `python -m benchmarks.attacks` does.
"""

import socket
from collections.abc import Iterator

import pytest

from benchmarks.attacks.corpus import CORPUS, MARK, Trick
from benchmarks.attacks.probe import look_up, resident_bytes, under_attack
from benchmarks.attacks.scripts import ATTACKS
from node.cli.local_cluster import LocalCluster

from .situations import Town

pytestmark = pytest.mark.slow

PHASE_S = 10.0
"""What the node gives a request's head, its body, and an answer to be taken."""
GROWTH_MAX = 48_000_000
"""Bytes that the node's memory may grow by in an attack: 5,000 connections of 8 kB each, or 40
answers that wait."""
REFUSED = range(400, 500)
STATUSES = {
    "slow-headers": {408},
    "slow-bodies": {408},
    "half-closed": {0},
    "garbage": {400},
    "endless-headers": {413},
    "huge-chunks": {413},
    "endless-extensions": {413},
    "endless-trailers": {413},
    "small-chunks": {413, 400},
    "unread-answers": {0},
    "handshakes": {0},
    "silent": {0},
}
"""What each attacker is told last; 0: the connection just ends."""
LAST_S = {"slow-headers": PHASE_S + 3, "slow-bodies": PHASE_S + 3, "unread-answers": PHASE_S + 3,
          "silent": PHASE_S + 3, "handshakes": 8.0}  # fmt: skip
SHORT_S = 3.0


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """One node, with a service of 50 instances."""
    with LocalCluster(1, http_port=0) as cluster:
        cluster.start()
        cluster.wait_ready()
        town = Town(cluster)
        for number in range(50):
            town.nodes[0].register("web", 8_000 + number)
        look_up(town.nodes[0].port, 1.0)
        yield town


@pytest.mark.parametrize("name", ATTACKS)
def test_other_clients_are_served_and_attackers_are_ended(town: Town, name: str) -> None:
    node, pid = town.nodes[0], town.cluster.pid(0)
    gossip_port = int(town.cluster.gossip_address(0).rpartition(":")[2])
    before = resident_bytes(pid)

    ports = {"http_port": node.port, "gossip_port": gossip_port}
    with under_attack(name, "127.0.0.1", **ports) as attacker:
        if attacker.skipped:
            pytest.skip(f"SKIPPED: {attacker.skipped}")
        waits = look_up(node.port, LAST_S.get(name, SHORT_S))
        after = resident_bytes(pid)

    assert waits.failures == []
    assert len(waits.new_s) >= 5
    assert after - before < GROWTH_MAX
    assert attacker.opened >= ATTACKS[name].connections
    if name in ("idle", "crowd"):
        assert attacker.statuses == {}, "idle connections are kept as long as there is room"
    else:
        assert attacker.statuses.keys() <= STATUSES[name]
        assert sum(attacker.statuses.values()) >= ATTACKS[name].connections
    assert node.is_ready
    assert town.cluster.newly_fallen() == []


def test_idle_connections_give_way_where_there_is_no_more_room() -> None:
    with LocalCluster(1, http_port=0, options=("--http-connections-max", "300")) as cluster:
        cluster.start()
        cluster.wait_ready()
        node = Town(cluster).nodes[0]
        node.register("web", 8_000)
        ports = {"http_port": node.port, "gossip_port": 0}

        with under_attack("crowd", "127.0.0.1", **ports) as attacker:
            waits = look_up(node.port, SHORT_S)

        assert waits.failures == []
        assert attacker.statuses.get(200, 0) > 200, "they were answered, and closed later"
        assert node.metrics()["kith_http_closed_for_room_total"] > 200


@pytest.mark.parametrize("trick", CORPUS, ids=lambda trick: trick.name)
def test_a_hidden_request_is_never_answered(town: Town, trick: Trick) -> None:
    said = converse(town.nodes[0].port, trick.data)

    assert said.startswith(b"HTTP/1.1 ")
    assert said.count(b"\r\nX-Kith-Node: ") == 1
    assert MARK.encode() not in said
    if trick.is_refused:
        assert int(said[9:12]) in REFUSED
        assert b"Connection: close\r\n" in said


def converse(port: int, data: bytes) -> bytes:
    """Send, end sending, and read all there is to read."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as opened:
        opened.sendall(data)
        opened.shutdown(socket.SHUT_WR)
        said = b""
        while part := opened.recv(65_536):
            said += part
    return said
