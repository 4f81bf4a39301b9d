"""A store that forgets when the process ends: for tests, and for nodes that are thrown away.

It does every keep in turn, as simply as can be, and so also says what `SqliteStore` must come to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from protocol.agreement.docket import Case
from protocol.commits import NOTHING, Change, Commit, Dot, Head, Record, RecordKey
from protocol.effects import (
    DropRecords,
    Keep,
    KeepChain,
    KeepCommit,
    KeepEvidence,
    KeepManifest,
    KeepMend,
)
from protocol.identity import NodeId
from protocol.limits import HEADERS_KEPT, OWN_STEPS_KEPT
from protocol.restored import RestoredBranch

from .errors import DatabaseUnreachableError, StorageClosedError
from .interface import RESULTS_AGE_MAX_US, RESULTS_MAX, Loaded, Result, Statistics


@dataclass(slots=True)
class _Branch:
    key_events: tuple[bytes, ...] = ()
    head: Head | None = None
    reaped: bool = False
    commits: dict[Dot, Commit] = field(default_factory=dict)
    records: dict[RecordKey, bytes] = field(default_factory=dict)

    def advance(self, head: Head) -> None:
        self.head = head
        self.reaped = False
        self.commits = {dot: commit for dot, commit in self.commits.items() if dot < head.dot}

    def change(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.records.pop(RecordKey(change.kind, change.key), None)
            if change.body is not None:
                self.records[RecordKey(change.kind, change.key)] = change.body

    def prune(self, kept: int) -> None:
        for dot in sorted(self.commits)[:-kept]:
            del self.commits[dot]

    def restored(self, owner: NodeId) -> RestoredBranch:
        return RestoredBranch(
            owner,
            self.key_events,
            self.head,
            tuple(self.commits[dot] for dot in sorted(self.commits)),
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
        return Loaded(
            self._incarnation,
            self._last_dot,
            tuple(self._branches[owner].restored(owner) for owner in sorted(self._branches)),
            tuple(self._evidence[id_] for id_ in sorted(self._evidence)),
            self._must_hear,
            forgotten=self._last_dot == NOTHING,
        )

    def begin_life(self, *, at_least: int = 0) -> int:
        """Raise the incarnation and return it."""
        self._check_open()
        self._incarnation = max(self._incarnation + 1, at_least)
        return self._incarnation

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        """Do all of it in order."""
        self._check_open()
        for owner in [self._apply(keep) for keep in keeps]:
            if owner is not None:
                own = owner == self._node
                self._branches[owner].prune(OWN_STEPS_KEPT if own else HEADERS_KEPT)
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
        return Statistics(
            file_bytes=0,
            wal_bytes=0,
            branches=len(self._branches),
            records=sum(len(branch.records) for branch in branches),
            commits=sum(len(branch.commits) for branch in branches),
            results=len(self._results),
            evidence=len(self._evidence),
        )

    def close(self) -> None:
        """Refuse everything until `open`. May be repeated."""
        self._is_open = False

    def _apply(self, keep: Keep) -> NodeId | None:
        """Do it; whose branch it changed, if anybody's."""
        match keep:
            case KeepCommit(commit, changes):
                branch = self._branches.setdefault(commit.head.owner, _Branch())
                branch.advance(commit.head)
                branch.commits[commit.head.dot] = commit
                branch.change(changes)
                return self._advanced(commit.head)
            case KeepManifest(manifest):
                branch = self._branches.setdefault(manifest.head.owner, _Branch())
                branch.advance(manifest.head)
                branch.records = {RecordKey(r.kind, r.key): r.body for r in manifest.records}
                return self._advanced(manifest.head)
            case KeepMend(head, changes):
                branch = self._branches.setdefault(head.owner, _Branch())
                branch.advance(head)
                branch.change(changes)
                return self._advanced(head)
            case KeepChain(chain):
                branch = self._branches.setdefault(chain.node, _Branch())
                branch.key_events = tuple(chain.packed())
                return chain.node
            case DropRecords(head):
                branch = self._branches.setdefault(head.owner, _Branch())
                branch.advance(head)
                branch.records, branch.commits, branch.reaped = {}, {}, True
                return self._advanced(head)
            case KeepEvidence(case, dropped):
                self._evidence[case.id] = case
                for old in dropped:
                    self._evidence.pop(old, None)
                return None
            case _:
                assert_never(keep)

    def _advanced(self, head: Head) -> NodeId:
        if head.owner == self._node:
            self._last_dot = max(self._last_dot, head.dot)
        return head.owner

    def _prune_results(self, newest_us: int) -> None:
        oldest_us = newest_us - RESULTS_AGE_MAX_US
        for update_id in [u for u, r in self._results.items() if r.created_at_us < oldest_us]:
            del self._results[update_id]
        for update_id in list(self._results)[: max(0, len(self._results) - RESULTS_MAX)]:
            del self._results[update_id]

    def _check_open(self) -> None:
        if not self._is_open:
            raise StorageClosedError(self.name)
