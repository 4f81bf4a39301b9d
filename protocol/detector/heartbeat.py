"""Our own pulse, and what the pulses of others tell about the network.

A node sends one heartbeat an interval, to its observers in turn. An observer therefore knows when
the next is due, and the gaps between those that came tell how many were lost on the way.
"""

import math
from collections.abc import Sequence

from protocol.identity import NodeId

from .config import MembershipConfig
from .detection import COUNTER_MAX, Pair

_SAMPLE_WEIGHT = 1 / 64
_MARGIN = 0.02
"""Added to the measured loss: so few heartbeats tell it no better than that."""
_GAP_MAX = 4
"""A longer gap is an outage and says nothing about loss beyond this many heartbeats."""
_LOSS_MAX = 0.5
_ERROR_MAX = 0.5
_PINGS_MIN_AMID_FAILURES = 2


class Pulse:
    """Our own clock `(incarnation, counter)`, which only rises, and whose turn it is to hear it."""

    __slots__ = ("_sent", "_turn", "counter", "incarnation")

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.counter = 0
        self._turn = 0
        self._sent: dict[NodeId, int] = {}

    @property
    def pair(self) -> Pair:
        """The newest we have shown to anybody."""
        return self.incarnation, self.counter

    def advance(self) -> Pair:
        """Rise by one, for the next thing that we say."""
        self.counter += 1
        return self.pair

    def overtake(self, counter: int) -> None:
        """Be past what somebody claims to have heard from us, so that a refutation is newer."""
        self.counter = max(self.counter, min(counter, COUNTER_MAX - 1))

    def next_observer(self, observers: Sequence[NodeId]) -> NodeId | None:
        """Take the next turn: the one who has waited longest, new observers first."""
        if not observers:
            return None
        self._sent = {node: self._sent.get(node, 0) for node in observers}
        chosen = min(observers, key=lambda node: self._sent[node])
        self._turn += 1
        self._sent[chosen] = self._turn
        return chosen


class LossMeter:
    """The share of heartbeats that get lost on their way to us, smoothed over about 64."""

    __slots__ = ("loss",)

    def __init__(self) -> None:
        self.loss = 0.0

    def arrived(self, *, gap_s: float, cycle_s: float) -> None:
        """A heartbeat came `gap_s` after the one before of the same member, due every `cycle_s`."""
        missed = min(max(0, round(gap_s / cycle_s) - 1), _GAP_MAX)
        for _ in range(missed):
            self.loss += (1 - self.loss) * _SAMPLE_WEIGHT
        self.loss -= self.loss * _SAMPLE_WEIGHT

    def pings(self, config: MembershipConfig, *, odds: float = 1.0) -> int:
        """How many pings a check needs so that it rarely fails by chance.

        A ping or its ack gets lost with `f = 1 − (1 − loss)²`; `f^pings` must not exceed
        `check_error · odds`, where `odds` (1 or more) say how much likelier it is than not, before
        the first ping, that the member is away.
        """
        failure = 1 - (1 - min(self.loss + _MARGIN, _LOSS_MAX)) ** 2
        least = config.pings_min if odds <= 1 else _PINGS_MIN_AMID_FAILURES
        return max(least, min(config.pings_max, _tries(failure, config.check_error * odds)))

    def answers(self, config: MembershipConfig, *, odds: float = 1.0) -> int:
        """How many answers must seem lost before we take them for cut off; only one way counts."""
        return max(2, _tries(min(self.loss + _MARGIN, _LOSS_MAX), config.check_error * odds))


def _tries(failure: float, error: float) -> int:
    """The least `n` with `failure ** n` not above `error`."""
    if failure <= error or error >= _ERROR_MAX:
        return 1
    return math.ceil(math.log(error) / math.log(failure))
