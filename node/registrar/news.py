"""What the health checks find, on its way into the records of this node.

    HealthChecker ──on_result──▶ newest word of each check ──▶ one proposal for all ──▶ commit
                  ──on_expired─▶ instances to remove ─────────┘

Rules this module keeps:

1. The callbacks only note what was found; one task proposes, all that gathered with one commit.
2. Of one check only the newest word is kept, so the table is bounded by the checks there are.
3. While the disk is full nothing is lost: it is proposed again, unless newer words came.
4. An instance that has been registered anew, or recovered, is not removed for what it was.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from node import logs
from node.checks.checker import InstanceKey
from node.driver import DiskFull, Driver
from protocol import bodies, limits
from protocol.bodies import Body, service_key
from protocol.commits import RecordKey
from protocol.delivery.standing import Priority
from protocol.errors import ProposalError
from protocol.records import CheckRecord, Health, Kind, ServiceRecord

log = logs.get()

RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Word:
    """What a check found."""

    status: Health
    output: str
    at_us: int
    """Unix microseconds."""


class CheckNews:
    """Gathers results; `run` proposes them.

    Args:
        driver: Takes the proposals.
        forget: Told of each instance that was removed.
    """

    def __init__(self, driver: Driver, forget: Callable[[InstanceKey], None]) -> None:
        self._driver = driver
        self._forget = forget
        self._words: dict[InstanceKey, dict[str, Word]] = {}
        self._expired: dict[InstanceKey, str] = {}
        self._wanted = trio.Event()
        self.results = 0
        """Results that were news."""
        self.removed = 0
        """Instances that were removed because a check stayed critical."""

    def on_result(self, key: InstanceKey, check_id: str, status: Health, output: str) -> None:
        """Note what a check found; the callback of `HealthChecker`."""
        word = Word(status, output, time.time_ns() // 1_000)
        self._words.setdefault(key, {})[check_id] = word
        self.results += 1
        self._wanted.set()

    def on_expired(self, key: InstanceKey, check_id: str) -> None:
        """Note that a check was critical for too long; the callback of `HealthChecker`."""
        self._expired[key] = check_id
        self._wanted.set()

    async def run(self) -> None:
        """Propose what is news, until cancelled."""
        while True:
            await self._wanted.wait()
            if not await self.propose():
                await trio.sleep(RETRY_S)

    async def propose(self) -> bool:
        """Propose what has gathered; False if it could not be taken and waits."""
        words, self._words = self._words, {}
        expired, self._expired = self._expired, {}
        self._wanted = trio.Event()
        changes = self._changes(words)
        removed = self._removals(expired, changes)
        if not changes:
            return True
        try:
            await self._driver.propose(changes, priority=Priority.BACKGROUND)
        except (DiskFull, ProposalError) as error:
            log.debug("check_results_wait", reason=str(error), instances=len(changes))
            self._put_back(words, expired)
            return False
        for key in removed:
            log.info("instance_removed", service=key.name, id=key.id, check=expired[key])
            self._forget(key)
        self.removed += len(removed)
        return True

    def _changes(self, words: dict[InstanceKey, dict[str, Word]]) -> dict[RecordKey, Body | None]:
        changes: dict[RecordKey, Body | None] = {}
        for key, found in words.items():
            before = self._intended(key)
            record = _told(before, found) if before is not None else None
            if record is not None and record != before:
                changes[_record_key(key)] = record
        return changes

    def _removals(
        self, expired: dict[InstanceKey, str], changes: dict[RecordKey, Body | None]
    ) -> list[InstanceKey]:
        removed = []
        for key, check_id in expired.items():
            record = changes.get(_record_key(key)) or self._intended(key)
            if isinstance(record, ServiceRecord) and _is_critical(record, check_id):
                changes[_record_key(key)] = None
                removed.append(key)
        return removed

    def _intended(self, key: InstanceKey) -> ServiceRecord | None:
        body = self._driver.peer.intended(_record_key(key))
        return body if isinstance(body, ServiceRecord) else None

    def _put_back(
        self, words: dict[InstanceKey, dict[str, Word]], expired: dict[InstanceKey, str]
    ) -> None:
        for key, found in words.items():
            self._words[key] = {**found, **self._words.get(key, {})}
        self._expired = {**expired, **self._expired}
        self._wanted.set()


def _told(record: ServiceRecord, found: dict[str, Word]) -> ServiceRecord:
    """The record with what its checks found; without outputs if it would grow too large."""
    checks = tuple(_with(check, found.get(check.id)) for check in record.checks)
    told = replace(record, checks=checks)
    if bodies.bytes_of(told) <= limits.RECORD_BYTES_MAX:
        return told
    return replace(record, checks=tuple(replace(check, output="") for check in checks))


def _with(check: CheckRecord, word: Word | None) -> CheckRecord:
    if word is None:
        return check
    changed_at = check.changed_at if word.status is check.status else word.at_us
    output = word.output[: limits.OUTPUT_MAX]
    return replace(check, status=word.status, output=output, changed_at=changed_at)


def _is_critical(record: ServiceRecord, check_id: str) -> bool:
    return any(check.id == check_id and check.status is Health.CRITICAL for check in record.checks)


def _record_key(key: InstanceKey) -> RecordKey:
    return RecordKey(Kind.SERVICE, service_key(key.name, key.id))
