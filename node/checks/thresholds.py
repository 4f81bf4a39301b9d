"""When is a check passing, when critical? Results go in, a status comes out.

Rules this module keeps:

1. It does no I/O and reads no clock: `now` is monotonic seconds.
2. Before its first result a check has the status of its record: a node that restarts goes on
   where it was, and a new check is critical (as in Consul) unless its owner said otherwise.
3. One bad answer is no failure, one good one no recovery: critical comes after
   `failures_before_critical` failures in a row, and ends after `passes_before_passing` answers
   in a row that were no failure, as passing if all of them passed, else as warning. So a server
   that answers 429 for ever is warning, and is not removed by `deregister_after`.
4. Outside critical a warning shows at once, and ends with `passes_before_passing` passes in a row.

The time of becoming critical is not taken over from an earlier life of the node: while the node was
down nobody looked, so `deregister_after` counts from the restart.
"""

from protocol.records import CheckRecord, Health


def judge_http(status: int) -> Health:
    """What an HTTP status says: 2xx passing, 429 warning, everything else critical (a failure).

    Redirects are failures, for they are not followed: a check asks the instance itself, and a
    followed redirect would let it point the node at any address (Consul, HTTP checks).
    """
    if 200 <= status <= 299:
        return Health.PASSING
    return Health.WARNING if status == 429 else Health.CRITICAL


class Thresholds:
    """The status of one check. Feed it with `receive` (probes) or `settle` (heartbeats)."""

    __slots__ = (
        "_answers",
        "_answers_min",
        "_deregister_after_s",
        "_failures",
        "_failures_max",
        "_passes",
        "critical_since",
        "status",
    )

    def __init__(self, check: CheckRecord, *, now: float) -> None:
        self.status = check.status
        self.critical_since: float | None = now if check.status is Health.CRITICAL else None
        self._failures_max = check.failures_before_critical
        self._answers_min = check.passes_before_passing
        self._deregister_after_s = check.deregister_after_ms / 1_000
        self._failures = 0
        self._answers = 0
        self._passes = 0

    @property
    def expires_at(self) -> float | None:
        """When the instance is to be removed if the check stays critical; None if never."""
        if self.critical_since is None or self._deregister_after_s <= 0:
            return None
        return self.critical_since + self._deregister_after_s

    def expired(self, *, now: float) -> bool:
        """Whether the check has been critical without a break for `deregister_after_ms`."""
        expires_at = self.expires_at
        return expires_at is not None and now >= expires_at

    def receive(self, result: Health, *, now: float) -> Health:
        """Take in the result of one probe (critical means that it failed); return the status."""
        if result is Health.CRITICAL:
            self._failures += 1
            self._answers = self._passes = 0
            if self._failures >= self._failures_max:
                self._become(Health.CRITICAL, now)
            return self.status
        self._failures = 0
        self._answers += 1
        self._passes = self._passes + 1 if result is Health.PASSING else 0
        if self._passes >= self._answers_min:
            self._become(Health.PASSING, now)
        elif self.status is Health.CRITICAL:
            if self._answers >= self._answers_min:
                self._become(Health.WARNING, now)
        elif result is Health.WARNING:
            self._become(Health.WARNING, now)
        return self.status

    def settle(self, status: Health, *, now: float) -> Health:
        """Take `status` as it is, at once: what a heartbeat says, or its absence."""
        self._failures = self._answers = self._passes = 0
        self._become(status, now)
        return self.status

    def _become(self, status: Health, now: float) -> None:
        if status is not Health.CRITICAL:
            self.critical_since = None
        elif self.critical_since is None:
            self.critical_since = now
        self.status = status
