"""The health of the instances registered here: who is probed when, and what is told of it.

    watch ──▶ Schedule ──due──▶ Lanes ──place──▶ probe ──▶ Thresholds ──news──▶ on_result
    heartbeat ──puts off──▶ ┘                                   └──critical too long──▶ on_expired

Rules this module keeps:

1. One task, one heap, one deadline; a task per *running* probe, at most `probes_at_once_max`.
2. A check never overlaps itself. What comes of a probe whose check was replaced is thrown away.
3. A run keeps its phase: it is due at `start + n * interval`, moved by at most `jitter_s`. So a
   killed server, whose port refuses, is critical within `interval * failures + 1 s`: twice the
   jitter, a tick and the probe itself fit into that second. One whose host swallows packets takes
   its time-out longer.
4. Only news is told: a changed status at once, other words for the same status (timing left out)
   at most every `output_interval_s`, for each costs every node of the cluster a signed commit
   (Consul, `check_update_interval`). `last` has the newest words.
5. A node that was itself stopped or starved knows that it heard nothing: heartbeats get a grace,
   and probes that ran out of time meanwhile are repeated instead of counted (after Lifeguard).
6. State changes synchronously; callbacks come last, so they may call `watch` and `unwatch`.
"""

import enum
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

import trio

from protocol.records import CheckRecord, CheckType, Health

from .asking import HttpProber
from .lanes import Lanes
from .probes import Verdict, gist, probe, seconds_text, tidy
from .schedule import Schedule
from .thresholds import Thresholds

_CHECKPOINT_EVERY = 256
"""Due items handled in one go before other tasks get their turn."""


class InstanceKey(NamedTuple):
    """An instance of this node: the name of its service and its own id."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class LastResult:
    """The newest result of a check, which other nodes may not have heard of."""

    check_id: str
    status: Health
    output: str
    at_unix_us: int
    """When the probe ended, the heartbeat came, or its absence was noticed."""


OnResult = Callable[[InstanceKey, str, Health, str], None]
"""Called with instance, check id, status and output when they are news."""
OnExpired = Callable[[InstanceKey, str], None]
"""Called with instance and check id when `deregister_after_ms` has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """How much checking one node does."""

    checks_max: int = 50_000
    """Of all instances together; a check costs about 0.8 KiB (measured)."""
    probes_at_once_max: int = 64
    """Each is a socket. For servers that answer within 50 ms, 64 places outrun the processor, which
    spends about 1 ms on an HTTP probe and 0.4 ms on a TCP one (measured with the server)."""
    slow_probes_max: int = 48
    """Of those, for checks whose last probe took half its time-out or more."""
    jitter_share: float = 0.05
    """A run may be this share of its interval early or late, so that checks drift apart, …"""
    jitter_max_s: float = 0.2
    """… but no more than this, or long intervals would break rule 3."""
    spread_per_check_s: float = 0.001
    """First runs are at once, but spread by this for each check that awaits its own, …"""
    spread_max_s: float = 2.0
    """… and no more than this: a restarted node soon knows how its instances are."""
    tick_s: float = 0.05
    """Wake-ups are at least this far apart, so that many due times share one."""
    output_interval_s: float = 300.0
    """Least time between two reports of one check with the same status."""
    expired_again_s: float = 60.0
    """`on_expired` is repeated after this while the check is still watched and critical."""
    lag_max_s: float = 1.0
    """A wake-up or time-out that is later than this means that we ourselves were stopped."""
    grace_max_s: float = 10.0
    """Heartbeats missed while we were stopped may come this much later."""

    def __post_init__(self) -> None:
        if not 0 < self.slow_probes_max <= self.probes_at_once_max:
            raise ValueError("slow_probes_max must be positive, at most probes_at_once_max")
        if self.checks_max <= 0:
            raise ValueError(f"checks_max must be positive, is {self.checks_max}")


class TooManyChecksError(Exception):
    """More checks than this node takes. Nothing was changed; register with another node."""

    def __init__(self, *, wanted: int, checks_max: int) -> None:
        super().__init__(
            f"checks: this node would have to run {wanted}, its limit is {checks_max}; "
            "deregister instances, use fewer checks, or register with another node"
        )
        self.wanted = wanted
        self.checks_max = checks_max


