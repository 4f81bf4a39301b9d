"""Long polls: who waits for which service, and who is answered when it changes.

    a lookup with `index` ──▶ park ──▶ group of the service and query ─┐
    the registry's journal ─▶ changed ─▶ `run`: look, compare ─────────┴─▶ one answer for them all
    time ───────────────────▶ `run`: those whose wait is over

Rules this module keeps:

1. A watcher is woken by its own service only, and only if its own query shows something else than
   when it came: answers are compared without their index, by digest. What changed and changed back
   before anybody looked is no change.
2. Comparing and entering happen in one step without waiting, so that nothing is lost between them.
3. All watchers of one query share one answer. They are answered in batches, and none has a task,
   a timer or a cancel scope: time is one list for all.
4. Every table is bounded by `WatchLimits`.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import NamedTuple, NoReturn

import trio

from node import logs
from node.http import ApiError, Deferred, Response, internal_error
from node.transport.addresses import origin_of

from .limits import SPREAD, WatchLimits

log = logs.get()

RETRY_AFTER_S = 5
ORIGINS_KEPT = 4_096
"""Addresses of clients whose origin is kept."""
BUCKETS_PER_S = 4
"""How finely waits end: all of one quarter of a second together."""


@dataclass(slots=True)
class Look:
    """One query's answer, as it stands. Not frozen, which takes thrice as long to make."""

    index: str
    """Opaque; another one where something else is shown."""
    digest: bytes
    """Of all that decides whether a watcher is woken."""
    answer: Callable[[str | None], Response]
    """The answer, for the ETag that the caller says it has."""


class Watch(NamedTuple):
    """What is watched."""

    service: str
    """Whose changes count."""
    key: Hashable
    """Names the query; equal ones of one service share their answers."""
    look: Callable[[], Look]
    """The query."""


class Watcher(Deferred):
    """One long poll that waits."""

    __slots__ = ("_hub", "asked", "bucket", "group", "index", "is_over", "origin")

    def __init__(self, hub: "Hub", group: "_Group", origin: str, asked: str | None) -> None:
        super().__init__()
        self._hub = hub
        self.group = group
        self.origin = origin
        self.asked = asked
        self.index = group.index
        self.bucket = 0
        self.is_over = False

    def abandon(self) -> None:
        """See `Deferred`."""
        self._hub.leave(self)


class _Group:
    """Those who watch one service by one query, all of whom were shown the same."""

    __slots__ = ("digest", "index", "watch", "watchers")

    def __init__(self, watch: Watch, seen: Look) -> None:
        self.watch = watch
        self.digest = seen.digest
        self.index = seen.index
        self.watchers: dict[Watcher, None] = {}


@dataclass(slots=True)
class HubCounters:
    """What became of watchers, for `/telemetry`."""

    parked: int = 0
    woken: int = 0
    timed_out: int = 0
    hung_up: int = 0
    refused: int = 0
    hidden: int = 0
    """Changes that some query did not show, so that nobody who watches by it was woken."""
    spurious: int = 0
    """Watchers that were woken to be shown what they had: must stay 0."""


