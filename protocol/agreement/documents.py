"""Documents: JSON objects that several nodes write, merged field by field.

Each writer keeps one record of a document in its own branch: its *word*. A word carries the fields
that stand as far as its writer knows, each with the *dot* (writer, counter) of the write that set
it, and a *context*: the counters of each writer that it had seen, as stretches, since a life of a
writer may have forgotten what an earlier one wrote (`lives`). The document is the join of them all,
an observed-remove map under dotted version vectors (Almeida, Shoker, Baquero, "Delta state
replicated data types", 2018, section 7; Preguiça et al. 2012 for the dots):

    a field stands ── if every word holds it, or had not seen its dot
    a field is gone ─ if some word had seen its dot and holds it no more: replaced, or deleted

Rules this module keeps:

1. The join is commutative, associative and idempotent: who holds the same words sees the same.
2. Edits of different fields merge by themselves. Different values of one field, neither of which
   had seen the other, both stand: a conflict, shown with its siblings until a later write covers
   them. What is shown meanwhile `resolve` chooses.
3. A write is lost only to one whose writer had seen it.
4. Where a document names its owners, the words of others are left out, and shown as left out.
   Who is not in a list cannot replace it by a word that had seen it; a word that had not seen it
   cannot lift it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol import limits
from protocol.clocks import Spans, bounded, covers, united
from protocol.errors import ProposalError
from protocol.identity import NODE_ID_BYTES, NodeId
from protocol.records import DocumentRecord, Entry
from protocol.wire import codec

from .resolve import Resolution, Statement, reports, resolve

OWNERS = ""
"""The field that holds the list of owners; it stands wherever the document exists."""

Place = tuple[str, NodeId, int]
"""Field, writer and counter: at most one entry of a state has them."""


@dataclass(frozen=True, slots=True)
class State:
    """What a word, or the join of several, holds."""

    context: Mapping[NodeId, Spans] = field(default_factory=dict)
    entries: Mapping[Place, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it stands where these words are held."""

    key: str
    state: State
    fields: Mapping[str, tuple[Entry, ...]]
    """By name, sorted: what stands, the one that is shown first."""
    conflicts: Mapping[str, Resolution[bytes]]
    """Fields with several values, and how the shown one was chosen."""
    owners: tuple[NodeId, ...]
    """Who may write it; nobody: any member."""
    settled: Resolution[bytes]
    """How the list of owners was decided."""
    words: tuple[NodeId, ...]
    """Whose words are joined in it."""
    ignored: tuple[NodeId, ...]
    """Who wrote it without being an owner."""
    updated_at: int

    @property
    def exists(self) -> bool:
        """Whether it was written and not deleted since."""
        return any(place[0] == OWNERS for place in self.state.entries)

    @property
    def version(self) -> bytes:
        """16 bytes that are equal where the same writes are held, and only there."""
        return _version_of(self.state, self.owners)

    def values(self) -> dict[str, bytes]:
        """The shown value of each field, canonical JSON."""
        return {name: entries[0].value for name, entries in self.fields.items()}

    def may_write(self, node: NodeId) -> bool:
        """Whether a node's word would count."""
        return not self.owners or node in self.owners


def join(*states: State) -> State:
    """All that any of them knows. An entry stands if each holds it, or had not seen its dot.

    Of any number at once, since the states of a document are joined at every change of it; what
    comes out is what joining them one by one would give.
    """
    context: dict[NodeId, Spans] = {}
    holders: dict[Place, int] = {}
    found: dict[Place, Entry] = {}
    for state in states:
        for writer, known in state.context.items():
            other_known = context.get(writer)
            if other_known != known:
                context[writer] = united(other_known, known) if other_known else known
        for place, entry in state.entries.items():
            holders[place] = holders.get(place, 0) + 1
            other = found.get(place)
            if other is None or _of_one_write(other) < _of_one_write(entry):
                found[place] = entry
    entries: dict[Place, Entry] = {}
    seen_by: dict[tuple[NodeId, int], int] = {}
    for place, entry in found.items():
        dot = entry.writer, entry.counter
        seen = seen_by.get(dot)
        if seen is None:
            seen = sum(covers(one.context.get(entry.writer, ()), entry.counter) for one in states)
            seen_by[dot] = seen
        if seen == holders[place]:  # a context covers the entries that it comes with
            entries[place] = entry
    return State(context, entries)


def state_of(word: DocumentRecord) -> State:
    """What one word says."""
    return State(dict(word.context), {_place(entry): entry for entry in word.entries})


