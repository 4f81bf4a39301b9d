"""C3: a write to a document is lost only to one that had seen it, and all see the same in the end.

A *dot* is a write: its writer and the writer's counter. A write *covers* a field of another if it
set or removed that field, or deleted the document, and its writer had seen the other's dot, in one
of the words that it held. A
history is invalid where, at least `registration_visible_s` after healing,

1. two nodes of the core hold different fields, or siblings, of a document at the end;
2. a node of the core lacks at the end a field that an acknowledged write set, and no other write
   that may have been done covers it;
3. a node of the core shows at the end a field as a write left it that an acknowledged one covers;
4. a node of the core shows a field as nobody ever wrote it, or only a write that failed.

What is excused, and no more: writes of the last `registration_visible_s` in rules 2 and 3; in both,
writes of a node whose disk was damaged afterwards, unless an acknowledged write of another node,
which was not damaged since, had seen them.

Figures: `acknowledged_count` writes, and `siblings_count`, of fields that stand in conflict.
"""

from dataclasses import dataclass, field

from chaos.history import DocumentWrite, History, Outcome, View
from chaos.verdict import Finding

from .casebook import Casebook
from .limits import Limits
from .lives import Process, processes
from .registers import honest_nodes

_Dot = tuple[str, int]


@dataclass(slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    lives: dict[str, Process]
    book: Casebook
    by_dot: dict[tuple[str, _Dot], DocumentWrite] = field(default_factory=dict)
    by_key: dict[str, list[DocumentWrite]] = field(default_factory=dict)


def check(history: History, limits: Limits) -> Finding:
    """Judge C3."""
    read = _Reading(history, limits, processes(history), Casebook())
    for write in history.document_writes:
        read.by_dot[write.key, (write.node, write.counter)] = write
        read.by_key.setdefault(write.key, []).append(write)
    honest = honest_nodes(history)
    core = dict.fromkeys(node for node in history.core if node in honest)
    views = [view for view in history.views if view.node in core]
    settled = history.end_s - limits.registration_visible_s >= history.heal_at_s
    if views and settled and read.by_key:
        _judge_same(read, views)
        for view in views:
            _judge_view(read, view)
        acked = [w for w in history.document_writes if w.outcome is Outcome.OK]
        read.book.figures["acknowledged_count"] = float(len(acked))
    return read.book.finding("C3", "documents")


def _judge_same(read: _Reading, views: list[View]) -> None:
    """Rule 1."""
    for view in views[1:]:
        read.book.looked_at += 1
        if view.documents != views[0].documents:
            odd = min(set(view.documents) ^ set(views[0].documents), key=lambda one: one.key)
            text = (
                f"{views[0].node} and {view.node}, at the end, hold different fields of {odd.key}"
            )
            read.book.blame(read.history.end_s, text)


def _judge_view(read: _Reading, view: View) -> None:
    """Rules 2 to 4."""
    end_s = read.history.end_s
    stands: dict[tuple[str, str, _Dot], None] = {}
    siblings: dict[tuple[str, str], int] = {}
    for state in view.documents:
        for name, writer, counter in state.entries:
            stands[state.key, name, (writer, counter)] = None
            siblings[state.key, name] = siblings.get((state.key, name), 0) + 1
    count = sum(many for many in siblings.values() if many > 1)
    read.book.figures["siblings_count"] = float(count)
    for key, name, dot in stands:
        read.book.looked_at += 1
        write = read.by_dot.get((key, dot))
        shows = f"{view.node}, at the end, shows {key}.{name} as"
        if write is None or write.removes or name not in write.fields:
            read.book.blame(end_s, f"{shows} {dot[0]} never wrote it (counter {dot[1]})")
        elif write.outcome is Outcome.FAILED:
            read.book.blame(end_s, f"{shows} {write}, which failed, left it")
        elif (by := _covered(read, write, name, surely=True)) is not None:
            read.book.blame(end_s, f"{shows} {write} left it, which {by} covers")
    for write in read.history.document_writes:
        for name in () if write.removes or not _is_owed(read, write) else write.fields:
            read.book.looked_at += 1
            dot = (write.node, write.counter)
            is_there = (write.key, name, dot) in stands
            if not is_there and _covered(read, write, name, surely=False) is None:
                text = f"{view.node}, at the end, lacks {write.key}.{name} as {write} left it"
                read.book.blame(end_s, text)


def _is_owed(read: _Reading, write: DocumentWrite) -> bool:
    """Whether a write is surely done, was so in time, and outlived its writer's disk."""
    due_s = read.history.end_s - read.limits.registration_visible_s
    if write.outcome is not Outcome.OK or write.completed_s > due_s:
        return False
    damaged_s = read.lives[write.node].next_damage_s(write.invoked_s)
    if damaged_s >= read.history.end_s:
        return True
    return any(
        other.node != write.node
        and other.outcome is Outcome.OK
        and _had_seen(other, write)
        and not _is_damaged_after(read, other)
        for other in read.by_key[write.key]
    )


def _is_damaged_after(read: _Reading, write: DocumentWrite) -> bool:
    return read.lives[write.node].next_damage_s(write.invoked_s) < read.history.end_s


def _had_seen(later: DocumentWrite, write: DocumentWrite) -> bool:
    known = dict(later.seen).get(write.node, ())
    return any(first <= write.counter <= last for first, last in known)


def _covered(
    read: _Reading, write: DocumentWrite, name: str, *, surely: bool
) -> DocumentWrite | None:
    """A write that replaced or removed a field of another, having seen it."""
    for other in read.by_key[write.key]:
        done = _is_owed(read, other) if surely else other.outcome is not Outcome.FAILED
        touches = not other.fields or name in other.fields
        if other is not write and done and touches and _had_seen(other, write):
            return other
    return None
