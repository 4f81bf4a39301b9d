"""What one state of an owner knows of the owner's lives, and how two states of them become one.

A node that is put back to an old disk forgets commits that it signed, and cannot know it. So each
life says in the node record where it begins and which earlier versions it knows of; what lies
between was perhaps signed in a life that it forgot:

    known  [0 ········ 40]  perhaps forgotten  [70 ···· 90]  perhaps forgotten  [120 ··· head]
                                                                          `born` ┘

And each record says at which version it was set, and since which it has been there. Two states so
tell, key by key, which of them knew the other's word, whatever came between: no steps, no common
ancestor and no tombstones are needed (Bieniusa et al., "An optimized conflict-free replicated
set", 2012; here with time, since the lives of one owner follow each other).

Rules this module keeps:

1. A word, set or removed, yields only to a later one.
2. Who lacks a record that it once knew has removed it, at the newest version that it knows.
3. What this life itself said is later than all that any other life said, whatever clocks showed.
4. The same two states merge to the same records whichever of the two is the cluster's.
5. Of a document all that either word says stands; nobody's writes are lost with a word (`join`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol import bodies, limits
from protocol.bodies import Stamp
from protocol.clocks import Spans, before, covers, united
from protocol.commits import Head, Record, RecordKey
from protocol.records import DocumentRecord, Kind, NodeRecord

from . import documents

NODE = RecordKey(Kind.NODE, bodies.NODE_KEY)


@dataclass(frozen=True, slots=True)
class Side:
    """A state, and which of the owner's versions it knows of."""

    records: Mapping[RecordKey, Record]
    known: Spans
    head: int
    """The newest of them."""


@dataclass(frozen=True, slots=True)
class Merge:
    """What two states come to."""

    changes: dict[RecordKey, bytes | None]
    """By which the merged state differs from theirs: bodies with their stamps; None removes."""
    removed: dict[RecordKey, int]
    """What they had removed of ours, and by which version at the latest."""


def known_at(head: Head, node: NodeRecord | None) -> Spans:
    """Which versions of its owner the state at that head knows of, by its node record."""
    lives, born = (node.lives, node.born) if node else ((), 0)
    return united(before(lives, head.version + 1), [(min(born, head.version), head.version)])


def merge(
    ours: Side, theirs: Side, *, born: int, at: int, removed: Mapping[RecordKey, int]
) -> Merge:
    """Merge a state of ours that the cluster holds, and that we did not know of.

    The node record is left out: each life has its own.

    Args:
        ours: what we hold; `known` without what this life knows of itself.
        theirs: what the cluster holds.
        born: where this life begins.
        at: the version of the merge, which sets what neither side said so.
        removed: what we know to have been removed, and by which version at the latest.
    """
    made = Merge({}, {})
    for key in sorted({**ours.records, **theirs.records}):
        mine, other = ours.records.get(key), theirs.records.get(key)
        if key == NODE or mine == other:
            continue
        if mine is not None and other is not None:
            body = _both(mine, other, born, at)
            if body != other.body:
                made.changes[key] = body
        elif mine is not None:
            stamp = bodies.stamp_of(mine)
            if stamp.version < min(born, theirs.head) and covers(theirs.known, _word(key, stamp)):
                made.removed[key] = theirs.head
            else:
                made.changes[key] = mine.body
        elif other is not None:
            stamp = bodies.stamp_of(other)
            bound = limits.VERSION_MAX if covers(ours.known, _word(key, stamp)) else 0
            if key.kind != Kind.DOCUMENT:
                bound = removed.get(key, bound)
            if stamp.version < bound:
                made.changes[key] = None
    return made


def _word(key: RecordKey, stamp: Stamp) -> int:
    """Who knew that version and lacks the record has removed it.

    A word on a document is taken back when others say all that it says, which is no judgement of
    what another life has written in it since: only who knew the very word took it back.
    """
    return stamp.version if key.kind == Kind.DOCUMENT else stamp.first


def _both(mine: Record, other: Record, born: int, at: int) -> bytes:
    """The later word, as one that has been there for as long as the older; or both."""
    us, them = bodies.stamp_of(mine), bodies.stamp_of(other)
    ours, theirs = bodies.decode(mine), bodies.decode(other)
    if isinstance(ours, DocumentRecord) and isinstance(theirs, DocumentRecord):
        word = documents.both(ours, theirs)
        if word not in (ours, theirs) and bodies.bytes_of(word) <= limits.RECORD_BYTES_MAX:
            return bodies.encode(word, Stamp(at, at))
        mine_stands = word != theirs
    else:
        is_later = (us.version, mine.body) > (them.version, other.body)
        mine_stands = us.version >= born or is_later
    later, stamp = (mine, us) if mine_stands else (other, them)
    return bodies.stamped(later.body, Stamp(stamp.version, min(us.first, them.first)))
