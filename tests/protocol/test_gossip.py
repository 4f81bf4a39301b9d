"""What is said to neighbours: docs/PROTOCOL.md, "Budget"."""

from protocol.detector.detection import GOSSIP_BYTES_MAX, SignedAck, SignedVotes, Vote, gossip_bytes
from protocol.detector.gossip import QUEUE_MAX, GossipQueue
from tests.protocol.small_world import node_id


def ack_of(number: int, counter: int = 1) -> SignedAck:
    return SignedAck(node_id(number), 0, 1, counter, b"")


def batch_of(number: int, votes: int, stamp: int = 1) -> SignedVotes:
    subjects = tuple(Vote(node_id(n), 1, 1) for n in range(votes))
    return SignedVotes(node_id(number), 0, subjects, stamp, b"")


def everything_said(queue: GossipQueue) -> list[SignedAck | SignedVotes]:
    said: list[SignedAck | SignedVotes] = []
    while (message := queue.next_message(lambda _: True)) is not None:
        items: list[SignedAck | SignedVotes] = [*message.acks, *message.votes]
        assert sum(gossip_bytes(item) for item in items) <= GOSSIP_BYTES_MAX
        said += items
    return said


def test_each_item_is_said_twice_acks_first_and_every_datagram_fits() -> None:
    queue = GossipQueue(2)
    items: list[SignedAck | SignedVotes] = [batch_of(n, 1 + n % 20) for n in range(30)]
    items += [ack_of(n) for n in range(30)]
    for item in items:
        queue.pass_on(item)

    said = everything_said(queue)

    assert sorted(map(repr, said)) == sorted(map(repr, [*items, *items]))
    assert all(isinstance(item, SignedAck) for item in said[:30])


def test_a_newer_ack_takes_the_place_of_the_older() -> None:
    queue = GossipQueue(2)
    queue.pass_on(ack_of(1, counter=1))
    queue.pass_on(ack_of(1, counter=2))

    assert everything_said(queue) == [ack_of(1, counter=2)] * 2


def test_votes_that_no_longer_stand_are_not_said() -> None:
    queue = GossipQueue(2)
    queue.pass_on(batch_of(1, 3))

    assert queue.next_message(lambda _: False) is None
    assert len(queue) == 0


def test_the_queue_keeps_the_newest_beyond_its_limit() -> None:
    queue = GossipQueue(2)
    for number in range(QUEUE_MAX + 5):
        queue.pass_on(ack_of(number))
        queue.pass_on(batch_of(number, 1))

    assert len(queue) == 2 * QUEUE_MAX
    assert ack_of(4) not in everything_said(queue)


def test_our_own_votes_fit_one_datagram_under_one_signature() -> None:
    queue = GossipQueue(2)
    for number in range(50):
        queue.publish(Vote(node_id(number), 1, 1))
    queue.unpublish(node_id(0))

    taken = [queue.take_own() for _ in range(4)]

    assert [len(votes) for votes in taken] == [20, 20, 9, 0]
    assert gossip_bytes(SignedVotes(node_id(1), 0, taken[0], 1, b"")) <= GOSSIP_BYTES_MAX


def test_what_was_never_said_goes_before_what_was_said_once() -> None:
    queue = GossipQueue(2)
    for number in range(5):
        queue.pass_on(batch_of(number, 4))
    first = queue.next_message(lambda _: True)
    queue.pass_on(batch_of(9, 4))

    second = queue.next_message(lambda _: True)

    assert first is not None
    assert second is not None
    assert [batch.author for batch in first.votes] == [node_id(n) for n in (0, 1, 2)]
    assert [batch.author for batch in second.votes] == [node_id(n) for n in (3, 4, 9)]


def test_what_a_neighbour_tells_again_is_said_once_less() -> None:
    queue = GossipQueue(2)
    item = ack_of(1)
    queue.pass_on(item)
    queue.heard_again(item)
    assert queue.next_message(lambda _: True) is not None

    queue.heard_again(item)

    assert queue.next_message(lambda _: True) is None


def test_with_much_to_say_what_all_know_is_not_said_at_all() -> None:
    queue = GossipQueue(2)
    items = [ack_of(number) for number in range(8)]
    for item in items:
        queue.pass_on(item)

    for _ in range(2):
        queue.heard_again(items[0])

    assert items[0] not in everything_said(queue)
