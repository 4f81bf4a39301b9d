"""How many may wait for changes, and how long. Each limit is refused, and the answer names it."""

from dataclasses import dataclass
from typing import Self

WAIT_DEFAULT_S = 300.0
"""How long a long poll waits that does not say; as Consul has it."""
WAIT_MAX_S = 600.0
"""The longest wait: proxies and firewalls forget connections that are silent for longer."""
SPREAD = 1 / 16
"""A wait is made longer by up to this share of it, at random, so that watchers that came together
do not all come again at one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLimits:
    """Bounds in counts, bytes and seconds."""

    watchers_max: int = 14_336
    """Long polls that wait, in all: 7/8 of the connections, so that lookups still get in."""

    watchers_per_client_max: int = 192
    """… from one address, in IPv6 from one /64: 3/4 of the connections that it may have."""

    watchers_per_service_max: int = 5_000
    """… of one service: a change wakes them all, and takes some 20 µs for each."""

    queries_per_service_max: int = 64
    """Different filters by which one service is watched at a time: each is looked up anew with each
    change of it."""

    batch_max: int = 64
    """Watchers answered before other work gets its turn: about a millisecond."""

    streams_max: int = 256
    """Streams of events, in all: each event is offered to each of them, about 2 µs."""

    streams_per_client_max: int = 32
    """… from one address, in IPv6 from one /64."""

    events_max: int = 8_192
    """Events that are kept for those who come back: about 4 MB. Whoever missed more reads anew."""

    linger_s: float = 300.0
    """Events are kept for this long after the last stream ended; a node that nobody listens to
    keeps none."""

    heartbeat_s: float = 15.0
    """A stream without events says that it lives: proxies cut off what is silent for a minute."""

    @classmethod
    def within(cls, *, connections: int, per_client: int) -> Self:
        """The limits of a server that admits so many connections."""
        return cls(
            watchers_max=max(1, connections * 7 // 8),
            watchers_per_client_max=max(1, per_client * 3 // 4),
        )
