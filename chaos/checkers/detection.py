"""P5: who crashed is known to be away by everyone, and soon.

A history is invalid where

1. an honest node crashed for longer than T, and an honest viewer that ran and was judged did not
   hold it for away at crash + T. T is `detection_s(n)` for a crash *alone*, when no other node
   ended and no link was cut or mended from `healed_s` before until everyone should have known;
   else it is `detection_together_s`;
2. two nodes lay on different sides of a cut that nothing passed, no link was cut or mended for
   longer than T, and one that ran and was judged did not hold the other for away by then. T is
   `split_detection_s` where no link was cut or mended for `healed_s` before, else
   `detection_together_s`.

A viewer is judged if it ran without a pause from `started_s` before until the deadline, knew the
subject, and links were never hard nor lost more than `light_loss_max`. Where links were cut or
mended after the crash and before the deadline, T counts from there: a viewer may find itself in
another company, and has to start over. Not to know the subject, or to hold it for stopping or
left, is as good as away: it is out of lookups. Pauses are not required to be seen. Nor is a subject
whose key a thief has, and can pass for it with that viewer (see `thefts`).

What happened and was not judged is told, with the reason, and of crashes and cuts that were over
too soon also who noticed them all the same.

Figures: `detection_…_s` over crashes alone and viewers that still held the subject for here,
`detection_all_…_s` over these crashes (when the last of the viewers knew), the same with
`together` for the others, and `split_…_s` over pairs that a cut parted after a quiet time.
"""

import bisect
import itertools
import math
from dataclasses import dataclass, field

from chaos.history import Belief, History, Life, Links
from chaos.verdict import Finding

from .believed import Beliefs
from .casebook import Casebook, counted, moment
from .limits import Limits
from .lives import Process, processes
from .registers import honest_nodes
from .soundness import LinkTimes
from .thefts import Thefts


@dataclass(slots=True)
class _Passed:
    """What was not judged, counted by why not."""

    short_crashes: int = 0
    short_cuts: int = 0
    bad_links: int = 0
    """Crashes and cuts, while links were too bad for a promise of time."""
    unseen: int = 0
    """Crashes and cuts that nobody could be asked about."""
    crashes_seen_s: list[float | None] = field(default_factory=list)
    """Of each viewer of a short crash: how long it took to notice; None: it did not."""
    cuts_seen_s: list[float | None] = field(default_factory=list)


