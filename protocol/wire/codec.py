"""Canonical bytes: msgpack with one way to write each value.

Signed bytes are kept and passed on as they are, so there must be one spelling of each value, or
two nodes could hold the same fact under two hashes. Only integers, raw bytes, text, booleans, None
and arrays are written; no maps, no floats, no extension types. Reading checks the spelling by
writing the value again, and each field's type and size as it is taken.

Rule: a peer's bytes can make these functions raise `MalformedError` and nothing else.
"""

from collections.abc import Sequence, Sized
from operator import length_hint
from typing import NamedTuple, NoReturn, cast

import msgpack

from protocol.errors import MalformedError

INT_MAX = 2**62 - 1
_pack = msgpack.Packer(use_bin_type=True).pack
"""One for all: to make a packer takes longer than to write a record with it. Threads may share it:
it runs no Python code, so no other thread runs while it writes."""
_MISSING = object()
"""Where a field should have been: of no type that a field may have."""


def pack(value: Sequence[object]) -> bytes:
    """Write an array."""
    return cast(bytes, _pack(value))


def pack_integers(first: int, second: int) -> bytes:
    """Write two integers as they stand in an array, without the byte that begins it."""
    return cast(bytes, _pack((first, second)))[1:]


def reread(data: bytes) -> list[object]:
    """The fields of an array that `unpack` let through before, in half the time."""
    return cast(list[object], msgpack.unpackb(data, raw=False, use_list=True))


def read(data: bytes, what: str) -> "Reader":
    """Open an array that `pack` wrote. Raises as `unpack` does."""
    return Reader(unpack(data, what), what)


def unpack(data: bytes, what: str) -> list[object]:
    """The fields of an array that `pack` wrote, of which nothing is checked yet.

    Raises:
        MalformedError: not msgpack, not an array, not canonical, too deep, or with trailing bytes.
    """
    try:
        value = msgpack.unpackb(data, raw=False, use_list=True, max_ext_len=0, max_map_len=0)
        again = _pack(value)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException):
        raise MalformedError(what, "not canonical msgpack") from None
    if not isinstance(value, list) or again != data:
        raise MalformedError(what, "not canonical msgpack")
    return value


class Field(NamedTuple):
    """What one field of a `Layout` has to be; made by the functions below."""

    name: str
    of: type
    low: int
    high: int
    """Of a number itself; of anything else, of its length."""
    reason: str
    """What an error says of a value that is not so."""

    def admits(self, value: object) -> bool:
        """Whether a value is so."""
        if type(value) is not self.of:
            return False
        size = value if isinstance(value, int) else len(cast(Sized, value))
        return self.low <= size <= self.high


def integer(name: str, *, low: int = 0, high: int = INT_MAX) -> Field:
    """As `Reader.integer`."""
    return Field(name, int, low, high, f"not an integer in {low}..{high}")


def text(name: str, *, most: int) -> Field:
    """As `Reader.text`."""
    return Field(name, str, 0, most, f"not text of at most {most} characters")


def raw(name: str, *, most: int, least: int = 0) -> Field:
    """As `Reader.raw`."""
    return Field(name, bytes, least, most, f"not {least}..{most} bytes")


def flag(name: str) -> Field:
    """As `Reader.flag`."""
    return Field(name, bool, 0, 1, "not a boolean")


def array(name: str, *, most: int) -> Field:
    """As `Reader.array`; its items are for the caller to check."""
    return Field(name, list, 0, most, f"not an array of at most {most}")


