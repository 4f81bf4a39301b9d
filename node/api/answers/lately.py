"""A table of what was asked for lately, bounded by bytes.

Rules this module keeps:

1. What nobody asked for the longest goes first, and no more of it than is needed: a table in which
   all fits that is asked for never loses any of it.
2. Only what can be made anew is kept here: it may be gone at any time.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lately(Generic[K, V]):
    """Values by key.

    Args:
        bytes_max: Of all together. A value that takes more than half of it is not kept.
        size: How many bytes a value takes, with its key and its place.
    """

    def __init__(self, bytes_max: int, size: Callable[[V], int]) -> None:
        self._bytes_max = bytes_max
        self._size = size
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """How many are kept, at most `bytes_max`."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """What is kept under a key, or None."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> None:
        """Keep a value, instead of what is under its key; not one that is larger than a half."""
        kept, size = self._kept, self._size
        before, after = kept.pop(key, None), size(value)
        if before is not None:
            self._bytes -= size(before)
        if after > self._bytes_max // 2:
            return
        kept[key] = value
        self._bytes += after
        while self._bytes > self._bytes_max:
            self._bytes -= size(kept.popitem(last=False)[1])
