"""From what a person wrote to a typed value, for settings and for anything else at an edge.

Each reader takes text (a flag, an environment variable) or a TOML value, and returns the typed
value or raises `BadValueError` with a reason and a remedy. Readers are pure: no file, no name
look-up, no clock.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from protocol import limits
from protocol.identity import Address

from . import durations

T = TypeVar("T")

_LABEL_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
PORT_MAX = 65_535


class BadValueError(ValueError):
    """A value that cannot be used: why, and what to write instead. Nothing was changed."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Place:
    """A host, with a port or without one."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is not None:
            return str(Address(self.host, self.port))
        return f"[{self.host}]" if ":" in self.host else self.host


def text(value: object) -> str:
    """Any text of one line."""
    if not isinstance(value, str):
        raise BadValueError("it is not text", "write it in quotes")
    if not value or not value.isprintable():
        raise BadValueError("it is empty or has control characters", "write one line of text")
    return value


def name(value: object) -> str:
    """A name after the rules of the registry."""
    word = text(value)
    if len(word) > limits.NAME_MAX:
        raise BadValueError(
            f"it has {len(word)} characters", f"use at most {limits.NAME_MAX} characters"
        )
    strange = sorted(set(word).difference(limits.NAME_ALPHABET))
    if strange:
        raise BadValueError(
            f"{strange[0]!r} may not stand in a name", "use only a-z, 0-9, '.', '_' and '-'"
        )
    return word


def name_or_nothing(value: object) -> str:
    """A name, or the empty text."""
    return "" if value == "" else name(value)


def path(value: object) -> Path:
    """A path in the file system."""
    return Path(text(value))


def flag(value: object) -> bool:
    """A boolean: `true` and `false`, and in text also 1, yes, on, 0, no, off."""
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise BadValueError("it is neither true nor false", "write true or false")


def whole(low: int, high: int) -> Callable[[object], int]:
    """A reader of whole numbers in `low..high`."""

    def read(value: object) -> int:
        remedy = f"write a whole number from {low} to {high}"
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
            value = int(value)
        if type(value) is not int:
            raise BadValueError("it is not a whole number", remedy)
        if not low <= value <= high:
            raise BadValueError(f"it is not between {low} and {high}", remedy)
        return value

    return read


def duration_ms(low: str, high: str) -> Callable[[object], int]:
    """A reader of durations in `low..high`, as milliseconds."""
    least, most = durations.parse_ms(low), durations.parse_ms(high)

    def read(value: object) -> int:
        if not isinstance(value, str):
            raise BadValueError("it has no unit", 'write a duration in quotes, such as "5s"')
        try:
            parsed = durations.parse_ms(value)
        except durations.DurationError as error:
            raise BadValueError("it is not a duration", str(error)) from None
        if not least <= parsed <= most:
            raise BadValueError(f"it is not between {low} and {high}", f'write "{low}" to "{high}"')
        return parsed

    return read


def duration_s(low: str, high: str) -> Callable[[object], float]:
    """A reader of durations in `low..high`, as seconds."""
    read_ms = duration_ms(low, high)
    return lambda value: read_ms(value) / 1_000


def choice(*words: T) -> Callable[[object], T]:
    """A reader of one of these words (compared by their text)."""

    def read(value: object) -> T:
        for word in words:
            if value == str(word):
                return word
        listed = ", ".join(str(word) for word in words)
        raise BadValueError("it is none of the choices", f"write one of: {listed}")

    return read


def listed(
    read: Callable[[object], T], *, most: int, least: int = 0
) -> Callable[[object], tuple[T, ...]]:
    """A reader of a list, in order, without repetitions; text is split at commas."""

    def read_all(value: object) -> tuple[T, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise BadValueError("it is not a list", 'write a list, such as ["a", "b"]')
        if not least <= len(value) <= most:
            raise BadValueError(f"it has {len(value)} items", f"give {least} to {most} of them")
        return tuple(dict.fromkeys(_item(read, item) for item in value))

    return read_all


def names_sorted(value: object) -> tuple[str, ...]:
    """At least one name; sorted, as records hold them."""
    return tuple(sorted(listed(name, most=limits.CAPABILITIES_MAX, least=1)(value)))


def pairs_sorted(value: object) -> tuple[tuple[str, str], ...]:
    """`key=value` pairs (text split at commas, a list) or a TOML table; sorted by key."""
    if isinstance(value, dict):
        found = [(str(key), item) for key, item in value.items()]
    else:
        found = [_pair(item) for item in listed(text, most=limits.METADATA_MAX)(value)]
    if len(found) > limits.METADATA_MAX:
        raise BadValueError(
            f"it has {len(found)} pairs", f"give at most {limits.METADATA_MAX} pairs"
        )
    pairs: dict[str, str] = {}
    for key, item in found:
        if key in pairs:
            raise BadValueError(f"the key {key!r} stands twice", "give each key once")
        pairs[_item(name, key)] = _metadata_value(key, item)
    return tuple(sorted(pairs.items()))


def host(value: object) -> str:
    """An IP address (IPv6 without brackets) or a DNS name; lower case."""
    word = text(value)
    if is_ip(word):
        return word.lower()
    labels = word.removesuffix(".").split(".")
    fine = all(1 <= len(label) <= 63 and set(label) <= _LABEL_ALPHABET for label in labels)
    # A name of digits and dots alone is an address with a slip, such as 10.0.0.256.
    if not fine or len(word) > limits.HOST_MAX or labels[-1].isdigit():
        raise BadValueError(
            f"{word!r} is neither an IP address nor a host name",
            "write one such as 10.0.0.7, [2001:db8::7] or a.example",
        )
    return word.lower()


def place(value: object) -> Place:
    """`HOST` or `HOST:PORT`; an IPv6 address stands in brackets."""
    word = text(value)
    if word.startswith("["):
        inside, bracket, after = word[1:].partition("]")
        if not bracket or not is_ip(inside) or (after and not after.startswith(":")):
            raise BadValueError("its brackets hold no IPv6 address", "write [::1]:8401")
        return Place(inside.lower(), _port(after[1:]) if after else None)
    if word.count(":") > 1:
        raise BadValueError("an IPv6 address stands in brackets", f"write [{word}]:8401")
    before, colon, after = word.partition(":")
    return Place(host(before), _port(after) if colon else None)


def address(value: object) -> Address:
    """`HOST:PORT`, such as `127.0.0.1:8400`, `[::1]:8401` or `seed.example:8401`.

    Port 0 is accepted: the system chooses one when something listens there.
    """
    found = place(value)
    if found.port is None:
        raise BadValueError("it has no port", f"write HOST:PORT, such as {found}:8401")
    return Address(found.host, found.port)


def remote_address(value: object) -> Address:
    """`HOST:PORT` of somebody to call: neither port 0 nor `0.0.0.0`."""
    found = address(value)
    if found.port == 0:
        raise BadValueError("nobody listens on port 0", f"write {Place(found.host)}:8401")
    if is_unspecified(found.host):
        raise BadValueError("it is not an address to call", "write the host's own address or name")
    return found


def reachable_place(value: object) -> Place:
    """`HOST[:PORT]` that others are told: neither port 0 nor `0.0.0.0`, nor a group."""
    found = place(value)
    if is_unspecified(found.host) or is_multicast(found.host) or found.port == 0:
        raise BadValueError(
            "others cannot call it", "write the address or name under which others reach this node"
        )
    return found


def group_address(value: object) -> Address:
    """`GROUP:PORT` of an IPv4 multicast group."""
    found = address(value)
    if not is_multicast(found.host) or ":" in found.host or found.port == 0:
        raise BadValueError(
            "it is not an IPv4 multicast group and port", "write one such as 239.255.84.1:8402"
        )
    return found


def is_ip(word: str) -> bool:
    """Whether `word` is an IPv4 or IPv6 address (without zone index)."""
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return "%" not in word


def is_unspecified(word: str) -> bool:
    """Whether it is `0.0.0.0` or `::`: every address of this machine, and none to call."""
    return is_ip(word) and ipaddress.ip_address(word).is_unspecified


def is_loopback(word: str) -> bool:
    """Whether only this machine reaches it."""
    return word == "localhost" or (is_ip(word) and ipaddress.ip_address(word).is_loopback)


def is_multicast(word: str) -> bool:
    """Whether it is the address of a multicast group."""
    return is_ip(word) and ipaddress.ip_address(word).is_multicast


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= PORT_MAX):
        raise BadValueError(f"{word!r} is not a port", f"write a port from 0 to {PORT_MAX}")
    return int(word)


def _pair(item: str) -> tuple[str, object]:
    key, sign, value = item.partition("=")
    if not sign:
        raise BadValueError(f"{item!r} has no '='", "write key=value")
    return key, value


def _metadata_value(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadValueError(f"the value of {key!r} is not text", "write it in quotes")
    if len(value) > limits.METADATA_VALUE_MAX:
        raise BadValueError(
            f"the value of {key!r} has {len(value)} characters",
            f"use at most {limits.METADATA_VALUE_MAX}",
        )
    return value


def _item(read: Callable[[object], T], item: object) -> T:
    try:
        return read(item)
    except BadValueError as error:
        raise BadValueError(f"{item!r}: {error.reason}", error.remedy) from None
