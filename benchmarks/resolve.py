"""`python -m benchmarks.resolve`: how long it takes to decide between statements, and to join.

Each row is one pure function, called again and again on the same input in this process: `resolve`
on as many reports, made of their statements each time, and the join of a document that as many
writers have written. Times are microseconds. Exit codes: 0; 1 if a median misses its goal.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

from benchmarks.report import Goal, Measurement, Spread, write
from benchmarks.report.shape import significant
from node.cli.options import whole
from protocol.agreement import documents
from protocol.agreement.resolve import Statement, clock_of, reports, resolve
from protocol.identity import NodeId
from protocol.records import DocumentRecord

Words: TypeAlias = dict[NodeId, DocumentRecord]

ROUNDS = 1_000
ROUNDS_MAX = 1_000_000
REPORTS = (3, 10, 100)
WRITERS = (2, 8, 64)
KEY = "document"
NOTE = "one call of a pure function, in this process"
GOAL_US = 100.0
"""For ten reports; the design source resolved a conflict in 470 µs."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one function took."""

    what: str
    median_us: float
    min_us: float
    max_us: float
    goal_us: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and judge by the goals."""
    arguments = _parser().parse_args(argv)
    rows = [_timed(*case, rounds=arguments.rounds) for case in cases()]
    _show(rows)
    if arguments.json:
        write(arguments.json, "resolve", [_figure(row) for row in rows])
    return int(any(row.goal_us is not None and row.median_us > row.goal_us for row in rows))


def cases() -> list[tuple[str, Callable[[], object], float | None]]:
    """What is measured: its name, the call, and the goal for its median."""
    found: list[tuple[str, Callable[[], object], float | None]] = []
    for count in REPORTS:
        goal_us = GOAL_US if count == 10 else None
        voters = [_node(number) for number in range(count)]
        said = [_statement(voters, number, seen=False) for number in range(count)]
        found.append((f"resolve {count} reports, by votes", _resolving(said, voters), goal_us))
        seen = [_statement(voters, number, seen=True) for number in range(count)]
        found.append((f"resolve {count} reports, with clocks", _resolving(seen, voters), goal_us))
    for count in WRITERS:
        for name, words in (("one after another", _in_turn(count)), ("apart", _apart(count))):
            found.append((f"join {count} words, written {name}", _joining(words), None))
    return found


def _joining(words: Words) -> Callable[[], object]:
    return lambda: documents.joined(KEY, words)


def _in_turn(count: int) -> Words:
    """Each writer saw all before it, and set one of eight fields."""
    words: Words = {}
    for number in range(count):
        before = documents.joined(KEY, words)
        writer = _node(number)
        words[writer] = documents.write(before, {f"f{number % 8}": b'"set"'}, writer, 1 + number)
    return words


def _apart(count: int) -> Words:
    """Nobody saw another: each of eight fields has a sibling for every eighth writer."""
    nothing = documents.joined(KEY, {})
    words: Words = {}
    for number in range(count):
        value = f'"{number}"'.encode()
        words[_node(number)] = documents.write(
            nothing, {f"f{number % 8}": value}, _node(number), 1 + number
        )
    return words


def _resolving(said: list[Statement[str]], voters: list[NodeId]) -> Callable[[], object]:
    return lambda: resolve(reports(said), voters)


def _statement(voters: list[NodeId], number: int, *, seen: bool) -> Statement[str]:
    """One of three values; with a clock of four entries, concurrent to those of all others."""
    value, voter = "xyz"[number % 3], voters[number]
    clock = clock_of(dict.fromkeys(voters[:3], 5) | {voter: 7}) if seen else None
    return Statement(voter, value, value.encode() * 32, 1_000 + number, clock)


def _node(number: int) -> NodeId:
    return NodeId(number.to_bytes(32, "big"))


def _timed(what: str, call: Callable[[], object], goal_us: float | None, *, rounds: int) -> Row:
    call()  # the first fills caches
    spent: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        spent.append((time.perf_counter() - start) * 1e6)
    return Row(what, round(median(spent), 1), round(min(spent), 1), round(max(spent), 1), goal_us)


def _figure(row: Row) -> Measurement:
    goal = None if row.goal_us is None else Goal("<=", row.goal_us, "kith")
    times = Spread(*map(significant, (row.median_us, row.min_us, row.max_us)))
    return Measurement(row.what, "µs", times, goal=goal, note=NOTE)


def _show(rows: Sequence[Row]) -> None:
    width = max(len(row.what) for row in rows)
    print(f"{'µs':<{width}}  {'median':>9}  {'min':>9}  {'max':>9}  {'goal':>6}")
    for row in rows:
        goal = f"≤ {row.goal_us:g}" if row.goal_us is not None else ""
        print(
            f"{row.what:<{width}}  {row.median_us:>9}  {row.min_us:>9}  {row.max_us:>9}  {goal:>6}"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resolve", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    parser.add_argument(
        "--rounds", type=whole(1, ROUNDS_MAX), default=ROUNDS, help="calls of each function"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
