"""How far each peer is to be trusted to show what it says it holds: one node's own experience.

A peer says what it holds, in a root, in a vector, in an advert, in a head. What it then does not
show is *withheld*: perhaps it hides it, perhaps it never had it, perhaps its disk is old. Whichever
it is, others are asked, and it is asked later and less. A *lie* is worse: hashes that do not add up
to the root that they were shown under, heads that their owner never signed.

`node.reachability` counts whether a peer answers at all; this counts what its answers are worth.

Rules this module keeps:

1. A score is between 0 and 1, falls at once and recovers slowly, by half in `RECOVERY_S`.
2. It is never told to anybody, and decides nothing about facts: those prove themselves.
3. Peers are bounded; the one not noted longest is forgotten first, with its sins.
"""

from collections import OrderedDict
from dataclasses import dataclass

from protocol import limits
from protocol.identity import NodeId

WITHHELD_FACTOR = 0.7
LIE_FACTOR = 0.5
RECOVERY_S = 600.0
"""In which half of what a score lacks to 1 comes back."""
PEERS_MAX = limits.MEMBERS_MAX


@dataclass(frozen=True, slots=True)
class Account:
    """What one peer's word has been worth."""

    score: float
    """1: it has shown all that it said it holds; towards 0: it is asked last."""
    withheld: int
    """Times it did not show what it said it holds."""
    lies: int
    """Times it showed what cannot be true."""
    at_s: float
    """When the score was that, monotonic seconds."""


class Credit:
    """The accounts of all peers that ever failed to show something, and their sums."""

    def __init__(self) -> None:
        self.withheld = 0
        """All that was withheld by anybody, since the start."""
        self.lies = 0
        """All lies about trees and heads, since the start."""
        self._of: OrderedDict[NodeId, Account] = OrderedDict()

    def of(self, peer: NodeId, *, now: float) -> Account:
        """A peer's account as it is now."""
        account = self._of.get(peer)
        if account is None:
            return Account(1.0, 0, 0, now)
        lack = (1.0 - account.score) * 0.5 ** ((now - account.at_s) / RECOVERY_S)
        return Account(1.0 - lack, account.withheld, account.lies, now)

    def score(self, peer: NodeId, *, now: float) -> float:
        """How far a peer is trusted to show what it says it holds."""
        return self.of(peer, now=now).score if peer in self._of else 1.0

    def note_withheld(self, peer: NodeId, *, now: float) -> None:
        """It did not show what it said it holds."""
        self.withheld += 1
        one = self.of(peer, now=now)
        self._put(peer, Account(one.score * WITHHELD_FACTOR, one.withheld + 1, one.lies, now))

    def note_lie(self, peer: NodeId, *, now: float) -> None:
        """It showed what cannot be true."""
        self.lies += 1
        one = self.of(peer, now=now)
        self._put(peer, Account(one.score * LIE_FACTOR, one.withheld, one.lies + 1, now))

    def _put(self, peer: NodeId, account: Account) -> None:
        self._of[peer] = account
        self._of.move_to_end(peer)
        while len(self._of) > PEERS_MAX:
            self._of.popitem(last=False)