def joined(key: str, words: Mapping[NodeId, DocumentRecord]) -> Document:
    """The document that these words make, whatever their order.

    Args:
        key: of the document.
        words: each author's record of it.
    """
    settled = _owners(words)
    owners = owners_of(settled.value or b"")
    entitled = [author for author in sorted(words) if not owners or author in owners]
    entitled = entitled[: limits.DOCUMENT_WRITERS_MAX]
    state = join(*(state_of(words[author]) for author in entitled))
    fields: dict[str, list[Entry]] = {}
    for place in sorted(state.entries):
        if place[0] != OWNERS:
            fields.setdefault(place[0], []).append(state.entries[place])
    shown: dict[str, tuple[Entry, ...]] = {}
    conflicts: dict[str, Resolution[bytes]] = {}
    for name, entries in fields.items():
        if len(entries) == 1:
            shown[name] = tuple(entries)
            continue
        decided = resolve(reports(map(_statement, entries)))
        shown[name] = tuple(sorted(entries, key=lambda one: _shown_first(one, decided)))
        if decided.is_contested:
            conflicts[name] = decided
    return Document(
        key, state, shown, conflicts, owners, settled, tuple(entitled),
        tuple(author for author in sorted(words) if author not in entitled),
        max((word.updated_at for word in words.values()), default=0),
    )  # fmt: skip


def changes(before: Document, wanted: Mapping[str, bytes]) -> dict[str, bytes | None]:
    """What a write has to say so that the document is `wanted`: fields to set, or (None) remove.

    A field that has that value already is left alone, so that another's edit of it still merges;
    one in conflict is written, which settles it.
    """
    values = before.values()
    removed = dict.fromkeys(name for name in values if name not in wanted)
    written = {
        name: value
        for name, value in wanted.items()
        if values.get(name) != value or name in before.conflicts
    }
    return {**removed, **written}


def write(  # noqa: PLR0913 (all but four by name)
    before: Document,
    fields: Mapping[str, bytes | None],
    writer: NodeId,
    now_us: int,
    *,
    owners: Sequence[NodeId] | None = None,
    update_id: str = "",
    born: int = 1,
) -> DocumentRecord:
    """The writer's word after it set (canonical JSON) or removed (None) fields of a document.

    It descends from all of `before`, and so settles what is in conflict in these fields.

    Args:
        before: what the writer sees: the join that includes its own last word.
        fields: what is written; other fields stay as they are.
        writer: who writes.
        now_us: its wall clock, above the versions of all its commits.
        owners: the list of who may write from now on; None: as it was.
        update_id: of the request.
        born: above all that an earlier life of the writer may have written.

    Raises:
        ProposalError: names the field; the writer is no owner, or would take away its own right.
    """
    _check_may_write(before, writer, owners)
    listed = _listed(before, owners)
    counter, at = _next(before, writer, max(now_us, born))
    entries = {place: one for place, one in before.state.entries.items() if place[0] not in fields}
    if listed is not None:
        entries = {place: one for place, one in entries.items() if place[0] != OWNERS}
        entries[OWNERS, writer, counter] = Entry(OWNERS, writer, counter, at, listed)
    for name, value in fields.items():
        if name == OWNERS:
            raise ProposalError("value", "has a field without a name; give each a name")
        if value is not None:
            entries[name, writer, counter] = Entry(name, writer, counter, at, value)
    context = _context(before, writer, (born, counter))
    return _word(before.key, context, entries, at, update_id)


def delete(
    before: Document, writer: NodeId, now_us: int, *, update_id: str = "", born: int = 1
) -> DocumentRecord:
    """The writer's word after it deleted all that it sees; what it did not see survives.

    Raises:
        ProposalError: the writer is no owner.
    """
    _check_may_write(before, writer, None)
    counter, at = _next(before, writer, max(now_us, born))
    return _word(before.key, _context(before, writer, (born, counter)), {}, at, update_id)


def adopt(document: Document) -> DocumentRecord:
    """A word that says what is known already: for whoever takes a document over."""
    state = document.state
    return _word(document.key, state.context, state.entries, document.updated_at, "")


def both(ours: DocumentRecord, theirs: DocumentRecord) -> DocumentRecord:
    """One word of all that two lives of a writer said, of which neither may know the other."""
    state = join(state_of(ours), state_of(theirs))
    at = max(ours.updated_at, theirs.updated_at)
    return _word(ours.key, state.context, state.entries, at, ours.update_id)


def is_needless(author: NodeId, words: Mapping[NodeId, DocumentRecord], document: Document) -> bool:
    """Whether another word that counts says all that the author's does, so that it may go.

    Of words that say the same the one of the smallest id stays.
    """
    own = state_of(words[author])
    for other in document.words:
        theirs = state_of(words[other])
        if other != author and join(theirs, own) == theirs and (theirs != own or other < author):
            return True
    return author in document.ignored and not own.entries


def owners_of(ids: bytes) -> tuple[NodeId, ...]:
    """The list behind the field of owners."""
    return tuple(NodeId(ids[at : at + NODE_ID_BYTES]) for at in range(0, len(ids), NODE_ID_BYTES))


