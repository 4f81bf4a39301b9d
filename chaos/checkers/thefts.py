"""Who knew which key of whom, and how long a stolen one could deceive.

Rules this module keeps:

1. A node knows the epoch of an owner's key from the moment that it said so, or took a commit of
   that epoch, up to the end of its life. What its disk kept it says again when it starts.
2. A stolen key is worth something to a node until that node knows the next one, and for datagrams
   `replaced_key_s` more, while the replaced key passes beside the new one.
"""

import bisect

from chaos.history import History

from .limits import Limits
from .lives import Process


class Thefts:
    """All rotations and thefts of a history."""

    def __init__(self, history: History, limits: Limits, lives: dict[str, Process]) -> None:
        self.owners = {theft.owner: theft for theft in history.thefts}
        """Whose key was stolen; of several thefts of one the last."""
        self.commits = {(one.owner, one.commit): one for one in history.stolen}
        """What was signed with stolen keys."""
        self._limits = limits
        self._lives = lives
        self._told: dict[tuple[str, str], list[tuple[float, int]]] = {}
        said = [(one.at_s, one.node, one.owner, one.epoch) for one in history.rekeyed]
        said += [
            (one.at_s, one.node, one.owner, one.version[0])
            for one in history.accepted
            if one.version[0]
        ]
        for at_s, node, owner, epoch in sorted(said):
            self._told.setdefault((node, owner), []).append((at_s, epoch))

    def epoch(self, node: str, owner: str, at_s: float, *, for_s: float = 0.0) -> int:
        """The newest epoch of the owner that the node had known for so long, in the same life."""
        told = self._told.get((node, owner), [])
        last = bisect.bisect_left(told, (at_s - for_s, 0))
        born_s = self._lives[node].born_s(at_s)
        return max((epoch for told_s, epoch in told[:last] if told_s >= born_s), default=0)

    def speaks(self, node: str, owner: str, begin_s: float, end_s: float) -> bool:
        """Whether a thief could pass for the owner with that node at some time between."""
        theft = self.owners.get(owner)
        if theft is None or theft.at_s > end_s:
            return False
        known = self.epoch(node, owner, begin_s, for_s=self._limits.replaced_key_s)
        return known <= theft.epoch
