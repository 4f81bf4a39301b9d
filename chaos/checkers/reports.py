"""B5: a report of a partition that says it is exact names just the records that diverged.

Judged are plain splits: all links between groups of nodes were cut at one moment and all mended at
another. A history is invalid where an honest node's exact report of one

1. does not name a record whose state differed between what its owner's side held when the links
   were mended and what the others had held then, or what becomes of it later in that report's time;
2. names one that did not differ;
3. says that such a record was added, changed or removed, or that its owner was on the other side,
   and that is not so;
4. is missing: a cut lasted longer than `split_detection_s`, and a node began no report within it.

What each node held is known by the commits that it took, and what a commit changed by what its
owner signed. The state at a commit is what led to it, from parent to (first) parent: what an owner
signed in a life that its disk forgot, and that it never merged, is part of no later state. Where
nodes of one side held different commits when the links were mended, or the owner signed more before
the report was concluded, each of these is right for rules 1 to 3.

What is excused, and no more: reports that do not say that they are exact, that are not concluded,
that count someone of their own side as cut off, or that began outside the cut; of rule 1, records
that are only counted; of rule 4, nodes whose process ended or started after the cut began, since
reports are kept in memory, and nodes in whose report from before somebody was away already; and all
reports if in the time around, from `report_calm_s` before the cut to the end of the report, a node
started, ended, froze or had its disk damaged, other links were cut, links were hard or lost more
than `light_loss_max`; and every history that has villains.

Figures: how many reports were judged, how many did not say that they are exact, and how many
records those judged name.
"""

import bisect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from chaos.history import Diverged, History, Links, Reported, Signed
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .detection import sides_of
from .limits import Limits
from .soundness import LinkTimes

