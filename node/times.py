"""Times as JSON shows them: RFC 3339 in UTC, with milliseconds."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_US = 253_402_300_799_999_000
"""The last millisecond of the year 9999; a peer's clock may claim a later one."""


def format_us(unix_us: int) -> str:
    """Unix microseconds as `2026-01-02T03:04:05.678Z`; cut to the years 1970 to 9999."""
    moment = _EPOCH + timedelta(microseconds=max(0, min(unix_us, LATEST_US)))
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def parse_us(text: str) -> int:
    """Read an RFC 3339 time as Unix microseconds.

    Raises:
        ValueError: it is none, has no offset from UTC, or is before 1970.
    """
    if len(text) > 40 or "T" not in text.upper():
        raise ValueError('write RFC 3339, such as "2026-01-02T03:04:05.678Z"')
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError('write RFC 3339, such as "2026-01-02T03:04:05.678Z"') from None
    if moment.tzinfo is None:
        raise ValueError('its offset from UTC is missing; end it with "Z"')
    unix_us = (moment - _EPOCH) // timedelta(microseconds=1)
    if unix_us < 0:
        raise ValueError("it is before 1970")
    return unix_us
