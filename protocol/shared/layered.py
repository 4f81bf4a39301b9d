"""A dict over a shared one: what differs is kept here, the rest is read there.

Thousands of machines in one process may start from one table and each go its own way, for the price
of what it changes. In every other respect, order included, it behaves as a `dict` copy would.

Rule this module keeps: the shared mapping is never changed, here or by anybody else.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TypeVar, overload

Key = TypeVar("Key")
Value = TypeVar("Value")
Other = TypeVar("Other")


class Layered(MutableMapping[Key, Value]):
    """A copy of `shared` that costs nothing until it is changed. No value may be None."""

    __slots__ = ("_added", "_gone", "_own", "_shared")

    def __init__(self, shared: Mapping[Key, Value]) -> None:
        self._shared = shared
        self._own: dict[Key, Value] = {}
        self._gone: dict[Key, None] = {}
        """Shared keys that were removed here; where they came back, they stand among the added."""
        self._added: dict[Key, None] = {}
        """Keys that stand behind the shared ones, in the order they came."""

    def __getitem__(self, key: Key) -> Value:
        value = self._own.get(key)
        if value is not None:
            return value
        if key in self._gone:
            raise KeyError(key)
        return self._shared[key]

    @overload
    def get(self, key: Key, /) -> Value | None: ...

    @overload
    def get(self, key: Key, /, default: Value | Other) -> Value | Other: ...

    def get(self, key: Key, /, default: Value | Other | None = None) -> Value | Other | None:
        """As of a dict; the mixin's would raise and catch an error for each miss."""
        value = self._own.get(key)
        if value is not None:
            return value
        if self._gone and key in self._gone:
            return default
        return self._shared.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._own or (key in self._shared and key not in self._gone)

    def __setitem__(self, key: Key, value: Value) -> None:
        if key not in self._own and (key in self._gone or key not in self._shared):
            self._added[key] = None
        self._own[key] = value

    def __delitem__(self, key: Key) -> None:
        if key not in self:
            raise KeyError(key)
        self._own.pop(key, None)
        self._added.pop(key, None)
        if key in self._shared:
            self._gone[key] = None

    def __iter__(self) -> Iterator[Key]:
        for key in self._shared:
            if key not in self._gone:
                yield key
        yield from self._added

    def __len__(self) -> int:
        return len(self._shared) - len(self._gone) + len(self._added)
