"""Watching: who is late, who is checked, and what an answer or its absence leads to.

1. An observer that misses a heartbeat checks the subject, and half-way asks the other observers. A
   check that fails goes to the `Judge` as our finding.
2. One silent subject makes us look at the others at once; half of them, or a quarter of all members
   in doubt, at everybody. So both sides of a split see all of it within seconds. Whom nobody within
   reach observes we look at from time to time, one at a beat.
3. Any datagram from a member that is away or in doubt makes us check it; one that answers makes us
   try all that are away, once each. So a healed split is seen within a heartbeat.
4. Who asks again and again does not hear our answers. Amid other failures that is as good as a
   failed check of our own, and costs nothing: so a mute side sees the others.
5. Whose own loop lagged has not been listening: deadlines move, checks under way are dropped.
"""

from protocol.identity import NodeId

from .budget import Bucket, Deed, Occasion
from .detection import (
    COUNTER_MAX,
    Ack,
    Ask,
    Pair,
    Ping,
    SignedAck,
    Status,
    Tell,
    TryStream,
)
from .distances import Distances
from .ground import Ground
from .heartbeat import LossMeter
from .probing import RESERVE, Outcomes, Prober, Purpose
from .roster import NEVER, Member
from .verdicts import Judge

_ANSWER_SHARE = 0.25
"""We answer one peer's pings at most once in this share of the ping spacing."""
_ANSWERS_SHARE = 0.55
"""Of the budget, what answers may take: nobody can spend all of it by asking."""
_ANSWERS_RESERVE = 6
"""Answers kept for those whom they are likely to reach."""
_PINGS_UNHEARD = 3
"""Who pings so often in one check seems not to hear us: look whether we reach it."""
_DOUBTS_TO_INFER = 4
_INFER_UNLESS_HEARD_S = 1.0
_RETURN_INTERVAL_S = 1.0
_BURST_INTERVAL_S = 2.0
_ASKED_INTERVAL_S = 0.5
_SWEEP_AT_ONCE_MAX = 12
_CHECKS_WHILE_ASKING_MAX = 3
"""Where more members than this are silent at once, the budget goes into looking for ourselves."""


