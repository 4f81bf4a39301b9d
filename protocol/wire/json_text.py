"""JSON values as canonical text: one way to write each, so that equal values have equal bytes.

Keys are sorted by code points, nothing is escaped that need not be, there is no space; numbers are
as Python writes them. RFC 8785 differs in how it writes some numbers: nothing here is signed by
others, so what counts is only that all nodes agree, and each reads back what another wrote.

Rule: a peer's bytes can make these functions raise `MalformedError` and nothing else.
"""

import json
from typing import NoReturn

from protocol.errors import MalformedError
from protocol.limits import JSON_DEPTH_MAX

INTEGER_MAX = 2**63 - 1
_OPENING, _CLOSING, _QUOTE, _ESCAPE = b"[{", b"]}", ord('"'), ord("\\")


def write(value: object) -> bytes:
    """A value of None, booleans, numbers, text, lists and string-keyed dicts, as its text.

    Raises:
        MalformedError: it has no such text: NaN, an infinity, a lone surrogate, a huge integer, or
            it is too deep.
    """
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        raw = text.encode()
    except (ValueError, TypeError, RecursionError):
        _refuse("has no JSON text")
    if read(raw) != value:
        _refuse("has no JSON text of its own")
    return raw


def read(raw: bytes) -> object:
    """The value of a canonical text.

    Raises:
        MalformedError: not JSON, too deep, a number out of range, or spelled otherwise than `write`
            would.
    """
    if raw.count(b"[") + raw.count(b"{") > JSON_DEPTH_MAX and _depth(raw) > JSON_DEPTH_MAX:
        _refuse(f"is more than {JSON_DEPTH_MAX} levels deep")
    try:
        value: object = json.loads(raw.decode(), parse_constant=_constant, parse_int=_integer)
        again = json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        ).encode()
    except ValueError:
        _refuse("is not JSON")
    if again != raw:
        _refuse("is not spelled as canonical JSON")
    return value


def _depth(raw: bytes) -> int:
    """How deep brackets open inside one another, outside of strings."""
    depth = deepest = 0
    in_text = is_escaped = False
    for byte in raw:
        if in_text:
            in_text = is_escaped or byte != _QUOTE
            is_escaped = byte == _ESCAPE and not is_escaped
        elif byte == _QUOTE:
            in_text, is_escaped = True, False
        elif byte in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif byte in _CLOSING:
            depth -= 1
    return deepest


def _integer(text: str) -> int:
    if len(text) > 20 or not -INTEGER_MAX <= int(text) <= INTEGER_MAX:
        raise ValueError("an integer beyond 64 bits")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _refuse(reason: str) -> NoReturn:
    raise MalformedError("json", reason)
