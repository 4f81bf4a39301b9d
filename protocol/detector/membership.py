"""Who is in the cluster, and how sure are we?

Each member is watched by K observers, to which it sends heartbeats in turn; silence is checked, a
failed check is a signed vote, a majority of votes takes it out of lookups, any newer word of its
own brings it back (docs/PROTOCOL.md, "Membership"). Kin to SWIM (Das et al., DSN 2002) in its
refutations, to Rapid (Suresh et al., USENIX ATC 2018) in its observers.

Rules this module keeps:

1. No I/O, no clock, no randomness that was not passed in. One deadline, one `tick`.
2. A peer cannot make it raise. Senders are authenticated by the caller; whatever has to convince
   third parties is verified here by the `Voice`, and only if it would change something.
3. Only a member raises its own incarnation. Its record (`admit`, `depart`) is its signed word.
4. Every table is bounded: members by `members_max`, votes by observers, the rest by its module.

How verdicts are reached is in `verdicts`, what follows from a status in `roster`.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import assert_never

from protocol.errors import ClockError
from protocol.identity import NodeId

from .budget import Deed
from .config import MembershipConfig
from .detection import (
    COUNTER_MAX,
    Ack,
    Ask,
    DetectorMessage,
    Gossip,
    Heartbeat,
    MembershipEffect,
    Pair,
    Ping,
    Refused,
    SignedAck,
    SignedVotes,
    Status,
    Tell,
    Voice,
)
from .ground import Ground
from .heartbeat import Pulse
from .partition import Partition
from .probing import Purpose
from .rings import Rings
from .roster import NEVER, Assembly, Member, MemberView, Roster, newcomer
from .watching import Watch

STANDING_ACKS_S = 60.0
"""How long a refutation is told in syncs to those who may have missed it."""
_RETRY_S = 1.0
"""How soon a burial is tried again that failed for want of a majority."""


class Membership:
    """One node's view of its cluster.

    Drive it with `receive` and `tick`; perform the effects that each returns, in order; call `tick`
    again no later than `next_deadline`.

    Args:
        config: already validated.
        me: our own id.
        incarnation: ours, higher than in any earlier life and already on disk.
        voice: signs for us and verifies others.
        rng: the only source of randomness; seed it to replay a run.
        now: seconds on a monotonic clock, like every later `now`.
        assembly: who is known and alive from the beginning, if anybody is.
    """

    def __init__(  # noqa: PLR0913 (all but two by name)
        self,
        config: MembershipConfig,
        me: NodeId,
        *,
        incarnation: int,
        voice: Voice,
        rng: Random,
        now: float,
        assembly: Assembly | None = None,
    ) -> None:
        self._config = config
        self._me = me
        self._rng = rng
        self._now = self._started_at = now
        self._roster = Roster(me, config.rings, assembly)
        self._pulse = Pulse(incarnation)
        self._ground = Ground(config, me, self._roster, self._pulse, voice, rng, now)
        self._agenda = self._ground.agenda
        self._watch = Watch(self._ground)
        self._judge = self._watch.judge
        self.distances = self._watch.distances
        self._unheard: dict[NodeId, None] = {}
        self._minority_at = NEVER
        # What to do when it is due, once for all members or for each. Every deed is in one table.
        self._for_all: dict[Deed, Callable[[], None]] = {
            Deed.BEAT: self._beat,
            Deed.CONTACT_DEAD: self._watch.contact_dead,
            Deed.GOSSIP: self._judge.gossip,
            Deed.RECONNECT: self._reconnect,
            Deed.REFUTE: self._judge.refute_again,
            Deed.REGROUP: self._watch.regroup,
            Deed.TOKENS: self._watch.probe,
        }
        self._for_member: dict[Deed, Callable[[Member], None]] = {
            Deed.EVICT: self._evict,
            Deed.LATE: self._watch.late,
            Deed.REAP: self._reap,
            Deed.STAND: self._judge.stood,
            Deed.STOPPED: self._give_up,
            Deed.TRY: self._watch.unanswered,
        }
        for deed, interval in (
            (Deed.BEAT, config.heartbeat_interval_s),
            (Deed.RECONNECT, config.reconnect_interval_s),
            (Deed.CONTACT_DEAD, config.dead_contact_interval_s),
        ):
            self._agenda.set(deed, me, now + rng.random() * interval)

    @property
    def next_deadline(self) -> float:
        """The latest `now` at which `tick` must be called again."""
        return self._agenda.next_deadline

    @property
    def incarnation(self) -> int:
        """Our own."""
        return self._pulse.incarnation

    @property
    def loss(self) -> float:
        """The share of heartbeats that get lost on their way to us, 0 to 1."""
        return self._watch.loss.loss

    def receive(
        self, message: DetectorMessage, sender: NodeId, *, now: float
    ) -> list[MembershipEffect]:
        """Take in one message of an authenticated sender. Never raises for what a peer sent."""
        self._advance(now)
        member = self._roster.get(sender)
        if member is None:
            return [Refused(sender, "unknown_sender")]
        if member.status is Status.LEFT:
            return [Refused(sender, "stale")]
        match message:
            case Heartbeat():
                self._receive_heartbeat(message, member)
            case Ping():
                self._receive_ping(message, member)
            case Ack():
                self._receive_ack(message, member)
            case Ask():
                self._note(member)
                self._watch.asked(message.subject)
            case Gossip():
                self._note(member)
                self._hear((*message.acks, *message.votes), sender)
            case _:
                assert_never(message)
        return self._done()

    def heard(self, sender: NodeId, *, now: float) -> list[MembershipEffect]:
        """Any other authenticated datagram from a member came."""
        self._advance(now)
        member = self._roster.get(sender)
        if member is not None and member.status is not Status.LEFT:
            self._note(member)
        return self._done()

    def tick(self, *, now: float) -> list[MembershipEffect]:
        """Do everything that is due. Early and repeated calls are harmless."""
        self._advance(now)
        # A deed may set another that is due at once, hence the bound.
        for _ in range(4 * (len(self._roster) + 16)):
            due = self._agenda.pop_due(now=now)
            if due is None:
                break
            self._perform(*due)
        return self._done()

    def admit(self, node: NodeId, *, incarnation: int, now: float) -> list[MembershipEffect]:
        """The member's own record says that it runs.

        A new one is taken for alive until found otherwise. A known one is brought back by a higher
        incarnation only, since a record of the same one may be older than what we know.
        """
        self._advance(now)
        member = self._roster.get(node)
        if node == self._me or not 0 <= incarnation <= COUNTER_MAX:
            return self._done()
        if member is None:
            self._add(node, incarnation, Status.ALIVE)
        elif incarnation > member.incarnation:
            member.incarnation = incarnation
            pair = incarnation, 0
            member.known, member.proof = max(member.known, pair), max(member.proof, pair)
            self._judge.ballots.void(node, member.proof, now=now)
            self._judge.ballots.drop(node)
            self._judge.settle(member, pair)
        return self._done()

    def depart(
        self, node: NodeId, *, incarnation: int, leaving: bool, now: float
    ) -> list[MembershipEffect]:
        """The member's own record says that it is stopping, or (`leaving`) has left for good."""
        self._advance(now)
        member = self._roster.get(node)
        status = Status.LEFT if leaving else Status.STOPPING
        if node == self._me or not 0 <= incarnation <= COUNTER_MAX:
            return self._done()
        if member is None:
            self._add(node, incarnation, status)
        elif incarnation >= member.incarnation and (leaving or not member.gone):
            member.incarnation = incarnation
            self._say_farewell(member, status)
        return self._done()

    def forget(self, node: NodeId, *, incarnation: int, now: float) -> list[MembershipEffect]:
        """An operator says that it will not return: unreachable ones are dead, dead ones reaped.

        Without effect on a member that is reached, or that has a newer incarnation than the
        operator knew. One that returns all the same is taken back: its own word comes first.
        """
        self._advance(now)
        member = self._roster.get(node)
        if member is None or member.incarnation > incarnation:
            return self._done()
        if member.status is Status.UNREACHABLE:
            self._bury(member)
        elif member.status is Status.DEAD:
            self._reap(member)
        return self._done()

    def stream_answered(self, node: NodeId, *, ok: bool, now: float) -> list[MembershipEffect]:
        """A `TryStream` ended; `ok` if the stream came up and the peer proved its identity."""
        self._advance(now)
        member = self._roster.get(node)
        if ok and member is not None and member.farewell < 0:
            self._unheard.pop(node, None)
            self._watch.answered_by_stream(member)
        return self._done()

    def lagged(self, seconds: float, *, now: float) -> None:
        """The caller's loop came `seconds` late: an observer knows its own weakness.

        Deadlines for others move by as much and checks under way are dropped, since their silence
        may be ours. Call it before handing in what piled up. No effect within the grace.
        """
        self._advance(now)
        if seconds > self._config.grace_s:
            self._watch.lagged(seconds)

    def measure(self, nodes: Iterable[NodeId], *, now: float) -> list[MembershipEffect]:
        """Somebody asks how far these are; see `Distances`."""
        self._advance(now)
        self.distances.measure(nodes)
        return self._done()

    def rekeyed(self, *, now: float) -> list[MembershipEffect]:
        """Our key is another: what we signed with the old one is signed and said anew."""
        self._advance(now)
        self._judge.sign_anew()
        return self._done()

    def take_standing(
        self, items: Iterable[SignedAck | SignedVotes], sender: NodeId, *, now: float
    ) -> list[MembershipEffect]:
        """Take in the `standing` of a peer, which came with a sync."""
        self._advance(now)
        self._hear(items, sender)
        return self._done()

    def standing(self) -> list[SignedAck | SignedVotes]:
        """Signed votes that stand here, certificates of the dead included, and late refutations."""
        recent = [
            member.ack
            for status in (Status.ALIVE, Status.SUSPECT)
            for member in self._roster.having(status).values()
            if member.ack is not None and member.proved_at > self._now - STANDING_ACKS_S
        ]
        return [*recent, *self._judge.ballots.signed()]

    def status(self, node: NodeId) -> Status | None:
        """What we believe of a member, ourselves included; None for an unknown one."""
        if node == self._me:
            return Status.ALIVE
        member = self._roster.get(node)
        return member.status if member else None

    def members(self) -> tuple[NodeId, ...]:
        """Everybody known, dead and departed ones and ourselves included, in the order of ids."""
        return self._roster.sorted_ids()

    def view(self, node: NodeId) -> MemberView | None:
        """All that we believe of a member, ourselves included; None for an unknown one."""
        observers = self._roster.rings.observers(node)
        needed = self._config.majority_of(len(observers))
        if node == self._me:
            return MemberView(
                node=node, status=Status.ALIVE, certified=False, incarnation=self.incarnation,
                rtt_s=0.0, since=self._started_at, votes=(), observers=observers, needed=needed,
            )  # fmt: skip
        member = self._roster.get(node)
        ballot = self._judge.ballots.of(node)
        votes = tuple(ballot.findings) if ballot else ()
        return member.view(votes=votes, observers=observers, needed=needed) if member else None

    def observers(self, node: NodeId) -> tuple[NodeId, ...]:
        """Who watches a member."""
        return self._roster.rings.observers(node)

    def subjects(self) -> tuple[NodeId, ...]:
        """Whom we watch."""
        return self._watch.subjects

    @property
    def rings(self) -> Rings:
        """All members in their orders, to be read."""
        return self._roster.rings

    def push_targets(self, count: int) -> tuple[NodeId, ...]:
        """Our successors on the first `count` rings, distinct, only such as we reach."""
        return self._roster.nearest(count)

    def partition(self) -> Partition:
        """Which side of the cluster we are on. Costs nothing."""
        return self._roster.partition()

    def reach(self) -> tuple[int, int]:
        """How many members we reach, and how many we last knew, ourselves included."""
        return self._roster.reached_count, self._roster.known_count

    def counts(self) -> dict[Status, int]:
        """How many other members have each status."""
        return {status: len(self._roster.having(status)) for status in Status}

    def _advance(self, now: float) -> None:
        if now < self._now:
            raise ClockError(previous_s=self._now, now_s=now)
        self._now = self._ground.now = now

    def _done(self) -> list[MembershipEffect]:
        """Make the tries that are due and hand over all effects."""
        self._watch.probe()
        if self._roster.rings.revision != self._watch.revision:
            # At the next tick, once for all members of a burst.
            self._agenda.hasten(Deed.REGROUP, self._me, self._now)
        effects, self._ground.effects = self._ground.effects, []
        return effects

    def _note(self, member: Member) -> None:
        self._unheard.pop(member.node, None)
        self._watch.heard(member)

    def _receive_heartbeat(self, beat: Heartbeat, member: Member) -> None:
        pair = beat.incarnation, beat.counter
        if not _is_sane(pair):
            self._ground.effects.append(Refused(member.node, "malformed"))
            return
        if pair <= member.beat or pair[0] < member.known[0]:
            self._ground.effects.append(Refused(member.node, "replayed"))
            return
        member.beat = pair
        self._learn(member, pair)
        self._unheard.pop(member.node, None)
        self._watch.beat(member)

    def _receive_ping(self, ping: Ping, member: Member) -> None:
        self._note(member)
        self._watch.pinged(member, ping)

    def _receive_ack(self, ack: Ack, member: Member) -> None:
        pair = ack.incarnation, ack.counter
        if not _is_sane(pair):
            self._ground.effects.append(Refused(member.node, "malformed"))
            return
        if self.distances.answered(member, ack):
            self._note(member)
            return
        if pair <= member.acked or pair[0] < member.known[0]:
            self._ground.effects.append(Refused(member.node, "replayed"))
            return
        if ack.nonce != member.nonce:
            self._ground.effects.append(Refused(member.node, "stale"))
            return
        member.acked = pair
        self._learn(member, pair)
        self._unheard.pop(member.node, None)
        self._watch.answered(member, pair, ack.signed)

    def _hear(self, items: Iterable[SignedAck | SignedVotes], sender: NodeId) -> None:
        for item in items:
            if isinstance(item, SignedAck):
                self._judge.hear_ack(item, sender)
            else:
                self._judge.hear_votes(item, sender)

    def _learn(self, member: Member, pair: Pair) -> None:
        member.known = max(member.known, pair)
        if pair[0] > member.incarnation:
            self._judge.want_record(member, pair[0])

    def _perform(self, deed: Deed, node: NodeId) -> None:
        action = self._for_all.get(deed)
        if action is not None:
            action()
            return
        member = self._roster.get(node)
        if member is not None:
            self._for_member[deed](member)

    def _beat(self) -> None:
        self._agenda.set(Deed.BEAT, self._me, self._now + self._config.heartbeat_interval_s)
        observer = self._pulse.next_observer(self._roster.rings.observers(self._me))
        if observer is not None:
            beat = Heartbeat(*self._pulse.advance())
            self._ground.effects.append(Tell(observer, beat))
        self._watch.watch_over()
        if not self._roster.may_bury():
            self._minority_at = self._now

    def _reconnect(self) -> None:
        """Try one unreachable member at random, and one that we have not heard since we started."""
        self._agenda.set(Deed.RECONNECT, self._me, self._now + self._config.reconnect_interval_s)
        unreachable = list(self._roster.having(Status.UNREACHABLE))
        if unreachable:
            self._watch.check(self._rng.choice(unreachable), Purpose.RETURN)
        if self._unheard:
            node = next(iter(self._unheard))
            del self._unheard[node]
            self._watch.check(node, Purpose.LOCAL)

    def _add(self, node: NodeId, incarnation: int, status: Status) -> None:
        if len(self._roster) + 1 >= self._config.members_max:
            return
        member = newcomer(node, incarnation, self._now)
        self._ground.effects += self._roster.add(member)
        if status is Status.ALIVE:
            self._unheard[node] = None
        else:
            self._say_farewell(member, status)

    def _say_farewell(self, member: Member, status: Status) -> None:
        """It goes by its own word: nobody need vote on it, and nobody watches it."""
        self._judge.ballots.drop(member.node)
        for deed in (Deed.LATE, Deed.STAND, Deed.EVICT):
            self._agenda.drop(deed, member.node)
        self._unheard.pop(member.node, None)
        self._ground.effects += self._roster.move(
            member, status, certified=True, farewell=member.incarnation, now=self._now
        )
        if status is Status.STOPPING:
            self._agenda.set(Deed.STOPPED, member.node, self._now + self._config.stopping_grace_s)
        else:
            self._agenda.set(Deed.REAP, member.node, self._now + self._config.reap_after_s)

    def _give_up(self, member: Member) -> None:
        """It said that it would be back, and is not."""
        if member.status is Status.STOPPING:
            self._ground.effects += self._roster.move(
                member, Status.UNREACHABLE, certified=True, now=self._now
            )
            self._agenda.set(Deed.EVICT, member.node, self._now + self._config.evict_after_s)

    def _evict(self, member: Member) -> None:
        """It has been away for long: bury it, if it said so itself or we speak for a majority."""
        if member.status is not Status.UNREACHABLE or not member.certified:
            return
        # After a split has healed it takes moments until everybody is found again.
        settled_at = self._minority_at + self._config.evict_after_s / 3
        if member.farewell >= 0 or (self._roster.may_bury() and self._now >= settled_at):
            self._bury(member)
        else:
            self._agenda.set(Deed.EVICT, member.node, max(settled_at, self._now + _RETRY_S))

    def _bury(self, member: Member) -> None:
        certified = member.certified
        self._agenda.drop(Deed.STAND, member.node)
        self._ground.effects += self._roster.move(
            member, Status.DEAD, certified=certified, now=self._now
        )
        self._agenda.set(Deed.REAP, member.node, self._now + self._config.reap_after_s)

    def _reap(self, member: Member) -> None:
        self._watch.leave(member.node)
        for deed in Deed:
            self._agenda.drop(deed, member.node)
        self._judge.ballots.drop(member.node)
        self._ground.limiter.forget(member.node)
        self._unheard.pop(member.node, None)
        self._ground.effects += self._roster.remove(member)


def _is_sane(pair: Pair) -> bool:
    return 0 <= pair[0] <= COUNTER_MAX and 0 <= pair[1] <= COUNTER_MAX
