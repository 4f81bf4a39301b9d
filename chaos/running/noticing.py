"""How soon nodes noticed who was gone: cut off from them, or crashed, for however short a time.

The checker of P5 says whether that was soon enough, and only of what lasted long enough to be
judged; these are the figures of all that was noticed.
"""

import itertools
from bisect import bisect_right

from chaos.checkers.detection import sides_of
from chaos.checkers.lives import processes
from chaos.checkers.soundness import LinkTimes
from chaos.history import AWAY, History

Pair = tuple[str, str]
"""Who looks, at whom."""


def noticed_s(history: History) -> list[float]:
    """Of each pair of honest nodes that was parted and noticed it: how many seconds that took.

    One that did not run meanwhile had nothing to notice: what it finds as it returns is no notice.
    """
    told: dict[Pair, list[float]] = {}
    for one in sorted(history.beliefs, key=lambda one: one.at_s):
        if one.belief in AWAY:
            told.setdefault((one.node, one.subject), []).append(one.at_s)
    lives, found = processes(history), []
    for pair, begin_s, end_s in _partings(history):
        moments = told.get(pair, [])
        place = bisect_right(moments, begin_s)
        if place == len(moments) or moments[place] > end_s:
            continue
        if lives[pair[0]].ran(begin_s, moments[place]):
            found.append(round(moments[place] - begin_s, 3))
    return sorted(found)


def _partings(history: History) -> list[tuple[Pair, float, float]]:
    """Who could not reach whom, from when until when."""
    honest = [node for node in history.nodes if node not in history.villains]
    lives = processes(history)
    found: list[tuple[Pair, float, float]] = []
    since_s: dict[Pair, float] = {}
    for links in LinkTimes(history).entries:
        apart = _apart(history.nodes, links.blocked)
        again = [pair for pair in since_s if pair not in apart]
        found += [(pair, since_s.pop(pair), links.at_s) for pair in again]
        for pair in apart:
            since_s.setdefault(pair, links.at_s)
    found += [(pair, begin_s, history.end_s) for pair, begin_s in since_s.items()]
    for subject in honest:
        for crashed_s in lives[subject].crashes_s:
            ups_s = (span.begin_s for span in lives[subject].up if span.begin_s > crashed_s)
            end_s = next(ups_s, history.end_s)
            found += [((viewer, subject), crashed_s, end_s) for viewer in honest]
    return [
        (pair, begin_s, end_s)
        for pair, begin_s, end_s in found
        if pair[0] != pair[1] and all(node in honest for node in pair)
    ]


def _apart(nodes: tuple[str, ...], blocked: frozenset[Pair]) -> dict[Pair, None]:
    sides = sides_of(nodes, blocked)
    return {
        (one, other): None
        for ours, theirs in itertools.permutations(sides, 2)
        for one in ours
        for other in theirs
    }
