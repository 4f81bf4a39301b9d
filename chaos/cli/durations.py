"""Durations on the command line of the simulator: `500ms`, `60s`, `1m30s`.

The grammar is that of all other durations of Kith, whose reader belongs to the node, which nothing
here may import; a test compares the two.
"""

_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_GRAMMAR = "a duration is a number and a unit, such as 500ms, 60s or 2m"
_TEXT_MAX = 32


def parse_s(text: str) -> float:
    """Read one or more `number unit` with falling units as seconds.

    Raises:
        ValueError: another grammar, or a part of a millisecond; the message says what is right.
    """
    if not text or len(text) > _TEXT_MAX:
        raise ValueError(_GRAMMAR)
    total_ms, rest, larger = 0, text, max(_UNITS_MS.values()) + 1
    while rest:
        number, rest = _split(rest, "0123456789.")
        unit, rest = _split(rest, "dhms")
        scale = _UNITS_MS.get(unit, larger)
        if scale >= larger:
            raise ValueError(_GRAMMAR)
        larger = scale
        total_ms += _scaled(number, scale)
    return total_ms / 1_000


def format_s(seconds: float) -> str:
    """Write seconds, rounded to milliseconds: `90s`, `1500ms`."""
    total_ms = round(seconds * 1_000)
    return f"{total_ms}ms" if total_ms % 1_000 else f"{total_ms // 1_000}s"


def _split(text: str, alphabet: str) -> tuple[str, str]:
    rest = text.lstrip(alphabet)
    return text[: len(text) - len(rest)], rest


def _scaled(number: str, scale: int) -> int:
    whole, _, fraction = number.partition(".")
    if not (whole + fraction).isdigit() or number.endswith("."):
        raise ValueError(_GRAMMAR)
    duration_ms, left = divmod(int(whole + fraction) * scale, int("1" + "0" * len(fraction)))
    if left:
        raise ValueError("a duration is a whole number of milliseconds")
    return duration_ms
