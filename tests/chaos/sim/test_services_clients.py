"""Clients write and look up as often as the plan says, and tell truly how it ended."""

import itertools
from random import Random

from chaos.history import Action, Operation, Outcome
from chaos.sim.clients.services import TIMEOUT_S, Workload
from chaos.sim.node import SimNode
from chaos.sim.plan import Plan
from chaos.sim.world import World

READY_S = 6.0


class Shop:
    """Three nodes and their clients."""

    def __init__(self, operations_per_s: float = 10.0) -> None:
        plan = Plan(seed=1, profile="test", nodes=3, operations_per_s=operations_per_s)
        self.world = World(plan)
        for node in self.nodes:
            node.start()
        self.wait(READY_S)
        self.workload = Workload(self.world, Random(1), self.nodes)
        self.workload.begin()

    @property
    def nodes(self) -> list[SimNode]:
        return self.world.nodes

    def wait(self, seconds: float) -> None:
        self.world.timeline.run(self.world.timeline.now + seconds)

    def done(self, *actions: Action) -> list[Operation]:
        operations = self.world.history.operations
        return [one for one in operations if not actions or one.action in actions]

    def writes(self) -> list[Operation]:
        return self.done(Action.REGISTER, Action.UPDATE, Action.DEREGISTER)


def test_operations_come_at_the_rate_of_the_plan_and_all_kinds_of_them() -> None:
    shop = Shop(operations_per_s=20.0)

    shop.wait(50.0)

    assert 800 < len(shop.done()) < 1_200
    assert all(len(shop.done(action)) > 50 for action in Action)
    assert {one.outcome for one in shop.done()} == {Outcome.OK}


def test_every_operation_has_a_number_of_its_own_and_writes_go_to_the_owner() -> None:
    shop = Shop()

    shop.wait(20.0)

    numbers = [one.number for one in shop.done()]
    assert len(set(numbers)) == len(numbers)
    assert all(one.key is not None and one.key.owner == one.node for one in shop.writes())
    assert all(one.completed_s >= one.invoked_s for one in shop.done())


def test_a_lookup_shows_whose_write_it_saw() -> None:
    shop = Shop()
    shop.wait(20.0)
    by_number = {one.number: one for one in shop.writes()}

    seen = [entry for one in shop.done(Action.LOOKUP) for entry in one.seen]

    assert len(seen) > 50
    assert all(by_number[value].key == key for key, value in seen)


def test_a_node_that_is_down_refuses_for_sure() -> None:
    shop = Shop()
    for node in shop.nodes:
        node.crash()
    before = len(shop.done())

    shop.wait(10.0)

    assert len(shop.done()) > before
    assert {one.outcome for one in shop.done()[before:]} == {Outcome.FAILED}


def test_a_write_that_the_node_dies_over_is_indefinite() -> None:
    shop = Shop(operations_per_s=50.0)
    shop.nodes[0].disk.slow_s = 1.0
    shop.wait(1.5)

    shop.nodes[0].crash()

    ended_now = [one for one in shop.writes() if one.completed_s == shop.world.timeline.now]
    assert {one.outcome for one in ended_now} == {Outcome.INDEFINITE}
    assert {one.node for one in ended_now} == {"n0"}


def test_a_write_that_takes_too_long_is_indefinite_and_its_client_goes_on() -> None:
    shop = Shop()
    for node in shop.nodes:
        node.disk.slow_s = 2 * TIMEOUT_S

    shop.wait(10.0)

    late = [one for one in shop.writes() if one.outcome is Outcome.INDEFINITE]
    assert len(late) > 10
    assert all(abs(one.completed_s - one.invoked_s - TIMEOUT_S) < 1e-6 for one in late)


def test_nobody_writes_a_key_again_before_the_last_write_of_it_ended() -> None:
    shop = Shop(operations_per_s=40.0)
    for node in shop.nodes:
        node.disk.slow_s = 0.3
    shop.wait(20.0)

    spans: dict[str, list[tuple[float, float]]] = {}
    for one in shop.writes():
        spans.setdefault(str(one.key), []).append((one.invoked_s, one.completed_s))

    for of_one_key in spans.values():
        ordered = sorted(of_one_key)
        pairs = itertools.pairwise(ordered)
        assert all(earlier[1] <= later[0] for earlier, later in pairs)


def test_clients_that_stop_writing_still_look_up() -> None:
    shop = Shop()
    shop.wait(5.0)
    shop.workload.writing = False
    shop.wait(TIMEOUT_S)
    writes, lookups = len(shop.writes()), len(shop.done(Action.LOOKUP))

    shop.wait(5.0)

    assert len(shop.writes()) == writes
    assert len(shop.done(Action.LOOKUP)) > lookups
