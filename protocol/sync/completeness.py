"""Who withholds what: whether a peer showed what it said it holds, and who else may have it.

A root, a head in a vector, an advert, a push, a tree: each says that there is something to be had.
Whoever then does not show it is noted (`credit`), and others are asked, each once.

Rules this module keeps:

1. Only who said that it holds something can withhold it; whoever is asked instead owes nothing.
2. What we got meanwhile, or what is on its way to us, is withheld by nobody; nor is our own.
3. On the word of a peer whose word has been worth little, nobody else is troubled.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from protocol.commits import Dot
from protocol.detector.detection import Status
from protocol.detector.membership import Membership
from protocol.identity import NodeId
from protocol.registry import Registry

from .repair import Repair

TRIES_MAX = 4
"""Members asked for one thing that the first of them did not show, it included."""
BELIEVED_MIN = 0.3
"""The least score of a peer on whose word others are asked."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """Judges what was not shown."""

    me: NodeId
    registry: Registry
    membership: Membership
    repair: Repair

    def lacks(self, owner: NodeId, dot: Dot) -> bool:
        """Whether an owner's commit is still to be had, and not on its way to us."""
        branch = self.registry.branch(owner)
        if owner == self.me or self.repair.is_coming(owner):
            return False
        return branch is None or (branch.dot < dot and not branch.disputed)

    def note_withheld(self, owner: NodeId, dot: Dot, tried: tuple[NodeId, ...], now: float) -> bool:
        """The last of those asked did not show it; whether others are to be asked."""
        if not self.lacks(owner, dot):
            return False
        if len(tried) > 1:
            return True
        credit = self.repair.credit
        is_believed = credit.score(tried[0], now=now) >= BELIEVED_MIN
        credit.note_withheld(tried[0], now=now)
        return is_believed

    def others(self, owner: NodeId, dot: Dot, tried: tuple[NodeId, ...]) -> Iterator[NodeId]:
        """Members that are reached and may have it: first the owner itself, then successors."""
        if len(tried) >= TRIES_MAX or not self.lacks(owner, dot):
            return
        for node in (owner, *self.membership.push_targets(2 * TRIES_MAX)):
            reached = self.membership.status(node) in (Status.ALIVE, Status.SUSPECT)
            if reached and node not in tried:
                yield node
