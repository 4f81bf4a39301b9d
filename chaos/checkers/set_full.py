"""P1: what was acknowledged is seen by everyone in time, and never lost while its owner lives.

After Jepsen's set-full: every acknowledged registration or update of an honest owner is

    stable ........ shown by every core node at the end
    known ......... seen by somebody, and replaced or removed since
    lost .......... the newest of its key, and a core node does not show it at the end
    never read .... replaced or removed before anybody looked

A history is invalid where

1. at the end, at least T after healing, a core node lacks a key, or shows an older value than the
   last write that is surely done and was acknowledged T before (indefinite writes may be shown);
2. a lookup on a core node, invoked T after both the acknowledgement and the healing, lacks the key
   of a core owner or shows it older;
3. a lookup on the owner itself lacks or shows older what it acknowledged before: no T there;
4. an honest node shows a value that nobody wrote, or one whose write failed.

T is `registration_visible_s`. What is excused, and no more: writes that the owner forgot with its
disk (`registers` says when, and what a keeper changes); owners outside the core, of whom only what
a core node took is demanded, and only at the end; in rule 2, an absent key whose owner the node
holds for away at that moment, which P4 judges; what a thief registered in the name of an owner
whose key it had, which the owner may have merged before it rotated (`rotation` judges thieves).
That a deregistered key is shown is P2.
"""

import math
from dataclasses import dataclass, field

from chaos.history import Action, History, Key, Operation, Outcome, View
from chaos.verdict import Finding

from .believed import Beliefs
from .casebook import Casebook, moment
from .limits import Limits
from .lives import Process, processes
from .registers import (
    NOTHING_KNOWN,
    Judgement,
    Register,
    Registers,
    Write,
    honest_nodes,
    registers,
)

_OURS = (Judgement.MISSING, Judgement.OLDER)


