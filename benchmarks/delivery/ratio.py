"""How soon live peers have an update, with dead ones in the queue and without.

Two clusters at once: five nodes, and eight of which three are down. Their five live nodes take the
same updates, block by block, now the one first, now the other. Each update is timed from the moment
it is asked for until the last of the four live peers has applied it, by their logs, and until the
caller is told that all four have it on disk (`?confirm=4`).
"""

import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.cluster.fleet import BenchError
from benchmarks.report import Goal

from .applied import arrival_ns
from .figures import Figures, spread_of
from .town import Say, Town
from .updates import Update, make

LIVE, GONE = range(5), range(5, 8)
CONFIRM = f"?confirm={len(LIVE) - 1}&confirm_timeout=10s"
BREAKERS_S = 120.0
RATIO_MAX = 1.1
APART = 2 * len(LIVE)
DIGITS = 2


@dataclass(frozen=True, slots=True)
class Block:
    """Updates made one after the other with one cluster."""

    applied_ms: tuple[float, ...]
    confirmed_ms: tuple[float, ...]


def measure(pairs: int, updates: int, paused: bool, say: Say) -> Figures:
    """So many pairs of blocks of so many updates; `paused`: the dead do not even refuse.

    Raises:
        BenchError: an update is refused, or breakers do not open.
        ClusterError: the nodes do not start.
    """
    with Town(len(LIVE)) as without, Town(len(LIVE) + len(GONE)) as dead:
        number = signal.SIGSTOP if paused else signal.SIGKILL
        say(f"five nodes, and eight of which three get {number.name}")
        for index in GONE:
            dead.send(index, number)
        for town in (without, dead):
            _block(town, 0, updates)
        dead.wait(lambda: _open(dead), BREAKERS_S, "all breakers for the three are open")
        before = dead.counters(LIVE)
        blocks: dict[bool, list[list[Update]]] = {False: [], True: []}
        for pair in range(pairs):
            for is_dead in (True, False) if pair % 2 else (False, True):
                town = dead if is_dead else without
                blocks[is_dead].append(_block(town, (pair + 1) * updates, updates))
            say(f"{pair + 1} of {pairs} pairs")
        after = dead.counters(LIVE)
        figures = Figures()
        _compare(
            [_timed(without, one) for one in blocks[False]],
            [_timed(dead, one) for one in blocks[True]],
            figures,
        )
        figures.put("tries with the three meanwhile", after["attempts"] - before["attempts"])
        figures.promise("breakers for the three are open to the end", kept=_open(dead))
    return figures


def _open(town: Town) -> bool:
    return all(
        sum(row["breaker"] != "closed" for row in town.waiting(index)) == len(GONE)
        for index in LIVE
    )


def _block(town: Town, first: int, updates: int) -> list[Update]:
    made = []
    with ExitStack() as open_ones:
        clients = [open_ones.enter_context(town.client(index)) for index in LIVE]
        for number in range(first, first + updates):
            node = number % len(LIVE)
            made.append(make(clients[node], node, number, APART, CONFIRM))
    return made


def _timed(town: Town, made: Sequence[Update]) -> Block:
    spans = {town.name(index): town.spans(index) for index in LIVE}
    applied, confirmed = list[float](), list[float]()
    for one in made:
        peers = {name: its for name, its in spans.items() if name != town.name(one.node)}
        arrived = arrival_ns(peers, one.commit)
        if len(arrived) != len(peers) or one.status == 202:
            raise BenchError(f"{one.update_id} did not get to all live peers in time")
        applied.append((max(arrived.values()) - one.asked_ns) / 1e6)
        confirmed.append((one.answered_ns - one.asked_ns) / 1e6)
    return Block(tuple(applied), tuple(confirmed))


def _compare(without: Sequence[Block], dead: Sequence[Block], figures: Figures) -> None:
    _row(
        "applied by all four live peers",
        [median(block.applied_ms) for block in without],
        [median(block.applied_ms) for block in dead],
        figures,
    )
    _row(
        "on disk of all four live peers, by their receipts",
        [median(block.confirmed_ms) for block in without],
        [median(block.confirmed_ms) for block in dead],
        figures,
    )


def _row(what: str, without: Sequence[float], dead: Sequence[float], figures: Figures) -> None:
    ratios = [one / other for one, other in zip(dead, without, strict=True)]
    figures.put(f"{what}: without dead ones, ms", spread_of(without, DIGITS))
    figures.put(f"{what}: with three dead, ms", spread_of(dead, DIGITS))
    goal = Goal("<=", RATIO_MAX, "kith")
    figures.put(f"{what}: ratio of {len(ratios)} pairs", spread_of(ratios, DIGITS), goal)
    figures.promise(f"{what}: median ratio at most {RATIO_MAX}", kept=median(ratios) <= RATIO_MAX)
