"""A2: a key that was replaced is worth nothing to whoever has heard so, and in the end all have.

A history is invalid where

1. an honest node took as an owner's head a commit of an earlier epoch than it knew of that owner;
2. it took a signed vote or ack that a thief made with a key of which it knew the successor;
3. it took a datagram for authentic that a thief made with such a key, later than `replaced_key_s`
   after it had learned of the successor;
4. at the end, at least T after healing and after the rotation, a node of the core does not hold the
   newest key event of an owner of the core, or holds another commit or other records of it than
   the owner signed;
5. at the end, as long after, it holds an owner whose key was stolen for dead or disputed.

T is `registration_visible_s`. What is excused, and no more: all that a node takes before it knows
of the rotation, in its own life; in rule 2, `statement_noted_s`, since statements are noted late;
in rule 3, the time for which a replaced key passes; in rule 1, a node's own branch, where it may
step back to the cluster's head in order to merge.

Figures: `known_…_s`, from when an owner's new key was durable until each other node that lived on
knew of it; `deceived_count`, how much of a thief's was taken, before its time was over.
"""

from dataclasses import dataclass

from chaos.history import Accepted, Belief, Deceived, History, Rekeyed, View, Ware
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .limits import Limits
from .lives import Process, processes
from .registers import honest_nodes
from .thefts import Thefts


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    lives: dict[str, Process]
    honest: dict[str, None]
    thefts: Thefts
    turned: dict[str, Rekeyed]
    """When each honest owner went on with its newest key."""
    book: Casebook


def check(history: History, limits: Limits) -> Finding:
    """Judge A2."""
    lives, honest = processes(history), honest_nodes(history)
    turned = {
        one.owner: one
        for one in sorted(history.rekeyed, key=lambda one: (one.epoch, -one.at_s))
        if one.node == one.owner and one.owner in honest
    }
    thefts = Thefts(history, limits, lives)
    read = _Reading(history, limits, lives, honest, thefts, turned, Casebook())
    for taken in history.accepted:
        if taken.node in honest and taken.owner in turned and taken.node != taken.owner:
            _judge_commit(read, taken)
    for one in history.deceived:
        if one.node in honest:
            _judge_ware(read, one)
    for view in history.views:
        if view.node in history.core and view.node in honest:
            _judge_end(read, view)
    if turned:
        _measure(read)
    return read.book.finding("A2", "rotation")


def _judge_commit(read: _Reading, taken: Accepted) -> None:
    """Rule 1."""
    read.book.looked_at += 1
    known = read.thefts.epoch(taken.node, taken.owner, taken.at_s)
    if taken.version[0] < known:
        text = (
            f"{taken.node} took {taken.commit} as the head of {taken.owner} at "
            f"{moment(taken.at_s)}, signed in epoch {taken.version[0]}, though it knew of epoch "
            f"{known}"
        )
        read.book.blame(taken.at_s, text)


def _judge_ware(read: _Reading, one: Deceived) -> None:
    """Rules 2 and 3."""
    read.book.looked_at += 1
    limits = read.limits
    late_s = limits.statement_noted_s if one.ware is Ware.STATEMENT else limits.replaced_key_s
    known = read.thefts.epoch(one.node, one.owner, one.at_s, for_s=late_s)
    if one.epoch < known:
        text = (
            f"{one.node} at {moment(one.at_s)} took {one.ware.value} of a thief for {one.owner}'s, "
            f"made with its key of epoch {one.epoch}, though it knew of epoch {known}"
        )
        read.book.blame(one.at_s, text)


def _judge_end(read: _Reading, view: View) -> None:
    """Rules 4 and 5."""
    end_s = read.history.end_s
    due_s = end_s - read.limits.registration_visible_s
    if due_s < read.history.heal_at_s:
        return
    standings = {one.owner: one for one in view.standings}
    signed = {(one.owner, one.commit): one for one in read.history.signed}
    for owner, turned in read.turned.items():
        if owner not in read.history.core or turned.at_s > due_s:
            continue
        read.book.looked_at += 1
        who = f"{view.node}, at the end,"
        standing = standings.get(owner)
        if standing is None or standing.epoch != turned.epoch:
            epoch = "nothing" if standing is None else f"epoch {standing.epoch}"
            read.book.blame(end_s, f"{who} holds {epoch} of {owner}, not epoch {turned.epoch}")
            continue
        true = signed.get((owner, standing.commit))
        if true is None or (true.records and true.records != standing.records):
            read.book.blame(end_s, f"{who} holds what {owner} never signed as its state")
    for owner, theft in read.thefts.owners.items():
        turned_s = read.turned[owner].at_s if owner in read.turned else end_s
        if owner not in read.history.core or max(turned_s, theft.at_s) > due_s:
            continue
        if owner in view.disputed or (owner, Belief.DEAD) in view.beliefs:
            wrong = "in dispute" if owner in view.disputed else "for dead"
            text = f"{view.node}, at the end, holds {owner}, whose key was stolen, {wrong}"
            read.book.blame(end_s, text)


def _measure(read: _Reading) -> None:
    took_s: list[float] = []
    for one in read.history.rekeyed:
        turned = read.turned.get(one.owner)
        if turned is None or one.epoch != turned.epoch or one.node == one.owner:
            continue
        process = read.lives.get(one.node)
        if process is not None and process.life(turned.at_s) == process.life(one.at_s):
            took_s.append(max(0.0, one.at_s - turned.at_s))
    read.book.measured("known", took_s)
    read.book.figures["deceived_count"] = float(len(read.history.deceived))
