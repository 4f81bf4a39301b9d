"""Checks under way: pings at a steady spacing, as many as needed, from one budget.

Each check is a few tries at one member. A try waits for a token; where tokens are short the more
important check goes first, and of equal ones the older, so that verdicts come one by one instead of
all at the end. A check ends when the member answers (`answered`), or when its last try went
unanswered (`overdue` says so). `Outcomes` remembers how checks ended of late: where most fail, the
next is likely to fail too, and needs fewer tries to be believed.
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
_FULL_SPACINGS = 4
"""More tries than this come closer together, down to half the spacing: a check stays short."""
_TRIES_AT_NO_LOSS = 3
_HALF_LIFE_S = 2.0
_FAILURES_WEIGHT = 4.0
_OUTSET = 1.5
"""So many failures, faded, make it likely that much is wrong at once."""
_VOTED_ODDS = 30.0
"""What another's vote adds then; alone it may be slander."""


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
    AGAIN = 4
    """Nobody but us misses it: chance, perhaps. One try, when nothing else waits."""

    @property
    def single(self) -> bool:
        """Whether it is one try, and failing changes nothing."""
        return self in (Purpose.RETURN, Purpose.AGAIN)


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
        """Whether the try just made is the one at which other observers are asked.

        Where hardly anything gets lost a missing heartbeat says much: they are asked at once.
        """
        asked_at = 1 if self.tries_max <= _TRIES_AT_NO_LOSS else self.tries_max // 2
        return self.purpose is Purpose.OWN and self.tries == asked_at

    @property
    def last(self) -> bool:
        """Whether the try just made is the last."""
        return self.tries == self.tries_max


class Outcomes:
    """How our checks ended of late; older ones fade."""

    def __init__(self, *, now: float) -> None:
        self._failures = 0.0
        self._answers = 0.0
        self._at = now

    def add(self, *, failed: bool, now: float) -> None:
        """A check ended."""
        self._fade(now)
        self._failures += failed
        self._answers += not failed

    def forget(self) -> None:
        """One that was away is back: what went wrong may be over."""
        self._failures = self._answers = 0.0

    def odds(self, *, voted: bool, now: float) -> float:
        """How much likelier than not the next check fails, by these alone; never below 1.

        `voted` says that another's vote stands against that member.
        """
        self._fade(now)
        odds = max(1.0, _FAILURES_WEIGHT * self._failures / (1 + self._answers))
        return odds * _VOTED_ODDS if voted and self._failures > _OUTSET else odds

    def _fade(self, now: float) -> None:
        faded = 0.5 ** ((now - self._at) / _HALF_LIFE_S)
        self._failures *= faded
        self._answers *= faded
        self._at = now


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
        tries = 1 if purpose.single else pings
        check = self._checks.get(node)
        if check is None:
            self._sequence += 1
            nonce = self._rng.getrandbits(NONCE_BITS)
            self._checks[node] = check = Check(node, purpose, nonce, now, tries, self._sequence)
            heapq.heappush(self._waiting, (purpose, check.sequence, node))
        elif check.purpose.single and not purpose.single:
            check.purpose, check.tries_max = purpose, tries
            if (Deed.TRY, node) not in self._agenda:
                # It waits for a token, in a lesser place than it now has.
                self._sequence += 1
                check.sequence = self._sequence
                heapq.heappush(self._waiting, (purpose, check.sequence, node))

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
            wait = self._spacing_s(check) + self._config.last_wait_s * check.last
            self._agenda.set(Deed.TRY, node, now + wait)
            return check
        return None

    def _spacing_s(self, check: Check) -> float:
        share = max(0.5, min(1.0, _FULL_SPACINGS / check.tries_max))
        return self._config.ping_spacing_s * share

    def abandon(self) -> None:
        """Drop every check: our own loop lagged, so silence proves nothing."""
        for node in self._checks:
            self._agenda.drop(Deed.TRY, node)
        self._checks.clear()
        self._waiting.clear()
