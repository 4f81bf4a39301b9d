"""Links lose, delay and repeat what they are told to, and open again when all faults are healed."""

from random import Random

import pytest

from chaos.sim.network import Network, either
from chaos.sim.timeline import Timeline


class Wire:
    """A network of four, and what came through: `(when, receiver, sender, datagram)`."""

    def __init__(self, loss: float = 0.0) -> None:
        self.timeline = Timeline()
        self.came: list[tuple[float, int, int, bytes]] = []
        self.network = Network(
            self.timeline,
            Random(1),
            nodes=4,
            loss=loss,
            latency_s=(0.001, 0.002),
            arrive=self.arrive,
        )

    def arrive(self, receiver: int, sender: int, datagram: bytes) -> None:
        self.came.append((self.timeline.now, receiver, sender, datagram))

    def send(self, count: int, *, sender: int = 0, receiver: int = 1) -> None:
        for number in range(count):
            self.network.send(sender, receiver, b"%04d" % number)

    def wait(self, seconds: float = 2.0) -> list[bytes]:
        self.came.clear()
        self.timeline.run(self.timeline.now + seconds)
        return [datagram for _, _, _, datagram in self.came]


def test_a_datagram_arrives_once_after_the_usual_latency_or_a_little_more() -> None:
    wire = Wire()

    wire.send(500)
    wire.wait()

    took = sorted(when for when, *_ in wire.came)
    late = [seconds for seconds in took if seconds > 0.002]
    assert len(took) == 500
    assert took[0] >= 0.001
    assert 0 < len(late) < 30
    assert took[-1] <= 0.032


@pytest.mark.parametrize(("usual", "fault", "together"), [(0.2, [], 0.2), (0.1, [0.5], 0.55)])
def test_losses_of_the_plan_and_of_faults_add_up(
    usual: float, fault: list[float], together: float
) -> None:
    wire = Wire(loss=usual)
    wire.network.weather.loss += fault
    wire.network.weigh_loss()

    wire.send(4_000)

    assert wire.network.loss == pytest.approx(together)
    assert len(wire.wait()) == pytest.approx(4_000 * (1 - together), rel=0.05)
    assert wire.network.traffic.lost + len(wire.came) == 4_000


def test_chances_of_independent_things_combine() -> None:
    assert either([]) == 0.0
    assert either([0.5, 0.5]) == 0.75
    assert either([1.0, 0.3]) == 1.0


def test_a_cut_is_one_way_and_streams_need_both() -> None:
    wire = Wire()
    wire.network.block([(0, 1)])

    wire.send(1, sender=0, receiver=1)
    wire.send(1, sender=1, receiver=0)
    wire.wait()

    assert [(receiver, sender) for _, receiver, sender, _ in wire.came] == [(0, 1)]
    assert wire.network.round_trip_s(0, 1, 100) is None
    assert wire.network.round_trip_s(1, 0, 100) is None
    assert wire.network.round_trip_s(1, 2, 100) is not None


def test_a_link_that_two_faults_cut_is_open_when_both_are_healed() -> None:
    network = Wire().network
    network.block([(0, 1), (1, 0)])
    network.block([(0, 1)])

    network.unblock([(0, 1), (1, 0)])
    assert network.blocked() == [(0, 1)]

    network.unblock([(0, 1)])
    assert network.blocked() == []


def test_duplicates_come_twice() -> None:
    wire = Wire()
    wire.network.weather.duplicate.append(0.5)

    wire.send(1_000)

    assert len(wire.wait()) == pytest.approx(1_500, rel=0.05)
    assert len({datagram for *_, datagram in wire.came}) == 1_000


def test_replays_are_datagrams_that_were_sent_before_to_the_same_receiver() -> None:
    wire = Wire()
    wire.network.weather.replay.append(0.3)

    wire.send(300, sender=0, receiver=1)
    wire.send(300, sender=2, receiver=3)
    wire.wait()

    assert len(wire.came) > 650
    assert {(receiver, sender) for _, receiver, sender, _ in wire.came} == {(1, 0), (3, 2)}


def test_reordering_lets_later_datagrams_overtake_and_without_it_few_do() -> None:
    wire = Wire()
    wire.network.weather.reorder.append(0.5)

    for number in range(100):
        wire.network.send(0, 1, b"%04d" % number)
        wire.timeline.run(wire.timeline.now + 0.01)
    wire.timeline.run(wire.timeline.now + 1.0)

    order = [datagram for *_, datagram in wire.came]
    assert len(order) == 100
    assert order != sorted(order)


def test_a_clogged_node_sends_nothing_until_the_last_fault_is_healed_then_all_at_once() -> None:
    wire = Wire()
    wire.network.clog(0)
    wire.network.clog(0)
    wire.send(10)
    wire.send(1, sender=2)
    assert len(wire.wait()) == 1

    wire.network.unclog(0)
    assert wire.wait() == []

    wire.network.unclog(0)
    assert len(wire.wait(0.01)) == 10
    assert not wire.network.hard


def test_a_narrow_link_takes_its_time_and_drops_what_it_cannot_hold() -> None:
    wire = Wire()
    wire.network.narrow(0, 400.0, heal=False)

    wire.send(1_000)  # 4 bytes each: 100 a second fit, and a second's worth waits
    wire.wait(5.0)

    assert 95 <= len(wire.came) <= 105
    assert wire.came[-1][0] > 0.9
    wire.network.narrow(0, 400.0, heal=True)
    assert not wire.network.hard


def test_delay_concerns_what_a_node_sends_only() -> None:
    wire = Wire()
    wire.network.delay(0, 0.5, heal=False)

    wire.send(20, sender=0)
    wire.send(20, sender=2)
    wire.wait()

    slow = [when for when, _, sender, _ in wire.came if sender == 0]
    fast = [when for when, _, sender, _ in wire.came if sender == 2]
    assert 0.5 <= min(slow) <= max(slow) <= 1.04
    assert max(fast) < 0.04


def test_traffic_is_counted_with_the_worst_second_of_any_node() -> None:
    wire = Wire()
    wire.send(7)
    wire.wait(1.0)
    wire.send(30, sender=2)

    traffic = wire.network.traffic
    assert (traffic.datagrams, traffic.bytes, traffic.node_s_max) == (37, 37 * 4, 30)
