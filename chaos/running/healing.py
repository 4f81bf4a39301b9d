"""How long a cluster took to be one again after the last fault, while clients went on writing.

    all that had been committed before is held by every node      by the heads that they tell of
    every node takes every other for alive                        by what they believe

Roots that change with every write say little; what a node holds of each owner says it exactly.
"""

from chaos.checkers.believed import HERE, Beliefs
from chaos.checkers.lives import Process, processes
from chaos.history import History


def healed_s(history: History) -> float | None:
    """Seconds from the last heal until both were so; None if they never were, or nobody told.

    Only nodes of the core count: who is up at the end, and no villain.
    """
    lives = processes(history)
    core = list(history.core)
    found = [_heads_at_s(history, lives, core), _alive_at_s(history, lives, core)]
    if None in found:
        return None
    latest_s = max(at_s for at_s in found if at_s is not None)
    return max(0.0, latest_s - history.heal_at_s)


def _heads_at_s(history: History, lives: dict[str, Process], core: list[str]) -> float | None:
    """When the last node held all commits from before the heal."""
    needed: dict[str, tuple[int, int]] = {}
    for one in history.accepted:
        if one.at_s <= history.heal_at_s and one.owner in core:
            needed[one.owner] = max(one.version, needed.get(one.owner, one.version))
    held_s: dict[tuple[str, str], float] = {}
    for one in history.accepted:
        pair = one.node, one.owner
        is_new = one.at_s >= lives[one.node].born_s(history.end_s)
        if one.owner in needed and is_new and one.version >= needed[one.owner]:
            held_s.setdefault(pair, one.at_s)
    pairs = [(node, owner) for node in core for owner in needed]
    if not needed or any(pair not in held_s for pair in pairs):
        return None
    return max(held_s[pair] for pair in pairs)


def _alive_at_s(history: History, lives: dict[str, Process], core: list[str]) -> float | None:
    """When the last pair was of nodes that hold each other for here."""
    beliefs = Beliefs(history, lives)
    latest_s = history.heal_at_s
    moments: dict[tuple[str, str], list[float]] = {}
    for one in history.beliefs:
        moments.setdefault((one.node, one.subject), []).append(one.at_s)
    for viewer in core:
        for subject in core:
            if viewer == subject:
                continue
            since_s = max(history.heal_at_s, lives[viewer].born_s(history.end_s))
            later_s = (at_s for at_s in moments.get((viewer, subject), []) if at_s > since_s)
            here_s = next(
                (
                    at_s
                    for at_s in (since_s, *later_s)
                    if beliefs.held(viewer, subject, at_s)[0] in HERE
                ),
                None,
            )
            if here_s is None:
                return None
            latest_s = max(latest_s, here_s)
    return latest_s
