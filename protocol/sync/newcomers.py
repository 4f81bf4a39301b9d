"""How many owners, unknown until then, may come from one address: an id costs nothing to make."""

from collections import deque

from protocol import limits

_SOURCES_MAX = 10_000


class NewOwners:
    """How many unknown owners each address has brought in the last minute."""

    def __init__(self) -> None:
        self._brought: dict[str, deque[float]] = {}

    def admits(self, host: str, now: float) -> bool:
        """Whether another one may come from there; counts it if so."""
        times = self._brought.setdefault(host, deque(maxlen=limits.NEW_OWNERS_PER_MINUTE))
        if len(times) == limits.NEW_OWNERS_PER_MINUTE and now - times[0] < 60.0:
            return False
        times.append(now)
        while len(self._brought) > _SOURCES_MAX:
            del self._brought[next(iter(self._brought))]
        return True
