"""How an owner's state makes its instances be seen: listed or not, and how healthy.

Lookups and events say the same, so the rule stands once, here.
"""

from protocol.detector.detection import Status
from protocol.records import Health, ServiceRecord

AWAY = (Status.UNREACHABLE, Status.DEAD)
"""Owners whose instances are shown, but never as passing."""
GONE = (Status.STOPPING, Status.LEFT)
"""Owners whose instances are not shown."""


def is_critical(status: Status | None, *, disputed: bool) -> bool:
    """Whether all of an owner's instances are critical, whatever their checks say."""
    return status is None or status in AWAY or disputed


def seen_health(record: ServiceRecord, *, is_critical: bool) -> Health:
    """An instance's health as callers should take it."""
    if record.health is Health.MAINTENANCE or not is_critical:
        return record.health
    return Health.CRITICAL
