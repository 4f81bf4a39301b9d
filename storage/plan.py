"""What a sequence of keeps comes to, worked out before the disk is touched.

A transaction of 256 commits often writes one record, one head several times. Only what stands at
the end is written, table by table, each with one statement and many rows; as all of it is one
transaction, nobody can tell that from doing every keep in turn. `MemoryStore` does every keep in
turn, and the conformance suite compares the two.

Rules for an owner's branch, in the order of the keeps:

1. A commit sets and removes its records and becomes the head; kept commits that are not older than
   it are gone (they were of the other side of a fork).
2. A manifest replaces all records and becomes the head; commits older than it stay. So it is with
   a mend, which sets and removes only the records that differ.
3. A reaped owner keeps its head and its key events, nothing else.
4. Of the commits, the newest `OWN_STEPS_KEPT` stay at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from protocol.commits import NOTHING, Change, Commit, Dot, Head, RecordKey
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
from protocol.limits import OWN_STEPS_KEPT
from protocol.wire import codec


@dataclass(slots=True)
class OwnerPlan:
    """What is to be written of one owner."""

    key_events: bytes | None = None
    head: Head | None = None
    reaped: bool = False
    """Means something only with a head."""
    highest: Dot = NOTHING
    """Of all heads on the way, which need not be the last: a fork may settle on the older side."""
    drop_records: bool = False
    """Drop all that are stored, before `records` are."""
    drop_commits_from: Dot | None = None
    """Drop the stored commits from here on, before `commits` are stored."""
    records: dict[RecordKey, bytes | None] = field(default_factory=dict)
    """Bodies to set; None removes."""
    commits: dict[Dot, Commit] = field(default_factory=dict)

    def advance(self, head: Head) -> None:
        """Make that the head."""
        self.head = head
        self.reaped = False
        self.highest = max(self.highest, head.dot)
        if self.drop_commits_from is None or head.dot < self.drop_commits_from:
            self.drop_commits_from = head.dot
        for dot in [dot for dot in self.commits if dot >= head.dot]:
            del self.commits[dot]

    def prune(self) -> None:
        """Keep the newest commits only."""
        for dot in sorted(self.commits)[:-OWN_STEPS_KEPT]:
            del self.commits[dot]

    def change(self, changes: Sequence[Change]) -> None:
        """Set and remove records."""
        for change in changes:
            self.records[RecordKey(change.kind, change.key)] = change.body

    def forget_records(self) -> None:
        """Start from no records."""
        self.drop_records = True
        self.records.clear()


def plan(keeps: Sequence[Keep]) -> dict[NodeId, OwnerPlan]:
    """Work out what these come to, by owner, in the order of their first mention."""
    owners: dict[NodeId, OwnerPlan] = {}
    for keep in keeps:
        match keep:
            case KeepCommit(commit, changes):
                owner = owners.setdefault(commit.head.owner, OwnerPlan())
                owner.advance(commit.head)
                owner.commits[commit.head.dot] = commit
                owner.change(changes)
            case KeepManifest(manifest):
                owner = owners.setdefault(manifest.head.owner, OwnerPlan())
                owner.advance(manifest.head)
                owner.forget_records()
                for record in manifest.records:
                    owner.records[RecordKey(record.kind, record.key)] = record.body
            case KeepMend(head, changes):
                owner = owners.setdefault(head.owner, OwnerPlan())
                owner.advance(head)
                owner.change(changes)
            case KeepChain(chain):
                owner = owners.setdefault(chain.node, OwnerPlan())
                owner.key_events = codec.pack(chain.packed())
            case DropRecords(head):
                owner = owners.setdefault(head.owner, OwnerPlan())
                owner.advance(head)
                owner.forget_records()
                owner.commits.clear()
                owner.drop_commits_from = NOTHING
                owner.reaped = True
            case KeepEvidence():
                pass  # of no branch: written in turn, there is little of it
            case _:
                assert_never(keep)
    for owner in owners.values():
        owner.prune()
    return owners
