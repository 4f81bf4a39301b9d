"""Reading ourselves back: what a node that lived before waits for before it signs anything.

Whoever signs without knowing its own newest commit forks. So peers are asked what they hold of us,
and how long that is waited for depends on what our disk is worth:

    NOTHING   a new identity, of which nobody can have heard: sign at once
    BRIEFLY   the disk is whole, peers know more only by accident: `READ_BACK_S` at most
    PATIENTLY our branch is lost, but not which versions we signed: `READ_BACK_LOST_S` at most
    SURELY    the disk is an older copy, or was lost: as long as it takes, until a peer that knows
              us has shown what it holds of us, and we hold that too

Rule: what a peer shows counts only if we signed it, so that nobody can make us wait for a commit
that does not exist.
"""

import enum
from typing import Self, assert_never

from protocol.branch import Branch
from protocol.commits import Dot, Head

READ_BACK_S = 3.0
"""How long a node whose disk is whole waits to hear of itself before it signs."""
READ_BACK_LOST_S = 10.0
"""The same where our branch is lost. Whoever held us calls one that is unreachable every second, so
also a node that nobody told of a seed has heard of peers, and asked them, several times."""


class Hearing(enum.Enum):
    """What this node has to hear of itself before it signs."""

    NOTHING = "nothing"
    BRIEFLY = "briefly"
    PATIENTLY = "patiently"
    SURELY = "surely"

    @classmethod
    def briefly_if(cls, lived: bool) -> Self:
        """With a whole disk: something, if peers may know of an earlier life."""
        return cls("briefly" if lived else "nothing")


class Recollection:
    """Of one start. `Peer` signs from when it `is_over`.

    Args:
        hearing: what has to be heard.
        own: our branch, as far as we hold it.
        now: monotonic seconds.
    """

    def __init__(self, hearing: Hearing, own: Branch, *, now: float) -> None:
        self._own = own
        self._shown: Dot | None = None
        self.asked = False
        """Whether everybody who could be asked was, once."""
        self._asks_on = hearing in (Hearing.PATIENTLY, Hearing.SURELY)
        self.waiting = hearing is Hearing.SURELY
        """Whether a word of ourselves is needed; not any more once signing has begun."""
        match hearing:
            case Hearing.NOTHING:
                self.deadline = now
            case Hearing.BRIEFLY:
                self.deadline = now + READ_BACK_S
            case Hearing.PATIENTLY:
                self.deadline = now + READ_BACK_LOST_S
            case Hearing.SURELY:
                self.deadline = float("inf")
            case _:
                assert_never(hearing)

    @property
    def is_known(self) -> bool:
        """Whether some peer has shown that it knows us."""
        return self._shown is not None

    def shown(self, head: Head) -> None:
        """A peer that was asked showed this head of ours."""
        if head.epoch < self._own.chain.epoch or self._own.vouches(head):
            self._shown = max(head.dot, self._shown or head.dot)

    def is_over(self, *, coming: bool, forked: bool, now: float) -> bool:
        """Whether we may sign.

        Args:
            coming: our branch is on its way from a peer.
            forked: the cluster proved that it holds another branch of ours, which will be merged.
            now: monotonic seconds.
        """
        if now >= self.deadline:
            return True
        if not self.asked or not self._asks_on:
            return self.asked
        held = self._shown is not None and (self._own.dot >= self._shown or forked)
        return held and not coming
