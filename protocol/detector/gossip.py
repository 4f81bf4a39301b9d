"""Signed findings on their way to everybody: what to say next, to whom, and our own signatures.

Items go out at once, then in at most one datagram an interval to each of a few ring neighbours that
seem to hear us. What was never said goes first, then what was said once, each time acks before
votes (a refutation must overtake the slander). An item that a neighbour tells us again is known
around and said once less. A newer ack of a member replaces its older one. The votes that we cast
since the last datagram share one signature.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from protocol.identity import NodeId

from .budget import Agenda, Bucket, Deed
from .config import MembershipConfig
from .detection import (
    GOSSIP_BYTES_MAX,
    VOTES_PER_BATCH_MAX,
    Gossip,
    SignedAck,
    SignedVotes,
    Status,
    Tell,
    Voice,
    Vote,
    gossip_bytes,
)
from .heartbeat import Pulse
from .roster import Roster

_BUSY = 6
"""With more items than this waiting, those that neighbours know need not be said even once."""
QUEUE_MAX = 256
"""Acks, and batches of votes, that wait; beyond it the oldest go. Syncs carry what stands."""


_Key = TypeVar("_Key")
_Item = TypeVar("_Item", SignedAck, SignedVotes)


@dataclass(slots=True)
class _Queued(Generic[_Item]):
    item: _Item
    left: int


class GossipQueue:
    """What this node has yet to pass on."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._acks: dict[NodeId, _Queued[SignedAck]] = {}
        self._batches: dict[tuple[NodeId, int], _Queued[SignedVotes]] = {}
        self._own: dict[NodeId, Vote] = {}

    def __len__(self) -> int:
        return len(self._acks) + len(self._batches) + len(self._own)

    def pass_on(self, item: SignedAck | SignedVotes) -> None:
        """Say this next, so often as each item is said."""
        if isinstance(item, SignedAck):
            self._acks.pop(item.node, None)
            self._acks[item.node] = _Queued(item, self._repeats)
            _keep_newest(self._acks)
        else:
            self._batches[item.author, item.stamp] = _Queued(item, self._repeats)
            _keep_newest(self._batches)

    def heard_again(self, item: SignedAck | SignedVotes) -> None:
        """A neighbour knows it too: say it once less, if we said it or have much else to say."""
        busy = len(self) > _BUSY
        if isinstance(item, SignedAck):
            ack = self._acks.get(item.node)
            known = ack is not None and ack.item.pair == item.pair
            if ack is not None and known and (busy or ack.left < self._repeats):
                _said(self._acks, item.node)
        else:
            batch = self._batches.get((item.author, item.stamp))
            if batch is not None and (busy or batch.left < self._repeats):
                _said(self._batches, (item.author, item.stamp))

    def publish(self, vote: Vote) -> None:
        """Say that we cannot reach a member; signed when it is said."""
        self._own[vote.subject] = vote

    def unpublish(self, subject: NodeId) -> None:
        """It answered before we said it."""
        self._own.pop(subject, None)

    def take_own(self) -> tuple[Vote, ...]:
        """Take our own new votes, as many as one signature covers in one datagram."""
        votes = tuple(self._own.values())[:VOTES_PER_BATCH_MAX]
        for vote in votes:
            del self._own[vote.subject]
        return votes

    def next_message(self, worth_saying: Callable[[SignedVotes], bool]) -> Gossip | None:
        """Take what fits one datagram; votes that no longer stand are dropped unsaid."""
        for key, waiting in list(self._batches.items()):
            if not worth_saying(waiting.item):
                del self._batches[key]
        acks: list[SignedAck] = []
        batches: list[SignedVotes] = []
        room = GOSSIP_BYTES_MAX
        for left in range(self._repeats, 0, -1):
            room = _take(self._acks, acks, left=left, room=room)
            room = _take(self._batches, batches, left=left, room=room)
        return Gossip(tuple(acks), tuple(batches)) if acks or batches else None


