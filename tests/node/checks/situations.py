"""Checks, probers and watchers that the tests of this folder share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import trio

from node.checks.asking import ProbeAnswer, ProbeFailed
from node.checks.checker import CheckLimits, HealthChecker, InstanceKey
from protocol.records import CheckRecord, CheckType, Health

WEB = InstanceKey("web", "web-8000")
URL = "http://web/health"


def http_check(
    *,
    id: str = "http",  # noqa: A002  the field's own name
    target: str = URL,
    interval_ms: int = 5_000,
    timeout_ms: int = 2_000,
    failures_before_critical: int = 3,
    passes: int = 1,
    deregister_after_ms: int = 0,
    status: Health = Health.CRITICAL,
    output: str = "",
    type: CheckType = CheckType.HTTP,  # noqa: A002  the field's own name
) -> CheckRecord:
    return CheckRecord(
        id=id,
        type=type,
        target=target,
        interval_ms=interval_ms,
        timeout_ms=timeout_ms,
        failures_before_critical=failures_before_critical,
        passes_before_passing=passes,
        deregister_after_ms=deregister_after_ms,
        status=status,
        output=output,
        changed_at=0,
    )


def ttl_check(
    *,
    id: str = "ttl",  # noqa: A002  the field's own name
    interval_ms: int = 30_000,
    deregister_after_ms: int = 0,
    status: Health = Health.CRITICAL,
) -> CheckRecord:
    return http_check(
        id=id,
        type=CheckType.TTL,
        target="",
        interval_ms=interval_ms,
        deregister_after_ms=deregister_after_ms,
        status=status,
    )


@dataclass
class FakeServers:
    """A prober whose servers do as told, and which notes when it was asked for what."""

    status: int = 200
    body: bytes = b""
    refuses: bool = False
    is_deaf: bool = False
    """Cannot be cancelled, as a client that is just then at its end."""
    takes_s: dict[str, float] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=dict)
    running_most: int = 0
    overlaps: int = 0

    async def ready(self) -> None:
        pass

    async def get(self, url: str, timeout_s: float) -> ProbeAnswer:
        self.asked.append((trio.current_time(), url))
        self.running[url] = self.running.get(url, 0) + 1
        self.overlaps += self.running[url] > 1
        self.running_most = max(self.running_most, sum(self.running.values()))
        try:
            with trio.CancelScope(shield=self.is_deaf):
                await trio.sleep(self.takes_s.get(url, 0.0))
        finally:
            self.running[url] -= 1
        if self.refuses:
            raise ProbeFailed("connection refused")
        return ProbeAnswer(self.status, self.body)

    def times_of(self, url: str) -> list[float]:
        return [at for at, asked in self.asked if asked == url]


@dataclass
class Watcher:
    """A checker with fake servers, and what it told, with the time."""

    servers: FakeServers = field(default_factory=FakeServers)
    limits: CheckLimits = field(default_factory=CheckLimits)
    rng: Random = field(default_factory=lambda: Random(1))
    results: list[tuple[float, InstanceKey, str, Health, str]] = field(default_factory=list)
    expired: list[tuple[float, InstanceKey, str]] = field(default_factory=list)
    on_told: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.checker = HealthChecker(
            self.servers,
            self.rng,
            on_result=self._note_result,
            on_expired=self._note_expired,
            wall_us=lambda: int(trio.current_time() * 1_000_000),
            limits=self.limits,
        )

    def _note_result(self, key: InstanceKey, check_id: str, status: Health, output: str) -> None:
        self.results.append((trio.current_time(), key, check_id, status, output))
        self.on_told()

    def _note_expired(self, key: InstanceKey, check_id: str) -> None:
        self.expired.append((trio.current_time(), key, check_id))
        self.on_told()

    @property
    def statuses(self) -> list[Health]:
        return [status for _, _, _, status, _ in self.results]

    @property
    def told(self) -> list[tuple[str, Health, str]]:
        return [(check_id, status, output) for _, _, check_id, status, output in self.results]

    async def while_running(self, story: Callable[[], Awaitable[None]]) -> None:
        """Run the checker for as long as `story` takes."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.checker.run)
            await story()
            nursery.cancel_scope.cancel()

    async def run_for(self, duration_s: float) -> None:
        """Run the checker for `duration_s` seconds."""
        with trio.move_on_after(duration_s):
            await self.checker.run()
