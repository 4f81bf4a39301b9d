"""Canonical bytes: msgpack with one way to write each value.

Signed bytes are kept and passed on as they are, so there must be one spelling of each value, or
two nodes could hold the same fact under two hashes. Only integers, raw bytes, text, booleans, None
and arrays are written; no maps, no floats, no extension types. Reading checks the spelling by
writing the value again, and each field's type and size as it is taken.

Rule: a peer's bytes can make these functions raise `MalformedError` and nothing else.
"""

from collections.abc import Sequence
from operator import length_hint
from typing import NoReturn, cast

import msgpack

from protocol.errors import MalformedError

INT_MAX = 2**62 - 1
_MISSING = object()
"""Where a field should have been: of no type that a field may have."""


def pack(value: Sequence[object]) -> bytes:
    """Write an array."""
    return cast(bytes, msgpack.packb(value, use_bin_type=True))


def read(data: bytes, what: str) -> "Reader":
    """Open an array that `pack` wrote.

    Raises:
        MalformedError: not msgpack, not an array, not canonical, too deep, or with trailing bytes.
    """
    try:
        value = msgpack.unpackb(data, raw=False, use_list=True, max_ext_len=0, max_map_len=0)
        again = msgpack.packb(value, use_bin_type=True)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException):
        raise MalformedError(what, "not canonical msgpack") from None
    if not isinstance(value, list) or again != data:
        raise MalformedError(what, "not canonical msgpack")
    return Reader(value, what)


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
