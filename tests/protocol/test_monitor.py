"""Whether peers hold the same, measured by the roots in heartbeats."""

from protocol import limits
from protocol.agreement.monitor import ALARM_S, HEARD_WITHIN_S, Agreement, Divergence
from protocol.clocks import Instant
from protocol.effects import Request
from protocol.identity import Address, NodeId
from protocol.wire.messages import DatagramKind, inspect

from .peer_world import Node, World, service

ALICE, BOB = NodeId(b"a" * 32), NodeId(b"b" * 32)


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_700_000_000_000_000 + int(seconds * 1e6))


def test_a_peer_differs_since_its_first_other_root_in_a_row() -> None:
    monitor = Divergence()
    monitor.heard(ALICE, equal=False, now=at(1))
    monitor.heard(ALICE, equal=True, now=at(3))
    monitor.heard(ALICE, equal=False, now=at(5))
    monitor.heard(ALICE, equal=False, now=at(7))
    monitor.heard(BOB, equal=True, now=at(7))

    assert monitor.state(now=8.0) == Agreement(equal=1, differing=1, since=at(5), longest_s=3.0)


def test_who_was_not_heard_for_long_does_not_count() -> None:
    monitor = Divergence()
    monitor.heard(ALICE, equal=False, now=at(0))

    assert monitor.state(now=HEARD_WITHIN_S).differing == 1
    assert monitor.state(now=HEARD_WITHIN_S + 0.1) == Agreement(0, 0, None, 0.0)


def test_it_holds_as_many_peers_as_there_may_be_members() -> None:
    monitor = Divergence()
    for number in range(limits.MEMBERS_MAX + 1):
        monitor.heard(NodeId(number.to_bytes(32, "big")), equal=True, now=at(0))

    assert len(monitor) == limits.MEMBERS_MAX


class MuteWorld(World):
    """Nothing but the failure detector's datagrams gets through, until `open`."""

    open = False

    def send(self, sender: Node, to: Address, datagram: bytes) -> None:
        if self.open or inspect(datagram)[0] in (
            DatagramKind.HEARTBEAT, DatagramKind.PING, DatagramKind.ACK, DatagramKind.GOSSIP,
        ):  # fmt: skip
            super().send(sender, to, datagram)

    def request(self, sender: Node, request: Request) -> None:
        if self.open:
            super().request(sender, request)
        else:
            self.at(self.time + 0.2, lambda: self._failed(sender, request.ticket))

    def _failed(self, sender: Node, ticket: int) -> None:
        sender.perform(sender.peer.answered(ticket, None, None, now=self.now))


def test_a_divergence_that_repair_cannot_mend_is_noticed_and_its_end_too() -> None:
    world = MuteWorld(2)
    world.start_together()
    world.run(3.0)
    assert [state(node).equal for node in world.nodes] == [1, 1]

    world.nodes[0].propose(service())
    world.run(ALARM_S + 4.0)

    assert [state(node).differing for node in world.nodes] == [1, 1]
    assert all(state(node).is_alarming for node in world.nodes)

    world.open = True
    world.run_until(lambda: all(state(node).equal == 1 for node in world.nodes), within=65.0)
    assert not any(state(node).is_alarming for node in world.nodes)


def state(node: Node) -> Agreement:
    return node.peer.divergence.state(now=node.world.time)
