"""P7: nothing is accepted that its owner did not sign, and a replay changes nothing.

A history is invalid where an honest node took as an owner's head

1. a commit that this owner did not sign, with its own key, before;
2. one that the owner signed under another version;
3. one with other records than the owner's at that commit;
4. in one life of its own, a version that is not newer than the one that it had of this owner.

What is excused, and no more: rule 4 does not hold for a node's own branch, where it may step back
to the cluster's head in order to merge, nor for an owner who signed two commits under one version
or is a villain: of two branches a node may take the other when it has heard both. A stranger, whose
key nobody watches, is judged by rule 4 alone. What a thief signed with an owner's key is judged by
`rotation`: until a node knows the next key nothing tells it from the owner's. Rule 1 holds for
villains too: they may sign what they like, and nobody may sign for them. One commit noted twice at
one moment is one step: a node that takes several at once may be seen only when it has taken them
all.
"""

from dataclasses import dataclass, field

from chaos.history import Accepted, History, Signed
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .limits import Limits
from .lives import Process, processes
from .registers import honest_nodes


@dataclass(slots=True)
class _Signatures:
    """Everything that was signed, and who signed two things under one version."""

    by_commit: dict[tuple[str, str], Signed] = field(default_factory=dict)
    forked: dict[str, None] = field(default_factory=dict)
    stolen: dict[tuple[str, str], None] = field(default_factory=dict)
    """What thieves signed."""


def check(history: History, _limits: Limits) -> Finding:
    """Judge P7."""
    book = Casebook()
    honest, known = honest_nodes(history), dict.fromkeys(history.nodes)
    lives = processes(history)
    signatures = _signatures(history)
    newest: dict[tuple[str, str], Accepted] = {}
    for one in history.accepted:
        if one.node not in honest:
            continue
        book.looked_at += 1
        if one.owner in known and (one.owner, one.commit) not in signatures.stolen:
            _judge_signature(one, signatures, book)
        if one.owner != one.node and one.owner not in signatures.forked:
            _judge_order(one, newest, lives[one.node], book)
    book.figures["accepted_count"] = float(book.looked_at)
    return book.finding("P7", "authenticity")


def _signatures(history: History) -> _Signatures:
    made = _Signatures(forked=dict.fromkeys(history.villains))
    by_version: dict[tuple[str, tuple[int, int]], str] = {}
    made.stolen = {(one.owner, one.commit): None for one in history.stolen}
    for one in history.stolen:
        by_version.setdefault((one.owner, one.version), one.commit)
    for one in history.signed:
        made.by_commit.setdefault((one.owner, one.commit), one)
        if by_version.setdefault((one.owner, one.version), one.commit) != one.commit:
            made.forked[one.owner] = None
    return made


def _judge_signature(one: Accepted, signatures: _Signatures, book: Casebook) -> None:
    """Rules 1 to 3."""
    signed = signatures.by_commit.get((one.owner, one.commit))
    if signed is None:
        why = f"which {one.owner} never signed"
    elif signed.at_s > one.at_s:
        why = f"which was not signed before {moment(signed.at_s)}"
    elif signed.version != one.version:
        why = f"as version {one.version}, signed as {signed.version}"
    elif signed.records and one.records and signed.records != one.records:
        why = f"with records {one.records}, signed with {signed.records}"
    else:
        return
    text = f"{one.node} took {one.commit} as the head of {one.owner} at {moment(one.at_s)}, {why}"
    book.blame(one.at_s, text)


def _judge_order(
    one: Accepted, newest: dict[tuple[str, str], Accepted], process: Process, book: Casebook
) -> None:
    """Rule 4."""
    before = newest.get((one.node, one.owner))
    if before is not None and process.life(before.at_s) == process.life(one.at_s):
        if (before.at_s, before.commit) == (one.at_s, one.commit):
            return
        if one.version <= before.version:
            text = (
                f"{one.node} at {moment(one.at_s)} took version {one.version} of {one.owner}, "
                f"though it had {before.version} since {moment(before.at_s)}"
            )
            book.blame(one.at_s, text)
            return
    newest[one.node, one.owner] = one
