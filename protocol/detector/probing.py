"""Checks under way: pings at a steady spacing, as many as needed, from one budget.

Each check is a few tries at one member. A try waits for a token; where tokens are short the more
important check goes first, and of equal ones the older, so that verdicts come one by one instead of
all at the end. A check ends when the member answers (`answered`), or when its last try went
unanswered (`overdue` says so).
"""

import enum
import heapq
from dataclasses import dataclass
from random import Random

from protocol.identity import NodeId

from .budget import Agenda, Bucket, Deed
from .config import MembershipConfig

RESERVE = 4
"""Tokens that only an observer's own checks may use: one's own observations first."""
NONCE_BITS = 48


class Purpose(enum.IntEnum):
    """Why we check; the smaller, the more important."""

    OWN = 0
    """Our subject is late."""
    ASKED = 1
    """Another observer asks, or voted."""
    RETURN = 2
    """It is unreachable or dead, and may be back. One try; failing changes nothing."""
    LOCAL = 3
    """Votes stand undecided, or everybody is looked at."""


@dataclass(slots=True)
class Check:
    """One check of one member."""

    node: NodeId
    purpose: Purpose
    nonce: int
    started_at: float
    tries_max: int
    sequence: int
    tries: int = 0
    sent_at: float = 0.0

    @property
    def halfway(self) -> bool:
        """Whether the try just made is the one at which other observers are asked."""
        return self.purpose is Purpose.OWN and self.tries == max(2, self.tries_max // 2)

    @property
    def last(self) -> bool:
        """Whether the try just made is the last."""
        return self.tries == self.tries_max


class Prober:
    """All checks of a node."""

    def __init__(
        self, config: MembershipConfig, bucket: Bucket, agenda: Agenda, rng: Random
    ) -> None:
        self._config = config
        self._bucket = bucket
        self._agenda = agenda
        self._rng = rng
        self._checks: dict[NodeId, Check] = {}
        self._waiting: list[tuple[int, int, NodeId]] = []
        self._sequence = 0

    def __contains__(self, node: NodeId) -> bool:
        return node in self._checks

    def __len__(self) -> int:
        return len(self._checks)

    def begin(self, node: NodeId, purpose: Purpose, pings: int, *, now: float) -> None:
        """Start a check, or make one for a lesser purpose a full one. `ready` gives its tries."""
        tries = 1 if purpose is Purpose.RETURN else pings
        check = self._checks.get(node)
        if check is None:
            self._sequence += 1
            nonce = self._rng.getrandbits(NONCE_BITS)
            self._checks[node] = check = Check(node, purpose, nonce, now, tries, self._sequence)
            heapq.heappush(self._waiting, (purpose, check.sequence, node))
        elif purpose is not Purpose.RETURN and check.purpose is Purpose.RETURN:
            check.purpose, check.tries_max = purpose, tries

    def answered(self, node: NodeId) -> Check | None:
        """End the check of a member that has answered."""
        self._agenda.drop(Deed.TRY, node)
        return self._checks.pop(node, None)

    def overdue(self, node: NodeId) -> Check | None:
        """A try went unanswered: the check, if that was its last one and it is over."""
        check = self._checks.get(node)
        if check is None:
            return None
        if check.tries >= check.tries_max:
            return self._checks.pop(node)
        heapq.heappush(self._waiting, (check.purpose, check.sequence, node))
        return None

    def ready(self, *, now: float) -> Check | None:
        """Take a token and make the next try, or None; call until there is none."""
        while self._waiting:
            _, sequence, node = self._waiting[0]
            check = self._checks.get(node)
            if check is None or check.sequence != sequence:
                heapq.heappop(self._waiting)
                continue
            reserve = 0 if check.purpose is Purpose.OWN else RESERVE
            if not self._bucket.take(reserve=reserve, now=now):
                at = now + self._bucket.wait_s(1 + reserve, now=now)
                self._agenda.set(Deed.TOKENS, NodeId(b""), at)
                return None
            heapq.heappop(self._waiting)
            check.tries += 1
            check.sent_at = now
            wait = self._config.ping_spacing_s + self._config.last_wait_s * check.last
            self._agenda.set(Deed.TRY, node, now + wait)
            return check
        return None

    def abandon(self) -> None:
        """Drop every check: our own loop lagged, so silence proves nothing."""
        for node in self._checks:
            self._agenda.drop(Deed.TRY, node)
        self._checks.clear()
        self._waiting.clear()
