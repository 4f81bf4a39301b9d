"""How our commits reach every peer for certain: whole peers, virtual time."""

from itertools import pairwise

from protocol.bodies import key_of
from protocol.delivery.deliveries import Standing
from protocol.delivery.outbox import Outbox
from protocol.delivery.standing import Breaker, Delivery, Priority
from protocol.events import Acknowledged, Applied
from protocol.identity import NodeId
from protocol.limits import HEADERS_KEPT, OWN_STEPS_KEPT
from protocol.wire import exchange
from protocol.wire.messages import DatagramKind, Receipt
from tests.protocol.peer_world import Node, World, sealed, service


def standing(of: Node, peer: Node) -> Standing:
    found = of.peer.deliveries.standing(peer.id)
    assert found is not None
    return found


def waiting(of: Node) -> dict[int, int]:
    """How many commits of ours each peer lacks, by its number; those that lack none left out."""
    numbers = {node.id: node.number for node in of.world.nodes}
    return {
        numbers[one.peer]: one.waiting for one in of.peer.deliveries.standings() if one.since_us
    }


def own_version(node: Node) -> int:
    branch = node.peer.registry.branch(node.id)
    assert branch is not None
    return branch.dot.version


def delivers(world: World) -> list[exchange.DeliverRequest]:
    """What was delivered over streams while `frames` was kept."""
    requests = [exchange.decode_request(body) for _, _, body, _ in world.frames or []]
    return [one for one in requests if isinstance(one, exchange.DeliverRequest)]


def applied(by: Node, owner: Node) -> list[int]:
    """The versions of an owner's commits in the order in which they were applied."""
    return [event.dot.version for event in spans(by, owner)]


def spans(by: Node, owner: Node) -> list[Applied]:
    """Each time that something of an owner was applied: after what, up to what."""
    events = [event for _, event in by.events]
    return [e for e in events if isinstance(e, Applied) and e.owner == owner.id]


def test_a_commit_is_acknowledged_by_a_receipt_of_every_peer_that_stored_it() -> None:
    world = World(5).start_joined()
    world.run(10)
    alice = world.nodes[0]
    world.frames = []

    alice.propose(service())
    world.run(0.1)

    version = own_version(alice)
    peers = [node.id for node in world.nodes[1:]]
    assert all(alice.peer.deliveries.stores(peer, version) for peer in peers)
    assert waiting(alice) == {}
    assert delivers(world) == []
    assert len(alice.peer.deliveries.outbox) == 0


def test_a_receipt_leaves_only_after_what_it_vouches_for_is_on_disk() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    world.datagrams = []

    alice.propose(service())
    world.run(0.015)  # the push is there, bob's disk is not done

    kinds = [datagram[1] for sender, _, datagram in world.datagrams if sender is bob]
    assert world.holding("web") == [0, 1]
    assert DatagramKind.RECEIPT not in kinds
    world.run(0.02)
    assert [d[1] for s, _, d in world.datagrams if s is bob].count(DatagramKind.RECEIPT) == 1


def test_who_was_down_gets_every_commit_when_it_returns_and_once() -> None:
    world = World(4).start_joined()
    world.run(10)
    alice, down = world.nodes[0], world.nodes[3]
    down.crash()
    for port in range(8000, 8020):
        alice.propose(service(port=port))
        world.run(0.5)
    assert waiting(alice) == {3: 20}

    down.start()
    down.join(world.nodes[1])
    world.run(10)

    assert waiting(alice) == {}
    found = spans(down, alice)
    assert all(one.dot == later.after for one, later in pairwise(found)), "nothing twice, no hole"
    assert all(one.after < one.dot for one in found)
    assert own_version(alice) == applied(down, alice)[-1]


