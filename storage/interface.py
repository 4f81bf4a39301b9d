"""What a store is, and the values it gives back: `SqliteStore` and `MemoryStore` are stores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from protocol.agreement.docket import Case
from protocol.commits import NOTHING, Commit, Dot
from protocol.delivery import outbox
from protocol.delivery.standing import Delivery, OutboxEntry
from protocol.effects import Keep
from protocol.identity import NodeId
from protocol.limits import OWN_STEPS_KEPT
from protocol.restored import RestoredBranch

RESULTS_MAX = 100_000
"""Update ids remembered; beyond that the oldest are forgotten."""
RESULTS_AGE_MAX_US = 24 * 3_600 * 1_000_000
"""How long an update id is remembered, counted back from the newest that is written."""

OWN_COMMITS_KEPT = outbox.COMMITS_MAX
OWN_COMMITS_MAX = OWN_COMMITS_KEPT + OWN_STEPS_KEPT
"""Our own commits on disk, whoever lacks them. The core trims its outbox before that; should it
not, then beyond this many the trim mark is moved up so that `OWN_COMMITS_KEPT` stay after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a request with an update id was answered with, so that its repetition hears the same."""

    update_id: str
    owner: NodeId
    name: str
    """The service's name."""
    id: str
    """The instance's id."""
    version: int
    body_hash: bytes
    """Of the request's body: the same id with another body is a conflict."""
    created_at_us: int
    """Unix microseconds."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that a node knows when it starts."""

    incarnation: int
    """How many lives it has begun; 0 before the first."""
    last_dot: Dot
    """The highest that it signed or took as its own; NOTHING before the first."""
    branches: tuple[RestoredBranch, ...]
    """Sorted by owner."""
    evidence: tuple[Case, ...] = ()
    """The forks that were found and what became of them, sorted by id."""
    must_hear: str = ""
    """Why this node has to hear of itself from a peer before it signs anything; see `mark`."""
    forgotten: bool = False
    """Nothing says which versions were signed: neither the store nor what is reserved beside it."""
    deliveries: tuple[Delivery, ...] = ()
    """How far peers have come in our commits, sorted by peer."""
    outbox: tuple[OutboxEntry, ...] = ()
    """Our own commits after the trim mark, oldest first: each first parent is the one before, the
    last is our head. What does not lead to our head step by step is left out."""
    outbox_floor: Dot = NOTHING
    """The dot before the oldest of them: the trim mark, or that of a commit left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How much is stored."""

    file_bytes: int
    wal_bytes: int
    branches: int
    records: int
    commits: int
    results: int
    evidence: int
    deliveries: int
    outbox: int
    """Our own commits after the trim mark."""
    outbox_bytes: int
    """Of their changes."""


class Store(Protocol):
    """Where a node's state outlives it. Synchronous; one thread at a time.

    Every function raises a StorageError of the kind that fits; what it was about to write is then
    not written, no part of it.
    """

    @property
    def name(self) -> str:
        """What messages call it: the path of the file."""
        ...

    def load(self) -> Loaded:
        """Everything, as it was after the newest `write`."""
        ...

    def begin_life(self, *, at_least: int = 0) -> int:
        """Raise the incarnation by one, or to `at_least` if that is more, durably; return it."""
        ...

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        """Do all of it in order, in one transaction, durable on return.

        Writing the newest again changes nothing, so a caller who was cut off may repeat it. The
        first result of an update id stands. A head of our own that comes without its step moves the
        trim mark up to itself.
        """
        ...

    def recall(self, after: Dot, count: int, bytes_max: int) -> tuple[Commit, ...]:
        """Our own commits after that dot, oldest first.

        At most `count`, and so many that they are within `bytes_max` as packed, but one at least.
        """
        ...

    def mark(self, must_hear: str) -> None:
        """Have each next start hear of itself from a peer before it signs, durably.

        For a state that is not the newest: an older copy, or nothing. `must_hear` says why, to be
        shown to whoever waits; empty: not any more.
        """
        ...

    def find_result(self, update_id: str) -> Result | None:
        """What that update was answered with, if it is still remembered."""
        ...

    def snapshot(self, path: Path, *, between: Callable[[], None]) -> None:
        """Write all that is held into a new file that `open_store` opens, consistent.

        `between` is called again and again on the way and may write here, so that nobody waits for
        the end; what it writes is in the file too. Nothing of the file is synced.
        """
        ...

    def checkpoint(self) -> None:
        """Tidy up, so that a start is quick."""
        ...

    def statistics(self) -> Statistics:
        """Sizes and counts. Counting reads whole indexes: ask once a minute, not once a second."""
        ...

    def close(self) -> None:
        """Let go of the file. May be repeated."""
        ...
