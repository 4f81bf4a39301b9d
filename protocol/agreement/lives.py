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
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol import bodies, limits
from protocol.bodies import Stamp
from protocol.commits import Head, Record, RecordKey
from protocol.records import Kind, NodeRecord

Spans = tuple[tuple[int, int], ...]
"""First and last version of each stretch that is known, in order and apart."""

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


def covers(spans: Spans, version: int) -> bool:
    """Whether a version is among those."""
    return any(first <= version <= last for first, last in spans)


def united(*known: Iterable[tuple[int, int]]) -> Spans:
    """All that any of them knows. Stretches without a gap between them become one."""
    made: list[tuple[int, int]] = []
    for first, last in sorted(span for spans in known for span in spans):
        if made and first <= made[-1][1] + 1:
            made[-1] = made[-1][0], max(made[-1][1], last)
        else:
            made.append((first, last))
    return tuple(made)


def bounded(spans: Spans, most: int) -> Spans:
    """At most so many: what may have been forgotten longest ago counts as known, when too many."""
    over = len(spans) - most
    return spans if over <= 0 else ((spans[0][0], spans[over][1]), *spans[over + 1 :])


def before(spans: Spans, version: int) -> Spans:
    """The part that lies before a version."""
    return tuple((first, min(last, version - 1)) for first, last in spans if first < version)


def known_at(head: Head, node: NodeRecord | None) -> Spans:
    """Which versions of its owner the state at that head knows of, by its node record."""
    lives, born = (node.lives, node.born) if node else ((), 0)
    return united(before(lives, head.version + 1), [(min(born, head.version), head.version)])


def merge(ours: Side, theirs: Side, *, born: int, removed: Mapping[RecordKey, int]) -> Merge:
    """Merge a state of ours that the cluster holds, and that we did not know of.

    The node record is left out: each life has its own.

    Args:
        ours: what we hold; `known` without what this life knows of itself.
        theirs: what the cluster holds.
        born: where this life begins.
        removed: what we know to have been removed, and by which version at the latest.
    """
    made = Merge({}, {})
    for key in sorted({**ours.records, **theirs.records}):
        mine, other = ours.records.get(key), theirs.records.get(key)
        if key == NODE or mine == other:
            continue
        if mine is not None and other is not None:
            _both(made, key, mine, other, born)
        elif mine is not None:
            stamp = bodies.stamp_of(mine)
            if stamp.version < min(born, theirs.head) and covers(theirs.known, stamp.first):
                made.removed[key] = theirs.head
            else:
                made.changes[key] = mine.body
        elif other is not None:
            stamp = bodies.stamp_of(other)
            knew = covers(ours.known, stamp.first)
            if stamp.version < removed.get(key, limits.VERSION_MAX if knew else 0):
                made.changes[key] = None
    return made


def _both(made: Merge, key: RecordKey, mine: Record, other: Record, born: int) -> None:
    """The later word stands, from where the key was first there."""
    us, them = bodies.stamp_of(mine), bodies.stamp_of(other)
    first = min(us.first, them.first)
    is_later = (us.version, mine.body) > (them.version, other.body)
    later = mine if us.version >= born or is_later else other
    stamp = us if later is mine else them
    body = bodies.stamped(later.body, Stamp(stamp.version, min(first, stamp.version)))
    if body != other.body:
        made.changes[key] = body
