"""When a peer is tried again: backoff, the circuit breaker, and what its past says of it.

    wait for an acknowledgement ──none──▶ try ──no answer──▶ wait 1, 2, 4, 8 … 60 s ──▶ try
                                           │ three in a row: OPEN, due: HALF_OPEN
                                           └──answer──▶ CLOSED, and it has come so far

Rules this module keeps:

1. It reads no clock and holds no table: `deliveries` keeps the rows and plans by what it says.
2. A wait is never longer than `BACKOFF_MAX_S`, whatever the history, so who returns is found.
3. Jitter spreads what failed together (Brooker, Exponential Backoff And Jitter, 2015).
"""

from dataclasses import dataclass
from random import Random

from .standing import SCORE_MAX, Breaker, Priority

PATIENCE_S = {Priority.CRITICAL: 0.25, Priority.NORMAL: 1.0, Priority.BACKGROUND: 3.0}
"""How long an acknowledgement is waited for, at the least, before the first try."""
PATIENCE_MAX_S = 5.0
LATENCIES_WAITED = 4
"""… or so many times what this peer usually takes, which gives the rings' advert its chance."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
JITTER = 0.25
"""A wait is drawn from 1 ± so much of itself."""
BREAKER_FAILURES = 3
"""So many tries in a row without an answer open the breaker."""
_WEIGHT = 8
"""The newest experience counts for an eighth."""


@dataclass(slots=True)
class Attempts:
    """How the tries with one peer went."""

    in_row: int = 0
    """Tries that it did not answer, since it last did."""
    breaker: Breaker = Breaker.CLOSED
    score: int = SCORE_MAX
    """How it has been answering, per mille."""
    latency_us: int = 0
    """How long it takes to acknowledge, smoothed; 0: not known."""

    def patience_s(self, priority: Priority) -> float:
        """How long to wait for an acknowledgement before the first try, in seconds."""
        usual_s = LATENCIES_WAITED * self.latency_us / 1e6
        return min(PATIENCE_MAX_S, max(PATIENCE_S[priority], usual_s))

    def backoff_s(self, rng: Random) -> float:
        """How long to wait after a failed try, in seconds.

        Doubled from try to try, and up to twice as long for one that hardly ever answers.
        """
        doubled_s = BACKOFF_MIN_S * 2.0 ** min(max(self.in_row - 1, 0), 10)
        seldom = 2.0 - self.score / SCORE_MAX
        spread = 1.0 + JITTER * (2.0 * rng.random() - 1.0)
        return min(BACKOFF_MAX_S, doubled_s * seldom * spread)

    def begin(self) -> None:
        """A try is being made."""
        if self.breaker is Breaker.OPEN:
            self.breaker = Breaker.HALF_OPEN

    def answered(self) -> None:
        """It answered a try."""
        self.in_row, self.breaker = 0, Breaker.CLOSED
        self.score += (SCORE_MAX - self.score + _WEIGHT - 1) // _WEIGHT

    def failed(self) -> None:
        """It did not answer a try."""
        self.in_row += 1
        if self.in_row >= BREAKER_FAILURES or self.breaker is Breaker.HALF_OPEN:
            self.breaker = Breaker.OPEN
        self.score -= self.score // _WEIGHT

    def took(self, latency_us: int) -> None:
        """It acknowledged something so long after it was committed."""
        if self.latency_us:
            latency_us = self.latency_us + (latency_us - self.latency_us) // _WEIGHT
        self.latency_us = max(1, latency_us)
