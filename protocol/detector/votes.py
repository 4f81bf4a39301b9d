"""Findings that stand against members, and what voids them.

1. A vote says that its author cannot reach the subject, with the newest pair it ever had from it.
   A newer pair, from the subject itself, voids it; nothing else does, and no time is compared.
2. Whoever is refuted soon after voting goes on hold for that subject, longer each time, unless
   another observer votes too: so a slanderer, or one bad link, soon disturbs nobody.
3. Non-observers' votes are kept to make others look, and never counted. They are few: one for each
   subject and author, `rings` for each author, and they give way to observers'.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.identity import NodeId

from .config import MembershipConfig
from .detection import Pair, SignedVotes, Vote

HOLDS_MAX = 4_096
_HOLD_FORGOTTEN_S = 120.0
"""A hold starts anew at its shortest after this long without a refutation."""
_OTHERS_HOLD = 0.8
"""We hold others' votes a little shorter than our own, so that a vote cast after its author's hold
is never dropped by those who started counting a moment later."""


@dataclass(slots=True)
class Finding:
    """One vote as it stands here; `carrier` is the signed batch that brought it, if any."""

    pair: Pair
    at: float
    held: bool
    carrier: SignedVotes | None


@dataclass(slots=True)
class Ballot:
    """All that stands against one member, since when."""

    since: float
    findings: dict[NodeId, Finding] = field(default_factory=dict)

    def count(self, observers: Sequence[NodeId]) -> int:
        """How many of the observers voted."""
        return sum(1 for observer in observers if observer in self.findings)


@dataclass(slots=True)
class _Hold:
    level: int
    until: float
    at: float


class Ballots:
    """Every ballot and every hold of a node."""

    def __init__(self, config: MembershipConfig, me: NodeId) -> None:
        self._config = config
        self._me = me
        self._ballots: dict[NodeId, Ballot] = {}
        self._holds: dict[tuple[NodeId, NodeId], _Hold] = {}

    def __contains__(self, subject: NodeId) -> bool:
        return subject in self._ballots

    def __len__(self) -> int:
        return len(self._ballots)

    def subjects(self) -> list[NodeId]:
        """Who is under votes."""
        return list(self._ballots)

    def of(self, subject: NodeId) -> Ballot | None:
        """What stands against a member."""
        return self._ballots.get(subject)

    def finding(self, author: NodeId, subject: NodeId) -> Finding | None:
        """That author's vote on that subject as it stands."""
        ballot = self._ballots.get(subject)
        return ballot.findings.get(author) if ballot else None

    def newest_pair(self, subject: NodeId) -> Pair:
        """The latest that any voter heard the subject; older than anything if nobody voted."""
        ballot = self._ballots.get(subject)
        return (
            max((f.pair for f in ballot.findings.values()), default=(-1, 0)) if ballot else (-1, 0)
        )

    def count(self, subject: NodeId) -> int:
        """How many findings stand against a member, whoever made them."""
        ballot = self._ballots.get(subject)
        return len(ballot.findings) if ballot else 0

    def voters(self, subject: NodeId) -> tuple[NodeId, ...]:
        """Whose findings stand against a member."""
        ballot = self._ballots.get(subject)
        return tuple(ballot.findings) if ballot else ()

    def doubted_by_others(self, subject: NodeId) -> bool:
        """Whether somebody else's vote stands that is not on hold."""
        ballot = self._ballots.get(subject)
        return ballot is not None and any(
            author != self._me and not finding.held for author, finding in ballot.findings.items()
        )

    def voted(self, author: NodeId, subject: NodeId) -> bool:
        """Whether that author's vote on that subject stands."""
        return self.finding(author, subject) is not None

    def held(self, author: NodeId, subject: NodeId, *, now: float) -> bool:
        """Whether the author's vote would be ignored: on hold, and nobody agrees with it."""
        if now >= self.held_until(author, subject):
            return False
        ballot = self._ballots.get(subject)
        return ballot is None or not any(
            other != author and not finding.held for other, finding in ballot.findings.items()
        )

    def held_until(self, author: NodeId, subject: NodeId) -> float:
        """When the author's hold on that subject ends; in the past if there is none."""
        hold = self._holds.get((author, subject))
        return hold.until if hold else float("-inf")

    def admits(
        self, author: NodeId, vote: Vote, observers: Sequence[NodeId], *, now: float
    ) -> bool:
        """Whether that vote would change anything; ask before verifying its signature."""
        ballot = self._ballots.get(vote.subject)
        standing = ballot.findings.get(author) if ballot else None
        if standing is not None:
            return standing.pair < vote.pair
        if self.held(author, vote.subject, now=now):
            return False
        return author in observers or (
            ballot is None and self._outsider_votes(author) < self._config.rings
        )

    def cast(self, author: NodeId, vote: Vote, *, carrier: SignedVotes | None, now: float) -> bool:
        """Let a vote stand; True if it is the first against its subject."""
        ballot = self._ballots.get(vote.subject)
        first = ballot is None
        if ballot is None:
            ballot = self._ballots[vote.subject] = Ballot(now)
        before = ballot.findings.get(author)
        at = before.at if before else now
        held = now < self.held_until(author, vote.subject)
        ballot.findings[author] = Finding(vote.pair, at, held, carrier)
        while len(ballot.findings) > 2 * self._config.rings + 1:
            del ballot.findings[next(iter(ballot.findings))]
        return first

    def sign(self, author: NodeId, vote: Vote, carrier: SignedVotes) -> None:
        """The batch that now carries a vote which stands."""
        finding = self.finding(author, vote.subject)
        if finding is not None and finding.pair == vote.pair:
            finding.carrier = carrier

    def void(self, subject: NodeId, pair: Pair, *, now: float) -> list[NodeId]:
        """The subject showed this pair: drop every older vote; returns their authors."""
        ballot = self._ballots.get(subject)
        if ballot is None:
            return []
        voided = [author for author, finding in ballot.findings.items() if finding.pair < pair]
        for author in voided:
            finding = ballot.findings.pop(author)
            if finding.held or now - finding.at < self._config.refuted_within_s:
                self._hold(author, subject, now)
        if not ballot.findings:
            del self._ballots[subject]
        return voided

    def withdraw(self, author: NodeId, subject: NodeId) -> None:
        """Take one vote back, without blame."""
        ballot = self._ballots.get(subject)
        if ballot is None or author not in ballot.findings:
            return
        del ballot.findings[author]
        if not ballot.findings:
            del self._ballots[subject]

    def drop(self, subject: NodeId) -> None:
        """Forget all that stands against a member, without blame."""
        self._ballots.pop(subject, None)

    def postpone(self, seconds: float) -> None:
        """Our own loop lagged: nothing has stood as long as it seems."""
        for ballot in self._ballots.values():
            ballot.since += seconds
            for finding in ballot.findings.values():
                finding.at += seconds

    def signed(self) -> list[SignedVotes]:
        """The batches behind all standing votes, each once, in the order they came."""
        batches: dict[tuple[NodeId, int], SignedVotes] = {}
        for ballot in self._ballots.values():
            for finding in ballot.findings.values():
                if finding.carrier is not None:
                    batches[finding.carrier.author, finding.carrier.stamp] = finding.carrier
        return list(batches.values())

    def stands(self, batch: SignedVotes) -> bool:
        """Whether any vote of the batch still stands here, or is newer than what does."""
        for vote in batch.votes:
            finding = self.finding(batch.author, vote.subject)
            if finding is not None and finding.pair <= vote.pair:
                return True
        return False

    def _outsider_votes(self, author: NodeId) -> int:
        return sum(1 for ballot in self._ballots.values() if author in ballot.findings)

    def _hold(self, author: NodeId, subject: NodeId, now: float) -> None:
        before = self._holds.pop((author, subject), None)
        level = before.level + 1 if before and now - before.at < _HOLD_FORGOTTEN_S else 1
        wait = min(self._config.hold_max_s, self._config.hold_min_s * 2.0 ** min(level - 1, 30))
        share = 1.0 if author == self._me else _OTHERS_HOLD
        self._holds[author, subject] = _Hold(level, now + wait * share, now)
        if len(self._holds) > HOLDS_MAX:
            del self._holds[next(iter(self._holds))]