def test_what_was_applied_says_how_many_commits_it_took() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    for port in range(8000, 8003):
        alice.propose(service(port=port))
        world.run(0.5)
    assert [one.steps for one in spans(bob, alice)[-3:]] == [1, 1, 1]

    bob.crash()
    for port in range(9000, 9000 + 2 * HEADERS_KEPT):
        alice.propose(service(port=port))
        world.run(0.5)
    bob.start()
    bob.join(alice)
    world.run(10)

    assert spans(bob, alice)[-1].dot.version == own_version(alice)
    assert [one.steps for one in spans(bob, alice)[3:] if one.steps != 1] == [0], "the state"


def test_a_peer_that_hears_nothing_else_is_delivered_to_over_a_stream() -> None:
    world = World(3).start_joined()
    world.run(10)
    alice, deaf = world.nodes[0], world.nodes[2]
    world.frames = []
    world.nodes[1].crash()
    world.loss = 1.0  # of datagrams; streams get through

    versions = []
    for port in range(8000, 8003):
        alice.propose(service(port=port))
        world.run(0.01)
        versions.append(own_version(alice))
    world.run(1.6)

    branch = deaf.peer.registry.branch(alice.id)
    assert branch is not None
    assert [commit.head.version for commit in branch.kept()][-3:] == versions
    assert [type(one.bundle.content) for one in delivers(world)] == [exchange.Steps]


def test_what_lies_beyond_memory_is_read_back_from_disk_step_by_step() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    count = OWN_STEPS_KEPT + 2 * HEADERS_KEPT
    world.cut = lambda _a, _b: True
    for port in range(10_000, 10_000 + count):
        alice.propose(service(port=port))
        world.run(0.002)
    assert waiting(alice) == {1: count}
    # Repair would be first: it is kept from it, so that the delivery is seen.
    bob.peer._repair.due = lambda *, now: []  # type: ignore[method-assign]
    before = len(applied(bob, alice))

    world.frames = []
    world.cut = lambda _a, _b: False
    world.run(62)

    assert waiting(alice) == {}
    steps = applied(bob, alice)[before:]
    assert steps == sorted(set(steps))
    shown = [one.bundle.content for one in delivers(world)]
    commits = sum(len(c.commits) for c in shown if isinstance(c, exchange.Steps))
    assert commits >= count


def test_beyond_the_outbox_the_state_is_shown_and_nothing_is_lost() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    alice.peer.deliveries.outbox = Outbox(commits_max=10)
    world.cut = lambda _a, _b: True
    for port in range(8000, 8040):
        alice.propose(service(port=port))
        world.run(0.01)
    behind = standing(alice, bob)
    assert behind.behind
    assert alice.peer.deliveries.outbox.overflowed == 30

    world.cut = lambda _a, _b: False
    world.run(65)

    assert waiting(alice) == {}
    assert sum(1 for _ in bob.peer.registry.instances("web")) == 40


def test_the_queue_after_a_crash_is_what_was_committed() -> None:
    world = World(3).start_joined()
    world.run(10)
    alice, _, down = world.nodes
    down.crash()
    for port in range(8000, 8005):
        alice.propose(service(port=port))
        world.run(2)
    before = waiting(alice)
    alice.crash()

    alice.start()

    assert before == {2: 5}
    assert waiting(alice) == before
    assert standing(alice, down).attempts > 0


def test_the_breaker_opens_and_tries_grow_seldom_while_a_peer_is_away() -> None:
    world = World(3).start_joined()
    world.run(10)
    alice, _, down = world.nodes
    down.crash()
    alice.propose(service())

    world.run(300)

    found = standing(alice, down)
    assert found.breaker is Breaker.OPEN
    assert alice.peer.deliveries.counters.resent == 0, "nobody answered"
    assert 8 <= alice.peer.deliveries.counters.attempts <= 14
    assert found.next_try_us <= world.now.wall_us + 75_000_000