class Layout:
    """All fields of an array, checked together: for what comes by ten thousands.

    It takes and refuses what a `Reader` would that is asked for the same fields, in a quarter of
    the time. Who takes the fields apart afterwards knows their types from here.
    """

    __slots__ = ("_fields", "_lengths", "_numbers", "_types")

    def __init__(self, *fields: Field) -> None:
        self._fields = fields
        self._types = [field.of for field in fields]
        bounds = [(place, field.low, field.high) for place, field in enumerate(fields)]
        self._numbers = [bound for bound in bounds if self._types[bound[0]] is int]
        self._lengths = [bound for bound in bounds if self._types[bound[0]] not in (int, bool)]

    def check(self, values: object, what: str) -> None:
        """Check an array's fields. Raises MalformedError, which names the first that is wrong."""
        if not isinstance(values, list):
            raise MalformedError(what, "not an array")
        if list(map(type, values)) != self._types:
            self._refuse(values, what)
        for place, low, high in self._numbers:
            if not low <= values[place] <= high:
                self._refuse(values, what)
        for place, low, high in self._lengths:
            if not low <= len(values[place]) <= high:
                self._refuse(values, what)

    def _refuse(self, values: list[object], what: str) -> NoReturn:
        for value, field in zip(values, self._fields, strict=False):
            if not field.admits(value):
                raise MalformedError(f"{what}.{field.name}", field.reason)
        if len(values) < len(self._fields):
            raise MalformedError(f"{what}.{self._fields[len(values)].name}", "missing")
        extra = len(values) - len(self._fields)
        raise MalformedError(f"{what}.length", f"{extra} fields more than are due")


def texts(values: list[object], what: str, *, each: int) -> list[str]:
    """The items of an array as texts of at most `each` characters. Raises MalformedError."""
    for value in values:
        if type(value) is not str or len(value) > each:
            raise MalformedError(f"{what}.item", f"not text of at most {each} characters")
    return cast(list[str], values)


class Reader:
    """Takes the fields of one array in order, each checked; call `end` after the last."""

    __slots__ = ("_left", "_what")

    def __init__(self, items: list[object], what: str) -> None:
        self._left = iter(items)
        self._what = what

    def integer(self, field: str, *, low: int = 0, high: int = INT_MAX) -> int:
        """An integer in `low..high`."""
        value = next(self._left, _MISSING)
        if type(value) is not int or not low <= value <= high:
            self._refuse(field, value, f"not an integer in {low}..{high}")
        return value

    def raw(self, field: str, *, most: int, least: int = 0) -> bytes:
        """Raw bytes of a length in `least..most`."""
        value = next(self._left, _MISSING)
        if not isinstance(value, bytes) or not least <= len(value) <= most:
            self._refuse(field, value, f"not {least}..{most} bytes")
        return value

    def fixed(self, field: str, length: int) -> bytes:
        """Raw bytes of exactly `length`."""
        return self.raw(field, most=length, least=length)

    def text(self, field: str, *, most: int) -> str:
        """Text of at most `most` characters."""
        value = next(self._left, _MISSING)
        if not isinstance(value, str) or len(value) > most:
            self._refuse(field, value, f"not text of at most {most} characters")
        return value

    def flag(self, field: str) -> bool:
        """A boolean."""
        value = next(self._left, _MISSING)
        if not isinstance(value, bool):
            self._refuse(field, value, "not a boolean")
        return value

    def array(self, field: str, *, most: int) -> "Reader":
        """A nested array of at most `most` items; read it to its own end."""
        value = next(self._left, _MISSING)
        if not isinstance(value, list) or len(value) > most:
            self._refuse(field, value, f"not an array of at most {most}")
        return Reader(value, f"{self._what}.{field}")

    def raws(self, field: str, *, most: int, each: int) -> list[bytes]:
        """An array of at most `most` raw byte strings of at most `each` bytes."""
        inner = self.array(field, most=most)
        return [inner.raw("item", most=each) for _ in range(len(inner))]

    def texts(self, field: str, *, most: int, each: int) -> list[str]:
        """An array of at most `most` texts of at most `each` characters."""
        inner = self.array(field, most=most)
        return [inner.text("item", most=each) for _ in range(len(inner))]

    def rest(self) -> list[object]:
        """All fields that are left, of which nothing is checked."""
        return list(self._left)

    def end(self) -> None:
        """Nothing may be left."""
        left = len(self)
        if left:
            self._refuse("length", None, f"{left} fields more than are due")

    def __len__(self) -> int:
        """How many fields are left."""
        return length_hint(self._left)

    def _refuse(self, field: str, value: object, reason: str) -> NoReturn:
        reason = "missing" if value is _MISSING else reason
        raise MalformedError(f"{self._what}.{field}", reason)
