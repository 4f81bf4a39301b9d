"""Update ids that this node draws for requests that bring none: random UUIDs, many at a time.

Asking the kernel for each of them costs more than all else about it, so the random bytes come in
larger pieces. Each id has the 122 random bits of a UUID of version 4 (RFC 9562, section 5.4).
"""

import os

_PIECE = 256
"""Ids made with one question to the kernel; 4 KiB of random bytes."""
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""Two random bits and the variant of RFC 9562, by a random digit."""


class DrawnIds:
    """Draws ids. Not for a process that forks: both would go on with the same."""

    def __init__(self) -> None:
        self._left: list[str] = []

    def draw(self) -> str:
        """An id that nobody can guess or repeat."""
        if not self._left:
            digits = os.urandom(16 * _PIECE).hex()
            self._left = [_uuid(digits[at : at + 32]) for at in range(0, len(digits), 32)]
        return self._left.pop()


def _uuid(digits: str) -> str:
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