class Watch:
    """All that one node does to learn who is here. Gossip and verdicts are the `judge`'s."""

    def __init__(self, ground: Ground) -> None:
        config = ground.config
        self.loss = LossMeter()
        self.revision = -1
        """Of the rings, when `regroup` last looked."""
        self._bucket = Bucket(config.budget_per_s, config.budget_burst, now=ground.now)
        self.judge = self._judge = Judge(ground, self._bucket, self.check)
        self._ground = ground
        self._config = config
        self._me = ground.me
        self._roster = ground.roster
        self._agenda = ground.agenda
        self._rng = ground.rng
        self._voice = ground.voice
        self._prober = Prober(config, self._bucket, ground.agenda, ground.rng)
        self.distances = Distances(ground, self._bucket, self._prober)
        self._outcomes = Outcomes(now=ground.now)
        self._answers = Bucket(
            config.budget_per_s * _ANSWERS_SHARE, config.budget_burst, now=ground.now
        )
        self._pings_heard: dict[NodeId, tuple[int, int]] = {}
        self._subjects: dict[NodeId, None] = {}
        self._heard_at = NEVER
        self._lagged_at = NEVER
        self._doubt_since = NEVER
        self._doubts = 0

    @property
    def subjects(self) -> tuple[NodeId, ...]:
        """Whom we watch, by the rings as they are now."""
        self.regroup()
        return tuple(self._subjects)

    def regroup(self) -> None:
        """The rings changed: watch the new subjects, leave the old, count every vote again."""
        if self.revision == self._roster.rings.revision:
            return
        self.revision = self._roster.rings.revision
        before = self._subjects
        self._subjects = dict.fromkeys(self._roster.rings.subjects(self._me))
        for node in before:
            if node not in self._subjects:
                self._agenda.drop(Deed.LATE, node)
        for node in self._subjects:
            if node not in before:
                self._ground.expect(node)
                self._judge.vouch(node)
        for node in self._judge.ballots.subjects():
            if member := self._roster.get(node):
                self._judge.judge(member)

    def late(self, member: Member) -> None:
        """A subject's heartbeat has not come."""
        node = member.node
        if not member.told or self._judge.ballots.voted(self._me, node):
            return
        if self._ground.now < self._lagged_at + self._config.grace_s:
            self._ground.expect_from(node, self._ground.now + self._config.heartbeat_interval_s)
        else:
            self.check(node, Purpose.OWN)

    def watch_over(self) -> None:
        """Each beat: leave no subject unwatched, and look at everybody where doubts abound."""
        for node in self._subjects:
            member = self._roster.get(node)
            watched = (
                member is None
                or not member.told
                or (Deed.LATE, node) in self._agenda
                or node in self._prober
                or self._judge.ballots.voted(self._me, node)
            )
            if not watched:
                self._ground.expect(node)
        self._sweep()
        self._look_where_nobody_watches()

    def lagged(self, seconds: float) -> None:
        """Our own loop stood still: silence in that time proves nothing."""
        self._lagged_at = self._ground.now
        self._agenda.shift(Deed.LATE, seconds)
        self._judge.ballots.postpone(seconds)
        self._prober.abandon()
        self.distances.lagged()

    def heard(self, member: Member) -> None:
        """Any datagram of a member came: it is up, and we are not deaf."""
        member.heard_at = self._heard_at = self._ground.now
        self._judge.publish_withheld()
        away = member.status in (Status.UNREACHABLE, Status.DEAD)
        if (away or member.node in self._judge.ballots) and self._ground.passes(
            Occasion.RETURN, member.node, _RETURN_INTERVAL_S
        ):
            self.check(member.node, Purpose.RETURN)

    def beat(self, member: Member) -> None:
        """A heartbeat came."""
        cycle = len(self._roster.rings.observers(member.node)) * self._config.heartbeat_interval_s
        if member.beat_at != NEVER and cycle:
            self.loss.arrived(gap_s=self._ground.now - member.beat_at, cycle_s=cycle)
        member.beat_at = self._ground.now
        self.heard(member)
        if not self._judge.ballots.voted(self._me, member.node):
            self._ground.expect(member.node)

    def pinged(self, member: Member, ping: Ping) -> None:
        """A member asks whether we live: answer, and see by its asking whether it hears us.

        Answers come from the budget before all else, up to a burst of debt: a ping that goes
        unanswered costs others more.
        """
        node, now = member.node, self._ground.now
        every_s = self._config.ping_spacing_s * _ANSWER_SHARE
        if not self._ground.passes(Occasion.ANSWER, node, every_s):
            return
        nonce, count = self._pings_heard.get(node, (ping.nonce, 0))
        count = count + 1 if nonce == ping.nonce else 1
        self._pings_heard[node] = ping.nonce, count
        if self._seems_not_to_hear_us(member, count):
            self._prober.answered(node)
            self._outcomes.add(failed=True, now=now)
            self._failed(member, Purpose.ASKED, since=now - _INFER_UNLESS_HEARD_S)
        elif ping.accused or count >= _PINGS_UNHEARD:
            self._judge.doubted_by(member)
        vain = count >= _PINGS_UNHEARD or not member.told
        if not self._answers.take(reserve=_ANSWERS_RESERVE if vain else 0, now=now):
            return
        self._bucket.owe(1, debt_max=int(self._config.budget_burst), now=now)
        signed = self._judge.herald.signed_ack(now=now) if ping.accused else None
        self._ground.effects.append(
            Tell(node, Ack(ping.nonce, *self._ground.pulse.advance(), signed))
        )

    def _seems_not_to_hear_us(self, member: Member, pings: int) -> bool:
        """Whether that many pings of one check tell as much as a failed check of ours."""
        ballots = self._judge.ballots
        if len(ballots) < _DOUBTS_TO_INFER or not member.told:
            return False
        if ballots.voted(self._me, member.node):
            return False
        lost = self.loss.answers(self._config, odds=self._odds(member.node))
        return pings > lost and member.contact_at < self._ground.now - _INFER_UNLESS_HEARD_S

    def _odds(self, node: NodeId) -> float:
        voted = self._judge.ballots.doubted_by_others(node)
        return self._outcomes.odds(voted=voted, now=self._ground.now)

    def answered(self, member: Member, pair: Pair, signed: SignedAck | None) -> None:
        """A member answered a check of ours: whatever stands against it here is void."""
        check = self._prober.answered(member.node)
        if check is not None and not check.purpose.single:
            self._outcomes.add(failed=False, now=self._ground.now)
        if check is not None and check.tries == 1:
            # Only unrepeated pings give a round trip: which of several was answered is unknown
            # (Karn's rule).
            member.measured(self._ground.now - check.sent_at, now=self._ground.now)
        was = member.status
        doubted = was is not Status.ALIVE or member.node in self._judge.ballots
        member.contact_at = self._ground.now
        member.known, member.proof = max(member.known, pair), max(member.proof, pair)
        if (
            signed is not None
            and self._judge.is_newer(signed, member)
            and self._voice.verify(signed)
        ):
            member.ack = signed
            if doubted:
                self._judge.herald.say(signed, now=self._ground.now)
        self.heard(member)
        # All that stands is void, whatever pair it claims: nobody has newer news than we.
        self._judge.ballots.void(member.node, (COUNTER_MAX, COUNTER_MAX + 1), now=self._ground.now)
        self._judge.settle(member, pair)
        self._ground.expect_in_turn(member)
        if was in (Status.UNREACHABLE, Status.DEAD) and member.told:
            self._outcomes.forget()
            self._look_for_others()

    def answered_by_stream(self, member: Member) -> None:
        """A member answered over TCP: our own finding is void, others' are not ours to void."""
        self._prober.answered(member.node)
        member.contact_at = self._ground.now
        self.heard(member)
        self._judge.ballots.withdraw(self._me, member.node)
        self._judge.herald.queue.unpublish(member.node)
        if member.node not in self._judge.ballots:
            self._judge.settle(member, member.known)
        self._ground.expect_in_turn(member)

    def _look_for_others(self) -> None:
        """One is back: a partition may have healed, so try all that are away, once each."""
        if not self._ground.passes(Occasion.BURST, self._me, _BURST_INTERVAL_S):
            return
        away = [*self._roster.having(Status.UNREACHABLE), *self._roster.having(Status.DEAD)]
        self._rng.shuffle(away)
        for node in away:
            self.check(node, Purpose.RETURN)

    def check(self, node: NodeId, purpose: Purpose) -> None:
        """Begin a check, if the member can be checked at all."""
        member = self._roster.get(node)
        if member is None or member.status in (Status.LEFT, Status.STOPPING):
            return
        pings = self.loss.pings(self._config, odds=self._odds(node))
        self._prober.begin(node, purpose, pings, now=self._ground.now)

    def contact_dead(self) -> None:
        """Try one dead member at random: the two sides of an old split find each other."""
        interval = self._config.dead_contact_interval_s
        self._agenda.set(Deed.CONTACT_DEAD, self._me, self._ground.now + interval)
        dead = list(self._roster.having(Status.DEAD))
        if dead:
            node = self._rng.choice(dead)
            self.check(node, Purpose.RETURN)
            self._ground.effects.append(TryStream(node))

    def leave(self, node: NodeId) -> None:
        """Drop a check under way, of a member that we are about to forget."""
        self._prober.answered(node)
        self._pings_heard.pop(node, None)
        self.distances.forget(node)

    def asked(self, subject: NodeId) -> None:
        """Another observer gets no answer from one of our subjects so far."""
        member = self._roster.get(subject)
        if member is None or not member.told or subject not in self._subjects:
            return
        if self._ground.now < member.contact_at + self._config.ask_unless_heard_s:
            return
        if self._ground.passes(Occasion.ASKED, subject, _ASKED_INTERVAL_S):
            self.check(subject, Purpose.ASKED)

    def probe(self) -> None:
        """Make every try for which there is a token."""
        while (check := self._prober.ready(now=self._ground.now)) is not None:
            member = self._roster.get(check.node)
            if member is None:
                continue
            member.nonce = check.nonce
            accused = not member.told or check.node in self._judge.ballots
            self._ground.effects.append(Tell(check.node, Ping(check.nonce, accused)))
            if check.last and not check.purpose.single:
                self._ground.effects.append(TryStream(check.node))
            if check.halfway:
                self._ask_others(check.node)

    def _ask_others(self, subject: NodeId) -> None:
        held = self._judge.ballots.held(self._me, subject, now=self._ground.now)
        if held or len(self._prober) > _CHECKS_WHILE_ASKING_MAX:
            return
        for observer in self._roster.rings.observers(subject):
            if self._roster.reached(observer) and self._bucket.take(
                reserve=RESERVE, now=self._ground.now
            ):
                self._ground.effects.append(Tell(observer, Ask(subject)))

    def unanswered(self, member: Member) -> None:
        """A try got no answer in time."""
        check = self._prober.overdue(member.node)
        if check is None or check.purpose.single or member.gone:
            return
        if member.contact_at < check.started_at:
            if not self._judge.ballots.voted(self._me, member.node):
                self._outcomes.add(failed=True, now=self._ground.now)
            self._failed(member, check.purpose, since=check.started_at)

    def _failed(self, member: Member, purpose: Purpose, *, since: float) -> None:
        """We cannot reach it, as a check found that began at `since`."""
        me, node = self._me, member.node
        if self._judge.ballots.voted(me, node):
            self._judge.renew(member)
            return
        if self._judge.ballots.held(me, node, now=self._ground.now):
            again = self._ground.now + self._config.heartbeat_interval_s
            self._ground.expect_from(node, max(again, self._judge.ballots.held_until(me, node)))
            return
        self._judge.find(member, deaf=self._heard_at < since)
        if purpose is Purpose.OWN:
            self._look_at_subjects()
        self._sweep()
        if self._doubt_since == NEVER:
            # It alone is silent: one more try before the vote has stood long enough to act on.
            self.check(node, Purpose.RETURN)

    def _look_at_subjects(self) -> None:
        """One subject is silent: are the others too? Tells a split, or our deafness, at once."""
        if not self._ground.passes(Occasion.SUBJECTS, self._me, self._config.sweep_interval_s):
            return
        for node in self._subjects:
            member = self._roster.get(node)
            if member is None or not member.told or self._judge.ballots.voted(self._me, node):
                continue
            if member.contact_at < self._ground.now - self._config.heartbeat_interval_s:
                self.check(node, Purpose.OWN)

    def _sweep(self) -> None:
        """Where doubts abound, check everybody who has shown no sign of life since that began.

        Hearing it is enough: one that does not hear us will ask again and again, or vote. Those
        against whom nobody voted come first, for the others votes may decide.
        """
        since = self._in_doubt_since()
        if since is None:
            return
        silent = [
            member.node
            for status in (Status.SUSPECT, Status.ALIVE)
            for member in self._roster.having(status).values()
            if max(member.heard_at, member.proved_at) < since
            and member.node not in self._prober
            and not self._judge.ballots.voted(self._me, member.node)
        ]
        self._rng.shuffle(silent)
        silent.sort(key=self._judge.ballots.count)
        for node in silent[:_SWEEP_AT_ONCE_MAX]:
            self.check(node, Purpose.LOCAL)

    def _look_where_nobody_watches(self) -> None:
        """Where all observers of a member are away, nobody would tell us that it fell silent too.

        One member is drawn each beat, so the fewer are left with us, the sooner each has its turn;
        the first who misses it says so, and then all look.
        """
        alive = self._roster.having(Status.ALIVE)
        if not alive or len(self._roster.having(Status.UNREACHABLE)) < self._config.rings:
            return  # they cannot all be away, or we are one of them
        member = alive[self._rng.choice(list(alive))]
        silent_since = self._ground.now - self._config.sweep_interval_s
        if max(member.heard_at, member.proved_at) >= silent_since:
            return
        observers = self._roster.rings.observers(member.node)
        if self._me not in observers and not any(map(self._roster.reached, observers)):
            self.check(member.node, Purpose.LOCAL)

    def _in_doubt_since(self) -> float | None:
        """Since when half of our subjects are silent, or a quarter of all are in doubt.

        It starts anew, so that everybody is checked again, when the doubts have grown meanwhile; at
        most once in `sweep_interval_s`.
        """
        silent = sum(1 for node in self._subjects if self._judge.ballots.voted(self._me, node))
        doubts = len(self._roster.having(Status.SUSPECT))
        doubts += len(self._roster.having(Status.UNREACHABLE))
        half = bool(silent) and 2 * silent >= len(self._subjects)
        quarter = doubts > 1 and 4 * doubts >= self._roster.known_count
        if not half and not quarter:
            self._doubt_since, self._doubts = NEVER, 0
            return None
        again_at = self._doubt_since + self._config.sweep_interval_s
        if doubts > self._doubts and self._ground.now > again_at:
            self._doubt_since, self._doubts = self._ground.now, doubts
        return self._doubt_since - self._config.heartbeat_interval_s
