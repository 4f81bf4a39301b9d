"""C6: a fork is proved to everybody, the same proof everywhere, and no honest owner stays accused.

A history is invalid where

1. an honest node holds a proof of two commits that no key of their owner signed, or that do not
   fork; a thief's counts, since with one it proves that the key is in other hands;
2. a liar forked, honest core nodes held both halves at one time, in calm, and one that ran on does
   not hold the proof `evidence_calm_s` later, or, where links or nodes were somewhat slow,
   `evidence_late_s`;
3. at the end two nodes of the core keep different proofs (where datagrams were lost: against other
   liars), or one keeps none against a liar of whom core nodes held both halves at one time;
4. at the end a node of the core takes an owner of the core for disputed: an honest one settles its
   forks, by a merge that everybody heard.

Two commits fork if they have one first parent, or one version. A half is *held* from when a node
made it its head until it took a head that does not follow it by first parents: such a state comes
whole, and the steps before it are forgotten. A half that all forgot before anybody took the other
is compared with nothing. *Calm* is when for `healed_s` no link was cut, none lost anything, and all
of the core ran. What is excused, and no more: forks whose halves were both held too late to spread
before the end; where datagrams were lost, further proofs against who is proved a liar already, and
forks of the honest that are settled: both are told once, and again only where a sync is needed
anyway; in rule 3, proofs with a thief's commit, which nobody takes who has heard of the next key.

Figures: `proved`, from both halves being held until the last core node has the proof, in calm, in
quantiles over the forks.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations

from chaos.history import History, Links, Signed, View
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .limits import Limits
from .lives import Process, processes
from .registers import honest_nodes
from .soundness import LinkTimes

_Fork = tuple[str, str, str]


@dataclass(slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    core: list[str]
    lives: dict[str, Process]
    links: LinkTimes
    book: Casebook
    signed: dict[str, Signed] = field(default_factory=dict)
    held: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """From when until when core nodes held each commit of a liar."""
    proved_s: dict[tuple[str, _Fork], float] = field(default_factory=dict)
    """When each node first held a proof."""
    took_s: list[float] = field(default_factory=list)
    """Of each fork in calm: how long until the last node held the proof."""


def check(history: History, limits: Limits) -> Finding:
    """Judge C6."""
    honest = honest_nodes(history)
    core = [node for node in history.core if node in honest]
    read = _Reading(history, limits, core, processes(history), LinkTimes(history), Casebook())
    read.signed = {one.commit: one for one in (*history.signed, *history.stolen)}
    _see_who_held_what(read)
    for one in history.proved:
        if one.node in honest:
            fork = (one.owner, *one.commits)
            read.proved_s.setdefault((one.node, fork), one.at_s)
            _judge_proof(read, one.node, one.at_s, fork)
    forks = list(_forks_of_liars(read))
    for fork, held_s in forks:
        _judge_spread(read, fork, held_s)
    _judge_the_end(read, forks)
    read.book.measured("proved", read.took_s)
    return read.book.finding("C6", "evidence")


def _judge_proof(read: _Reading, node: str, at_s: float, fork: _Fork) -> None:
    """Rule 1."""
    read.book.looked_at += 1
    owner, *commits = fork
    if owner not in read.history.nodes:
        return  # a stranger, whose key nobody watches
    who = f"{node} at {moment(at_s)} holds a proof against {owner}"
    halves = [read.signed[one] for one in commits if one in read.signed]
    if len(halves) < 2 or any(half.owner != owner for half in halves):
        read.book.blame(at_s, f"{who} with a commit that {owner} never signed")
    elif not _forks(*halves):
        read.book.blame(at_s, f"{who} of two commits that can both stand")


def _forks(ours: Signed, theirs: Signed) -> bool:
    return ours.parents[:1] == theirs.parents[:1] or ours.version == theirs.version


def _forks_of_liars(read: _Reading) -> Iterator[tuple[_Fork, float]]:
    """Every fork of which core nodes held both halves, and since when they did."""
    groups: dict[tuple[str, str, object], list[Signed]] = {}
    for one in read.signed.values():
        if one.owner in read.history.villains:
            groups.setdefault((one.owner, "parent", one.parents[:1]), []).append(one)
            groups.setdefault((one.owner, "version", one.version), []).append(one)
    found: dict[_Fork, float] = {}
    for group in groups.values():
        for ours, theirs in combinations(group, 2):
            held_s = _both_held_s(read, ours.commit, theirs.commit)
            if held_s is not None:
                first, second = sorted((ours.commit, theirs.commit))
                found[ours.owner, first, second] = held_s
    yield from found.items()


def _see_who_held_what(read: _Reading) -> None:
    branches: dict[tuple[str, str], dict[str, float]] = {}
    for taken in read.history.accepted:
        if taken.node not in read.core or taken.owner not in read.history.villains:
            continue
        since_s = branches.setdefault((taken.node, taken.owner), {})
        head = next(reversed(since_s), None)
        if head is not None and not _follows(read, taken.commit, head):
            _drop(read, since_s, taken.at_s)
        since_s.setdefault(taken.commit, taken.at_s)
    for since_s in branches.values():
        _drop(read, since_s, math.inf)


def _follows(read: _Reading, commit: str, head: str) -> bool:
    """Whether first parents lead from a commit to that head."""
    while commit != head:
        one = read.signed.get(commit)
        if one is None or not one.parents:
            return False
        commit = one.parents[0]
    return True


def _drop(read: _Reading, since_s: dict[str, float], until_s: float) -> None:
    for commit, begin_s in since_s.items():
        read.held.setdefault(commit, []).append((begin_s, until_s))
    since_s.clear()


def _both_held_s(read: _Reading, ours: str, theirs: str) -> float | None:
    """Since when both were held; who takes the one in place of the other could compare them."""
    both = (
        (max(our_begin_s, their_begin_s), min(our_end_s, their_end_s))
        for our_begin_s, our_end_s in read.held.get(ours, ())
        for their_begin_s, their_end_s in read.held.get(theirs, ())
    )
    return min((begin_s for begin_s, end_s in both if begin_s <= end_s), default=None)


def _judge_spread(read: _Reading, fork: _Fork, held_s: float) -> None:
    """Rule 2."""
    limits = read.limits
    since_s, due_s = held_s - limits.healed_s, held_s + limits.evidence_calm_s
    is_late = any(links.late for links in _links_within(read, since_s, due_s))
    if is_late:
        due_s = held_s + limits.evidence_late_s
    if due_s > read.history.end_s or not _calm(read, since_s, due_s):
        return
    read.book.looked_at += 1
    known = {node: read.proved_s[node, fork] for node in read.core if (node, fork) in read.proved_s}
    late = [node for node in read.core if known.get(node, due_s + 1.0) > due_s]
    if late:
        read.book.blame(due_s, f"{late[0]} holds no proof of {_named(fork, held_s)}")
    if len(known) == len(read.core) and not is_late:
        read.took_s.append(max(0.0, max(known.values()) - held_s))


def _named(fork: _Fork, held_s: float) -> str:
    owner, first, second = fork
    return (
        f"the fork of {owner}, {first[:8]} against {second[:8]}, of which honest nodes of the core "
        f"held both halves at {moment(held_s)}"
    )


def _calm(read: _Reading, begin_s: float, end_s: float) -> bool:
    if not all(read.lives[node].ran(begin_s, end_s) for node in read.core):
        return False
    return all(_carry(links) for links in _links_within(read, begin_s, end_s))


def _links_within(read: _Reading, begin_s: float, end_s: float) -> list[Links]:
    """How the links were, from that time on until that time."""
    return [read.links.at(begin_s), *read.links.changes(begin_s, end_s)]


def _carry(links: Links) -> bool:
    return not links.blocked and not links.hard and not links.loss


def _judge_the_end(read: _Reading, forks: Iterable[tuple[_Fork, float]]) -> None:
    """Rules 3 and 4."""
    end_s = read.history.end_s
    views = [view for view in read.history.views if view.node in read.core]
    for view in views:
        read.book.looked_at += 1
        accused = [owner for owner in view.disputed if owner in read.core]
        if accused:
            read.book.blame(end_s, f"{view.node}, at the end, takes {accused[0]} for disputed")
    due_s = end_s - read.limits.registration_visible_s
    is_lossy = any(links.loss for links in read.history.links)
    kept = [_kept(read, view, due_s, is_lossy=is_lossy) for view in views]
    for view, proofs in zip(views[1:], kept[1:], strict=True):
        odds = sorted(kept[0] ^ proofs)
        if odds:
            which = views[0].node if odds[0] in kept[0] else view.node
            text = (
                f"{views[0].node} and {view.node}, at the end, keep different proofs: only {which} "
                f"one of {' '.join(word[:8] for word in odds[0])}"
            )
            read.book.blame(end_s, text)
    for fork, held_s in forks:
        if max(held_s, read.history.heal_at_s) > due_s:
            continue
        for view in views:
            if fork[0] not in {owner for owner, _, _ in view.proofs}:
                text = f"{view.node}, at the end, keeps no proof of {_named(fork, held_s)}"
                read.book.blame(end_s, text)


def _kept(read: _Reading, view: View, due_s: float, *, is_lossy: bool) -> set[tuple[str, ...]]:
    """What a node keeps of proofs that had the time to spread; where much is lost, against whom."""
    stolen = {one.commit: None for one in read.history.stolen}
    old = [
        fork
        for fork in view.proofs
        if _signed_by(read, fork, due_s) and not any(half in stolen for half in fork[1:])
    ]
    if is_lossy:
        return {(owner,) for owner, _, _ in old if owner in read.history.villains}
    return set(old)


def _signed_by(read: _Reading, fork: _Fork, due_s: float) -> bool:
    _, *commits = fork
    return all(one not in read.signed or read.signed[one].at_s <= due_s for one in commits)