@dataclass(slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    lives: dict[str, Process]
    honest: dict[str, None]
    registers: Registers
    beliefs: Beliefs
    stolen: dict[str, None]
    """Owners whose key was stolen."""
    book: Casebook
    seen: dict[int, None] = field(default_factory=dict)
    """Every value that a lookup showed."""
    lost: dict[int, None] = field(default_factory=dict)
    at_the_end: dict[int, int] = field(default_factory=dict)
    """Every value that a core node shows at the end, and how many do."""
    lacked_s: dict[int, float] = field(default_factory=dict)
    """When a core node's lookup last lacked a write that was the newest of its key."""


def check(history: History, limits: Limits) -> Finding:
    """Judge P1."""
    lives, honest = processes(history), honest_nodes(history)
    read = _Reading(
        history,
        limits,
        lives,
        honest,
        registers(history, limits, lives),
        Beliefs(history, lives),
        {theft.owner: None for theft in history.thefts},
        Casebook(),
    )
    core = {node: None for node in history.core if node in honest}
    for operation in history.operations:
        looked = operation.action is Action.LOOKUP and operation.outcome is Outcome.OK
        if looked and operation.node in honest:
            _lookup(read, operation, core)
    views = [view for view in history.views if view.node in core]
    _views(read, views)
    _classify(read, len(views))
    return read.book.finding("P1", "set_full")


def _lookup(read: _Reading, lookup: Operation, core: dict[str, None]) -> None:
    shown = dict(lookup.seen)
    read.seen |= dict.fromkeys(shown.values())
    for register in read.registers.by_name.get(lookup.name, []):
        floor_s = _floor(read, register, lookup, core)
        value = shown.get(register.key)
        judgement = register.judge(value, floor_s=floor_s, by_s=lookup.completed_s)
        read.book.looked_at += floor_s != NOTHING_KNOWN or value is not None
        if lookup.node in core:
            _note_lacking(read, register, lookup, value)
        if judgement is Judgement.MISSING and lookup.node != register.key.owner:
            span = (lookup.invoked_s, lookup.completed_s)
            if read.beliefs.was_away(lookup.node, register.key.owner, *span):
                continue
        who = f"{lookup.node}, asked at {moment(lookup.invoked_s)} (operation {lookup.number}),"
        _blame(read, register, judgement, who, (lookup.invoked_s, value, floor_s))
    _strangers(read, f"{lookup.node} (operation {lookup.number})", lookup.invoked_s, shown)


def _floor(read: _Reading, register: Register, lookup: Operation, core: dict[str, None]) -> float:
    """What this lookup must know of a key."""
    owner, limits = register.key.owner, read.limits
    floor_s = NOTHING_KNOWN
    if lookup.node == owner:
        acked_s = register.acked_floor(lookup.invoked_s)
        if acked_s > read.lives[owner].last_damage_s(lookup.completed_s):
            floor_s = acked_s
    settled_s = lookup.invoked_s - limits.registration_visible_s
    if lookup.node in core and owner in core and settled_s >= read.history.heal_at_s:
        floor_s = max(floor_s, register.held_floor(settled_s))
    return floor_s


def _note_lacking(read: _Reading, register: Register, lookup: Operation, value: int | None) -> None:
    newest_s = register.acked_floor(lookup.invoked_s)
    if newest_s == NOTHING_KNOWN:
        return
    judgement = register.judge(value, floor_s=newest_s, by_s=lookup.completed_s)
    newest = register.newest_up_to(newest_s)
    if newest is not None and judgement in _OURS:
        before_s = read.lacked_s.get(newest.number, 0.0)
        read.lacked_s[newest.number] = max(before_s, lookup.completed_s)


def _views(read: _Reading, views: list[View]) -> None:
    """The end: everything that the cluster holds for good is shown by every core node."""
    end_s = read.history.end_s
    settled_s = end_s - read.limits.registration_visible_s
    judged = settled_s >= read.history.heal_at_s
    right: tuple[object, ...] | None = None
    for view in views:
        broken = read.book.broken
        shown = dict(view.shown)
        for number in shown.values():
            read.at_the_end[number] = read.at_the_end.get(number, 0) + 1
        if right is not None and view.shown == right:
            read.book.looked_at += len(read.registers.by_key)
            continue
        for register in read.registers.by_key.values():
            floor_s = register.held_floor(settled_s) if judged else NOTHING_KNOWN
            value = shown.get(register.key)
            judgement = register.judge(value, floor_s=floor_s, by_s=end_s)
            read.book.looked_at += floor_s != NOTHING_KNOWN or value is not None
            if judgement in _OURS and (newest := register.newest_up_to(floor_s)):
                read.lost[newest.number] = None
            who = f"{view.node}, at the end,"
            _blame(read, register, judgement, who, (end_s, value, floor_s))
        _strangers(read, f"{view.node}, at the end,", end_s, shown)
        if read.book.broken == broken:
            right = view.shown


def _blame(
    read: _Reading,
    register: Register,
    judgement: Judgement,
    who: str,
    case: tuple[float, int | None, float],
) -> None:
    at_s, value, floor_s = case
    due = register.newest_up_to(floor_s)
    if judgement is Judgement.MISSING:
        read.book.blame(at_s, f"{who} lacks {register.key}: {due}")
    elif judgement is Judgement.OLDER:
        read.book.blame(at_s, f"{who} shows {register.key} as {value} left it, not as {due}")
    elif judgement is Judgement.FOREIGN:
        read.book.blame(at_s, f"{who} shows {register.key} with {value}, which nobody wrote")


def _strangers(read: _Reading, who: str, at_s: float, shown: dict[Key, int]) -> None:
    for key, value in shown.items():
        by_thief = value < 0 and key.owner in read.stolen
        if key not in read.registers.by_key and key.owner in read.honest and not by_thief:
            read.book.blame(at_s, f"{who} shows {key} with {value}, which nobody ever wrote")


def _classify(read: _Reading, views: int) -> None:
    counts = dict.fromkeys(("acknowledged", "stable", "lost", "known", "never_read"), 0)
    visible_s: list[float] = []
    for register in read.registers.by_key.values():
        newest = register.newest_up_to(register.acked_floor(math.inf))
        for write in register.writes.values():
            if write.removes or write.acked_s == math.inf:
                continue
            counts["acknowledged"] += 1
            counts[_fate(read, write, write is newest, views)] += 1
            visible_s.append(max(0.0, read.lacked_s.get(write.number, 0.0) - write.acked_s))
    if counts["acknowledged"]:
        read.book.figures |= {f"{name}_count": float(count) for name, count in counts.items()}
    if read.book.looked_at:
        read.book.measured("visible", visible_s)


def _fate(read: _Reading, write: Write, newest: bool, views: int) -> str:
    if write.number in read.lost:
        return "lost"
    if newest and views and read.at_the_end.get(write.number, 0) == views:
        return "stable"
    seen = write.number in read.seen or write.number in read.at_the_end
    return "known" if seen else "never_read"
