"""What a sequence of keeps comes to, worked out before the disk is touched.

A transaction of 256 commits often writes one record, one head several times. Only what stands at
the end is written, table by table, each with one statement and many rows; as all of it is one
transaction, nobody can tell that from doing every keep in turn. `MemoryStore` does every keep in
turn, and the conformance suite compares the two.

Rules, in the order of the keeps:

1. A commit sets and removes its records and becomes the head; kept commits that are not older than
   it are gone (they were of the other side of a fork).
2. A manifest replaces all records and becomes the head; commits older than it stay. So it is with
   a mend, which sets and removes only the records that differ.
3. A reaped owner keeps its head and its key events, nothing else.
4. A manifest, a mend and a reaping are jumps: no step leads there from the commits before. If it
   is our own branch that jumped, its outbox begins anew there.
5. Of a peer's delivery the newest word counts; the trim mark only rises.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from protocol.commits import NOTHING, Change, Dot, Head
from protocol.delivery.standing import Delivery
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
from protocol.wire import codec

_ROW_BYTES = 128


@dataclass(slots=True)
class OwnerPlan:
    """What is to be written of one owner."""

    key_events: bytes | None = None
    head: Head | None = None
    reaped: bool = False
    """Means something only with a head."""
    highest: Dot = NOTHING
    """Of all heads on the way, which need not be the last: a fork may settle on the older side."""
    jumped: Dot = NOTHING
    """The newest head that no step led to."""
    drop_records: bool = False
    """Drop all that are stored, before `records` are."""
    drop_commits_from: Dot | None = None
    """Drop the stored commits from here on, before `commits` are stored."""
    records: dict[tuple[int, str], bytes | None] = field(default_factory=dict)
    """Bodies to set, by kind and key; None removes."""
    commits: dict[Dot, KeepCommit] = field(default_factory=dict)

    def advance(self, head: Head) -> None:
        """Make that the head."""
        self.head = head
        self.reaped = False
        replaces = head.dot <= self.highest
        self.highest = max(self.highest, head.dot)
        if self.drop_commits_from is None or head.dot < self.drop_commits_from:
            self.drop_commits_from = head.dot
        for dot in [dot for dot in self.commits if dot >= head.dot] if replaces else ():
            del self.commits[dot]

    def jump(self, head: Head) -> None:
        """Make that the head, without the steps that led there."""
        self.advance(head)
        self.jumped = max(self.jumped, head.dot)

    def change(self, changes: Sequence[Change]) -> None:
        """Set and remove records."""
        for kind, key, body in changes:
            self.records[kind, key] = body

    def forget_records(self) -> None:
        """Start from no records."""
        self.drop_records = True
        self.records.clear()


@dataclass(slots=True)
class Plan:
    """What is to be written, but for evidence: there is little of it, and it is written in turn."""

    owners: dict[NodeId, OwnerPlan] = field(default_factory=dict)
    """In the order of their first mention."""
    deliveries: dict[NodeId, Delivery | None] = field(default_factory=dict)
    """By peer; None removes."""
    trim: Dot = NOTHING
    """How far to raise the trim mark."""

    def owner(self, owner: NodeId) -> OwnerPlan:
        """What is to be written of that owner."""
        return self.owners.setdefault(owner, OwnerPlan())


def plan(keeps: Sequence[Keep]) -> Plan:
    """Work out what these come to."""
    found = Plan()
    for keep in keeps:
        match keep:
            case KeepDelivery(delivery):
                found.deliveries[delivery.peer] = delivery
            case DropDelivery(peer):
                found.deliveries[peer] = None
            case TrimOutbox(through):
                found.trim = max(found.trim, through)
            case KeepEvidence():
                pass
            case _:
                _plan_branch(found, keep)
    return found


def _plan_branch(
    found: Plan, keep: KeepCommit | KeepManifest | KeepMend | KeepChain | DropRecords
) -> None:
    match keep:
        case KeepCommit(commit, changes):
            owner = found.owner(commit.head.owner)
            owner.advance(commit.head)
            owner.commits[commit.head.dot] = keep
            owner.change(changes)
        case KeepManifest(manifest):
            owner = found.owner(manifest.head.owner)
            owner.jump(manifest.head)
            owner.forget_records()
            for record in manifest.records:
                owner.records[record.kind, record.key] = record.body
        case KeepMend(head, changes):
            owner = found.owner(head.owner)
            owner.jump(head)
            owner.change(changes)
        case KeepChain(chain):
            found.owner(chain.node).key_events = codec.pack(chain.packed())
        case DropRecords(head):
            owner = found.owner(head.owner)
            owner.jump(head)
            owner.forget_records()
            owner.commits.clear()
            owner.drop_commits_from = NOTHING
            owner.reaped = True
        case _:
            assert_never(keep)


def size_of(keep: Keep) -> int:
    """About how many bytes it adds to a transaction."""
    match keep:
        case KeepCommit(commit, changes):
            bodies = sum(len(change.body or b"") for change in changes)
            return len(commit.changes_encoded) + bodies
        case KeepManifest(manifest):
            return sum(len(record.body) for record in manifest.records)
        case KeepMend(_, changes):
            return sum(len(change.body or b"") for change in changes)
        case KeepChain(key_chain):
            return sum(len(event.encoded) for event in key_chain.events)
        case KeepEvidence(case):
            return len(case.evidence.first.encoded) + len(case.evidence.second.encoded)
        case DropRecords() | KeepDelivery() | DropDelivery() | TrimOutbox():
            return _ROW_BYTES
        case _:
            assert_never(keep)
