"""States that we replaced by others that need not follow from them, until their owners know.

A state that comes as a whole shows no steps, so it cannot be told whether it follows from the one
that it replaces. Mostly it does. But an owner that was put back to an old disk may have signed it
without knowing the other, and somebody in between has passed it on; then ours may have been the
last copy of what the owner has forgotten. So we keep what we replaced and tell the owner. One that
knows the commit does nothing; one that has forgotten it fetches the state and merges it.

Rules this module keeps:

1. What the owner itself gave us replaces nothing: it saw what we held, and said so.
2. An owner is told while it is reached, `TELLS` times against loss; then the state goes.
3. What is kept is bounded in states, in records and in time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from protocol.commits import Head, Manifest, Record
from protocol.detector.detection import Status
from protocol.dissemination import Told
from protocol.identity import NodeId
from protocol.merkle import Tree, leaves_under
from protocol.wire.messages import Advert, Advertised

DISPLACED_MAX = 256
DISPLACED_RECORDS_MAX = 50_000
"""Five of the largest states; most records are those of the state that came instead."""
TELLS = 3
TELL_EVERY_S = 1.0
KEPT_S = 30.0
"""After the last telling, so that there is time to fetch it."""
LIFE_S = 3_600.0
"""How long the owner may stay away."""


@dataclass(slots=True)
class _Entry:
    head: Head
    tree: Tree
    since: float
    due: float
    told: int = 0


class Displaced:
    """Keeps what was replaced. `due` says whom to tell."""

    def __init__(self) -> None:
        self._entries: dict[bytes, _Entry] = {}
        self._records = 0

    def __len__(self) -> int:
        """How many states are kept."""
        return len(self._entries)

    @property
    def next_deadline(self) -> float:
        """When `due` has something to do; infinity if never."""
        return min((entry.due for entry in self._entries.values()), default=float("inf"))

    def note(self, head: Head, tree: Tree, *, now: float) -> None:
        """That state was replaced by one that another than its owner showed."""
        if head.hash in self._entries or len(tree) > DISPLACED_RECORDS_MAX:
            return
        self._entries[head.hash] = _Entry(head, tree, now, now)
        self._records += len(tree)
        while len(self._entries) > DISPLACED_MAX or self._records > DISPLACED_RECORDS_MAX:
            self._drop(next(iter(self._entries)))

    def manifest(self, commit: bytes) -> Manifest | None:
        """The state at that commit, if it was replaced here."""
        entry = self._entries.get(commit)
        if entry is None:
            return None
        items = (leaf.item for leaf in leaves_under(entry.tree.at("")))
        records = sorted(item for item in items if isinstance(item, Record))
        return Manifest(entry.head, tuple(records))

    def due(self, status: Callable[[NodeId], Status | None], *, now: float) -> list[Told]:
        """Which owners are to be told of which commit."""
        told: list[Told] = []
        for commit, entry in self._due(now):
            if entry.told >= TELLS or now >= entry.since + LIFE_S:
                self._drop(commit)
                continue
            entry.due = now + TELL_EVERY_S
            if status(entry.head.owner) in (Status.ALIVE, Status.SUSPECT):
                entry.told += 1
                entry.due = now + (KEPT_S if entry.told == TELLS else TELL_EVERY_S)
                head = entry.head
                item = Advertised(head.owner, head.dot, head.hash, large=True)
                told.append(Told((head.owner,), Advert((item,))))
        return told

    def _due(self, now: float) -> Iterable[tuple[bytes, _Entry]]:
        return [(commit, entry) for commit, entry in self._entries.items() if entry.due <= now]

    def _drop(self, commit: bytes) -> None:
        self._records -= len(self._entries.pop(commit).tree)
