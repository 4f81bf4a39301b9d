"""How far members are: round trips that no check needed, measured when somebody asks.

Checks give round-trip times by the way, but only to members that were late once. Who wants others
(`near=self`) asks here, and a few of those members get a `Ping` as in a check.

Rules this module keeps:

1. On demand only: while nobody asks nothing is sent, drawn or due.
2. No verdict comes of it. A ping without an answer is nothing; an answer gives a time, and else is
   what any datagram of its sender is. Who is in doubt, or being checked, gets none.
3. It comes last: half a bucket of the detector's budget stays for all else, and in the long run it
   takes no more of it than `MEASURED_PER_S`.
4. A member is asked once in `FRESH_S`. The table of those asked is bounded by the rate.
"""

from collections.abc import Iterable
from heapq import nsmallest

from protocol.identity import NodeId

from .budget import Bucket
from .detection import Ack, Ping, Status, Tell
from .ground import Ground
from .probing import NONCE_BITS, RESERVE, Prober
from .roster import NEVER, Member

FRESH_S = 60.0
"""How long a round trip is taken for what it is now, and the time between two pings to a member."""
AT_ONCE_MAX = 8
MEASURED_PER_S = 8.0
"""Pings in the long run: less than a quarter of the detector's budget."""
ASKED_MAX = int(AT_ONCE_MAX + MEASURED_PER_S * FRESH_S)
"""Members that can be asked within `FRESH_S`, and so are remembered."""
_ANSWER_WITHIN_S = 2.0
"""A later answer tells of a process that stood still, not of a distance."""


class Distances:
    """Round-trip times to members, and their measuring."""

    def __init__(self, ground: Ground, bucket: Bucket, prober: Prober) -> None:
        self._ground = ground
        self._bucket = bucket
        self._reserve = max(RESERVE, int(ground.config.budget_burst / 2))
        self._rate = Bucket(MEASURED_PER_S, AT_ONCE_MAX, now=ground.now)
        self._prober = prober
        self._asked: dict[NodeId, float] = {}
        """When, the earliest first."""
        self._nonces: dict[NodeId, int] = {}
        """Of those asked who have not answered."""
        self._lagged_at = NEVER

    def __len__(self) -> int:
        return len(self._asked)

    def rtt_s(self, node: NodeId) -> float | None:
        """The smoothed round trip; None where it is not known, or means nothing any more."""
        if node == self._ground.me:
            return 0.0
        member = self._ground.roster.get(node)
        return None if member is None or member.status is Status.DEAD else member.rtt_s

    def due(self, nodes: Iterable[NodeId], *, now: float) -> list[NodeId]:
        """Whom of these to measure, a few: the never measured first, then the longest ago."""
        if not self._affordable(now):
            return []
        since = ((node, self._measured_at(node, now)) for node in nodes)
        found = [(at, node) for node, at in since if at is not None]
        return [node for _, node in nsmallest(AT_ONCE_MAX, found)]

    def measure(self, nodes: Iterable[NodeId]) -> None:
        """Ping those of them who are due, as far as the budget goes."""
        now = self._ground.now
        while self._asked and next(iter(self._asked.values())) <= now - FRESH_S:
            self.forget(next(iter(self._asked)))
        for node in self.due(nodes, now=now):
            if not self._affordable(now):
                return
            self._rate.take(now=now)
            self._bucket.take(now=now)
            nonce = self._nonces[node] = self._ground.rng.getrandbits(NONCE_BITS)
            self._asked[node] = now
            self._ground.effects.append(Tell(node, Ping(nonce, accused=False)))

    def answered(self, member: Member, ack: Ack) -> bool:
        """Whether it is the answer to a ping of ours; then its time is noted. Counts once."""
        node, now = member.node, self._ground.now
        if self._nonces.get(node) != ack.nonce:
            return False
        del self._nonces[node]
        asked_at = self._asked[node]
        if self._lagged_at < asked_at and now - asked_at <= _ANSWER_WITHIN_S:
            member.measured(now - asked_at, now=now)
        return True

    def lagged(self) -> None:
        """Our own loop stood still: answers under way tell of that, not of distances."""
        self._lagged_at = self._ground.now

    def forget(self, node: NodeId) -> None:
        """Drop that it was asked."""
        self._asked.pop(node, None)
        self._nonces.pop(node, None)

    def _affordable(self, now: float) -> bool:
        return self._rate.has(now=now) and self._bucket.has(reserve=self._reserve, now=now)

    def _measured_at(self, node: NodeId, now: float) -> float | None:
        """When it was; None if it need not, or must not, be measured now."""
        if node in self._prober or now < self._asked.get(node, NEVER) + FRESH_S:
            return None
        member = self._ground.roster.get(node)
        if member is None or member.status is not Status.ALIVE:
            return None
        return member.measured_at if now >= member.measured_at + FRESH_S else None
