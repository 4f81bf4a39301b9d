"""From findings to verdicts: what votes lead to, and what brings a member back.

Everything that is believed of a member follows from these rules (docs/PROTOCOL.md, "Membership"):

1. A failed check is a finding. An observer's is published and counts; another's is published only
   where nobody has voted yet, so that the observers look.
2. Votes from a majority of the observers certify; otherwise, after `stand_s`, each node judges for
   itself by its own check, or by the majority of those observers that are themselves in reach.
3. Any newer pair from the member voids what stands against it; a direct answer voids everything
   here. Nothing else does. A member that hears a vote against itself answers with a signed ack.
4. Who heard nobody since its check began cannot tell a silent member from its own deafness: it
   keeps its vote to itself until it hears somebody (after Lifeguard, Dadgar et al., DSN 2018).

Three rules go beyond the design. Who heard the subject later than the voters looks for itself
(`_look_behind`). An observer whose vote is older than another's checks again and
votes as late (`renew`), since for whoever heard the subject in between the older vote is void.
And votes that stay short of a majority are said again, ever more rarely; whoever holds more answers
(`stood`, `_remind`), since some datagrams are lost and nothing else would tell.
"""

from collections.abc import Callable

from protocol.identity import NodeId

from .budget import Bucket, Deed, Occasion
from .detection import (
    COUNTER_LEAP_MAX,
    COUNTER_MAX,
    GOSSIP_BYTES_MAX,
    VOTES_PER_BATCH_MAX,
    Gossip,
    Pair,
    RecordWanted,
    Refused,
    SignedAck,
    SignedVotes,
    Status,
    Tell,
    Vote,
    gossip_bytes,
)
from .gossip import Herald
from .ground import Ground
from .probing import RESERVE, Purpose
from .roster import Member
from .votes import Ballots

_AUTHOR_UNLESS_HEARD_S = 1.0
_REFUTE_INTERVAL_S = 5.0
_OVERTAKEN_INTERVAL_S = 2.0
_AUTHOR_INTERVAL_S = 2.0
_RECORD_INTERVAL_S = 1.0
_REMIND_INTERVAL_S = 3.0
_LOOK_AGAIN_S = 1.0
"""How soon after a verdict without a certificate we look again, then ever more rarely."""
_REMIND_INTERVAL_MAX_S = 60.0
_REMINDER_INTERVAL_S = 0.5
"""At most one reminder in this, whatever it is about."""
_MANY_IN_DOUBT = 4
_VOTES_FIRST_S = 0.25
"""Where so many are in doubt, votes get this much longer to decide before we look ourselves."""
_GOSSIP_SHARE = 0.45
_GOSSIP_BURST_SHARE = 1.2
"""Of the budget and its burst, what gossip may take; the rest is left for checks."""
_GOSSIP_DEBT_MAX = 4