class Herald:
    """Says what is queued to our neighbours on the rings, and signs what is our own."""

    def __init__(
        self, config: MembershipConfig, roster: Roster, pulse: Pulse, voice: Voice, agenda: Agenda
    ) -> None:
        self.queue = GossipQueue(config.gossip_repeats)
        self._config = config
        self._roster = roster
        self._pulse = pulse
        self._voice = voice
        self._agenda = agenda
        self._said_at = float("-inf")
        self._backward = False
        self._ack: SignedAck | None = None
        self._ack_at = float("-inf")
        self._refutation: SignedAck | None = None
        # Unique over restarts, so that no batch is ever taken for another of an earlier life.
        self._stamp = pulse.incarnation % 2**30 << 32

    def say(self, item: SignedAck | SignedVotes, *, now: float) -> None:
        """Pass an item on, as soon as the interval allows."""
        self.queue.pass_on(item)
        self.hurry(now=now)

    def publish(self, vote: Vote, *, now: float) -> None:
        """Sign and say that we cannot reach a member, as soon as the interval allows."""
        self.queue.publish(vote)
        self.hurry(now=now)

    def hurry(self, *, now: float) -> None:
        """Be due as soon as the interval allows."""
        at = max(now, self._said_at + self._config.gossip_interval_s)
        self._agenda.hasten(Deed.GOSSIP, self._roster.me, at)

    def signed_ack(self, *, now: float) -> SignedAck:
        """Our signed word that we live, at most `signature_interval_s` old."""
        if self._ack is None or now >= self._ack_at + self._config.signature_interval_s:
            self._ack = self._voice.sign_ack(*self._pulse.advance())
            self._ack_at = now
        return self._ack

    def sign_anew(self, *, now: float) -> None:
        """Our key was replaced: forget what the old one signed, say the last refutation anew."""
        said, self._refutation, self._ack = self._refutation, None, None
        self._ack_at = float("-inf")
        if said is not None:
            self.refute(None, now=now)

    def refuted(self, vote: Vote) -> bool:
        """Whether a refutation already said is newer than that vote against us."""
        return self._refutation is not None and self._refutation.pair > vote.pair

    def repeat(self, *, now: float) -> None:
        """Say the last refutation again to somebody who missed it."""
        if self._refutation is not None:
            self.say(self._refutation, now=now)

    def refute(self, vote: Vote | None, *, now: float) -> None:
        """Answer a vote against us by a newer ack, now or as soon as we may sign again."""
        if vote is not None:
            self._pulse.overtake(vote.counter)
        at = self._ack_at + self._config.signature_interval_s
        if now < at:
            self._agenda.set(Deed.REFUTE, self._roster.me, at)
            return
        self._refutation = self.signed_ack(now=now)
        self.say(self._refutation, now=now)

    def flush(
        self,
        bucket: Bucket,
        rng: Random,
        worth_saying: Callable[[SignedVotes], bool],
        hears: Callable[[NodeId], bool],
        *,
        now: float,
    ) -> tuple[SignedVotes | None, list[Tell]]:
        """Say the next datagram; also gives the batch of our own that was signed for it, if any."""
        targets = self._targets(rng, hears)
        if not len(self.queue) or not targets:
            return None, []
        if not bucket.take(len(targets), now=now):
            wait = bucket.wait_s(len(targets), now=now)
            self._agenda.set(Deed.GOSSIP, self._roster.me, now + wait)
            return None, []
        batch = self._sign_own()
        message = self.queue.next_message(worth_saying)
        if len(self.queue):
            self._agenda.set(Deed.GOSSIP, self._roster.me, now + self._config.gossip_interval_s)
        if message is None:
            return batch, []
        self._said_at = now
        return batch, [Tell(target, message) for target in targets]

    def _sign_own(self) -> SignedVotes | None:
        votes = self.queue.take_own()
        if not votes:
            return None
        self._stamp += 1
        batch = self._voice.sign_votes(votes, self._stamp)
        self.queue.pass_on(batch)
        return batch

    def _targets(self, rng: Random, hears: Callable[[NodeId], bool]) -> tuple[NodeId, ...]:
        """Successors and predecessors in turn; if none hears us, any one that is unreachable."""
        self._backward = not self._backward
        targets = self._roster.rings.neighbours(
            self._roster.me,
            self._config.gossip_targets,
            hears,
            backward=self._backward,
        )
        if not targets and (unreachable := sorted(self._roster.having(Status.UNREACHABLE))):
            targets = (rng.choice(unreachable),)
        return targets


def _take(queue: dict[_Key, _Queued[_Item]], taken: list[_Item], *, left: int, room: int) -> int:
    """Take what has so many times left to be said, as far as there is room; returns the rest."""
    for key, queued in [(key, queued) for key, queued in queue.items() if queued.left == left]:
        size = gossip_bytes(queued.item)
        if size <= room and queued.item not in taken:
            room -= size
            taken.append(queued.item)
            _said(queue, key)
    return room


def _said(queue: dict[_Key, _Queued[_Item]], key: _Key) -> None:
    queue[key].left -= 1
    if not queue[key].left:
        del queue[key]


def _keep_newest(queue: dict[_Key, _Queued[_Item]]) -> None:
    if len(queue) > QUEUE_MAX:
        del queue[next(iter(queue))]
