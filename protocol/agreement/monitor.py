"""Does everybody hold the same? Measured all the time, by the roots that heartbeats carry.

A heartbeat carries the first bytes of its sender's settled root. A peer whose newest one agrees
with ours counts as *equal*; one whose does not has been *differing* since the first of those in a
row. Repair makes that a matter of seconds, so a long time says that repair does not get through.

Rules this module keeps:

1. Only peers that were heard within `HEARD_WITHIN_S` count, so one that is gone is not waited for.
2. It holds at most `limits.MEMBERS_MAX` peers, of which only our subjects send us heartbeats.
"""

from dataclasses import dataclass

from protocol import limits
from protocol.clocks import Instant
from protocol.identity import NodeId

HEARD_WITHIN_S = 10.0
"""Longer than it takes until it is our turn again to get a peer's heartbeat, in every profile."""
ALARM_S = 10.0
"""How long a peer may differ before that is no mere update or repair under way."""


@dataclass(slots=True)
class _Heard:
    at_s: float
    differing: Instant | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many of those we hear hold the same as we."""

    equal: int
    differing: int
    since: Instant | None
    """From when on the one differs that has for longest."""
    longest_s: float
    """How long that is; 0 if nobody differs."""

    @property
    def is_alarming(self) -> bool:
        """Whether somebody has differed for longer than an update or a repair takes."""
        return self.longest_s > ALARM_S


class Divergence:
    """Takes in what heartbeats say of roots, and says how it stands."""

    def __init__(self) -> None:
        self._heard: dict[NodeId, _Heard] = {}

    def __len__(self) -> int:
        """How many peers are held."""
        return len(self._heard)

    def heard(self, peer: NodeId, *, equal: bool, now: Instant) -> None:
        """A heartbeat of the peer carried our settled root, or another one."""
        before = self._heard.pop(peer, None)
        since = None if equal else now
        if before is not None and before.differing is not None and not equal:
            since = before.differing
        self._heard[peer] = _Heard(now.mono_s, since)
        while len(self._heard) > limits.MEMBERS_MAX:
            del self._heard[next(iter(self._heard))]

    def forget(self, peer: NodeId) -> None:
        """The peer is gone, or away: what it held says nothing of what it will."""
        self._heard.pop(peer, None)

    def state(self, *, now: float) -> Agreement:
        """How it stands."""
        recent = [one for one in self._heard.values() if one.at_s >= now - HEARD_WITHIN_S]
        differing = [one.differing for one in recent if one.differing is not None]
        since = min(differing, key=lambda at: at.mono_s, default=None)
        longest_s = 0.0 if since is None else max(0.0, now - since.mono_s)
        return Agreement(len(recent) - len(differing), len(differing), since, longest_s)