_State = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A plain split."""

    begin_s: float
    end_s: float
    side: Mapping[str, int]
    """By node the number of its group."""

    def __str__(self) -> str:
        return f"the cut from {moment(self.begin_s)} to {moment(self.end_s)}"


@dataclass(slots=True)
class _Reading:
    """What the rules share."""

    history: History
    limits: Limits
    links: LinkTimes
    book: Casebook
    owners: dict[str, "_Owner"] = field(default_factory=dict)
    taken: dict[tuple[str, str], list[tuple[float, str]]] = field(default_factory=dict)
    """By node and owner: when it made which commit the head."""


@dataclass(slots=True)
class _Owner:
    """What one node signed, in the order of versions."""

    signed: list[Signed] = field(default_factory=list)
    commits: dict[str, Signed] = field(default_factory=dict)
    known: bool = True
    """Whether each version is one commit whose changes are known; of the first nobody asks."""

    def state(self, top: Signed) -> _State:
        """Its records at a commit, but for what its first commit set."""
        line = [top]
        while line[-1].parents and line[-1].parents[0] in self.commits:
            line.append(self.commits[line[-1].parents[0]])
        state: _State = {}
        for one in reversed(line):
            for record, digest in one.changes or ():
                state.pop(record, None)
                if digest:
                    state[record] = digest
        return state


def check(history: History, limits: Limits) -> Finding:
    """Judge B5."""
    read = _Reading(history, limits, LinkTimes(history), Casebook())
    if history.villains:
        return read.book.finding("B5", "reports")
    _read(read)
    for cut in _plain_cuts(read):
        for node in history.nodes:
            _judge_node(read, cut, node)
    return read.book.finding("B5", "reports")


def _read(read: _Reading) -> None:
    read.owners = {node: _Owner() for node in read.history.nodes}
    for one in sorted(read.history.signed, key=lambda one: one.version):
        owner = read.owners.get(one.owner)
        if owner is not None:
            owner.signed.append(one)
            owner.commits[one.commit] = one
    for owner in read.owners.values():
        later = owner.signed[1:]
        twice = any(one.version == other.version for one, other in pairwise(owner.signed))
        owner.known = not twice and all(one.changes is not None for one in later)
    for taken in read.history.accepted:
        read.taken.setdefault((taken.node, taken.owner), []).append((taken.at_s, taken.commit))


def _plain_cuts(read: _Reading) -> Iterator[_Cut]:
    """Every split of all links between groups that was mended as a whole."""
    entries = read.links.entries
    begun: Links | None = None
    clean = True
    for before, links in pairwise([Links(0.0), *entries]):
        if links.blocked == before.blocked:
            continue
        if begun is not None and clean and not links.blocked:
            cut = _cut(read.history.nodes, begun, links.at_s)
            if cut is not None:
                yield cut
        begun = links if links.blocked else None
        clean = not before.blocked


def _cut(nodes: tuple[str, ...], begun: Links, end_s: float) -> _Cut | None:
    side = {
        node: number
        for number, group in enumerate(sides_of(nodes, begun.blocked))
        for node in group
    }
    apart = {(a, b) for a in nodes for b in nodes if side[a] != side[b]}
    return _Cut(begun.at_s, end_s, side) if begun.blocked == apart else None


def _judge_node(read: _Reading, cut: _Cut, node: str) -> None:
    reports = [
        one
        for one in read.history.reports
        if one.node == node and cut.begin_s <= one.began_s <= cut.end_s
    ]
    if not reports:
        _judge_absence(read, cut, node)
    for report in reports:
        own = cut.side[node]
        plain = report.away and all(cut.side.get(other, own) != own for other in report.away)
        if not plain or not _calm(read, cut, report.reconciled_s):
            continue
        name = "exact_count" if report.exact else "inexact_count"
        read.book.figures[name] = read.book.figures.get(name, 0.0) + 1.0
        if report.exact:
            _judge_report(read, cut, report)


def _judge_absence(read: _Reading, cut: _Cut, node: str) -> None:
    """Rule 4."""
    if any(one.node == node and one.at_s > cut.begin_s for one in read.history.lives):
        return  # reports are kept in memory only
    if any(
        one.node == node and one.began_s < cut.begin_s <= one.reconciled_s
        for one in read.history.reports
    ):
        return  # it tells of this cut too: somebody was away already
    if cut.end_s - cut.begin_s > read.limits.split_detection_s and _calm(read, cut, cut.end_s):
        read.book.looked_at += 1
        read.book.blame(cut.end_s, f"{node} has no report of {cut}")


def _calm(read: _Reading, cut: _Cut, until_s: float) -> bool:
    """Whether nothing but the cut went on, from a while before it."""
    since_s = cut.begin_s - read.limits.report_calm_s
    if until_s == math.inf or since_s < 0:
        return False
    if any(since_s <= one.at_s <= until_s for one in read.history.lives):
        return False
    if not read.links.easy(since_s, until_s, read.limits.light_loss_max):
        return False
    around = [read.links.at(since_s), *read.links.changes(since_s, until_s)]
    return not any(links.blocked and not cut.begin_s <= links.at_s < cut.end_s for links in around)


def _judge_report(read: _Reading, cut: _Cut, report: Reported) -> None:
    """Rules 1 to 3."""
    read.book.looked_at += 1
    named = {(one.owner, one.record): one for one in report.diverged}
    figures = read.book.figures
    figures["named_count"] = figures.get("named_count", 0.0) + len(named)
    for owner, signed in read.owners.items():
        nets = _nets(read, cut, owner, signed, report.reconciled_s)
        if nets is None:
            continue
        may = {record: None for net in nets for record in net}
        for record in may:
            is_sure = all(record in net for net in nets)
            if is_sure and (owner, record) not in named and not report.left:
                became = nets[0][record]
                _blame(read, cut, report, f"does not name {record} of {owner}, which was {became}")
        for (_, record), one in named.items():
            if one.owner == owner:
                _judge_name(read, cut, report, one, [net.get(record) for net in nets])


def _judge_name(
    read: _Reading, cut: _Cut, report: Reported, one: Diverged, right: list[str | None]
) -> None:
    what = f"{one.record} of {one.owner}"
    if all(became is None for became in right):
        _blame(read, cut, report, f"names {what}, which both sides had alike")
    elif one.became not in right:
        became = next(became for became in right if became is not None)
        _blame(read, cut, report, f"says that {what} was {one.became}, and it was {became}")
    if one.here != (cut.side[one.owner] == cut.side[report.node]):
        _blame(read, cut, report, f"names {what} as of the wrong side")


def _blame(read: _Reading, cut: _Cut, report: Reported, what: str) -> None:
    text = f"{report.node}, in its report of {cut} that says it is exact, {what}"
    read.book.blame(report.reconciled_s, text)


def _nets(
    read: _Reading, cut: _Cut, owner: str, signed: _Owner, until_s: float
) -> list[dict[str, str]] | None:
    """What became of an owner's records between all that its side and the others may have held."""
    if not signed.known or not signed.signed:
        return None
    held: dict[str, Signed] = {}
    for node in cut.side:
        head = _held(read, node, owner, cut.end_s)
        if head is None:
            return None
        held[node] = head
    theirs = {held[node]: None for node in cut.side if cut.side[node] != cut.side[owner]}
    ours = [held[node].version for node in cut.side if cut.side[node] == cut.side[owner]]
    tops = [
        signed.state(one)
        for one in signed.signed
        if one.version >= min(ours) and one.at_s <= until_s
    ]  # fmt: skip
    return [_net(signed.state(base), top) for base in theirs for top in tops]


def _held(read: _Reading, node: str, owner: str, at_s: float) -> Signed | None:
    """The commit of an owner that a node held; None where that is not known."""
    signed, taken = read.owners[owner], read.taken.get((node, owner), [])
    place = bisect.bisect_right(taken, at_s, key=lambda one: one[0])
    if place:
        return signed.commits.get(taken[place - 1][1])
    return signed.signed[0] if read.history.joined else None


def _net(before: _State, after: _State) -> dict[str, str]:
    found = {}
    for record in {**before, **after}:
        if before.get(record) != after.get(record):
            found[record] = (
                "added" if record not in before else "changed" if record in after else "removed"
            )
    return found
