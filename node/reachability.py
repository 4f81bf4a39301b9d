"""How well each peer answers over streams: strikes, a score and a short history, never gossiped.

The failure detector decides together who is here; this is one node's own experience with the
layer above, TCP. A peer may be alive by datagrams and yet refuse or swallow streams: after three
failures in a row (strikes) it is left alone for 1, 2, 4 … 60 s, so that repair turns to others.

Rules this module keeps:

1. One answer ends all strikes, and so does any other sign that the peer is back.
2. The last try of a failed check and a join are never held back: they are how one finds out.
3. Addresses are bounded; the one not asked for longest is forgotten first.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from protocol.identity import Address

STRIKES_MAX = 3
BARRED_MIN_S, BARRED_MAX_S = 1.0, 60.0
HISTORY_MAX = 16
"""Requests remembered for each peer."""
ADDRESSES_MAX = 10_000
_SCORE_WEIGHT = 1 / 8
"""How much the newest request counts: about the last twelve make the score."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and how it ended."""

    at_us: int
    """Unix microseconds."""
    ok: bool
    took_s: float
    reason: str
    """Why it failed; empty where it did not."""


@dataclass(slots=True)
class Experience:
    """What this node has seen of one address."""

    score: float = 1.0
    """Share of requests answered, the newest counting most: 1 always, 0 never."""
    strikes: int = 0
    """Failures in a row."""
    barred_until: float = 0.0
    """Monotonic seconds."""
    history: deque[Attempt] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    """Oldest first."""


class Reachability:
    """Experience with every address that was asked."""

    def __init__(self, *, strikes_max: int = STRIKES_MAX) -> None:
        self._strikes_max = strikes_max
        self._of: OrderedDict[Address, Experience] = OrderedDict()

    def barred(self, address: Address, *, now: float) -> bool:
        """Whether the peer is left alone for now."""
        experience = self._of.get(address)
        return experience is not None and now < experience.barred_until

    def note(self, address: Address, attempt: Attempt, *, now: float) -> None:
        """Take note of how a request ended."""
        experience = self._of.setdefault(address, Experience())
        self._of.move_to_end(address)
        while len(self._of) > ADDRESSES_MAX:
            self._of.popitem(last=False)
        experience.history.append(attempt)
        experience.score += _SCORE_WEIGHT * (float(attempt.ok) - experience.score)
        if attempt.ok:
            experience.strikes, experience.barred_until = 0, 0.0
            return
        experience.strikes += 1
        beyond = experience.strikes - self._strikes_max
        if beyond >= 0:
            pause_s = min(BARRED_MAX_S, BARRED_MIN_S * 2.0 ** min(beyond, 16))
            experience.barred_until = now + pause_s

    def forgive(self, address: Address) -> None:
        """The peer has shown itself some other way: end its strikes, keep its score."""
        experience = self._of.get(address)
        if experience is not None:
            experience.strikes, experience.barred_until = 0, 0.0

    def of(self, address: Address) -> Experience | None:
        """What is known of an address; None if it was never asked."""
        return self._of.get(address)