class _Due(enum.Enum):
    """What is due of a check."""

    RUN = enum.auto()
    """Probe it; for ttl: its heartbeat did not come."""
    EXPIRE = enum.auto()
    REPORT = enum.auto()
    """Its record may say something else than we know: tell again."""


class _Watched:
    """One check under way; compared by identity, so a replaced one is another."""

    __slots__ = (
        "at_us", "check", "expires_at", "grid_at", "has_begun", "is_live", "is_slow", "key",
        "output", "reported_at", "reported_output", "reported_status", "scope", "thresholds",
    )  # fmt: skip

    def __init__(self, key: InstanceKey, check: CheckRecord, *, now: float) -> None:
        self.key = key
        self.check = check
        self.thresholds = Thresholds(check, now=now)
        self.output = check.output
        self.at_us: int | None = None
        self.reported_status = check.status
        self.reported_output = check.output
        self.reported_at = now if check.output else -math.inf
        self.expires_at: float | None = None
        self.grid_at = now
        self.has_begun = False
        self.is_live = True
        self.is_slow = False
        self.scope: trio.CancelScope | None = None

    @property
    def interval_s(self) -> float:
        return self.check.interval_ms / 1_000


class HealthChecker:
    """Checks the instances of this node. Start `run` once; the rest may be called at any time.

    `on_result` and `on_expired` are called synchronously, from `run` or from `heartbeat`; they
    must not block. `wall_us` gives Unix microseconds, for `LastResult` only.
    """

    def __init__(
        self,
        prober: HttpProber,
        rng: Random,
        *,
        on_result: OnResult,
        on_expired: OnExpired,
        wall_us: Callable[[], int],
        limits: CheckLimits | None = None,
    ) -> None:
        self._prober = prober
        self._rng = rng
        self._on_result = on_result
        self._on_expired = on_expired
        self._wall_us = wall_us
        self._limits = limits or CheckLimits()
        self._instances: dict[InstanceKey, dict[str, _Watched]] = {}
        self._schedule: Schedule[tuple[_Watched, _Due]] = Schedule()
        self._lanes: Lanes[_Watched] = Lanes(
            running_max=self._limits.probes_at_once_max, slow_max=self._limits.slow_probes_max
        )
        self._nursery: trio.Nursery | None = None
        self._sleeping: trio.CancelScope | None = None
        self._woke_at = -math.inf
        self._grace_until = -math.inf
        self._crowd = 0
        self.checks = 0
        """Checks watched now."""
        self.wakeups = 0
        """How often the one timer fired."""

    @property
    def probes_running(self) -> int:
        """Probes under way."""
        return self._lanes.running

    @property
    def probes_waiting(self) -> int:
        """Checks that are due but find no free place."""
        return self._lanes.waiting

    def watch(self, key: InstanceKey, checks: tuple[CheckRecord, ...]) -> None:
        """Check `key` by `checks` from now on, instead of those it had.

        A check of the same id and rules keeps its state; if its record says another status than
        we know, `on_result` is called again soon. Any other starts with the status of its record.

        Raises:
            TooManyChecksError: nothing was changed.
        """
        now = trio.current_time()
        old = self._instances.get(key, {})
        wanted = self.checks - len(old) + len({check.id for check in checks})
        if wanted > self._limits.checks_max:
            raise TooManyChecksError(wanted=wanted, checks_max=self._limits.checks_max)
        new: dict[str, _Watched] = {}
        for check in checks:
            watched = old.get(check.id)
            if watched is None or _rules(watched.check) != _rules(check):
                new[check.id] = _Watched(key, check, now=now)
                continue
            new[check.id] = watched
            watched.check = check
            if check.status is not watched.thresholds.status:
                self._set(watched, _Due.REPORT, now)
        for check_id, watched in old.items():
            if new.get(check_id) is not watched:
                self._drop(watched)
        for check_id, watched in new.items():
            if old.get(check_id) is not watched:
                self._start(watched, now)
        self._instances[key] = new
        if not new:
            del self._instances[key]

    def unwatch(self, key: InstanceKey) -> None:
        """Stop checking `key`; an unknown one is no error. Probes under way come to nothing."""
        for watched in self._instances.pop(key, {}).values():
            self._drop(watched)

    def heartbeat(
        self, key: InstanceKey, check_id: str | None, status: Health, output: str
    ) -> bool:
        """Take in a heartbeat for one ttl check, or for all ttl checks if `check_id` is None.

        The status holds at once, and for the check's interval. False if there is no such instance
        or ttl check: the client should register again.

        Raises:
            ValueError: `status` is maintenance, which is the instance's, not a check's.
        """
        if status is Health.MAINTENANCE:
            raise ValueError("status: must be passing, warning or critical, not maintenance")
        now = trio.current_time()
        meant = [
            watched
            for watched in self._instances.get(key, {}).values()
            if watched.check.type is CheckType.TTL and check_id in (None, watched.check.id)
        ]
        for watched in meant:
            self._set(watched, _Due.RUN, now + watched.interval_s)
        text = tidy(output)
        for watched in meant:
            if watched.is_live:  # an earlier callback may have replaced it
                self._settle(watched, status, text, now)
        return bool(meant)

    def last(self, key: InstanceKey) -> tuple[LastResult, ...]:
        """The newest result of each check of `key` that has had one since this node started."""
        return tuple(
            LastResult(watched.check.id, watched.thresholds.status, watched.output, watched.at_us)
            for watched in self._instances.get(key, {}).values()
            if watched.at_us is not None
        )

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what is due, until cancelled. Call it once."""
        # A nursery outside node/server.py: what it bounds is this object's own probes.
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            while True:
                await self._sleep()
                await self._do_due(trio.current_time())

    async def _sleep(self) -> None:
        due = self._schedule.next_due()
        deadline = max(math.inf if due is None else due, self._woke_at + self._limits.tick_s)
        with trio.CancelScope(deadline=deadline) as self._sleeping:
            await trio.sleep_forever()
        late_s = trio.current_time() - self._sleeping.deadline
        self._sleeping = None
        self._woke_at = trio.current_time()
        self.wakeups += 1
        if late_s > self._limits.lag_max_s:
            self._grace_until = self._woke_at + min(late_s, self._limits.grace_max_s)

    async def _do_due(self, now: float) -> None:
        for count in itertools.count(1):
            item = self._schedule.pop_due(now)
            if item is None:
                break
            self._do(*item, now)
            if count % _CHECKPOINT_EVERY == 0:
                self._fill()
                await trio.lowlevel.checkpoint()
        self._fill()

    def _do(self, watched: _Watched, due: _Due, now: float) -> None:
        match due:
            case _Due.RUN if watched.check.type is not CheckType.TTL:
                self._begin(watched)
                self._lanes.add(watched, slow=watched.is_slow)
            case _Due.RUN | _Due.EXPIRE if now < self._grace_until:
                self._set(watched, due, self._grace_until)
            case _Due.RUN:
                text = f"no heartbeat for {seconds_text(watched.check.interval_ms)}"
                self._settle(watched, Health.CRITICAL, text, now)
            case _Due.EXPIRE:
                self._set(watched, due, now + self._limits.expired_again_s)
                self._on_expired(watched.key, watched.check.id)
            case _Due.REPORT:
                if watched.check.status is not watched.thresholds.status:
                    self._report(watched, now)

    def _start(self, watched: _Watched, now: float) -> None:
        self.checks += 1
        self._plan_expiry(watched)
        if watched.check.type is CheckType.TTL:
            watched.has_begun = True
            self._set(watched, _Due.RUN, now + watched.interval_s)
            return
        spread_s = min(
            self._crowd * self._limits.spread_per_check_s,
            self._limits.spread_max_s,
            watched.interval_s,
        )
        due = now + spread_s * self._rng.random()
        watched.grid_at = due
        if self._crowd >= self._limits.probes_at_once_max:
            # Who came in a crowd runs again some time within the interval, not in a crowd again.
            watched.grid_at -= self._rng.random() * watched.interval_s
        self._crowd += 1
        self._set(watched, _Due.RUN, due)

    def _begin(self, watched: _Watched) -> None:
        if not watched.has_begun:
            watched.has_begun = True
            self._crowd -= 1

    def _drop(self, watched: _Watched) -> None:
        self._begin(watched)
        self.checks -= 1
        watched.is_live = False
        for due in _Due:
            self._schedule.drop((watched, due))
        self._lanes.drop(watched)
        if watched.scope is not None:
            watched.scope.cancel()

    def _set(self, watched: _Watched, due: _Due, at: float) -> None:
        self._schedule.set((watched, due), at)
        if self._sleeping is not None and at < self._sleeping.deadline:
            earliest = self._woke_at + self._limits.tick_s
            self._sleeping.deadline = max(at, min(earliest, self._sleeping.deadline))

    def _fill(self) -> None:
        """Give free places to those that wait."""
        assert self._nursery is not None  # only `run` and its probes come here
        while (watched := self._lanes.take()) is not None:
            watched.scope = trio.CancelScope()
            self._nursery.start_soon(self._probe, watched, watched.scope)

    async def _probe(self, watched: _Watched, scope: trio.CancelScope) -> None:
        verdict: Verdict | None = None
        try:
            with scope:
                verdict = await probe(watched.check, self._prober)
        finally:
            watched.scope = None
            self._lanes.done(watched)
        if watched.is_live and verdict is not None:
            self._finish(watched, verdict, trio.current_time())
        self._fill()

    def _finish(self, watched: _Watched, verdict: Verdict, now: float) -> None:
        timeout_s = watched.check.timeout_ms / 1_000
        has_failed = verdict.result is Health.CRITICAL
        if has_failed and verdict.took_s > timeout_s + self._limits.lag_max_s:
            self._lanes.add(watched, slow=watched.is_slow)  # it was us who were late
            return
        watched.is_slow = verdict.took_s >= timeout_s / 2
        self._set(watched, _Due.RUN, self._next_run(watched, now))
        status = watched.thresholds.receive(verdict.result, now=now)
        self._tell(watched, verdict.output, now, agrees=verdict.result is status)

    def _next_run(self, watched: _Watched, now: float) -> float:
        """The next point of the check's grid, jittered; points that are past are skipped."""
        interval_s = watched.interval_s
        steps = max(1, math.floor((now - watched.grid_at) / interval_s) + 1)
        watched.grid_at += steps * interval_s
        jitter_s = min(self._limits.jitter_share * interval_s, self._limits.jitter_max_s)
        return max(now, watched.grid_at + self._rng.uniform(-jitter_s, jitter_s))

    def _settle(self, watched: _Watched, status: Health, output: str, now: float) -> None:
        watched.thresholds.settle(status, now=now)
        self._tell(watched, output, now, agrees=True)

    def _tell(self, watched: _Watched, output: str, now: float, *, agrees: bool) -> None:
        """Keep the result; report it if it is news.

        Words that do not agree with the status, such as the first of three failures, are no news.
        """
        watched.output = output
        watched.at_us = self._wall_us()
        self._plan_expiry(watched)
        has_other_words = agrees and gist(output) != gist(watched.reported_output)
        is_time = now - watched.reported_at >= self._limits.output_interval_s
        is_changed = watched.thresholds.status is not watched.reported_status
        if is_changed or (has_other_words and is_time):
            self._report(watched, now)

    def _report(self, watched: _Watched, now: float) -> None:
        watched.reported_status = watched.thresholds.status
        watched.reported_output = watched.output
        watched.reported_at = now
        self._on_result(watched.key, watched.check.id, watched.reported_status, watched.output)

    def _plan_expiry(self, watched: _Watched) -> None:
        expires_at = watched.thresholds.expires_at
        if expires_at == watched.expires_at:
            return
        watched.expires_at = expires_at
        if expires_at is None:
            self._schedule.drop((watched, _Due.EXPIRE))
        else:
            self._set(watched, _Due.EXPIRE, expires_at)


def _rules(check: CheckRecord) -> CheckRecord:
    """The check without what we ourselves write into its record."""
    return replace(check, status=Health.PASSING, output="", changed_at=0)
