"""A simulated disk: what a node wrote, in order, and how much of it would survive.

The disk is a log of what the core asked to keep. A node that starts reads it from the beginning; a
power cut loses what was not flushed; an old copy of the disk is a shorter log.

Rules this module keeps:

1. What is persisted is durable together with all that was stored before it.
2. What is merely stored becomes durable a little later, unless the power goes first.
3. A full disk loses nothing: what waits is written when there is room again.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocol.agreement.docket import Case
from protocol.commits import NOTHING, Change, Commit, Dot, Record
from protocol.delivery.standing import Delivery, OutboxEntry, Queue
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
from protocol.limits import OWN_STEPS_KEPT
from protocol.restored import RestoredBranch

PERSIST_S = 0.001
LINGER_S = 0.2
"""How long what nobody waits for stays unflushed."""


@dataclass(frozen=True, slots=True)
class _Entry:
    at_s: float
    keep: Keep


class Disk:
    """One node's disk. `base` is what it holds from the start, shared with others."""

    def __init__(self, base: Sequence[RestoredBranch] = ()) -> None:
        self._base = base
        self._log: list[_Entry] = []
        self._flushed = 0
        self._incarnations: list[tuple[float, int]] = []
        self.full = False
        self.failing = False
        """The next write fails."""
        self.slow_s = 0.0

    def append(self, keep: Keep, now: float) -> None:
        """Write, not yet durably."""
        self._log.append(_Entry(now, keep))

    def flush(self, upto: int | None = None) -> None:
        """Make everything durable, or the first `upto` entries."""
        self._flushed = max(self._flushed, len(self._log) if upto is None else upto)

    @property
    def length(self) -> int:
        """How many entries there are."""
        return len(self._log)

    def begin_life(self, at_least: int, now: float) -> int:
        """Raise the incarnation, durably, and return it."""
        last = self._incarnations[-1][1] if self._incarnations else 0
        self._incarnations.append((now, max(last + 1, at_least)))
        return self._incarnations[-1][1]

    # What faults do

    def lose_unflushed(self) -> None:
        """The power went."""
        del self._log[self._flushed :]

    def wipe(self) -> None:
        """Nothing is left; keys lie elsewhere."""
        self._base = ()
        self._log.clear()
        self._incarnations.clear()
        self._flushed = 0

    def put_back(self, at_s: float) -> None:
        """Be as it was at that moment."""
        times = [entry.at_s for entry in self._log]
        del self._log[bisect_right(times, at_s) :]
        lives = [at for at, _ in self._incarnations]
        del self._incarnations[bisect_right(lives, at_s) :]
        self._flushed = len(self._log)

    # What a start reads

    def load(self) -> tuple[RestoredBranch, ...]:
        """All that a starting node finds."""
        branches = {branch.owner: branch for branch in self._base}
        for entry in self._log:
            _fold(branches, entry.keep)
        return tuple(branches.values())

    def queue(self, own: NodeId) -> Queue:
        """The retry queue of the node of that id."""
        deliveries: dict[NodeId, Delivery] = {}
        for entry in self._log:
            if isinstance(entry.keep, KeepDelivery):
                deliveries[entry.keep.delivery.peer] = entry.keep.delivery
            elif isinstance(entry.keep, DropDelivery):
                deliveries.pop(entry.keep.peer, None)
        outbox = [
            OutboxEntry(
                k.commit.head.dot, k.commit.head.hash, k.priority, len(k.commit.changes_encoded)
            )
            for k in self._own(own)
        ]
        floor = self._trimmed()
        return Queue(
            deliveries=tuple(deliveries[peer] for peer in sorted(deliveries)),
            outbox=tuple(outbox),
            floor=floor,
        )

    def recall(self, own: NodeId, after: Dot, count: int) -> tuple[Commit, ...]:
        """Commits of the node of that id after a dot, the oldest first."""
        found = [keep.commit for keep in self._own(own) if keep.commit.head.dot > after]
        return tuple(found[:count])

    def _own(self, own: NodeId) -> list[KeepCommit]:
        """The outbox: a chain that ends in the head, as far back as was not trimmed."""
        chain: list[KeepCommit] = []
        for entry in self._log:
            keep = entry.keep
            if not isinstance(keep, KeepCommit) or keep.commit.head.owner != own:
                continue
            if chain and keep.commit.head.parents[:1] != (chain[-1].commit.head.hash,):
                chain.clear()
            chain.append(keep)
        floor = self._trimmed()
        return [keep for keep in chain if keep.commit.head.dot > floor]

    def _trimmed(self) -> Dot:
        marks = [entry.keep.through for entry in self._log if isinstance(entry.keep, TrimOutbox)]
        return max(marks, default=NOTHING)

    def evidence(self) -> tuple[Case, ...]:
        """The forks that a starting node knows of."""
        cases: dict[bytes, Case] = {}
        for entry in self._log:
            if isinstance(entry.keep, KeepEvidence):
                cases[entry.keep.case.id] = entry.keep.case
                for dropped in entry.keep.dropped:
                    cases.pop(dropped, None)
        return tuple(cases.values())


def _fold(branches: dict[NodeId, RestoredBranch], keep: Keep) -> None:
    match keep:
        case KeepChain(chain):
            events = tuple(chain.packed())
            old = branches.get(chain.node)
            branches[chain.node] = (
                replace(old, key_events=events)
                if old
                else RestoredBranch(chain.node, events, None, (), (), reaped=False)
            )
        case KeepCommit(commit, changes):
            old = branches[commit.head.owner]
            commits: tuple[Commit, ...] = (*old.commits, commit)[-OWN_STEPS_KEPT:]
            branches[commit.head.owner] = replace(
                old, head=commit.head, commits=commits, records=_changed(old.records, changes),
                reaped=False,
            )  # fmt: skip
        case KeepManifest(manifest):
            branches[manifest.head.owner] = replace(
                branches[manifest.head.owner],
                head=manifest.head, commits=(), records=manifest.records, reaped=False,
            )  # fmt: skip
        case KeepMend(head, changes):
            old = branches[head.owner]
            branches[head.owner] = replace(
                old, head=head, commits=(), records=_changed(old.records, changes), reaped=False
            )
        case DropRecords(head):
            branches[head.owner] = replace(
                branches[head.owner], head=head, commits=(), records=(), reaped=True
            )
        case KeepEvidence() | KeepDelivery() | DropDelivery() | TrimOutbox():
            pass  # of no branch; see `evidence`, `queue`


def _changed(before: Sequence[Record], changes: Sequence[Change]) -> tuple[Record, ...]:
    records = {(record.kind, record.key): record for record in before}
    for change in changes:
        records.pop((change.kind, change.key), None)
        if change.body is not None:
            record = Record(change.kind, change.key, change.body)
            records[change.kind, change.key] = record
    return tuple(records.values())
