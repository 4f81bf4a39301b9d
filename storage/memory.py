"""A store that forgets when the process ends: for tests, and for nodes that are thrown away.

It does every keep in turn, as simply as can be, and so also says what `SqliteStore` must come to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from protocol.agreement.docket import Case
from protocol.commits import NOTHING, Change, Commit, Dot, Head, Record, RecordKey
from protocol.delivery.standing import Delivery, OutboxEntry
from protocol.effects import (
    DropDelivery,
    DropRecords,
    Keep,
    KeepChain,
    KeepCommit,
    KeepDelivery,
    KeepEvidence,
    KeepManifest,
    KeepMend,
    TrimOutbox,
)
from protocol.identity import NodeId
from protocol.limits import HEADERS_KEPT, OWN_STEPS_KEPT
from protocol.restored import RestoredBranch

from .errors import DatabaseUnreachableError, StorageClosedError
from .interface import (
    OWN_COMMITS_KEPT,
    OWN_COMMITS_MAX,
    RESULTS_AGE_MAX_US,
    RESULTS_MAX,
    Loaded,
    Result,
    Statistics,
)


@dataclass(slots=True)
class _Branch:
    key_events: tuple[bytes, ...] = ()
    head: Head | None = None
    reaped: bool = False
    commits: dict[Dot, KeepCommit] = field(default_factory=dict)
    records: dict[RecordKey, bytes] = field(default_factory=dict)

    def advance(self, head: Head) -> None:
        self.head = head
        self.reaped = False
        self.commits = {dot: keep for dot, keep in self.commits.items() if dot < head.dot}

    def change(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.records.pop(RecordKey(change.kind, change.key), None)
            if change.body is not None:
                self.records[RecordKey(change.kind, change.key)] = change.body

    def prune(self, kept: int, trim: Dot | None = None) -> None:
        if len(self.commits) <= kept:
            return
        for dot in sorted(self.commits)[:-kept]:
            if trim is None or dot < trim:
                del self.commits[dot]

    def outbox(self, trim: Dot) -> tuple[tuple[OutboxEntry, ...], Dot]:
        entries: list[OutboxEntry] = []
        wanted = self.head.hash if self.head else None
        for dot in sorted(self.commits, reverse=True):
            keep = self.commits[dot]
            head = keep.commit.head
            if dot <= trim or head.hash != wanted:
                return tuple(reversed(entries)), max(dot, trim)
            size = len(keep.commit.changes_encoded)
            entries.append(OutboxEntry(dot, head.hash, keep.priority, size))
            wanted = head.parents[0] if head.parents else None
        return tuple(reversed(entries)), trim

    def restored(self, owner: NodeId) -> RestoredBranch:
        return RestoredBranch(
            owner,
            self.key_events,
            self.head,
            tuple(self.commits[dot].commit for dot in sorted(self.commits)[-OWN_STEPS_KEPT:]),
            tuple(Record(*key, self.records[key]) for key in sorted(self.records)),
            self.reaped,
        )


class MemoryStore:
    """A `Store` in memory. `open` takes up again what a closed one held, as a restart would."""

    def __init__(self, node: NodeId) -> None:
        self._node = node
        self._incarnation = 0
        self._last_dot = NOTHING
        self._branches: dict[NodeId, _Branch] = {}
        self._evidence: dict[bytes, Case] = {}
        self._deliveries: dict[NodeId, Delivery] = {}
        self._trim = NOTHING
        self._results: dict[str, Result] = {}
        self._must_hear = ""
        self._is_open = True

    @property
    def name(self) -> str:
        """What messages call it."""
        return "memory"

    def open(self) -> None:
        """Take up again what was there when it was closed."""
        self._is_open = True

    def load(self) -> Loaded:
        """Everything, as it was after the newest `write`."""
        self._check_open()
        outbox, floor = self._branches.get(self._node, _Branch()).outbox(self._trim)
        return Loaded(
            self._incarnation,
            self._last_dot,
            tuple(self._branches[owner].restored(owner) for owner in sorted(self._branches)),
            tuple(self._evidence[id_] for id_ in sorted(self._evidence)),
            self._must_hear,
            forgotten=self._last_dot == NOTHING,
            deliveries=tuple(self._deliveries[peer] for peer in sorted(self._deliveries)),
            outbox=outbox,
            outbox_floor=floor,
        )

    def begin_life(self, *, at_least: int = 0) -> int:
        """Raise the incarnation and return it."""
        self._check_open()
        self._incarnation = max(self._incarnation + 1, at_least)
        return self._incarnation

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        """Do all of it in order."""
        self._check_open()
        for keep in keeps:
            self._apply(keep)
        for owner, branch in self._branches.items():
            if owner != self._node:
                branch.prune(HEADERS_KEPT)
                continue
            if len(branch.commits) > OWN_COMMITS_MAX:
                self._raise_trim(sorted(branch.commits)[-OWN_COMMITS_KEPT - 1])
            branch.prune(OWN_STEPS_KEPT, self._trim)
        for result in results:
            self._results.setdefault(result.update_id, result)
        if results:
            self._prune_results(max(result.created_at_us for result in results))

    def mark(self, must_hear: str) -> None:
        """Have each next start hear of itself first, or not; see `Store.mark`."""
        self._check_open()
        self._must_hear = must_hear

    def find_result(self, update_id: str) -> Result | None:
        """What that update was answered with, if it is still remembered."""
        self._check_open()
        return self._results.get(update_id)

    def recall(self, after: Dot, count: int, bytes_max: int) -> tuple[Commit, ...]:
        """Our own commits after that dot, oldest first; see `Store.recall`."""
        self._check_open()
        found: list[Commit] = []
        ours = self._branches.get(self._node, _Branch()).commits
        for dot in [dot for dot in sorted(ours) if dot > after][:count]:
            found.append(ours[dot].commit)
            if len(found) > 1 and sum(len(one.pack()) for one in found) > bytes_max:
                return tuple(found[:-1])
        return tuple(found)

    def snapshot(self, path: Path, *, between: Callable[[], None]) -> None:
        """Refuse: there is no file.

        Raises:
            DatabaseUnreachableError: always.
        """
        raise DatabaseUnreachableError(str(path), "a store in memory has no file to copy")

    def checkpoint(self) -> None:
        """Nothing to tidy up."""
        self._check_open()

    def statistics(self) -> Statistics:
        """Counts; nothing is on disk."""
        self._check_open()
        branches = self._branches.values()
        ours = self._branches.get(self._node, _Branch()).commits
        waiting = [keep.commit for dot, keep in ours.items() if dot > self._trim]
        return Statistics(
            file_bytes=0,
            wal_bytes=0,
            branches=len(self._branches),
            records=sum(len(branch.records) for branch in branches),
            commits=sum(len(branch.commits) for branch in branches),
            results=len(self._results),
            evidence=len(self._evidence),
            deliveries=len(self._deliveries),
            outbox=len(waiting),
            outbox_bytes=sum(len(commit.changes_encoded) for commit in waiting),
        )

    def close(self) -> None:
        """Refuse everything until `open`. May be repeated."""
        self._is_open = False

    def _apply(self, keep: Keep) -> None:
        match keep:
            case KeepDelivery(delivery):
                self._deliveries[delivery.peer] = delivery
            case DropDelivery(peer):
                self._deliveries.pop(peer, None)
            case TrimOutbox(through):
                self._raise_trim(through)
            case KeepEvidence(case, dropped):
                self._evidence[case.id] = case
                for old in dropped:
                    self._evidence.pop(old, None)
            case _:
                self._apply_to_branch(keep)

    def _apply_to_branch(
        self, keep: KeepCommit | KeepManifest | KeepMend | KeepChain | DropRecords
    ) -> None:
        match keep:
            case KeepCommit(commit, changes):
                branch = self._advanced(commit.head)
                branch.commits[commit.head.dot] = keep
                branch.change(changes)
            case KeepManifest(manifest):
                branch = self._jumped(manifest.head)
                branch.records = {RecordKey(r.kind, r.key): r.body for r in manifest.records}
            case KeepMend(head, changes):
                self._jumped(head).change(changes)
            case KeepChain(chain):
                branch = self._branches.setdefault(chain.node, _Branch())
                branch.key_events = tuple(chain.packed())
            case DropRecords(head):
                branch = self._jumped(head)
                branch.records, branch.commits, branch.reaped = {}, {}, True
            case _:
                assert_never(keep)

    def _advanced(self, head: Head) -> _Branch:
        branch = self._branches.setdefault(head.owner, _Branch())
        branch.advance(head)
        if head.owner == self._node:
            self._last_dot = max(self._last_dot, head.dot)
        return branch

    def _jumped(self, head: Head) -> _Branch:
        if head.owner == self._node:
            self._raise_trim(head.dot)
        return self._advanced(head)

    def _raise_trim(self, through: Dot) -> None:
        self._trim = max(self._trim, through)

    def _prune_results(self, newest_us: int) -> None:
        oldest_us = newest_us - RESULTS_AGE_MAX_US
        for update_id in [u for u, r in self._results.items() if r.created_at_us < oldest_us]:
            del self._results[update_id]
        for update_id in list(self._results)[: max(0, len(self._results) - RESULTS_MAX)]:
            del self._results[update_id]

    def _check_open(self) -> None:
        if not self._is_open:
            raise StorageClosedError(self.name)
