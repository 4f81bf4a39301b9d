"""What partitions did: an episode for each, from the first member cut off to equal knowledge.

    began ──▶ members away ──▶ contact ──▶ who was away is asked (SPLIT) ──▶ reconciled

An episode begins when a member becomes unreachable against its own word, be it cut off or down,
and holds all that become so until it ends. *Contact* is the first word from the other side, by
whatever way. What *diverged* is the net change of each record between the cut and the contact: of
our side from our own log above the dots that the others say they held, of theirs from their logs
above the dots that we held. It is *reconciled* when we hold all that they held at the contact.

Rules this module keeps:

1. It only looks on: nothing that others tell it changes anything but the report.
2. One returned member answers for all who were not away from it; at most `ASKED_MAX` are asked, one
   after the other. Where none could answer, what the log shows of the time is taken, and the
   report says that it is not exact.
3. Nobody says what it cannot know: of another cut than the asker means, or for who was under
   suspicion at the contact; nor that it is exact where one side did not miss who changed on the
   other, or where it held under suspicion whom nobody speaks for.
4. The last `EPISODES_MAX` episodes are kept, in memory, with so many records as `DIVERGED_MAX`.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping

from protocol.clocks import Instant
from protocol.commits import NOTHING, Dot
from protocol.detector.detection import Status, StatusChanged
from protocol.detector.membership import Membership
from protocol.detector.partition import Partition
from protocol.events import Parted, Stage
from protocol.history.outcomes import AppliedStep
from protocol.identity import NodeId
from protocol.records import Kind
from protocol.registry import Registry

from .changelog import WINDOW_S, Became, ChangeLog, Difference
from .documents import joined
from .evidence import Evidence
from .report import Contested, Cut, Diverged, Episode, Outcome
from .split import NO_ANSWER, SplitAnswer, SplitRequest, bounded, vector_of
from .suspicions import Suspicions

EPISODES_MAX = 32
DIVERGED_MAX = 4_096
"""Records that one report names; more are counted."""
DIVERGED_ALL_MAX = 16_384
"""Records that all reports name together; beyond it the oldest reports go."""
SIDES_MAX = 64
FORKS_MAX = 64
CONTESTED_MAX = 256
"""Fields of documents that a report names."""
ASKED_MAX = 8
"""Returned members that are asked in one episode."""
NOTICED_WITHIN_S = 3.0
"""How long a cut may have lasted before it was noticed, where nothing better is known."""
MINGLED_S = 3.0
"""How long after it was met again a member counts as one of the other side."""
HINTED_WITHIN_S = 1.0
"""How much earlier than a member its side's commits may come, by way of a third, or an answer of
another one."""
DOUBTED_S = 2.0
"""After a contact: how long a member must be away before that counts.