class Judge:
    """The votes, verdicts and gossip of one node.

    Args:
        ground: what it shares with the other machines of the node.
        bucket: the budget for everything; gossip is charged to it.
        check: begins a check of a member.
    """

    def __init__(
        self, ground: Ground, bucket: Bucket, check: Callable[[NodeId, Purpose], None]
    ) -> None:
        config = ground.config
        self.ballots = Ballots(config, ground.me)
        self.herald = Herald(config, ground.roster, ground.pulse, ground.voice, ground.agenda)
        self._ground = ground
        self._config = config
        self._me = ground.me
        self._roster = ground.roster
        self._pulse = ground.pulse
        self._agenda = ground.agenda
        self._voice = ground.voice
        self._rng = ground.rng
        self._check = check
        self._bucket = bucket
        self._gossip_bucket = Bucket(
            config.budget_per_s * _GOSSIP_SHARE,
            config.budget_burst * _GOSSIP_BURST_SHARE,
            now=ground.now,
        )
        self._withheld: dict[NodeId, Vote] = {}

    def hear_ack(self, ack: SignedAck, sender: NodeId) -> None:
        """Somebody passed on a member's signed word that it lives."""
        member = self._roster.get(ack.node)
        if member is None or not self.is_newer(ack, member):
            self.herald.queue.heard_again(ack)
            return
        if not self._voice.verify(ack):
            self._ground.effects.append(Refused(sender, "bad_signature"))
            return
        member.ack = ack
        if ack.incarnation > member.incarnation:
            member.incarnation = ack.incarnation
            self.want_record(member, ack.incarnation)
        member.known = max(member.known, ack.pair)
        if ack.pair > member.proof:
            member.proof, member.proved_at = ack.pair, self._ground.now
            self._void(member, ack.pair)
        self.herald.say(ack, now=self._ground.now)

    def is_newer(self, ack: SignedAck, member: Member) -> bool:
        """Whether this would be the member's latest signed word; cheap, unlike its signature."""
        sane = ack.node == member.node and 0 <= ack.counter <= COUNTER_MAX
        return sane and (member.ack is None or ack.pair > member.ack.pair)

    def want_record(self, member: Member, incarnation: int) -> None:
        """It shows a newer incarnation than its record, which is therefore out of date."""
        if self._ground.passes(Occasion.RECORD, member.node, _RECORD_INTERVAL_S):
            self._ground.effects.append(RecordWanted(member.node, incarnation))

    def _void(self, member: Member, pair: Pair) -> None:
        """The member itself showed this pair, though not to us."""
        me, node = self._me, member.node
        mine = me in self.ballots.void(node, pair, now=self._ground.now)
        if node in self.ballots:
            self.judge(member)
        else:
            self.settle(member, pair)
        if mine:
            # We could not reach it, others can: try again when our hold is over.
            again = max(
                self._ground.now + self._config.hold_min_s, self.ballots.held_until(me, node)
            )
            self._ground.expect_from(node, again)

    def settle(self, member: Member, pair: Pair) -> None:
        """Nothing stands against a member that showed this pair: it is alive."""
        self._withheld.pop(member.node, None)
        self.herald.queue.unpublish(member.node)
        self._agenda.drop(Deed.STAND, member.node)
        if member.status is Status.ALIVE or pair[0] <= member.farewell:
            return
        for deed in (Deed.EVICT, Deed.REAP, Deed.STOPPED):
            self._agenda.drop(deed, member.node)
        self._ground.effects += self._roster.move(
            member, Status.ALIVE, farewell=-1, now=self._ground.now
        )
        self._ground.expect(member.node)

    def hear_votes(self, batch: SignedVotes, sender: NodeId) -> None:
        """Somebody passed on the signed votes of an author."""
        if batch.author == self._me or batch.author not in self._roster:
            return
        if len(batch.votes) > VOTES_PER_BATCH_MAX:
            self._ground.effects.append(Refused(sender, "limit"))
            return
        for vote in batch.votes:
            self._look_behind(batch.author, vote)
        news = [vote for vote in batch.votes if self._is_news(batch.author, vote)]
        if not news:
            self.herald.queue.heard_again(batch)
            self._remind(batch, sender)
            return
        if not self._voice.verify(batch):
            self._ground.effects.append(Refused(sender, "bad_signature"))
            return
        others = [vote for vote in news if vote.subject != self._me]
        for vote in others:
            self.cast(batch.author, vote, batch)
        if others:
            self.herald.say(batch, now=self._ground.now)
        for vote in news:
            self._consider(batch.author, vote)

    def _is_news(self, author: NodeId, vote: Vote) -> bool:
        """Whether the vote would change anything here; cheap, unlike its signature."""
        if vote.subject == self._me:
            ours = vote.incarnation == self._pulse.incarnation
            sane = 0 <= vote.counter <= self._pulse.counter + COUNTER_LEAP_MAX
            return ours and sane and self._to_be_answered(author, vote)
        member = self._roster.get(vote.subject)
        if member is None or member.gone or not 0 <= vote.incarnation <= member.incarnation:
            return False
        if not 0 <= vote.counter <= member.known[1] + COUNTER_LEAP_MAX or vote.pair < member.proof:
            return False
        observers = self._roster.rings.observers(vote.subject)
        return self.ballots.admits(author, vote, observers, now=self._ground.now)

    def _look_behind(self, author: NodeId, vote: Vote) -> None:
        """An observer's vote is void for us who heard the subject later: is it still there?

        If it fell silent right after it had answered us, every vote is void here for ever, and only
        our own check can tell. Its finding carries the newest pair, so the observers renew theirs.
        """
        member = self._roster.get(vote.subject)
        if member is None or not member.told or member.farewell >= 0 or vote.pair >= member.proof:
            return
        ours = member.contact_at >= member.proved_at  # not a refutation that everybody hears
        silent = self._ground.now >= member.contact_at + self._config.ask_unless_heard_s
        if not (ours and silent and author in self._roster.rings.observers(vote.subject)):
            return
        if self._ground.passes(Occasion.OVERTAKEN, vote.subject, _OVERTAKEN_INTERVAL_S):
            self._check(vote.subject, Purpose.LOCAL)

    def _to_be_answered(self, author: NodeId, vote: Vote) -> bool:
        return not self.herald.refuted(vote) or self._ground.passes(
            Occasion.REFUTE, author, _REFUTE_INTERVAL_S
        )

    def cast(self, author: NodeId, vote: Vote, carrier: SignedVotes | None) -> None:
        """Let a vote stand here, and judge again when it has stood a while."""
        if self.ballots.cast(author, vote, carrier=carrier, now=self._ground.now):
            self._agenda.set(Deed.STAND, vote.subject, self._ground.now + self._config.stand_s)

    def _consider(self, author: NodeId, vote: Vote) -> None:
        """A vote was taken in: what follows for us?"""
        if vote.subject == self._me:
            self._answer(author, vote)
            return
        member = self._roster.get(vote.subject)
        if member is None:
            return
        if self._ground.observes(vote.subject):
            mine = self.ballots.finding(self._me, vote.subject)
            if mine is None or mine.pair < vote.pair:
                self._check(vote.subject, Purpose.ASKED)
        self.judge(member)

    def _answer(self, author: NodeId, vote: Vote) -> None:
        """Somebody cannot reach us: say that we live, and see whether we can reach it."""
        if self.herald.refuted(vote):
            self.herald.repeat(now=self._ground.now)
        else:
            self.herald.refute(vote, now=self._ground.now)
        if (member := self._roster.get(author)) is not None:
            self.doubted_by(member)

    def doubted_by(self, member: Member) -> None:
        """A member cannot hear us, it seems: look whether we can reach it.

        So one-way cuts show on both sides. It says so by its vote, or, if all who would pass that
        on are out of its reach too, by a ping that calls us accused.
        """
        if self._ground.now < member.contact_at + _AUTHOR_UNLESS_HEARD_S or not member.told:
            return
        if self._ground.passes(Occasion.AUTHOR, member.node, _AUTHOR_INTERVAL_S):
            self._check(member.node, Purpose.LOCAL)

    def refute_again(self) -> None:
        """We had to wait before we could sign another refutation."""
        self.herald.refute(None, now=self._ground.now)

    def judge(self, member: Member) -> None:
        """Give the verdict that the standing votes allow."""
        node = member.node
        ballot = self.ballots.of(node)
        if ballot is None or member.gone or member.farewell >= 0:
            return
        observers = self._roster.rings.observers(node)
        votes = ballot.count(observers)
        enough = self._config.majority_of(len(observers))
        if votes >= enough and len(self._roster.rings) > 2:
            self._set_unreachable(member, certified=True)
        elif member.status is Status.UNREACHABLE:
            self._set_unreachable(member, certified=False)
        elif self._ground.now < ballot.since + self._config.stand_s - 1e-3:
            self._ground.effects += self._roster.move(member, Status.SUSPECT, now=self._ground.now)
        elif self._me in ballot.findings or self._reachable_majority(observers, votes, node):
            self._set_unreachable(member, certified=False)
        else:
            self._ground.effects += self._roster.move(member, Status.SUSPECT, now=self._ground.now)

    def _reachable_majority(self, observers: tuple[NodeId, ...], votes: int, node: NodeId) -> bool:
        """Whether most of those observers voted that are not themselves away or long in doubt."""
        away = 0
        for observer in observers:
            if self.ballots.voted(observer, node) or observer == self._me:
                continue
            ballot = self.ballots.of(observer)
            doubted = ballot is not None and self._ground.now >= ballot.since + self._config.stand_s
            away += doubted or not self._roster.reached(observer)
        return votes >= (len(observers) - away) // 2 + 1

    def _set_unreachable(self, member: Member, *, certified: bool) -> None:
        self._ground.effects += self._roster.move(
            member, Status.UNREACHABLE, certified=certified, now=self._ground.now
        )
        self._agenda.drop(Deed.LATE, member.node)
        if not certified:
            self._agenda.drop(Deed.EVICT, member.node)
            self._agenda.hasten(Deed.STAND, member.node, self._ground.now + _LOOK_AGAIN_S)
        elif (Deed.EVICT, member.node) not in self._agenda:
            # A certificate may come late (`_vouch`): the wait counts from when we saw it go.
            evict_after = self._config.evict_after_s
            at = max(member.since + evict_after, self._ground.now + evict_after / 3)
            self._agenda.set(Deed.EVICT, member.node, at)

    def vouch(self, node: NodeId) -> None:
        """We have become an observer of a member that is away: our finding counts from now on.

        Where many go at once, some have lost most of their observers too. As the first are dead and
        off the rings, others take their places, and so the rest can be certified.
        """
        member = self._roster.get(node)
        if member is None or member.status is not Status.UNREACHABLE or member.farewell >= 0:
            return
        mine = self.ballots.finding(self._me, node)
        if mine is None:
            self._check(node, Purpose.ASKED)
        elif mine.carrier is None:
            self.herald.publish(Vote(node, *mine.pair), now=self._ground.now)

    def find(self, member: Member, *, deaf: bool) -> None:
        """Our own check has failed. `deaf`: we heard nobody at all since it began."""
        node, vote = member.node, Vote(member.node, *member.known)
        first = node not in self.ballots
        self.cast(self._me, vote, None)
        if deaf:
            self._withheld[node] = vote
        elif first or self._ground.observes(node):
            self.herald.publish(vote, now=self._ground.now)
        self.judge(member)

    def publish_withheld(self) -> None:
        """We heard somebody, so we are not deaf: say what we found."""
        for node, vote in self._withheld.items():
            if self.ballots.voted(self._me, node):
                self.herald.publish(vote, now=self._ground.now)
        self._withheld.clear()

    def renew(self, member: Member) -> None:
        """We still cannot reach it, though somebody heard it later than we and voted: vote as late.

        Otherwise our vote is void for everybody who heard the subject in between, and where few
        observers are left, a member that died just then is never certified.
        """
        node = member.node
        newest = self.ballots.newest_pair(node)
        mine = self.ballots.finding(self._me, node)
        if mine is not None and mine.pair < newest and self._ground.observes(node):
            vote = Vote(node, *newest)
            self.cast(self._me, vote, None)
            self.herald.publish(vote, now=self._ground.now)
        self.judge(member)

    def sign_anew(self) -> None:
        """Our key was replaced: nobody believes what the old one signed any more."""
        self.herald.sign_anew(now=self._ground.now)
        for subject in self.ballots.subjects():
            mine = self.ballots.finding(self._me, subject)
            if mine is not None and mine.carrier is not None:
                self.herald.publish(Vote(subject, *mine.pair), now=self._ground.now)

    def stood(self, member: Member) -> None:
        """Votes have stood undecided: judge, or look for ourselves and judge again."""
        node = member.node
        if node not in self.ballots:
            return
        self.judge(member)
        if member.told:
            if not self._votes_may_decide(node):
                self._check(node, Purpose.LOCAL)
            self._agenda.set(Deed.STAND, node, self._ground.now + self._config.recheck_s)
        elif member.status is Status.UNREACHABLE and not member.certified:
            if self.ballots.voters(node) == (self._me,):
                self._check(node, Purpose.AGAIN)
            # Votes may have been lost on their way. Tell what we hold; who knows more, answers.
            alive = list(self._roster.having(Status.ALIVE))
            if alive and self._ground.passes(Occasion.REMIND, self._me, _REMINDER_INTERVAL_S):
                self._tell_votes(self._rng.choice(alive), node)
            wait = min(max(_LOOK_AGAIN_S, self._ground.now - member.since), _REMIND_INTERVAL_MAX_S)
            self._agenda.set(Deed.STAND, node, self._ground.now + wait)

    def _votes_may_decide(self, node: NodeId) -> bool:
        """Where many are in doubt pings are short, and the votes on most are on their way."""
        ballot = self.ballots.of(node)
        if ballot is None or len(self.ballots) < _MANY_IN_DOUBT:
            return False
        return self._ground.now <= ballot.since + self._config.stand_s + _VOTES_FIRST_S

    def _tell_votes(self, to: NodeId, node: NodeId) -> None:
        """All that stands here against a member, in one datagram to one other."""
        ballot = self.ballots.of(node)
        batches: list[SignedVotes] = []
        room = GOSSIP_BYTES_MAX
        for finding in ballot.findings.values() if ballot else ():
            if finding.carrier is not None and gossip_bytes(finding.carrier) <= room:
                batches.append(finding.carrier)
                room -= gossip_bytes(finding.carrier)
        if batches and self._bucket.take(reserve=RESERVE, now=self._ground.now):
            self._ground.effects.append(Tell(to, Gossip(votes=tuple(batches))))

    def _remind(self, batch: SignedVotes, sender: NodeId) -> None:
        """Somebody still says votes that were certified here long ago: it may lack the rest."""
        for vote in batch.votes:
            member = self._roster.get(vote.subject)
            if member is None or not member.certified or member.farewell >= 0:
                continue
            if self._ground.now > member.since + _REMIND_INTERVAL_S and self._ground.passes(
                Occasion.REMIND, vote.subject, _REMIND_INTERVAL_S
            ):
                self._tell_votes(sender, vote.subject)

    def _hears(self, node: NodeId) -> bool:
        """Whether gossip is likely to reach it: not one that does not answer us."""
        return self._roster.reached(node) and not self.ballots.voted(self._me, node)

    def gossip(self) -> None:
        """Say the next datagram of findings."""
        batch, tells = self.herald.flush(
            self._gossip_bucket, self._rng, self.ballots.stands, self._hears, now=self._ground.now
        )
        self._bucket.owe(len(tells), debt_max=_GOSSIP_DEBT_MAX, now=self._ground.now)
        self._ground.effects += tells
        if batch is not None:
            for vote in batch.votes:
                self.ballots.sign(self._me, vote, batch)
