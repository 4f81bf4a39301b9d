"""P3: who has heard the same holds the same root, and at the end the whole core has.

A history is invalid where

1. two honest nodes held the same heads and said different roots, at whatever moments;
2. two honest nodes held different heads and said the same root;
3. at the end two nodes of the core hold different heads;
4. a node of the core shows nothing at the end, though others do: it did not live to see it.

What is excused, and no more: in rule 3, the heads of villains and strangers, who may show everyone
something else (`View.honest` leaves them out), and of owners outside the core whose disks were
damaged, who may have forked and gone before they merged (`View.held` tells them apart). Where
neither was recorded all heads must be the same.

Figure: `converged_after_heal_s`, from when on all samples of the core held the same for good.
"""

from chaos.history import History, View
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .limits import Limits
from .lives import processes
from .registers import honest_nodes


def check(history: History, _limits: Limits) -> Finding:
    """Judge P3."""
    book = Casebook()
    honest = honest_nodes(history)
    _same_heads_same_root(history, honest, book)
    core = [node for node in history.core if node in honest]
    views = {view.node: view for view in history.views}
    if history.views:
        _same_in_the_core(history, [views[node] for node in core if node in views], book)
        for node in core:
            if node not in views:
                book.blame(history.end_s, f"{node} is of the core and shows nothing at the end")
    converged_s = _converged_s(history, core)
    if converged_s is not None:
        book.figures["converged_after_heal_s"] = round(converged_s - history.heal_at_s, 6)
    return book.finding("P3", "roots")


def _same_heads_same_root(history: History, honest: dict[str, None], book: Casebook) -> None:
    said = [(one.at_s, one.node, one.heads, one.root) for one in history.roots]
    # A view without a root is of a node that committed whenever it was asked.
    said += [
        (history.end_s, view.node, view.heads, view.root) for view in history.views if view.root
    ]
    by_heads: dict[str, tuple[str, str, float]] = {}
    by_root: dict[str, tuple[str, str, float]] = {}
    for at_s, node, heads, root in said:
        if node not in honest:
            continue
        book.looked_at += 1
        other_root, other, other_s = by_heads.setdefault(heads, (root, node, at_s))
        if other_root != root:
            text = (
                f"{other} at {moment(other_s)} and {node} at {moment(at_s)} held the same heads, "
                f"with the roots {other_root} and {root}"
            )
            book.blame(at_s, text)
        other_heads, other, other_s = by_root.setdefault(root, (heads, node, at_s))
        if other_heads != heads:
            text = (
                f"{other} at {moment(other_s)} and {node} at {moment(at_s)} said the root {root}, "
                "with different heads"
            )
            book.blame(at_s, text)


def _same_in_the_core(history: History, views: list[View], book: Casebook) -> None:
    if not views:
        return
    lives, honest = processes(history), honest_nodes(history)
    core = dict.fromkeys(history.core)
    excused = {o for o in honest if o not in core and lives[o].damages_s}
    first = views[0]
    for view in views[1:]:
        book.looked_at += 1
        known = view.honest != "" and first.honest != ""
        if view.heads == first.heads or (known and view.honest == first.honest):
            continue
        who = f"{first.node} and {view.node}, at the end, hold different heads"
        ours, theirs = dict(first.held), dict(view.held)
        if not ours or not theirs:
            book.blame(history.end_s, who)
            continue
        for owner in sorted({**ours, **theirs}):
            ours_of, theirs_of = ours.get(owner, "none"), theirs.get(owner, "none")
            if owner in honest and owner not in excused and ours_of != theirs_of:
                book.blame(history.end_s, f"{who} of {owner}: {ours_of} and {theirs_of}")
                break


def _converged_s(history: History, core: list[str]) -> float | None:
    """From when on all samples of the core agree; None if they never do or there are none."""
    members = dict.fromkeys(core)
    samples = [one for one in history.roots if one.node in members]
    samples.sort(key=lambda one: one.at_s)
    newest: dict[str, str] = {}
    holders: dict[str, int] = {}
    since_s: float | None = None
    for place, one in enumerate(samples):
        before = newest.get(one.node)
        if before is not None:
            holders[before] -= 1
            if not holders[before]:
                del holders[before]
        heads = one.honest or one.heads
        newest[one.node] = heads
        holders[heads] = holders.get(heads, 0) + 1
        if place + 1 < len(samples) and samples[place + 1].at_s == one.at_s:
            continue
        if len(newest) < len(members) or len(holders) > 1:
            since_s = None
        elif since_s is None:
            since_s = one.at_s
    return None if since_s is None else max(since_s, history.heal_at_s)
