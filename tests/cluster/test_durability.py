"""What was acknowledged survives kill -9 at any point, and an old disk put back."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from .situations import (
    LARGE,
    PATIENCE_S,
    Caller,
    NoAnswer,
    Node,
    Town,
    expect_within,
    rows,
    say,
    whole,
)

ROUNDS = 20 if LARGE else 1
CLIENTS = 8 if LARGE else 4
KILL_AFTER = (50, 400) if LARGE else (100, 200)
"""Acknowledged registrations of a round before the kill; with all rounds below 10,000."""
RETURN_S = 8.0
OLD_DISK_S = 60.0 if LARGE else 2.0

pytestmark = pytest.mark.slow


class Load:
    """Clients that register distinct instances with one node until it is gone."""

    def __init__(self, port: int, prefix: str) -> None:
        self._port = port
        self._prefix = prefix
        self._enough = threading.Event()
        self.acked: dict[str, int] = {}
        """Instance's id to the version that acknowledged it; one writer a key."""
        self.strange: list[str] = []
        self._threads = [
            threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _client(self, number: int) -> None:
        with Caller(self._port) as caller:
            for count in range(10_000):
                if self._enough.is_set():
                    return
                name = f"{self._prefix}-{number}-{count}"
                try:
                    answer = caller.call(
                        "POST", "/v1/services", {"name": "load", "id": name, "port": 1 + count}
                    )
                except NoAnswer:
                    return
                if answer.status not in (200, 201):
                    self.strange.append(f"{name}: {answer}")
                    return
                self.acked[name] = whole(answer.value, "version")


def one_round(node: Node, number: int, wanted: int, kill: Callable[[], None]) -> dict[str, int]:
    """Load a node and kill it amid that; what it acknowledged meanwhile."""
    load = Load(node.port, f"r{number}")
    load.start()
    try:
        expect_within(PATIENCE_S, lambda: len(load.acked) >= wanted, "acknowledged")
        kill()
    finally:
        load.join()
    assert load.strange == []
    return load.acked


def test_every_acknowledged_registration_survives_kill_9_under_load(town: Town) -> None:
    _, b, _ = town.nodes
    owner, logs, rng = b.id(), town.log_sizes(), Random(7)
    acked: dict[str, int] = {}

    def all_hold_them() -> bool:
        return all(acked.keys() <= node.healths("load").keys() for node in town.nodes)

    for number in range(ROUNDS):
        life, head = b.incarnation(), b.head()
        fresh = one_round(b, number, rng.randint(*KILL_AFTER), lambda: town.kill(1))
        acked |= fresh

        ready = town.start(1)
        found = b.healths("load")
        assert acked.keys() - found.keys() == set()
        assert b.head() > max(head, *fresh.values())
        assert b.incarnation() > life
        others = expect_within(PATIENCE_S, all_hold_them, "all others hold them")
        town.settle()
        assert all(node.clock()[owner] == b.head() for node in town.nodes)
        assert len({len(node.healths("load")) for node in town.nodes}) == 1
        say(
            f"round {number + 1}: {len(fresh)} acknowledged, {len(acked)} in all, "
            f"{len(found) - len(acked)} taken without a word, ready {ready:.2f} s, "
            f"on all others {others:.2f} s later"
        )

    assert town.forks(logs) == []
    say(f"{ROUNDS} rounds, {len(acked)} acknowledged, none missing, no fork")


def test_a_node_alone_has_on_its_own_disk_all_that_it_acknowledged_before_kill_9(
    town: Town,
) -> None:
    """With peers, it would read itself back from them, and a disk that forgets would not show."""
    rng, acked = Random(8), dict[str, int]()
    with town.one_more() as alone:
        alone.wait_ready()
        for number in range(ROUNDS):
            life = alone.node.incarnation()
            fresh = one_round(alone.node, number, rng.randint(*KILL_AFTER), alone.kill)
            acked |= fresh

            alone.child.start()
            alone.wait_ready()
            assert acked.keys() - alone.node.healths("load").keys() == set()
            assert alone.node.head() > max(fresh.values())
            assert alone.node.incarnation() > life
        assert alone.node.metrics()["kith_disputed_owners"] == 0
        assert alone.node.events("fork_found") == []
    say(f"alone: {ROUNDS} rounds, {len(acked)} acknowledged, none missing, no fork")


@dataclass
class Told:
    """What one client was told of its instances."""

    present: dict[str, str] = field(default_factory=dict)
    """Instance's id to the version last acknowledged for it."""
    gone: set[str] = field(default_factory=set)
    commits: int = 0


def change_at_random(port: int, told: Told, rng: Random, seconds: float) -> None:
    """Register, change and deregister, one after the other, each acknowledged."""
    end = time.perf_counter() + seconds
    with Caller(port) as caller:
        while time.perf_counter() < end:
            told.commits += 1
            if len(told.present) > 10 and rng.random() < 0.3:
                one = rng.choice(list(told.present))
                answer = caller.call("DELETE", f"/v1/services/load/{one}")
                assert answer.status == 200, answer
                del told.present[one]
                told.gone.add(one)
                continue
            again = bool(told.present) and rng.random() < 0.4
            one = rng.choice(list(told.present)) if again else f"n{told.commits}"
            version = str(told.commits)
            answer = caller.call(
                "POST",
                "/v1/services",
                {"name": "load", "id": one, "port": 80, "version": version},
            )
            assert answer.status in (200, 201), answer
            told.present[one] = version


def test_a_node_on_an_old_disk_reads_itself_back(town: Town) -> None:
    a, b, c = town.nodes
    owner, logs, told = b.id(), town.log_sizes(), Told()
    change_at_random(b.port, told, Random(1), OLD_DISK_S / 4)
    town.kill(1)
    old = town.data_dir(1).with_name("b-old")
    shutil.copytree(town.data_dir(1), old)
    copied = len(told.present)
    town.start(1)
    change_at_random(b.port, told, Random(2), OLD_DISK_S)
    head, life = b.head(), b.incarnation()
    expect_within(PATIENCE_S, lambda: all(n.clock()[owner] == head for n in (a, c)), "all know it")
    town.kill(1)
    shutil.rmtree(town.data_dir(1))
    old.rename(town.data_dir(1))

    ready = town.start(1)
    expect_within(PATIENCE_S, lambda: versions(b) == told.present, "read back")
    assert not told.gone & b.healths("load").keys()
    assert b.head() > head
    settled = town.settle()
    assert all(versions(node) == told.present for node in town.nodes)
    assert town.forks(logs) == []
    assert b.incarnation() > life

    say(
        f"old disk: copied with {copied} instances, then {told.commits} changes; "
        f"{len(told.present)} present and {len(told.gone)} gone, all as acknowledged; "
        f"ready {ready:.2f} s, all agree {settled:.2f} s later"
    )


def test_a_node_on_a_disk_of_several_lives_ago_is_alive_again_everywhere(town: Town) -> None:
    a, b, c = town.nodes
    b.register("db", 5432)
    town.settle()
    town.kill(1)
    old = town.data_dir(1).with_name("b-older")
    shutil.copytree(town.data_dir(1), old)
    for _ in range(2):
        town.start(1)
        town.settle()
        town.kill(1)
    life = max(whole(one, "incarnation") for one in rows(a.get("/v1/peers"), "peers"))
    younger = town.data_dir(1).with_name("b-younger")
    town.data_dir(1).rename(younger)
    old.rename(town.data_dir(1))

    town.start(1)
    try:
        back = expect_within(RETURN_S, town.agrees, "alive everywhere")
        assert b.incarnation() >= life  # it is of whole seconds, and this was all in one
        assert [node.healths("db") for node in (a, c)] == [{"db-5432": "passing"}] * 2
        say(f"alive everywhere {back:.2f} s after it was ready, in life {b.incarnation()}")
    finally:
        town.kill(1)
        shutil.rmtree(town.data_dir(1))
        younger.rename(town.data_dir(1))


def versions(node: Node) -> dict[str, str]:
    """Instance's id to its own version."""
    found = rows(node.get("/v1/services/load"), "instances")
    return {str(one["id"]): str(one["version"]) for one in found}
