"""Clients that edit documents through all nodes, also on both sides of a cut.

    read the document ─▶ its ETag, and what the node has seen ─▶ write if it is still that

Each write sets fields to its own number. That it went through says that it descends from just what
was read, so a checker can tell which writes it replaced.

Rules this module keeps:

1. One client a node, one edit at a time: the newest counter of its node is that of its write.
2. Of a write in doubt it is taken that it had seen everything; whatever it replaced is excused.
"""

import threading
from collections.abc import Mapping
from random import Random

from chaos.cluster.client import Answer, Client, Json, Shape
from chaos.cluster.cluster import Member
from chaos.history import Action, DocumentState, DocumentWrite, Operation, Outcome
from chaos.scenarios.scenario import Workload

from .asking import asked, sample_of
from .identities import Identities
from .ledger import Ledger

PER_S = 1.0
"""Edits of each node."""
KEYS = ("chaos-plan", "chaos-menu")
FIELDS = ("a", "b", "c")
REMOVES = 0.2
BACK_OFF_S = 0.25
_EVER = (-(1 << 62), 1 << 62)
_GONE, _CHANGED = 404, 412

Seen = tuple[tuple[str, tuple[tuple[int, int], ...]], ...]


class Editor:
    """Edits with one node."""

    def __init__(
        self,
        member: Member,
        workload: Workload,
        ledger: Ledger,
        enough: threading.Event,
        *,
        rng: Random,
    ) -> None:
        self.name = f"editor-{member.name}"
        self._member = member
        self._timeout_s = workload.timeout_s
        self._ledger = ledger
        self._enough = enough
        self._rng = rng
        self._counters: dict[str, int] = {}
        """By document, of this node's newest write."""

    def run(self) -> None:
        """Edit until it is enough."""
        with self._member.client(timeout_s=self._timeout_s) as client:
            while not self._enough.wait(self._rng.expovariate(PER_S)):
                if self._ledger.is_full:
                    return
                if self._edit(client) is not Outcome.OK:
                    self._enough.wait(BACK_OFF_S)

    def _edit(self, client: Client) -> Outcome:
        key = self._rng.choice(KEYS)
        fields = tuple(sorted(self._rng.sample(FIELDS, self._rng.randint(1, 2))))
        removes = self._rng.random() < REMOVES
        path = f"/v1/documents/{key}"
        read, outcome, _ = asked(client, "GET", path, None)
        if read is None or (outcome is not Outcome.OK and read.status != _GONE):
            return Outcome.FAILED
        is_new = read.status == _GONE
        condition = {"If-None-Match": "*"} if is_new else {"If-Match": str(read.value.get("etag"))}
        number, begun_s = self._ledger.number(), self._ledger.clock.now_s()
        value: dict[str, Json] = dict.fromkeys(fields, None if removes else number)
        answer, outcome, why = asked(client, "PATCH", path, {"value": value}, condition)
        if answer is not None and answer.status == _CHANGED:
            return Outcome.OK  # somebody was quicker; nothing was written
        counter = self._counter(key, answer) if outcome is Outcome.OK else -number
        if counter == self._counters.get(key):
            return Outcome.OK  # it was so already; nothing was written
        node, ended_s = self._member.name, self._ledger.clock.now_s()
        write = DocumentWrite(
            number, node, begun_s, ended_s, outcome, key, counter, fields, removes,
            self._seen(read) if outcome is Outcome.OK else _everything(self._ledger.identities),
        )  # fmt: skip
        if outcome is Outcome.OK:
            self._counters[key] = counter
        told = Operation(number, Action.UPDATE, node, begun_s, ended_s, outcome)
        self._ledger.keep_document(write, sample_of(told, why, action="edit"))
        return outcome

    def _counter(self, key: str, answer: Answer | None) -> int:
        """The newest counter of this node, as its answer has it; what it was if there is none."""
        before = self._counters.get(key, 0)
        if answer is None:
            return before
        known = context_of(answer.value, self._ledger.identities)
        return max((last for _, last in known.get(self._member.name, ())), default=before)

    def _seen(self, read: Answer) -> Seen:
        known = context_of(read.value, self._ledger.identities)
        return tuple((name, tuple(known[name])) for name in sorted(known))


def context_of(document: Shape, identities: Identities) -> dict[str, list[tuple[int, int]]]:
    """By writer the stretches of counters that a document's state has seen."""
    found: dict[str, list[tuple[int, int]]] = {}
    context = document.get("context")
    for writer, stretches in (context if isinstance(context, dict) else {}).items():
        for one in stretches if isinstance(stretches, list) else ():
            match one:
                case [int(first), int(last)]:
                    found.setdefault(identities.name_of(writer), []).append((first, last))
                case _:
                    continue
    return found


def _everything(identities: Identities) -> Seen:
    return tuple((name, (_EVER,)) for name in identities.names())


def state_of(key: str, document: Shape, writes: Mapping[int, DocumentWrite]) -> DocumentState:
    """What stands of a document where a node shows it, by the numbers that fields are set to."""
    entries: dict[tuple[str, str, int], None] = {}
    value = document.get("value")
    for name, number in (value if isinstance(value, dict) else {}).items():
        entries[_entry(name, number, writes)] = None
    conflicts = document.get("conflicts")
    for conflict in conflicts if isinstance(conflicts, list) else ():
        siblings = conflict.get("siblings") if isinstance(conflict, dict) else None
        for one in siblings if isinstance(siblings, list) else ():
            if isinstance(conflict, dict) and isinstance(one, dict):
                entries[_entry(str(conflict.get("field")), one.get("value"), writes)] = None
    return DocumentState(key, tuple(sorted(entries)))


def _entry(name: str, number: Json, writes: Mapping[int, DocumentWrite]) -> tuple[str, str, int]:
    write = writes.get(number) if isinstance(number, int) else None
    if write is None:
        return name, f"nobody ({number!r})", 0
    return name, write.node, write.counter