class Hub:
    """All watchers of one node. Start `run`; call `changed` with what the registry noted."""

    def __init__(self, limits: WatchLimits, rng: Random) -> None:
        self.counters = HubCounters()
        self._limits = limits
        self._rng = rng
        self._groups: dict[str, dict[Hashable, _Group]] = {}
        """By service, then by query."""
        self._of_service: Counter[str] = Counter()
        self._of_origin: Counter[str] = Counter()
        self._count = 0
        self._buckets: dict[int, dict[Watcher, None]] = {}
        self._times: list[int] = []
        """Heap of the buckets there are."""
        self._changed: dict[str, None] = {}
        self._outdated: list[Watcher] = []
        """Watchers of a service that changed, which others have come to see before `run` looked."""
        self._wanted = trio.Event()
        self._timer = trio.CancelScope()
        self._is_ending = False

    @property
    def watching(self) -> int:
        """Watchers that wait."""
        return self._count

    def park(
        self,
        watch: Watch,
        seen: Look,
        *,
        client: str,
        wait_s: float,
        asked: str | None = None,
    ) -> Watcher:
        """Enter a watcher that was shown `seen`, which must be what it says now.

        Args:
            watch: What is watched.
            seen: What it says.
            client: The address of the caller.
            wait_s: How long to wait at least; up to a sixteenth longer at random.
            asked: The ETag that the caller has, if it says so.

        Raises:
            ApiError: 503 or 429, a limit is reached, or the node ends.
        """
        origin = _origin(client)
        self._admit(watch, origin)
        groups = self._groups.setdefault(watch.service, {})
        group = groups.get(watch.key)
        if group is None:
            group = groups[watch.key] = _Group(watch, seen)
        elif group.digest != seen.digest:
            self._outdated += group.watchers
            group.watchers = {}
            self._wanted.set()
        group.digest, group.index = seen.digest, seen.index
        watcher = Watcher(self, group, origin, asked)
        group.watchers[watcher] = None
        self._count += 1
        self._of_service[watch.service] += 1
        self._of_origin[origin] += 1
        self.counters.parked += 1
        self._enter(watcher, trio.current_time() + wait_s * (1 + self._rng.random() * SPREAD))
        return watcher

    def changed(self, services: Iterable[str]) -> None:
        """The change indexes of these services rose."""
        watched = [service for service in services if service in self._groups]
        if watched:
            self._changed.update(dict.fromkeys(watched))
            self._wanted.set()

    def leave(self, watcher: Watcher) -> None:
        """Nobody waits for that answer any more."""
        if not watcher.is_over:
            self.counters.hung_up += 1
            self._forget(watcher)

    async def run(self) -> NoReturn:
        """Answer watchers when what they see changes, and when their wait is over."""
        while True:
            self._timer = trio.CancelScope(deadline=self._next_deadline())
            with self._timer:
                await self._wanted.wait()
            self._wanted = trio.Event()
            if self._is_ending:
                await self._answer_all()
            await self._answer_changed()
            await self._answer_late(trio.current_time())

    def end(self) -> None:
        """The node ends: answer everybody with what there is, and take no more."""
        self._is_ending = True
        self._wanted.set()

    def _admit(self, watch: Watch, origin: str) -> None:
        limits, service = self._limits, watch.service
        groups = self._groups.get(service, {})
        if self._is_ending:
            raise _refusal("this node is ending; ask another", "shutting_down")
        error: ApiError | None = None
        if self._count >= limits.watchers_max:
            error = _refusal(f"{self._count} watchers wait, which is the limit of this node")
        elif self._of_service[service] >= limits.watchers_per_service_max:
            error = _refusal(f"{limits.watchers_per_service_max} watch {service!r}, the limit")
        elif watch.key not in groups and len(groups) >= limits.queries_per_service_max:
            error = _refusal(
                f"{service!r} is watched by {len(groups)} different queries, the limit; "
                "watch all of it, or by one of those"
            )
        elif self._of_origin[origin] >= limits.watchers_per_client_max:
            error = ApiError(
                429, "rate_limited",
                f"{limits.watchers_per_client_max} watchers wait from {origin}, the limit; "
                "let some end, or use one stream of /v1/events for many services",
                headers=_RETRY,
            )  # fmt: skip
        if error is not None:
            self.counters.refused += 1
            raise error

    def _enter(self, watcher: Watcher, at: float) -> None:
        bucket = watcher.bucket = int(at * BUCKETS_PER_S) + 1
        waiting = self._buckets.get(bucket)
        if waiting is None:
            waiting = self._buckets[bucket] = {}
            heapq.heappush(self._times, bucket)
            if self._next_deadline() < self._timer.deadline:
                self._timer.deadline = self._next_deadline()
        waiting[watcher] = None

    def _forget(self, watcher: Watcher) -> None:
        watcher.is_over = True
        group = watcher.group
        group.watchers.pop(watcher, None)
        self._buckets.get(watcher.bucket, {}).pop(watcher, None)
        self._count -= 1
        self._lower(self._of_origin, watcher.origin)
        service, key = group.watch.service, group.watch.key
        self._lower(self._of_service, service)
        groups = self._groups.get(service, {})
        if not group.watchers and groups.get(key) is group:
            del groups[key]
            if not groups:
                del self._groups[service]

    @staticmethod
    def _lower(counter: Counter[str], key: str) -> None:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]

    def _next_deadline(self) -> float:
        return self._times[0] / BUCKETS_PER_S if self._times else float("inf")

    async def _answer_changed(self) -> None:
        outdated, self._outdated = self._outdated, []
        await self._answer(outdated)
        changed, self._changed = self._changed, {}
        for service in changed:
            await trio.lowlevel.checkpoint()
            for group in list(self._groups.get(service, {}).values()):
                seen = self._look(group)
                if seen is not None and seen.digest == group.digest:
                    self.counters.hidden += 1
                    continue
                watchers, group.watchers = list(group.watchers), {}
                await self._answer(watchers, seen)

    async def _answer(self, watchers: Iterable[Watcher], seen: Look | None = None) -> None:
        """Answer those who still wait; `seen`: what they all see, if that was looked up already."""
        response: Response | None = None
        for count, watcher in enumerate(watchers, start=1):
            if count % self._limits.batch_max == 0:
                await trio.lowlevel.checkpoint()
            if watcher.is_over:
                continue
            look = seen or self._look(watcher.group)
            self._forget(watcher)
            if look is None:
                watcher.settle(internal_error())
                continue
            self.counters.woken += 1
            self.counters.spurious += look.index == watcher.index
            if watcher.asked is not None:
                watcher.settle(look.answer(watcher.asked))
                continue
            if response is None or seen is None:
                response = look.answer(None)
            watcher.settle(response)

    async def _answer_late(self, now: float) -> None:
        while self._times and self._next_deadline() <= now:
            bucket = heapq.heappop(self._times)
            late = self._buckets.pop(bucket, {})
            self.counters.timed_out += len(late)
            await self._answer_as_is(late)

    async def _answer_all(self) -> None:
        for groups in list(self._groups.values()):
            for group in list(groups.values()):
                await self._answer_as_is(list(group.watchers))

    async def _answer_as_is(self, watchers: Iterable[Watcher]) -> None:
        """Answer with what there is, changed or not."""
        for count, watcher in enumerate(watchers, start=1):
            if count % self._limits.batch_max == 0:
                await trio.lowlevel.checkpoint()
            if not watcher.is_over:
                look = self._look(watcher.group)
                self._forget(watcher)
                watcher.settle(internal_error() if look is None else look.answer(watcher.asked))

    def _look(self, group: _Group) -> Look | None:
        try:
            return group.watch.look()
        except Exception as error:  # a bug in a lookup must not end the node
            why = logs.describe(error)
            log.error("watched_lookup_failed", service=group.watch.service, error=why)  # noqa: TRY400
            return None


@lru_cache(maxsize=ORIGINS_KEPT)
def _origin(client: str) -> str:
    """Kept, so that all watchers of an address share one text, and it is worked out once."""
    return origin_of(client)


_RETRY = (("Retry-After", str(RETRY_AFTER_S)),)


def _refusal(message: str, code: str = "overloaded") -> ApiError:
    if code == "shutting_down":
        return ApiError(503, "shutting_down", message, headers=_RETRY)
    return ApiError(503, "overloaded", f"{message}; come back later", headers=_RETRY)
