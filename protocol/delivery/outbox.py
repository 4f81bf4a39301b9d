"""Our own commits that some peer still lacks: which there are, not the commits themselves.

Those lie on disk (the newest also in `branch`), and are read back when a peer is to be shown them.

Rules this module keeps:

1. The entries are a chain, oldest first. `floor` is the dot before the oldest: who holds less than
   that cannot be shown steps, only the state.
2. At most `COMMITS_MAX` entries of together `BYTES_MAX`; the oldest go, counted.
"""

from bisect import bisect_right
from collections.abc import Sequence

from protocol.commits import NOTHING, Dot, Head

from .standing import OutboxEntry, Priority

COMMITS_MAX = 10_000
BYTES_MAX = 64 * 1024 * 1024
_FRONT_MAX = 1_024
"""Entries that are gone and still lie in the list: moved out together."""


class Outbox:
    """What waits, by dot."""

    def __init__(self, commits_max: int = COMMITS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.floor = NOTHING
        self.bytes = 0
        """Of the changes of all entries."""
        self.overflowed = 0
        """How many entries went for want of room."""
        self._entries: list[OutboxEntry] = []
        self._first = 0
        self._newest: dict[Priority, Dot] = {}
        self._tip = b""
        self._commits_max, self._bytes_max = commits_max, bytes_max

    def __len__(self) -> int:
        """How many commits wait."""
        return len(self._entries) - self._first

    @property
    def head(self) -> Dot:
        """The newest commit of ours, or `floor` where none waits."""
        return self._entries[-1].dot if len(self) else self.floor

    def restore(self, entries: Sequence[OutboxEntry], floor: Dot, head: Head | None) -> None:
        """Take back what is on disk: `floor` is what came before, `head` where our branch is."""
        self.floor = floor
        for entry in entries:
            self.add(entry, self._tip)
        if head is not None and self._tip != head.hash:
            self._restart(head.dot, head.hash)

    def add(self, entry: OutboxEntry, parent: bytes) -> None:
        """A commit of ours is durable.

        Where its parent is not the one before, our branch was merged or taken from the cluster:
        the commits that led to where it was lead nowhere any more.
        """
        if parent != self._tip:
            self._restart(Dot(entry.dot.epoch, entry.dot.version - 1), parent)
        self._tip = entry.hash
        self._entries.append(entry)
        self._newest[entry.priority] = entry.dot
        self.bytes += entry.size
        while len(self) > self._commits_max or (self.bytes > self._bytes_max and len(self) > 1):
            self._drop_first()
            self.overflowed += 1

    def trim(self, through: Dot) -> bool:
        """Everybody holds this and what came before; whether anything went."""
        before = self.floor
        while len(self) and self._entries[self._first].dot <= through:
            self._drop_first()
        return self.floor != before

    def shows(self, after: Dot) -> bool:
        """Whether all that came after this dot can still be shown step by step."""
        return after >= self.floor

    def waiting(self, after: Dot) -> tuple[int, Dot, Dot]:
        """How many commits there are after a dot; the oldest and newest of them (or `NOTHING`)."""
        at = max(self._first, bisect_right(self._entries, after, key=_dot_of))
        count = len(self._entries) - at
        if not count:
            return 0, NOTHING, NOTHING
        return count, self._entries[at].dot, self._entries[-1].dot

    def priority(self, after: Dot) -> Priority:
        """The highest among the commits after a dot."""
        for priority in (Priority.CRITICAL, Priority.NORMAL):
            if self._newest.get(priority, NOTHING) > after:
                return priority
        return Priority.BACKGROUND

    def _restart(self, floor: Dot, tip: bytes) -> None:
        self.floor, self._tip = floor, tip
        self._entries, self._first, self.bytes = [], 0, 0
        self._newest = {}

    def _drop_first(self) -> None:
        entry = self._entries[self._first]
        self.floor = entry.dot
        self.bytes -= entry.size
        self._first += 1
        if self._first >= _FRONT_MAX or self._first == len(self._entries):
            del self._entries[: self._first]
            self._first = 0


def _dot_of(entry: OutboxEntry) -> Dot:
    return entry.dot