def _owners(words: Mapping[NodeId, DocumentRecord]) -> Resolution[bytes]:
    """The list of owners: the newest by causality, else what most authors say, else the latest.

    Of lists that stand beside one another an empty one yields: who had not seen that the document
    names its owners cannot open it to everybody.
    """
    lists = {
        author: [entry for entry in words[author].entries if entry.field == OWNERS]
        for author in sorted(words)
    }
    guards = [
        entry
        for author, listed in lists.items()
        for entry in listed
        if author in owners_of(entry.value)
    ]
    loyal = [author for author in lists if not _usurps(words[author], author, guards)]
    state = join(
        *(
            State(
                dict(words[author].context),
                {_place(entry): entry for entry in lists[author]},
            )
            for author in loyal
        )
    )
    names_some = any(entry.value for entry in state.entries.values())
    statements: list[Statement[bytes]] = []
    for author in loyal:
        for entry in lists[author]:
            stands = state.entries.get(_place(entry)) == entry
            if entry.value or not (stands and names_some):
                clock = ((entry.writer, entry.counter),) if stands else ()
                at = entry.written_at
                statements.append(Statement(author, entry.value, entry.value, at, clock))
    return resolve(reports(statements), [author for author in loyal if lists[author]])


def _usurps(word: DocumentRecord, author: NodeId, guards: Sequence[Entry]) -> bool:
    """Whether an author took away a list of owners that it knew, and that does not name it."""
    for guard in guards:
        knew = covers(dict(word.context).get(guard.writer, ()), guard.counter)
        if knew and author not in owners_of(guard.value) and guard not in word.entries:
            return True
    return False


def _check_may_write(before: Document, writer: NodeId, owners: Sequence[NodeId] | None) -> None:
    if not before.may_write(writer):
        raise ProposalError("owners", "does not name this node; write through one that it names")
    if owners and writer not in owners:
        raise ProposalError("owners", "must name the node that writes; add this one")
    if writer not in before.words and len(before.words) >= limits.DOCUMENT_WRITERS_MAX:
        most = limits.DOCUMENT_WRITERS_MAX
        raise ProposalError("writers", f"{most} nodes hold a word on this document; no more may")


def _listed(before: Document, owners: Sequence[NodeId] | None) -> bytes | None:
    """The list to be written, if it is to be."""
    held = b"".join(before.owners)
    wanted = held if owners is None else b"".join(sorted(dict.fromkeys(owners)))
    is_same = before.exists and wanted == held
    return None if is_same and (owners is None or not before.settled.is_contested) else wanted


def _next(before: Document, writer: NodeId, now_us: int) -> tuple[int, int]:
    """Counter and time of the next write.

    The counter follows the clock, as the versions of commits do, so that it is not used again where
    a document was deleted and forgotten meanwhile.
    """
    known = before.state.context.get(writer, ((0, 0),))
    counter = max(known[-1][1] + 1, now_us)
    latest = max((entry.written_at for entry in before.state.entries.values()), default=0)
    return counter, max(now_us, min(latest + 1, now_us + limits.WALL_CLOCK_AHEAD_MAX_US))


def _context(before: Document, writer: NodeId, written: tuple[int, int]) -> dict[NodeId, Spans]:
    known = before.state.context
    return {**known, writer: united(known.get(writer, ()), [written])}


def _place(entry: Entry) -> Place:
    return entry.field, entry.writer, entry.counter


def _word(
    key: str,
    context: Mapping[NodeId, Spans],
    entries: Mapping[Place, Entry],
    at: int,
    update_id: str,
) -> DocumentRecord:
    return DocumentRecord(
        key=key,
        context=tuple(
            (writer, bounded(context[writer], limits.DOCUMENT_LIVES_MAX))
            for writer in sorted(context)
        ),
        entries=tuple(entries[place] for place in sorted(entries)),
        update_id=update_id, updated_at=at,
    )  # fmt: skip


def _statement(entry: Entry) -> Statement[bytes]:
    digest = hashlib.blake2b(entry.value, digest_size=32).digest()
    return Statement(entry.writer, entry.value, digest, entry.written_at)


def _shown_first(entry: Entry, decided: Resolution[bytes]) -> tuple[bool, int, NodeId]:
    return entry.value != decided.value, -entry.written_at, entry.writer


def _of_one_write(entry: Entry) -> tuple[int, bytes]:
    """Of what claims to be one write, which stands: only a liar makes two."""
    return entry.written_at, entry.value


def _version_of(state: State, owners: Sequence[NodeId]) -> bytes:
    entries = [state.entries[place] for place in sorted(state.entries)]
    told = [
        [[writer, *map(list, known)] for writer, known in sorted(state.context.items())],
        [[one.field, one.writer, one.counter, one.written_at, one.value] for one in entries],
        list(owners),
    ]
    return hashlib.blake2b(codec.pack(told), digest_size=16).digest()
