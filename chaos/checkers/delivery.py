"""D2, P6: the retry queue tells the truth, forgets nobody, and a receipt is worth what it says.

A history is invalid where

1. an owner took a peer for holding a commit that the peer had not taken yet: by an acknowledgement,
   or in a row of its queue when it started or at the end;
2. a peer that gave a receipt started again and held less of that owner;
3. at the end, a row in the queue of a node of the core lacks something and no try is planned
   within `WAIT_MAX_S`, or one was due for longer than `OVERDUE_S`, and none is under way.

Only honest owners and peers are judged. What is excused, and no more: in rules 1 and 2, a peer
whose disk was damaged since it took the commit, for a receipt up to `UNDER_WAY_S` before it was
heard, and in rule 1 commits from before the run, and a peer in whose name a thief may have spoken;
in rule 3, an owner that is paused at the end.

Figures: `acknowledged_…_s`, from when an owner signed a commit until a peer's receipt for it was
there, for peers that ran all the time; `waiting_count`, rows that lack something at the end.
"""

import bisect
import math
from collections import defaultdict
from dataclasses import dataclass

from chaos.history import History
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .limits import Limits
from .lives import Process, processes
from .registers import honest_nodes

UNDER_WAY_S = 5.0
"""A receipt heard so soon after its sender's disk was damaged may have been sent before."""
OVERDUE_S = 2.0
WAIT_MAX_S = 80.0
"""No backoff is longer, whatever the jitter."""
_Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Taken:
    """What each node took of each owner, in the order of time, each entry newer than the last."""

    times: dict[tuple[str, str], list[float]]
    versions: dict[tuple[str, str], list[_Version]]

    def upto(self, node: str, owner: str, at_s: float) -> _Version:
        """The newest that it had taken by then."""
        place = bisect.bisect_right(self.times[node, owner], at_s)
        return self.versions[node, owner][place - 1] if place else (-1, 0)


def check(history: History, _limits: Limits) -> Finding:
    """Judge D2."""
    book, honest, lives = Casebook(), honest_nodes(history), processes(history)
    taken = _taken(history)
    signed_s = {(one.owner, one.version): one.at_s for one in history.signed if one.at_s > 0}
    stolen_s = {one.owner: one.at_s for one in reversed(history.thefts)}

    def holds(peer: str, owner: str, version: _Version, at_s: float, how: str) -> None:
        if owner not in honest or peer not in honest or (owner, version) not in signed_s:
            return
        if stolen_s.get(peer, math.inf) <= at_s:
            return
        book.looked_at += 1
        if taken.upto(peer, owner, at_s) < version and not lives[peer].damages_s:
            text = (
                f"{owner}, {how} at {moment(at_s)}, takes {peer} for holding its commit "
                f"{version[1]}, which {peer} had not taken"
            )
            book.blame(at_s, text)

    for one in history.acknowledged:
        holds(one.peer, one.owner, one.held, one.at_s, "by an acknowledgement")
    for row in history.queued:
        holds(row.peer, row.owner, row.held, row.at_s, "in its queue")
    _receipts(history, honest, lives, book)
    _planned(history, honest, lives, book)
    _measure(history, lives, signed_s, book)
    return book.finding("D2", "delivery")


def _taken(history: History) -> _Taken:
    taken = _Taken(defaultdict(list), defaultdict(list))
    for one in history.accepted:
        versions = taken.versions[one.node, one.owner]
        if not versions or one.version > versions[-1]:
            taken.times[one.node, one.owner].append(one.at_s)
            versions.append(one.version)
    return taken


def _receipts(
    history: History, honest: dict[str, None], lives: dict[str, Process], book: Casebook
) -> None:
    """Rule 2: what was vouched for is there after a start."""
    vouched: dict[tuple[str, str], list[tuple[float, _Version]]] = defaultdict(list)
    for one in history.acknowledged:
        if one.stored > (-1, 0):
            vouched[one.peer, one.owner].append((one.at_s, one.stored))
    for start in history.remembered:
        given = vouched.get((start.node, start.owner), ())
        if start.node not in honest or start.owner not in honest:
            continue
        damaged_s = lives[start.node].last_damage_s(start.at_s)
        sent_s = damaged_s + UNDER_WAY_S
        before = [version for at_s, version in given if sent_s < at_s <= start.at_s]
        if not before:
            continue
        book.looked_at += 1
        if max(before) > start.version:
            text = (
                f"{start.node} gave {start.owner} a receipt for its commit {max(before)[1]}, and "
                f"started at {moment(start.at_s)} with {start.version[1]}"
            )
            book.blame(start.at_s, text)


def _planned(
    history: History, honest: dict[str, None], lives: dict[str, Process], book: Casebook
) -> None:
    """Rule 3: whoever lacks something is going to be tried."""
    core = dict.fromkeys(history.core)
    waiting = 0
    for row in history.queued:
        if row.at_s != history.end_s or row.owner not in core or row.owner not in honest:
            continue
        if not row.lacks or not lives[row.owner].ran(row.at_s - OVERDUE_S, row.at_s):
            continue
        waiting += 1
        book.looked_at += 1
        planned = row.at_s - OVERDUE_S <= row.next_try_s <= row.at_s + WAIT_MAX_S
        if not row.under_way and not planned:
            when = moment(row.next_try_s) if row.next_try_s > 0 else "never"
            text = f"{row.owner}'s queue waits for {row.peer} at the end, to be tried: {when}"
            book.blame(row.at_s, text)
    book.figures["waiting_count"] = float(waiting)


def _measure(
    history: History,
    lives: dict[str, Process],
    signed_s: dict[tuple[str, _Version], float],
    book: Casebook,
) -> None:
    latencies = []
    for one in history.acknowledged:
        since_s = signed_s.get((one.owner, one.stored))
        if since_s is not None and lives[one.peer].ran(since_s, one.at_s):
            latencies.append(one.at_s - since_s)
    book.measured("acknowledged", latencies)
