"""Who waits for which changes of ours: answered by the commit that has the last of theirs.

Not later: what an update id is answered with is written with the commit that is its answer.
"""

from collections.abc import Collection, Iterable

from protocol.commits import RecordKey


class Tickets:
    """Of all proposals that were not answered yet."""

    def __init__(self) -> None:
        self.settled: list[int] = []
        """None of theirs waits: the next commit answers them."""
        self._left: dict[int, int] = {}
        self._of: dict[RecordKey, list[int]] = {}

    def add(self, ticket: int, keys: Collection[RecordKey]) -> None:
        """Its changes wait under these keys."""
        if not keys:
            self.settled.append(ticket)
            return
        self._left[ticket] = len(keys)
        for key in keys:
            self._of.setdefault(key, []).append(ticket)

    def take(self, keys: Iterable[RecordKey]) -> tuple[int, ...]:
        """These go into a commit now: the tickets that it answers."""
        settled, self.settled = self.settled, []
        for key in keys:
            for ticket in self._of.pop(key, ()):
                self._left[ticket] -= 1
                if not self._left[ticket]:
                    del self._left[ticket]
                    settled.append(ticket)
        return tuple(settled)