Who met the other side hears its votes against our own, which were true there, and believes them
until those members are heard again: a tenth of a second.
"""
GIVE_UP_S = 60.0
"""After a return, until what a peer claimed to hold is no longer waited for."""
ANSWERED_WITHIN_S = 15.0
"""How long after we met a member again we tell it how we stood then."""
_AWAY = (Status.UNREACHABLE, Status.DEAD)


class Episodes:
    """All episodes of this life. `Peer` tells it what happens, and does what `drain` says."""

    def __init__(self, me: NodeId, registry: Registry, membership: Membership) -> None:
        self._me = me
        self._registry = registry
        self._membership = membership
        self._log = ChangeLog()
        self._episodes: deque[Episode] = deque()
        self._cuts: dict[NodeId, tuple[Episode, Cut]] = {}
        """Of each member the newest."""
        self._doubtful: dict[NodeId, Cut] = {}
        """Members that became unreachable right after a contact."""
        self._suspicions = Suspicions()
        self._met_s = float("-inf")
        """When somebody was met again last."""
        self._last_number = 0
        self._dead = 0
        """How many are dead that were cut off, and may return all the same."""
        self._news: list[Parted] = []
        self._questions: list[tuple[NodeId, SplitRequest]] = []
        self.side = Partition.NONE
        self.side_since: Instant | None = None
        """When `side` last changed; None: never in this life."""

    def newest(self) -> Iterable[Episode]:
        """All episodes, the newest first. To be read only."""
        return reversed(self._episodes)

    @property
    def open(self) -> bool:
        """Whether an episode goes on."""
        return any(episode.open for episode in self._episodes)

    def drain(self) -> tuple[list[Parted], list[tuple[NodeId, SplitRequest]]]:
        """What is to be told and whom to ask, since the last call."""
        news, self._news = self._news, []
        questions, self._questions = self._questions, []
        return news, questions

    # What happens

    def changed(self, change: StatusChanged, now: Instant) -> None:
        """We believe something else of a member."""
        node = change.node
        known = self._cuts.get(node)
        doubtful = self._doubtful.pop(node, None)
        # Right after a contact the other side's votes do not count.
        counts = now.mono_s - self._met_s > DOUBTED_S
        self._suspicions.note(change, now_s=now.mono_s, counts=counts)
        if change.new is Status.UNREACHABLE and change.old in (Status.ALIVE, Status.SUSPECT):
            self._missed(node, certified=change.certified, now=now)
        elif doubtful is not None and change.new in _AWAY:
            doubtful.certified = change.certified
            self._doubtful[node] = doubtful
            if change.new is Status.DEAD:
                self._died(*self._cut_off(doubtful, now))
        elif doubtful is not None or known is None:
            pass
        elif change.new is Status.UNREACHABLE:
            known[1].certified = known[1].certified or change.certified
        elif change.new is Status.DEAD:
            self._died(*known)
        elif change.old in _AWAY and change.new not in _AWAY:
            self._returned(*known, left=change.new in (Status.STOPPING, Status.LEFT), now=now)
        self._look(now)

    def reaped(self, node: NodeId, now: Instant) -> None:
        """The member is no longer known."""
        self._doubtful.pop(node, None)
        self._suspicions.forget(node)
        known = self._cuts.pop(node, None)
        if known is not None and known[1].outcome is Outcome.AWAY:
            self._died(*known)  # an operator says so
        if known is not None and known[1].outcome is Outcome.DEAD:
            self._dead -= 1
        self._look(now)

    def applied(self, step: AppliedStep, after: Dot, now: Instant) -> None:
        """A branch moved to `after`."""
        known = self._cuts.get(step.owner)
        if known is not None and known[1].met is None:
            self._hint(known[0], now)
        self._log.note(step, after, now=now.mono_s)
        waiting = False
        for episode in self._episodes:
            due = episode.pending.get(step.owner)
            if due is not None and after >= due:
                del episode.pending[step.owner]
                waiting = True
        if waiting:
            self._look(now)

    def forked(self, evidence: Evidence) -> None:
        """Two commits of one owner came to light that cannot both stand."""
        for episode in self._episodes:
            if episode.open and len(episode.forks) < FORKS_MAX:
                episode.forks[evidence.owner] = None

    def heard_root(self, node: NodeId, *, equal: bool, now: Instant) -> None:
        """A heartbeat carried a member's settled root."""
        self._believe(now)
        self._give_up(now)
        known = self._cuts.get(node)
        if not equal or known is None:
            return
        episode, cut = known
        if cut.back_at is not None and episode.asking is None and node not in episode.to_ask:
            self._conclude(episode, now, certain=True)

    # What is asked

    def answer(self, request: SplitRequest, caller: NodeId, now: Instant) -> SplitAnswer:
        """How we stood when we met the caller again."""
        vector = self._registry.vector()
        known = self._cuts.get(caller)
        if known is not None and known[1].met is None:
            self._met(*known, now)
        met = known[1].met if known is not None else None
        sure = True
        within_s = min(request.apart_ms / 1000, ANSWERED_WITHIN_S)
        if known and met and now.mono_s - met.mono_s <= within_s:
            mark, away = known[1].mark, self._held(known[0], met)
            doubted = dict.fromkeys(known[1].doubted, mark)
            without = away = away | self._log.held_at(doubted, vector)
            sure = not self._unnoticed(*known, dict(request.held))
        elif self._membership.incarnation > request.incarnation and self._log.reaches(0):
            # We began another life since: what we held is what we began it with.
            mark, away, without = 0, self._log.vector_at(0, vector), {}
        else:
            return NO_ANSWER
        until = self._log.vector_at(mark, vector)
        held = {owner: dot for owner, dot in request.held if owner not in without}
        found, exact = self._log.net(held, until, mark, without=without)
        changed, left = bounded(found)
        here = {one.owner: until[one.owner] for one in found}
        return SplitAnswer(
            known=True, complete=exact and sure and self._log.reaches(mark),
            away=vector_of(away), here=vector_of(here), changed=changed, left=left,
        )  # fmt: skip

    def answered(self, node: NodeId, answer: SplitAnswer | None, now: Instant) -> None:
        """The member that was asked told how it stood, or did not."""
        known = self._cuts.get(node)
        if known is None:
            return
        episode, cut = known
        if episode.asking == node:
            episode.asking = None
        if answer is not None and answer.known and episode.reconciled is None:
            if answer.complete:
                away = dict(answer.away)
                for one in episode.cuts:
                    if one == node or one not in away:
                        episode.spoken[one] = None
                        episode.unspoken.pop(one, None)
                        episode.to_ask.pop(one, None)
                self._take(episode, cut, answer, now)
            elif node in episode.unspoken:
                episode.unspoken[node] = answer
        self._ask_next(episode, now)
        self._look(now)

    # How it goes on

    def _missed(self, node: NodeId, *, certified: bool, now: Instant) -> None:
        """A member became unreachable."""
        view, record = self._membership.view(node), self._registry.node(node)
        cut = Cut(
            node, record.name if record else "", now, view.incarnation if view else 0, certified,
            missed_s=now.mono_s, start=self._log.position,
        )  # fmt: skip
        if now.mono_s - self._met_s <= DOUBTED_S:
            self._doubtful[node] = cut
        else:
            self._cut_off(cut, now)

    def _believe(self, now: Instant) -> None:
        """Count those that have been away for long enough after all."""
        due = [cut for cut in self._doubtful.values() if now.mono_s - cut.since.mono_s > DOUBTED_S]
        for cut in due:
            self._cut_off(cut, now)
        if due:
            self._look(now)

    def _give_up(self, now: Instant) -> None:
        """Wait no longer for what was claimed, nor for heartbeats of who could not answer.

        Not everybody sends us heartbeats: a member does to its observers only.
        """
        for episode in self._episodes:
            if episode.open and not episode.away and now.mono_s - episode.heard_s > GIVE_UP_S:
                episode.exact = False
                self._conclude(episode, now, certain=True)

    def _cut_off(self, cut: Cut, now: Instant) -> tuple[Episode, Cut]:
        """A member is away: in the episode that goes on, or in a new one."""
        self._doubtful.pop(cut.node, None)
        episode = self._episodes[-1] if self._episodes else None
        if episode is None or not episode.open:
            self._last_number += 1
            episode = Episode(self._last_number, now)
            self._episodes.append(episode)
            self._forget_old()
            self._tell(episode, Stage.BEGAN)
        known = self._cuts.get(cut.node)
        if known is not None and known[1].outcome in (Outcome.AWAY, Outcome.DEAD):
            self._turn(*known, Outcome.BACK)
        before = episode.cuts.get(cut.node)
        if before is not None:
            cut.since = before.since
        cut.outcome = Outcome.BACK
        self._turn(episode, cut, Outcome.AWAY)
        episode.cuts[cut.node] = cut
        self._cuts[cut.node] = episode, cut
        episode.to_ask.pop(cut.node, None)
        episode.spoken.pop(cut.node, None)
        self._log.seal()
        return episode, cut

    def _died(self, episode: Episode, cut: Cut) -> None:
        """It was declared dead, or an operator forgot it; what it knew is no longer waited for."""
        if cut.node in episode.unspoken:
            episode.exact = False
            del episode.unspoken[cut.node]
        if not any(one.outcome is Outcome.BACK for one in episode.cuts.values()):
            episode.pending.clear()
        self._turn(episode, cut, Outcome.DEAD)

    def _returned(self, episode: Episode, cut: Cut, *, left: bool, now: Instant) -> None:
        if cut.outcome not in (Outcome.AWAY, Outcome.DEAD):
            return
        self._turn(episode, cut, Outcome.LEFT if left else Outcome.BACK)
        if left:
            return
        cut.back_at, episode.reconciled, episode.heard_s = now, None, now.mono_s
        if cut.met is None:
            self._met(episode, cut, now)
        if cut.node in episode.spoken:
            return
        episode.unspoken[cut.node] = None
        episode.to_ask[cut.node] = None
        self._ask_next(episode, now)

    def _turn(self, episode: Episode, cut: Cut, outcome: Outcome) -> None:
        """Every change of an outcome is made here, so that the counts are right."""
        episode.away += (outcome is Outcome.AWAY) - (cut.outcome is Outcome.AWAY)
        self._dead += (outcome is Outcome.DEAD) - (cut.outcome is Outcome.DEAD)
        cut.outcome = outcome

    def _hint(self, episode: Episode, now: Instant) -> None:
        """A commit of one that is away came by way of a third.

        Either that one has met the other side, and we shall hear so at once; or it is what our own
        side still had to even out, since a cut leaves the nodes of one side with different steps.
        """
        if episode.hint is None or now.mono_s - episode.hint[0] > HINTED_WITHIN_S:
            episode.hint = now.mono_s, self._log.position

    def _met(self, episode: Episode, cut: Cut, now: Instant) -> None:
        """Word of a member came: what we held until now is what we held apart from it."""
        cut.doubted = self._suspicions.since(now.mono_s - HINTED_WITHIN_S, episode.cuts)
        cut.met, cut.mark, self._met_s = now, self._log.position, now.mono_s
        if episode.hint is not None and now.mono_s - episode.hint[0] <= HINTED_WITHIN_S:
            cut.mark = max(cut.start, min(cut.mark, episode.hint[1]))
        self._log.seal()
        episode.heard_s = now.mono_s
        if episode.contact is None:
            episode.contact = now
            self._tell(episode, Stage.CONTACT)

    def _held(self, episode: Episode, at: Instant) -> dict[NodeId, Dot]:
        """What we held of each that was away at a time, when we met it again or now.

        Who had been back for a while was on our side by then.
        """
        met = sorted(cut.mark for cut in episode.cuts.values() if cut.met)
        marks: dict[NodeId, int] = {}
        for node, cut in episode.cuts.items():
            if cut.met is not None and at.mono_s - cut.met.mono_s > MINGLED_S:
                continue
            # The first of a group that we meet brings the branches of the others.
            place = bisect_left(met, cut.start)
            marks[node] = met[place] if place < len(met) else self._log.position
        return self._log.held_at(marks, self._registry.vector())

    def _ask_next(self, episode: Episode, now: Instant) -> None:
        if episode.asking is not None:
            return
        if episode.asked >= ASKED_MAX:
            episode.to_ask.clear()
        for node in list(episode.to_ask):
            del episode.to_ask[node]
            cut = episode.cuts[node]
            if cut.outcome is Outcome.BACK and node in episode.unspoken:
                episode.asking = node
                episode.asked += 1
                held = self._held(episode, cut.met or cut.since)
                apart_ms = round((now.mono_s - cut.missed_s) * 1000)
                request = SplitRequest(cut.incarnation, apart_ms, vector_of(held))
                self._questions.append((node, request))
                return

    def _take(self, episode: Episode, cut: Cut, answer: SplitAnswer, now: Instant) -> None:
        """What diverged between us and the group of one that answered."""
        mark, vector = cut.mark, self._registry.vector()
        until = self._log.vector_at(mark, vector)
        # Of others who met us just now we may hold half of what they did apart: they say it all.
        mingled = self._held(episode, cut.met or cut.since)
        held = {owner: dot for owner, dot in answer.away if owner not in mingled}
        ours, exact = self._log.net(held, until, mark, without=mingled)
        away = dict(answer.away)
        sure = not self._unnoticed(episode, cut, away) and not any(
            one in away for one in cut.doubted
        )
        exact = exact and answer.complete and self._log.reaches(mark) and sure
        episode.exact = episode.exact and exact
        self._add(episode, [*ours, *answer.changed], left=answer.left)
        for owner, dot in answer.here:
            if owner != self._me and vector.get(owner, NOTHING) < dot:
                episode.pending[owner] = max(dot, episode.pending.get(owner, NOTHING))

    def _unnoticed(self, episode: Episode, cut: Cut, away: Mapping[NodeId, Dot]) -> bool:
        """Whether one of our side changed meanwhile and the other did not notice it to be away.

        Then the other cannot say what it held of that one; the cut was too short for it. Both ask
        this: who compares, and who answers, of the one that will compare.
        """
        since = self._log.mark_before(cut.since.mono_s - NOTICED_WITHIN_S)
        return any(
            owner not in away and owner not in episode.cuts
            for owner in self._log.changed_between(since, cut.mark)
        )

    def _guess(self, episode: Episode) -> None:
        """Nobody could say how those still unspoken for stood: take what the log shows."""
        for node, answer in list(episode.unspoken.items()):
            cut = episode.cuts[node]
            episode.exact = False
            del episode.unspoken[node]
            if answer is not None:
                self._add(episode, answer.changed, left=answer.left)
            vector = self._registry.vector()
            since = self._log.mark_before(cut.since.mono_s - NOTICED_WITHIN_S)
            held = self._log.vector_at(since, vector)
            until = self._log.vector_at(cut.mark, vector)
            ours, _ = self._log.net(held, until, cut.mark)
            self._add(episode, ours, left=0)

    def _add(self, episode: Episode, found: Iterable[Difference], *, left: int) -> None:
        episode.left += left
        for one in found:
            place = one.owner, one.key
            if place not in episode.diverged and len(episode.diverged) >= DIVERGED_MAX:
                episode.left += 1
                continue
            before = episode.diverged.get(place)
            # Of two that lacked different things, the one that lacked more knows what became.
            rank = one.version, one.became is not Became.CHANGED
            if before is None or rank > (before.version, before.became is not Became.CHANGED):
                here = one.owner not in episode.cuts
                episode.diverged[place] = Diverged(
                    one.owner, one.key, here, one.became, one.version
                )

    def _look(self, now: Instant) -> None:
        """Something moved: note our side, end what has ended, keep as much log as is needed."""
        side = self._membership.partition()
        if side is not self.side:
            self.side, self.side_since = side, now
        for episode in self._episodes:
            if not episode.open:
                continue
            if not episode.sides or episode.sides[-1][0] is not side:
                episode.sides = [*episode.sides[: SIDES_MAX - 1], (side, now)]
            if episode.asking is None and not episode.to_ask and not episode.pending:
                self._conclude(episode, now, certain=False)
        since = min(
            (one.began.mono_s - WINDOW_S for one in self._episodes if one.open),
            default=float("inf"),
        )
        self._log.keep(since, lasting=self._dead > 0, now=now.mono_s)

    def _conclude(self, episode: Episode, now: Instant, *, certain: bool) -> None:
        """End an episode if nobody is away; `certain`: roots are equal, or waiting was in vain."""
        if episode.contact is None or episode.away or episode.reconciled is not None:
            return
        if episode.unspoken and not certain:
            return
        self._guess(episode)
        self._contest(episode)
        episode.pending.clear()
        episode.reconciled = now
        self._forget_old()
        self._tell(episode, Stage.RECONCILED)

    def _contest(self, episode: Episode) -> None:
        """Which documents the sides wrote apart, and where that left two values of one field."""
        writers: dict[str, list[bool]] = {}
        for one in episode.diverged.values():
            if one.key.kind == Kind.DOCUMENT:
                writers.setdefault(one.key.key, []).append(one.here)
        episode.contested = []
        for key, sides in sorted(writers.items()):
            conflicts = joined(key, self._registry.document(key)).conflicts
            found = [Contested(key, name, decided.rule) for name, decided in conflicts.items()]
            if not found and len(set(sides)) > 1:
                found = [Contested(key, "", "merged")]
            if len(sides) > 1:
                episode.contested += found[: CONTESTED_MAX - len(episode.contested)]

    def _forget_old(self) -> None:
        named = sum(len(episode.diverged) for episode in self._episodes)
        while len(self._episodes) > 1 and (
            len(self._episodes) > EPISODES_MAX or named > DIVERGED_ALL_MAX
        ):
            oldest = self._episodes.popleft()
            named -= len(oldest.diverged)
            for node in oldest.cuts:
                if node in self._cuts and self._cuts[node][0] is oldest:
                    del self._cuts[node]

    def _tell(self, episode: Episode, stage: Stage) -> None:
        self._news.append(Parted(episode.number, stage))
