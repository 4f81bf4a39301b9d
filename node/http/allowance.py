"""How many requests a client may make in a second: a token bucket in one number.

The bucket is kept as the moment at which it will be full again (the "theoretical arrival time" of
the generic cell rate algorithm, ITU-T I.371): a request moves that moment on by one spacing, and
is refused if it lies further ahead than a burst. So nothing has to be refilled, an unused bucket
costs nothing, and one request costs one comparison and one addition.
"""

_ROUNDING_S = 1e-6
"""What sums of spacings may be off by, added to the burst."""


class Allowance:
    """The bucket of one client.

    Args:
        rate_per_s: Requests a second in the long run.
        burst: Requests at once, after a while of none.
    """

    __slots__ = ("_full_at", "_slack_s", "_spacing_s")

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._spacing_s = 1 / rate_per_s
        self._slack_s = (burst - 1) * self._spacing_s
        self._full_at = 0.0

    def take(self, now: float) -> float:
        """Take one request out: 0.0, or the seconds until there will be one; then none is taken."""
        full_at = self._full_at
        if full_at < now:
            full_at = now
        wait_s = full_at - now - self._slack_s
        if wait_s > _ROUNDING_S:
            return wait_s
        self._full_at = full_at + self._spacing_s
        return 0.0
