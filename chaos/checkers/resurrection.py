"""P2: what was deregistered never comes back, and what a node once knew it never unlearns.

A history is invalid where

1. at the end, at least T after healing, a core node shows a key whose last writes are a definite
   deregistration that was acknowledged T before;
2. a lookup on a core node, invoked T after the acknowledgement and the healing, shows such a key;
3. in one life of a node, a lookup shows a value that precedes what an earlier lookup on that node
   showed;
4. in one life of a node, a lookup shows a value that precedes what the node had taken: a commit
   covers all that its owner acknowledged before it was signed;
5. on the owner itself, a lookup shows a value that precedes what it acknowledged before.

T is `registration_visible_s`. What is excused, and no more:

- In rules 1 and 2, a deregistration that its owner forgot with its disk and no keeper held, and one
  that nobody in the core ever took from an owner outside the core (see `registers`).
- In rules 3 to 5, what came before a damage of the owner's disk. An owner put back to an old disk
  speaks from there until it hears the cluster's head and merges: keys that it signed since that
  start win, for every other key the cluster's head wins. So after the damage a node may show an
  older value for a while, and the rules hold anew for all that is written after the damage. That
  the cluster's head does win in the end is rules 1 and 2.
- A new life of the node that is asked: what it held of others may not have been on its disk.

Absence is no evidence here: an owner that is unreachable is out of lookups.
"""

import bisect
from dataclasses import dataclass, field

from chaos.history import Action, History, Key, Operation, Outcome
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .limits import Limits
from .lives import Process, processes
from .registers import (
    NOTHING_KNOWN,
    Judgement,
    Register,
    Registers,
    honest_nodes,
    registers,
    signed_at,
)

_BACKWARDS = (Judgement.OLDER, Judgement.BACK)


