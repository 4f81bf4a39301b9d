"""Clients that edit documents at whatever node they meet, also on both sides of a split.

A node answers an edit as a real one does: it joins the words that it holds, its own newest one
among them, and writes a word that descends from all of these. Every write sets fields to its own
number. What it had seen goes into the history, so that a checker can tell what it may have covered:
the writes behind the words that it held, not what the words claim. Only of words that no editor
wrote (a merge makes such) the claim is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from chaos.history import DocumentState, DocumentWrite, Outcome
from chaos.sim.node import SimNode
from chaos.sim.world import World
from protocol.agreement import documents
from protocol.agreement.documents import Document
from protocol.bodies import Body, key_of
from protocol.clocks import Spans, covers, united
from protocol.commits import RecordKey
from protocol.identity import NodeId
from protocol.records import DocumentRecord, Kind
from protocol.registry import Registry

from .services import TIMEOUT_S

KEYS = ("plan", "menu")
FIELDS = ("a", "b", "c")

_Dot = tuple[str, int]


@dataclass(slots=True)
class _Edit:
    write: DocumentWrite
    done: bool = False


class Editors:
    """All editors of a world; none if its plan has no edits. They meet honest nodes only."""

    def __init__(self, world: World, rng: Random, honest: list[SimNode]) -> None:
        self.writing = True
        self._world = world
        self._rng = rng
        self._honest = honest
        self._number = 0
        self._dots: dict[str, list[_Dot]] = {}
        """All writes, by document."""
        self._behind: dict[DocumentRecord, dict[_Dot, None]] = {}
        """Which writes a word rests on."""

    def begin(self) -> None:
        """Edit now and then, until told otherwise."""
        if self._world.plan.edits_per_s:
            self._world.timeline.after(self._wait_s(), self._act)

    def _wait_s(self) -> float:
        return self._rng.expovariate(self._world.plan.edits_per_s)

    def _act(self) -> None:
        if not self.writing:
            return
        node, key = self._rng.choice(self._honest), self._rng.choice(KEYS)
        if node.up and not node.paused and node.peer.ready:
            self._edit(node, key)
        self._world.timeline.after(self._wait_s(), self._act)

    def _edit(self, node: SimNode, key: str) -> None:
        words = held_words(node, key)
        before = documents.joined(key, words)
        self._number += 1
        draw = self._rng.random()
        chosen = tuple(sorted(self._rng.sample(FIELDS, self._rng.randint(1, 2))))
        value = str(self._number).encode()
        deletes = draw < 0.08 and before.exists
        if deletes:
            word = documents.delete(before, node.id, stamp_us(node), born=node.peer.born)
        else:
            wanted = dict.fromkeys(chosen, None if draw < 0.2 else value)
            word = documents.write(before, wanted, node.id, stamp_us(node), born=node.peer.born)
        counter = dict(word.context)[node.id][-1][1]
        seen = {dot: None for one in words.values() for dot in self._rests_on(one)}
        self._dots.setdefault(key, []).append((node.name, counter))
        self._behind[word] = {**seen, (node.name, counter): None}
        self._submit(
            node,
            word,
            DocumentWrite(
                number=self._number,
                node=node.name,
                invoked_s=self._world.timeline.now,
                completed_s=0.0,
                outcome=Outcome.INDEFINITE,
                key=key,
                counter=counter,
                fields=() if deletes else chosen,
                removes=deletes or draw < 0.2,
                seen=_stretches(seen),
            ),
        )

    def _rests_on(self, word: DocumentRecord) -> Iterable[_Dot]:
        if word in self._behind:
            return self._behind[word]
        names = self._world.recorder.names
        claimed = {names[writer]: known for writer, known in word.context}
        written = self._dots.get(word.key, [])
        return [dot for dot in written if covers(claimed.get(dot[0], ()), dot[1])]

    def _submit(self, node: SimNode, word: DocumentRecord, write: DocumentWrite) -> None:
        what = ",".join(write.fields) or "all"
        text = f"{'remove' if write.removes else 'set'} #{write.number} {write.key} {what}"
        self._world.trace.note(self._world.timeline.now, node.name, text)
        edit = _Edit(write)
        changes: dict[RecordKey, Body | None] = {key_of(word): word}
        self._world.timeline.after(TIMEOUT_S, self._end, edit, Outcome.INDEFINITE)
        node.submit(changes, lambda outcome: self._end(edit, outcome))

    def _end(self, edit: _Edit, outcome: Outcome) -> None:
        if not edit.done:
            edit.done = True
            edit.write.completed_s, edit.write.outcome = self._world.timeline.now, outcome
            self._world.history.document_writes.append(edit.write)


def _stretches(seen: Iterable[_Dot]) -> tuple[tuple[str, Spans], ...]:
    counters: dict[str, list[tuple[int, int]]] = {}
    for name, counter in seen:
        counters.setdefault(name, []).append((counter, counter))
    return tuple((name, united(counters[name])) for name in sorted(counters))


def held(node: SimNode, key: str) -> Document:
    """A document as a node's next write sees it."""
    return documents.joined(key, held_words(node, key))


def held_words(node: SimNode, key: str) -> dict[NodeId, DocumentRecord]:
    """The words on a document that a node's next write descends from."""
    words = dict(node.peer.registry.document(key))
    own = node.peer.intended(RecordKey(Kind.DOCUMENT, key))
    if isinstance(own, DocumentRecord):
        words[node.id] = own
    else:
        words.pop(node.id, None)
    return words


def states(registry: Registry, world: World) -> tuple[DocumentState, ...]:
    """Every document that a registry holds: what stands of each field, and who wrote it."""
    names = world.recorder.names
    found = []
    for key in sorted(registry.documents()):
        state = documents.joined(key, registry.document(key)).state
        entries = sorted(
            (name, names[writer], entry.counter)
            for (name, writer, _), entry in state.entries.items()
            if name != documents.OWNERS
        )
        if entries:
            found.append(DocumentState(key, tuple(entries)))
    return tuple(found)


def stamp_us(node: SimNode) -> int:
    """When a node says that it writes: later than all that it wrote."""
    branch = node.peer.registry.branch(node.id)
    return max(node.now.wall_us, branch.dot.version + 1 if branch else 0)
