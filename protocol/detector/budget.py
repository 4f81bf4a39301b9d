"""What the failure detector may spend, and when it is due: tokens, "once in", deadlines.

Three small machines that bound everything else in membership. All are told the time.
"""

import enum
import heapq
import math

from protocol.identity import NodeId

LIMITER_KEYS_MAX = 20_000
"""Occasions remembered; beyond it the oldest are forgotten, which only allows a repeat early."""


class Bucket:
    """A token bucket: `rate_per_s` in the long run, `burst` at once."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, *, now: float) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, tokens: int = 1, *, reserve: int = 0, now: float) -> bool:
        """Take tokens if that leaves `reserve`; otherwise take none."""
        if not self.has(tokens, reserve=reserve, now=now):
            return False
        self._tokens -= tokens
        return True

    def has(self, tokens: int = 1, *, reserve: int = 0, now: float) -> bool:
        """Whether so many could be taken."""
        self._fill(now)
        return self._tokens >= tokens + reserve

    def owe(self, tokens: int, *, debt_max: int, now: float) -> None:
        """Charge what is sent in any case; others wait until the debt is paid."""
        self._fill(now)
        self._tokens = max(-float(debt_max), self._tokens - tokens)

    def wait_s(self, tokens: int, *, now: float) -> float:
        """How long until so many tokens are there."""
        self._fill(now)
        # A hair more than exact, so that rounding cannot wake us for 0.9999 of a token.
        return max(0.0, (tokens - self._tokens) / self._rate) + 1e-6

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Occasion(enum.Enum):
    """What is done at most once in a while for each member."""

    ANSWER = 1
    ASKED = 2
    AUTHOR = 3
    BURST = 4
    RECORD = 5
    REFUTE = 6
    REMIND = 10
    OVERTAKEN = 9
    RETURN = 7
    SUBJECTS = 8


class Limiter:
    """Lets each occasion pass once in a given time. Bounded: `LIMITER_KEYS_MAX`."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[tuple[Occasion, NodeId], float] = {}

    def __len__(self) -> int:
        return len(self._last)

    def passes(self, occasion: Occasion, node: NodeId, *, every_s: float, now: float) -> bool:
        """Whether it is long enough ago; if so, the time starts anew."""
        key = occasion, node
        if now < self._last.get(key, -math.inf) + every_s:
            return False
        # Removed and added, so that the dict stays in order of time and the oldest come first.
        self._last.pop(key, None)
        self._last[key] = now
        if len(self._last) > LIMITER_KEYS_MAX:
            del self._last[next(iter(self._last))]
        return True

    def forget(self, node: NodeId) -> None:
        """Drop what is known of a member."""
        for occasion in Occasion:
            self._last.pop((occasion, node), None)


class Deed(enum.Enum):
    """What can be due; for a member, or for all (then under our own id)."""

    BEAT = 1
    CONTACT_DEAD = 2
    EVICT = 3
    GOSSIP = 4
    LATE = 5
    REAP = 6
    RECONNECT = 7
    REFUTE = 8
    REGROUP = 9
    STAND = 10
    STOPPED = 11
    TOKENS = 12
    TRY = 13


class Agenda:
    """Every deadline in one heap: at most one for each deed and member.

    Putting a deadline off costs nothing until the old one comes up, which is what happens to all
    but a few of them: every heartbeat puts off the moment at which its sender would be late.
    """

    __slots__ = ("_at", "_heap", "_heaped", "_sequence")

    def __init__(self) -> None:
        self._at: dict[tuple[Deed, NodeId], float] = {}
        self._heaped: dict[tuple[Deed, NodeId], float] = {}
        self._heap: list[tuple[float, int, tuple[Deed, NodeId]]] = []
        self._sequence = 0

    def __contains__(self, key: tuple[Deed, NodeId]) -> bool:
        return key in self._at

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, deed: Deed, node: NodeId, at: float) -> None:
        """Be due at `at`, whatever was set before."""
        key = deed, node
        self._at[key] = at
        if at < self._heaped.get(key, math.inf):
            self._push(key, at)

    def put_off(self, deed: Deed, node: NodeId, at: float) -> None:
        """Be due at `at`, or later if that was set before."""
        self.set(deed, node, max(at, self._at.get((deed, node), at)))

    def hasten(self, deed: Deed, node: NodeId, at: float) -> None:
        """Be due at `at`, or earlier if that was set before."""
        self.set(deed, node, min(at, self._at.get((deed, node), at)))

    def drop(self, deed: Deed, node: NodeId) -> None:
        """Be not due at all."""
        self._at.pop((deed, node), None)

    def shift(self, deed: Deed, seconds: float) -> None:
        """Put off every deadline of this kind."""
        for key in [key for key in self._at if key[0] is deed]:
            self._at[key] += seconds

    @property
    def next_deadline(self) -> float:
        """When the next deed is due; infinity if nothing is."""
        self._settle()
        return self._heap[0][0] if self._heap else math.inf

    def pop_due(self, *, now: float) -> tuple[Deed, NodeId] | None:
        """Take the earliest deed that is due, or None."""
        self._settle()
        if not self._heap or self._heap[0][0] > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._at[key], self._heaped[key]
        return key

    def _push(self, key: tuple[Deed, NodeId], at: float) -> None:
        self._sequence += 1
        self._heaped[key] = at
        heapq.heappush(self._heap, (at, self._sequence, key))

    def _settle(self) -> None:
        """Make the head of the heap a deadline that stands."""
        while self._heap:
            heaped_at, _, key = self._heap[0]
            if self._heaped.get(key) == heaped_at:
                at = self._at.get(key)
                if at == heaped_at:
                    return
                del self._heaped[key]
                heapq.heappop(self._heap)
                if at is not None:
                    self._push(key, at)
            else:
                heapq.heappop(self._heap)