@dataclass(slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    lives: dict[str, Process]
    registers: Registers
    book: Casebook
    core: dict[str, None]
    shown: dict[tuple[str, Key], tuple[int, float, int]] = field(default_factory=dict)
    """Per node and key: in which of its lives, the newest value's invocation, and the value."""


def check(history: History, limits: Limits) -> Finding:
    """Judge P2."""
    lives, honest = processes(history), honest_nodes(history)
    core = {node: None for node in history.core if node in honest}
    made = registers(history, limits, lives)
    read = _Reading(history, limits, lives, made, Casebook(), core)
    lookups = [
        one
        for one in history.operations
        if one.action is Action.LOOKUP and one.outcome is Outcome.OK and one.node in honest
    ]
    for lookup in lookups:
        _shown_after_removal(read, lookup)
    _unlearned(read, lookups)
    _shown_before_what_was_taken(read, lookups)
    _views(read)
    return read.book.finding("P2", "resurrection")


def _judge(
    read: _Reading, register: Register, lookup: Operation, value: int, floor_s: float
) -> Judgement:
    if floor_s == NOTHING_KNOWN:
        return Judgement.RIGHT
    read.book.looked_at += 1
    return register.judge(value, floor_s=floor_s, by_s=lookup.completed_s)


def _asked(lookup: Operation) -> str:
    return f"{lookup.node}, asked at {moment(lookup.invoked_s)} (operation {lookup.number}),"


def _shown_after_removal(read: _Reading, lookup: Operation) -> None:
    """Rules 2 and 5."""
    settled_s = lookup.invoked_s - read.limits.registration_visible_s
    judged = lookup.node in read.core and settled_s >= read.history.heal_at_s
    for key, value in lookup.seen:
        register = read.registers.by_key.get(key)
        if register is None:
            continue
        if judged:
            floor_s = register.held_floor(settled_s)
            if _judge(read, register, lookup, value, floor_s) is Judgement.BACK:
                due = register.newest_up_to(floor_s)
                read.book.blame(lookup.invoked_s, f"{_asked(lookup)} shows {key}, gone by {due}")
        if lookup.node == key.owner:
            floor_s = _own_floor(read, register, lookup)
            if _judge(read, register, lookup, value, floor_s) in _BACKWARDS:
                due = register.newest_up_to(floor_s)
                text = f"{_asked(lookup)} shows its own {key} as {value} left it, before its {due}"
                read.book.blame(lookup.invoked_s, text)


def _own_floor(read: _Reading, register: Register, lookup: Operation) -> float:
    floor_s = register.acked_floor(lookup.invoked_s)
    damaged_s = read.lives[register.key.owner].last_damage_s(lookup.completed_s)
    return floor_s if floor_s > damaged_s else NOTHING_KNOWN


def _unlearned(read: _Reading, lookups: list[Operation]) -> None:
    """Rule 3. At one instant lookups are judged first: those that overlap have no order."""
    asked = sorted(lookups, key=lambda one: one.invoked_s)
    answered = iter(sorted(lookups, key=lambda one: one.completed_s))
    next_answered = next(answered, None)
    for lookup in asked:
        while next_answered is not None and next_answered.completed_s < lookup.invoked_s:
            _learn(read, next_answered)
            next_answered = next(answered, None)
        life = read.lives[lookup.node].life(lookup.invoked_s)
        for key, value in lookup.seen:
            register = read.registers.by_key.get(key)
            known_life, floor_s, newest = read.shown.get((lookup.node, key), (-1, 0.0, 0))
            if register is None or known_life != life:
                continue
            if read.lives[key.owner].last_damage_s(lookup.completed_s) >= floor_s:
                continue
            if _judge(read, register, lookup, value, floor_s) in _BACKWARDS:
                text = f"{_asked(lookup)} shows {key} as {value} left it, after showing {newest}"
                read.book.blame(lookup.invoked_s, text)


def _learn(read: _Reading, lookup: Operation) -> None:
    life = read.lives[lookup.node].life(lookup.completed_s)
    if life != read.lives[lookup.node].life(lookup.invoked_s):
        return
    for key, value in lookup.seen:
        register = read.registers.by_key.get(key)
        write = register.writes.get(value) if register else None
        if write is None:
            continue
        known_life, floor_s, _ = read.shown.get((lookup.node, key), (-1, 0.0, 0))
        if known_life != life or write.invoked_s > floor_s:
            read.shown[lookup.node, key] = (life, write.invoked_s, value)


def _shown_before_what_was_taken(read: _Reading, lookups: list[Operation]) -> None:
    """Rule 4."""
    owners = {key.owner: None for key in read.registers.by_key}
    asked = {lookup.node: None for lookup in lookups}
    signed_s = signed_at(read.history)
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one in read.history.accepted:
        if one.owner in owners and one.node in asked and one.node != one.owner:
            at_s = signed_s.get((one.owner, one.commit))
            if at_s is not None:
                taken.setdefault((one.node, one.owner), []).append((one.at_s, at_s))
    for lookup in lookups:
        born_s = read.lives[lookup.node].born_s(lookup.invoked_s)
        for key, value in lookup.seen:
            register, told = read.registers.by_key.get(key), taken.get((lookup.node, key.owner))
            if register is None or told is None:
                continue
            place = bisect.bisect_left(told, lookup.invoked_s, key=lambda one: one[0])
            taken_s, commit_s = told[place - 1] if place else (NOTHING_KNOWN, NOTHING_KNOWN)
            floor_s = register.acked_floor(commit_s)
            damaged_s = read.lives[key.owner].last_damage_s(lookup.completed_s)
            if taken_s < born_s or floor_s <= damaged_s:
                continue
            if _judge(read, register, lookup, value, floor_s) in _BACKWARDS:
                due = register.newest_up_to(floor_s)
                text = (
                    f"{_asked(lookup)} shows {key} as {value} left it, though it had at "
                    f"{moment(taken_s)} taken its {due}"
                )
                read.book.blame(lookup.invoked_s, text)


def _views(read: _Reading) -> None:
    """Rule 1."""
    end_s = read.history.end_s
    settled_s = end_s - read.limits.registration_visible_s
    if settled_s < read.history.heal_at_s:
        return
    gone: dict[Key, tuple[Register, float]] = {}
    for key, register in read.registers.by_key.items():
        floor_s = register.held_floor(settled_s)
        if floor_s != NOTHING_KNOWN and register.must_be_gone(floor_s):
            gone[key] = register, floor_s
    for view in read.history.views:
        if view.node not in read.core:
            continue
        read.book.looked_at += len(gone)
        for key, value in view.shown:
            if key not in gone:
                continue
            register, floor_s = gone[key]
            if register.judge(value, floor_s=floor_s, by_s=end_s) is Judgement.BACK:
                due = register.newest_up_to(floor_s)
                text = f"{view.node}, at the end, shows {key} as {value} left it, gone by {due}"
                read.book.blame(end_s, text)