@dataclass(slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    lives: dict[str, Process]
    beliefs: Beliefs
    links: LinkTimes
    thefts: Thefts
    honest: dict[str, None]
    book: Casebook
    ends: list[tuple[float, str]]
    """When whose process ended, in order."""
    splits_s: list[float] = field(default_factory=list)
    passed: "_Passed" = field(default_factory=lambda: _Passed())

    def settled(self, node: str, since_s: float, until_s: float) -> bool:
        """Whether a node ran all that time, and long enough before."""
        before_s = max(0.0, since_s - self.limits.started_s)
        return self.lives[node].ran(before_s, until_s)

    def concerned(self, viewer: str, subject: str, since_s: float, deadline_s: float) -> bool:
        """Whether a viewer knew the subject then, and no thief can pass for that with it."""
        knew = self.beliefs.held(viewer, subject, since_s)[0] is not Belief.UNKNOWN
        return knew and not self.thefts.speaks(viewer, subject, since_s, deadline_s)

    def easy(self, begin_s: float, end_s: float) -> bool:
        """Whether links kept to what the times are promised for."""
        before_s = max(0.0, begin_s - self.limits.healed_s)
        return self.links.easy(before_s, end_s, self.limits.light_loss_max)

    def seen_after_s(
        self, viewer: str, subject: str, at_s: float, deadline_s: float
    ) -> float | None:
        """How long after `at_s` it was seen away; negative if it was before, None if it was not."""
        since_s = self.beliefs.gone_since(viewer, subject, deadline_s)
        return None if since_s is None else since_s - at_s


def check(history: History, limits: Limits) -> Finding:
    """Judge P5."""
    lives = processes(history)
    read = _Reading(
        history,
        limits,
        lives,
        Beliefs(history, lives),
        LinkTimes(history),
        Thefts(history, limits, lives),
        honest_nodes(history),
        Casebook(),
        sorted((at_s, node) for node, process in lives.items() for at_s in process.ends_s),
    )
    detected_s: dict[str, list[float]] = {"detection": [], "detection_together": []}
    by_all_s: dict[str, list[float]] = {name: [] for name in detected_s}
    for subject in read.honest:
        for crashed_s in lives[subject].crashes_s:
            alone = _alone(read, subject, crashed_s)
            times_s = _crash(read, subject, crashed_s, alone=alone)
            name = "detection" if alone else "detection_together"
            detected_s[name] += times_s
            by_all_s[name] += [max(times_s)] if times_s else []
    _splits(read)
    for name, times_s in detected_s.items():
        read.book.measured(name, times_s)
        read.book.measured(f"{name}_all", by_all_s[name])
    read.book.measured("split", read.splits_s)
    read.book.unjudged = _unjudged(read)
    return read.book.finding("P5", "detection")


def _alone(read: _Reading, subject: str, crashed_s: float) -> bool:
    """Whether nothing else happened around a crash that would make it slower to see."""
    begin_s = crashed_s - read.limits.healed_s
    end_s = crashed_s + read.limits.detection_s(len(read.history.nodes))
    first = bisect.bisect_left(read.ends, (begin_s, ""))
    for at_s, node in read.ends[first:]:
        if at_s > end_s:
            break
        if node != subject:
            return False
    return not _recuts(read, begin_s, crashed_s)


def _crash(read: _Reading, subject: str, crashed_s: float, *, alone: bool) -> list[float]:
    """Rule 1 for one crash; how long each viewer took that still held the subject for here."""
    limits, nodes = read.limits, len(read.history.nodes)
    allowed_s = limits.detection_s(nodes) if alone else limits.detection_together_s
    deadline_s = _deadline_s(read, crashed_s, allowed_s)
    up_again_s = next(
        (span.begin_s for span in read.lives[subject].up if span.begin_s >= crashed_s),
        read.history.end_s,
    )
    if deadline_s is None or not read.easy(crashed_s, deadline_s):
        read.passed.bad_links += 1
        return []
    if up_again_s < deadline_s:
        read.passed.short_crashes += 1
        read.passed.crashes_seen_s += [
            read.beliefs.away_after_s(viewer, subject, crashed_s, up_again_s)
            for viewer in read.honest
            if viewer != subject and read.lives[viewer].ran(crashed_s, up_again_s)
        ]
        return []
    before = read.book.looked_at
    times_s: list[float] = []
    for viewer in read.honest:
        if viewer == subject or not read.settled(viewer, crashed_s, deadline_s):
            continue
        if not read.concerned(viewer, subject, crashed_s, deadline_s):
            continue
        read.book.looked_at += 1
        seen_s = read.seen_after_s(viewer, subject, crashed_s, deadline_s)
        if seen_s is None:
            text = (
                f"{subject} crashed at {moment(crashed_s)}, and {viewer} still held it for "
                f"{read.beliefs.held(viewer, subject, deadline_s)[0].value} at {moment(deadline_s)}"
            )
            read.book.blame(deadline_s, text)
        elif seen_s >= 0.0:
            times_s.append(seen_s)
    read.passed.unseen += read.book.looked_at == before
    return times_s


def _deadline_s(read: _Reading, crashed_s: float, allowed_s: float) -> float | None:
    """By when a crash must be seen; None if the links were cut and mended once too often."""
    last_s = crashed_s
    recut = _recuts(read, crashed_s, crashed_s + allowed_s)
    if recut:
        last_s = recut[-1].at_s
        if _recuts(read, last_s, last_s + allowed_s):
            return None
    return last_s + allowed_s


def _recuts(read: _Reading, begin_s: float, end_s: float) -> list[Links]:
    changes = read.links.changes(begin_s, end_s)
    pairs = itertools.pairwise((read.links.at(begin_s), *changes))
    return [later for earlier, later in pairs if later.blocked != earlier.blocked]


def _splits(read: _Reading) -> None:
    """Rule 2: look at every stretch in which the same links were cut for long enough."""
    before: dict[tuple[str, str], None] = {}
    recuts = _recuts(read, -math.inf, read.history.end_s)
    for place, links in enumerate(recuts):
        last = place + 1 == len(recuts)
        until_s = read.history.end_s if last else recuts[place + 1].at_s
        apart = _pairs_apart(sides_of(read.history.nodes, links.blocked), read.honest)
        quiet = not place or recuts[place - 1].at_s < links.at_s - read.limits.healed_s
        limits = read.limits
        allowed_s = limits.split_detection_s if quiet else limits.detection_together_s
        deadline_s = links.at_s + allowed_s
        parted = [pair for pair in apart if pair not in before]
        if deadline_s <= until_s and read.easy(links.at_s, deadline_s):
            looked_at = read.book.looked_at
            for pair in apart:
                fresh = quiet and pair not in before
                _split_pair(read, pair, (links.at_s, deadline_s), fresh=fresh)
            read.passed.unseen += bool(apart) and read.book.looked_at == looked_at
        elif parted and deadline_s > until_s:
            _short_cut(read, parted, (links.at_s, until_s))
        elif parted:
            read.passed.bad_links += 1
        before = apart


def _short_cut(read: _Reading, parted: list[tuple[str, str]], within: tuple[float, float]) -> None:
    """A cut that was over, or changed, too soon to be judged: who noticed it all the same."""
    read.passed.short_cuts += 1
    read.passed.cuts_seen_s += [
        read.beliefs.away_after_s(viewer, subject, *within)
        for one, other in parted
        for viewer, subject in ((one, other), (other, one))
        if read.lives[viewer].ran(*within)
    ]


def _split_pair(
    read: _Reading, pair: tuple[str, str], within: tuple[float, float], *, fresh: bool
) -> None:
    one, other = pair
    since_s, deadline_s = within
    if not all(read.settled(node, since_s, deadline_s) for node in pair):
        return
    for viewer, subject in ((one, other), (other, one)):
        if not read.concerned(viewer, subject, since_s, deadline_s):
            continue
        read.book.looked_at += 1
        seen_s = read.seen_after_s(viewer, subject, since_s, deadline_s)
        if seen_s is None:
            text = (
                f"{viewer} and {subject} were apart from {moment(since_s)} on, and {viewer} still "
                f"held it for here at {moment(deadline_s)}"
            )
            read.book.blame(deadline_s, text)
        elif fresh and seen_s >= 0.0:
            read.splits_s.append(seen_s)


def sides_of(nodes: tuple[str, ...], blocked: frozenset[tuple[str, str]]) -> list[list[str]]:
    """The sides between which nothing passes, in either direction, not even by way of others."""
    shut: dict[str, dict[str, None]] = {}
    for one, other in blocked:
        if (other, one) in blocked:
            shut.setdefault(one, {})[other] = None
    left = dict.fromkeys(nodes)
    sides: list[list[str]] = []
    while left:
        first = next(iter(left))
        del left[first]
        side, waiting = [first], [first]
        while waiting:
            closed = shut.get(waiting.pop(), {})
            near = [node for node in left if node not in closed]
            for node in near:
                del left[node]
            side += near
            waiting += near
        sides.append(side)
    return sides


def _unjudged(read: _Reading) -> list[str]:
    """What happened and was not judged, in words."""
    passed, limits = read.passed, read.limits
    allowed_s = limits.detection_s(len(read.history.nodes))
    frozen = sum(one.life is Life.PAUSED and one.node in read.honest for one in read.history.lives)
    too_soon = (
        f" before the others had to know, which is {allowed_s:g} s after a crash alone "
        f"and {limits.detection_together_s:g} s after one of several"
        f"{_all_the_same(passed.crashes_seen_s, 'nodes that could')}"
    )
    recut = (
        f" before both sides had to know, which is {limits.split_detection_s:g} to "
        f"{limits.detection_together_s:g} s after it"
        f"{_all_the_same(passed.cuts_seen_s, 'views across it')}"
    )
    links = (
        ": links were cut again and again, were slow, or lost more than "
        f"{limits.light_loss_max:.0%} meanwhile, for which no time is promised"
    )
    nobody = ": no node that could be asked had run for long enough"
    may_go_on = " frozen: that need not be noticed, for a frozen node may go on"
    told = (
        (passed.short_crashes, "crash was over", "crashes were over", too_soon),
        (passed.short_cuts, "cut was over or changed", "cuts were over or changed", recut),
        (passed.bad_links, "crash or cut", "crashes or cuts", links),
        (passed.unseen, "crash or cut", "crashes or cuts", nobody),
        (frozen, "time a node was", "times nodes were", may_go_on),
    )
    return [f"{counted(count, one, many)}{why}" for count, one, many, why in told if count]


def _all_the_same(seen_s: list[float | None], who: str) -> str:
    """Of what need not have been noticed: by how many it was."""
    if not seen_s:
        return ""
    noticed_s = [one for one in seen_s if one is not None]
    if not noticed_s:
        return f"; none of {len(seen_s)} {who} noticed"
    return (
        f"; {len(noticed_s)} of {len(seen_s)} {who} noticed, after {max(noticed_s):.2f} s at most"
    )


def _pairs_apart(sides: list[list[str]], honest: dict[str, None]) -> dict[tuple[str, str], None]:
    found: dict[tuple[str, str], None] = {}
    for ours, theirs in itertools.combinations(sides, 2):
        for one, other in itertools.product(ours, theirs):
            if one in honest and other in honest:
                found[(one, other) if one < other else (other, one)] = None
    return found
