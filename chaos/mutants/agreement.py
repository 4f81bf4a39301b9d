"""Mutants of what nodes come to agree on: documents, forks and their proofs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chaos.sim.plan import Fault, FaultKind, Role
from protocol.agreement import documents
from protocol.agreement.documents import Document, State
from protocol.agreement.evidence import Evidence
from protocol.agreement.partitions import Episodes
from protocol.agreement.report import Cut, Episode
from protocol.agreement.split import SplitAnswer
from protocol.branch import Branch
from protocol.clocks import Instant
from protocol.commits import Head
from protocol.effects import Effect, Send
from protocol.identity import NodeId
from protocol.intake import Intake, Taken
from protocol.records import DocumentRecord
from protocol.wire.messages import DatagramKind

from .mutant import Mutant, Patch, small_plan

_JOIN, _WRITE = documents.join, documents.write
_FORKED = vars(Intake)["_forked"]
_TAKE = vars(Episodes)["_take"]
_EARLIER_S = 8.0


def _is_evidence(effect: Effect) -> bool:
    return isinstance(effect, Send) and effect.datagram[1] == DatagramKind.EVIDENCE


def _forked_in_silence(
    self: Intake, taken: Taken, evidence: Evidence, now: Instant, *, told: bool = False
) -> None:
    _FORKED(self, taken, evidence, now, told=told)
    taken.effects = [effect for effect in taken.effects if not _is_evidence(effect)]


def _settle_nothing(self: Branch, head: Head) -> None:
    return None


def _join_the_latest(*states: State) -> State:
    joined = _JOIN(*states)
    latest: dict[str, int] = {}
    for (name, *_), entry in joined.entries.items():
        latest[name] = max(entry.written_at, latest.get(name, 0))
    kept = {
        place: entry
        for place, entry in joined.entries.items()
        if entry.written_at == latest[place[0]]
    }
    return State(joined.context, kept)


def _write_without_context(  # noqa: PLR0913 (as what it replaces)
    before: Document,
    fields: Mapping[str, bytes | None],
    writer: NodeId,
    now_us: int,
    *,
    owners: Sequence[NodeId] | None = None,
    update_id: str = "",
    born: int = 1,
) -> DocumentRecord:
    word = _WRITE(before, fields, writer, now_us, owners=owners, update_id=update_id, born=born)
    standing = {entry.writer for entry in word.entries}
    context = tuple(one for one in word.context if one[0] == writer or one[0] in standing)
    return replace(word, context=context)


def _write_as_one_life(  # noqa: PLR0913 (as what it replaces)
    before: Document,
    fields: Mapping[str, bytes | None],
    writer: NodeId,
    now_us: int,
    *,
    owners: Sequence[NodeId] | None = None,
    update_id: str = "",
    born: int = 1,
) -> DocumentRecord:
    return _WRITE(before, fields, writer, now_us, owners=owners, update_id=update_id)


def _take_since_noticed(
    self: Episodes, episode: Episode, cut: Cut, answer: SplitAnswer, now: Instant
) -> None:
    then = self._log.vector_at(cut.start, self._registry.vector())
    away = tuple((owner, max(dot, then.get(owner, dot))) for owner, dot in answer.away)
    _TAKE(self, episode, cut, replace(answer, away=away), now)


def _take_since_long_before(
    self: Episodes, episode: Episode, cut: Cut, answer: SplitAnswer, now: Instant
) -> None:
    mark = self._log.mark_before(cut.since.mono_s - _EARLIER_S)
    then = self._log.vector_at(mark, self._registry.vector())
    away = tuple((owner, min(dot, then.get(owner, dot))) for owner, dot in answer.away)
    _TAKE(self, episode, cut, replace(answer, away=away), now)


_EDITED_APART = replace(
    small_plan(Fault(FaultKind.SPLIT, 2.0, 9.0, groups=((0, 1), (2, 3))), safety_s=10.0),
    edits_per_s=4.0,
)
"""Both halves of a cluster edit the same documents."""

_EDITED_AND_FORGOTTEN = replace(
    small_plan(
        Fault(FaultKind.OLD_DISK, 5.0, 5.5, (1,), amount=3.0),
        Fault(FaultKind.ISOLATE, 5.0, 11.0, (1,)),
        Fault(FaultKind.CRASH, 5.2, 10.8, (0,)),
        seed=4,
        nodes=2,
        safety_s=11.2,
        operations_per_s=2.0,
    ),
    edits_per_s=3.0,
)
"""A node forgets what it wrote, and another built on, and writes on before it hears of it."""

_SPLIT = small_plan(
    Fault(FaultKind.SPLIT, 6.0, 13.0, groups=((0, 1), (2, 3))), operations_per_s=12.0
)
"""Long enough after the start for reports to be judged."""

_A_LIAR = replace(small_plan(nodes=12, safety_s=8.0), villains=((11, Role.FORKER),))

AGREEMENT: tuple[Mutant, ...] = (
    Mutant(
        "one-life-of-words",
        "who was put back to an old disk claims to have seen the writes that it forgot",
        "documents",
        _EDITED_AND_FORGOTTEN,
        (Patch(documents, "write", _write_as_one_life),),
    ),
    Mutant(
        "last-word-wins",
        "of two words on one field, neither of which had seen the other, the later is kept",
        "documents",
        _EDITED_APART,
        (Patch(documents, "join", _join_the_latest),),
    ),
    Mutant(
        "write-without-context",
        "a word on a document does not say what its writer had seen of those that it replaced",
        "documents",
        _EDITED_APART,
        (Patch(documents, "write", _write_without_context),),
    ),
    Mutant(
        "hush-evidence",
        "who finds a fork keeps the proof to itself",
        "evidence",
        _A_LIAR,
        (Patch(Intake, "_forked", _forked_in_silence),),
    ),
    Mutant(
        "dispute-for-ever",
        "a merge does not end the dispute that it settles",
        "evidence",
        small_plan(
            Fault(FaultKind.OLD_DISK, 5.0, 5.5, (1,), amount=1.0),
            Fault(FaultKind.ISOLATE, 5.0, 12.0, (1,)),
            operations_per_s=4.0,
        ),
        (Patch(Branch, "_settle", _settle_nothing),),
    ),
    Mutant(
        "report-since-noticed",
        "a report begins where the cut was noticed: what changed since the cut is not in it",
        "reports",
        _SPLIT,
        (Patch(Episodes, "_take", _take_since_noticed),),
    ),
    Mutant(
        "report-since-long-before",
        "a report begins long before the cut: it names changes that all had seen",
        "reports",
        _SPLIT,
        (Patch(Episodes, "_take", _take_since_long_before),),
    ),
)
"""In the order of the invariants."""