def test_a_receipt_that_is_not_signed_by_its_sender_counts_for_nothing() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    world.cut = lambda _a, _b: True
    alice.propose(service())
    world.run(0.05)
    branch = alice.peer.registry.branch(alice.id)
    assert branch is not None
    assert branch.head is not None
    forged = Receipt(branch.dot, branch.head.hash, 0, bytes(64))

    alice.perform(alice.peer.receive(sealed(bob, alice, forged), bob.address, now=world.now))

    assert alice.drops["bad_signature"] == 1
    assert waiting(alice) == {1: 1}


def test_a_member_that_left_is_no_receiver_any_more() -> None:
    world = World(3).start_joined()
    world.run(10)
    alice, bob, carol = world.nodes
    carol.crash()
    alice.propose(service())
    world.run(5)
    assert waiting(alice) == {2: 1}

    alice.peer.deliveries.gone(carol.id, world.now)

    assert waiting(alice) == {}
    assert alice.peer.deliveries.standing(carol.id) is None
    assert alice.peer.deliveries.counters.expired == 1
    world.run(2)
    assert carol.id not in alice.disk.deliveries
    assert bob.id in alice.disk.deliveries


def test_priority_is_the_highest_among_what_a_peer_lacks() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    world.cut = lambda _a, _b: True
    levels = []
    for priority in (Priority.BACKGROUND, Priority.NORMAL, Priority.CRITICAL, Priority.BACKGROUND):
        record = service(version=priority.name)
        alice.perform(
            alice.peer.propose({key_of(record): record}, None, now=world.now, priority=priority)
        )
        world.run(0.01)
        levels.append(standing(alice, bob).priority)

    assert levels == [
        Priority.BACKGROUND, Priority.NORMAL, Priority.CRITICAL, Priority.CRITICAL,
    ]  # fmt: skip


def test_each_acknowledgement_is_told_with_how_far_the_peer_is() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    alice.events.clear()

    alice.propose(service())
    world.run(0.1)

    told = [event for _, event in alice.events if isinstance(event, Acknowledged)]
    assert told
    assert told[-1].peer == bob.id
    assert told[-1].stored.version == own_version(alice)
    assert alice.peer.deliveries.held_at(bob.id, own_version(alice)) is not None
    assert alice.peer.deliveries.held_at(bob.id, own_version(alice) + 1) is None


def test_a_lost_receipt_costs_a_question_and_no_commit() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    world.frames = []
    send = world.send
    world.send = lambda sender, to, datagram: (  # type: ignore[method-assign]
        None if datagram[1] == DatagramKind.RECEIPT else send(sender, to, datagram)
    )

    alice.propose(service())
    world.run(6)

    assert waiting(alice) == {}
    assert applied(bob, alice).count(own_version(alice)) == 1


def test_what_the_disk_lost_is_stored_whole_before_it_is_vouched_for() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    version = own_version(alice)
    bob.marks_fail = True
    stored = bob.disk.write
    bob.disk.write = lambda keep: None  # type: ignore[method-assign]

    alice.propose(service())
    world.run(0.01)
    bob.disk.write = stored  # type: ignore[method-assign]
    world.run(0.5)
    assert not alice.peer.deliveries.stores(bob.id, version + 1)
    bob.marks_fail = False
    world.run(2)

    assert alice.peer.deliveries.stores(bob.id, own_version(alice))
    kept = bob.disk.branches[alice.id]
    assert kept.head is not None
    assert kept.head.version == own_version(alice)
    assert len(kept.records) == 2


def test_rows_of_peers_of_whom_nothing_is_known_any_more_are_let_go_at_a_start() -> None:
    world = World(2).start_joined()
    world.run(10)
    alice, bob = world.nodes
    alice.crash()
    stranger = NodeId(b"?" * 32)
    alice.disk.deliveries[stranger] = Delivery(peer=stranger)

    alice.start()
    alice.join(bob)
    world.run(5)

    assert alice.peer.deliveries.standing(stranger) is None
    assert alice.peer.deliveries.standing(bob.id) is not None
    assert stranger not in alice.disk.deliveries
