"""A table of what was asked for lately, bounded by bytes.

Rules this module keeps:

1. There are two halves. What is asked for moves to the young one; when that is full, it becomes the
   old one, and what nobody asked for since the last time goes, all at once. So finding and keeping
   cost the same whatever is kept, and random asking for more than fits still finds most of it.
2. Only what can be made anew is kept here: it may be gone at any time.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lately(Generic[K, V]):
    """Values by key.

    Args:
        bytes_max: Of both halves together.
        size: How many bytes a value takes, with its key and its place.
    """

    def __init__(self, bytes_max: int, size: Callable[[V], int]) -> None:
        self._half_max = bytes_max // 2
        self._size = size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._young_bytes = self._old_bytes = 0

    @property
    def bytes(self) -> int:
        """How many are kept, at most `bytes_max`."""
        return self._young_bytes + self._old_bytes

    def get(self, key: K) -> V | None:
        """What is kept under a key, or None."""
        found = self._young.get(key)
        if found is None and self._old:
            found = self._old.pop(key, None)
            if found is not None:
                self._old_bytes -= self._size(found)
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Keep a value, instead of what is under its key; not one that is larger than a half."""
        before, after = self._young.pop(key, None), self._size(value)
        if before is not None:
            self._young_bytes -= self._size(before)
        stale = self._old.pop(key, None)
        if stale is not None:
            self._old_bytes -= self._size(stale)
        if after > self._half_max:
            return
        if self._young_bytes + after > self._half_max:
            self._old, self._old_bytes = self._young, self._young_bytes
            self._young, self._young_bytes = {}, 0
        self._young[key] = value
        self._young_bytes += after
