"""Durations as people write them: `"250ms"`, `"5s"`, `"1m30s"`, `"24h"`.

One grammar for configuration, flags and HTTP: one or more `number unit` with falling units `d`,
`h`, `m`, `s`, `ms`, nothing between them. A decimal fraction is allowed if whole milliseconds come
out. A bare number is refused, because its unit would be a guess.
"""

_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_GRAMMAR = 'a duration is a number and a unit, such as "250ms", "5s", "10m" or "24h"'
DURATION_MAX_MS = 366 * 86_400_000
"""A year: longer is a slip of the keyboard."""
_TEXT_MAX = 32


class DurationError(ValueError):
    """Text that is no duration. The message says what a duration is; nothing was changed."""


def parse_ms(text: str) -> int:
    """Read a duration as whole milliseconds, 0 to a year.

    Raises:
        DurationError: another grammar, a part of a millisecond, or longer than a year.
    """
    if not text or len(text) > _TEXT_MAX:
        raise DurationError(_GRAMMAR)
    total, rest, larger = 0, text, DURATION_MAX_MS
    while rest:
        number, rest = _split(rest, "0123456789.")
        unit, rest = _split(rest, "dhms")
        scale = _UNITS_MS.get(unit)
        if scale is None or scale >= larger:
            raise DurationError(_GRAMMAR)
        larger = scale
        total += _scaled(number, scale)
    if total > DURATION_MAX_MS:
        raise DurationError('the longest duration is a year, "366d"')
    return total


def parse_s(text: str) -> float:
    """Read a duration as seconds; the rules and errors of `parse_ms`."""
    return parse_ms(text) / 1_000


def format_ms(duration_ms: int) -> str:
    """Write whole milliseconds in the largest unit up to `h` that divides them: `"90s"`."""
    if duration_ms == 0:
        return "0s"
    for unit, scale in _UNITS_MS.items():
        if duration_ms % scale == 0 and unit != "d":
            return f"{duration_ms // scale}{unit}"
    raise AssertionError("every whole number is divisible by one")


def format_s(duration_s: float) -> str:
    """Write seconds, rounded to milliseconds."""
    return format_ms(round(duration_s * 1_000))


def _split(text: str, alphabet: str) -> tuple[str, str]:
    rest = text.lstrip(alphabet)
    return text[: len(text) - len(rest)], rest


def _scaled(number: str, scale: int) -> int:
    whole, _, fraction = number.partition(".")
    if not (whole + fraction).isdigit() or "." in fraction or number.endswith("."):
        raise DurationError(_GRAMMAR)
    parts = int((whole or "0") + fraction) * scale
    divisor: int = 10 ** len(fraction)
    duration_ms, left = divmod(parts, divisor)
    if left:
        raise DurationError("a duration is a whole number of milliseconds")
    return duration_ms
