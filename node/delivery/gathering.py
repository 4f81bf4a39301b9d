"""When the next commit of ours is signed: at once, or when they ask again who were answered.

A commit costs a signature, a way to the disk and news to all, whatever is in it. Clients that ask
again as soon as they are answered would fall in two halves, one on its way to the disk while the
other waits, and each commit hold half of what it could. So after a commit the next one waits, for a
moment, until as many ask as did before it (PostgreSQL does so with `commit_delay`).

Rules this module keeps:

1. Who is alone waits for nobody, and nobody longer than `GATHER_S` for others.
2. It learns: each wait in vain doubles the number of commits before the next try; a wait that was
   worth it has the next commit wait, too.
"""

from math import inf

from protocol.limits import GROUP_COMMIT_MAX

GATHER_S = 0.005
"""The longest that the design allows. Most clients ask again within one or two, and then nobody
waits for it; a shorter one would only be armed and disarmed more often."""
PAUSE_MAX = 64
"""Commits that are not waited with, at most, after waits in vain."""


class Gathering:
    """What the next commit waits for."""

    def __init__(self) -> None:
        self.until_s = inf
        """By then it is signed, whoever has asked."""
        self._wanted = 0
        self._pause = self._left = 0

    def begin(self, expected: int, *, now: float) -> bool:
        """A commit is durable; with those answered, so many asked until now. Whether to wait."""
        if expected <= 1:
            return False
        if self._left:
            self._left -= 1
            return False
        self._wanted, self.until_s = min(expected, GROUP_COMMIT_MAX), now + GATHER_S
        return True

    def sooner(self, deadline_s: float) -> float:
        """When there is something to do, here or at that deadline."""
        return min(deadline_s, self.until_s)

    def lacks(self, asking: int) -> bool:
        """Whether the commit waits for more than these."""
        return asking < self._wanted

    def end(self, asking: int) -> None:
        """The commit of so many is signed."""
        if self._wanted:
            in_vain = self.lacks(asking)
            self._pause = self._left = min(2 * self._pause + 1, PAUSE_MAX) if in_vain else 0
        self._wanted, self.until_s = 0, inf
