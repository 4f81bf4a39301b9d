"""How much of what was committed here has not reached everybody, in a few figures."""

from dataclasses import dataclass

from protocol.delivery.deliveries import Deliveries
from protocol.delivery.standing import Breaker
from protocol.detector.detection import Status
from protocol.detector.membership import Membership

LATE_S = 10.0
"""A peer that is there acknowledges within seconds; later than this something is wrong."""
_THERE = (Status.ALIVE, Status.SUSPECT)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits."""

    peers: int
    """How many lack something."""
    breakers_open: int
    longest_s: float
    """For how long the one does that has for longest."""
    late: int
    """How many of them have for longer than `LATE_S` although they can be reached."""


def backlog_of(deliveries: Deliveries, membership: Membership, *, now_us: int) -> Backlog:
    """Add it up; `now_us` is Unix microseconds."""
    peers = late = breakers_open = 0
    longest_s = 0.0
    for standing in deliveries.standings():
        breakers_open += standing.breaker is not Breaker.CLOSED
        if not standing.since_us:
            continue
        waited_s = max(0.0, (now_us - standing.since_us) / 1e6)
        peers += 1
        longest_s = max(longest_s, waited_s)
        late += waited_s > LATE_S and membership.status(standing.peer) in _THERE
    return Backlog(peers, breakers_open, longest_s, late)
