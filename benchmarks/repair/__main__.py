"""`python -m benchmarks.repair`: what repairs cost, by how much differs, and a join of everything.

Two peers in memory, 100,000 records of 100 owners and of 10. Some records differ; either the
commits between are still kept by the one who has them, or they are not. Beside it, one who holds
nothing gets everything. Then the newcomer: 10,000 records of 100 owners, in the protocol's core
alone, and with two real nodes. Progress goes to standard error, the tables to standard output, all
figures as JSON to `--json FILE`.
"""

import argparse
import gc
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.measuring import say
from benchmarks.report import Measurement, Spread, write

from . import newcomer
from .pair import Cost, Owner, Pair, Remembered

SHAPES = ((100, 1_000), (10, 10_000))
DIFFERING = (10, 100, 1_000)
NEWCOMER = (100, 100)
Row = dict[str, object]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    gc.set_threshold(10_000, 20, 50)  # as `kith node` does
    repairs: list[Row] = []
    for count, records in SHAPES:
        repairs += _repairs(count, max(1, records // arguments.divide), arguments.rounds)
    count, records = NEWCOMER
    owners = [Owner(number, records) for number in range(count)]
    joins = [_newcomer_core(owners, count * records, arguments.rounds)]
    nodes = [_newcomer_nodes(owners, count * records, arguments.rounds)]
    _print("Repairs", repairs)
    _print("A newcomer, protocol core only", joins)
    _print("A newcomer, two real nodes", nodes)
    if arguments.json:
        rows = [*repairs, *joins, *nodes]
        measured = [one for row in rows for one in _measured(row, nodes=row in nodes)]
        write(arguments.json, "repair", measured)
    return 0


def _newcomer_core(owners: Sequence[Owner], records: int, rounds: int) -> Row:
    row: Row = {"records": records, **_summary(_joins(owners, rounds, Remembered()))}
    return {**row, "records_per_s": round(records / _median(row, "asker_s"))}


def _newcomer_nodes(owners: Sequence[Owner], records: int, rounds: int) -> Row:
    found = [newcomer.fetch(owners, records) for _ in range(rounds)]
    row: Row = {"records": records, **_summary(found)}
    after_s = statistics.median(one.holds_s - one.answers_s for one in found)
    return {**row, "records_per_s_once_it_answers": round(records / after_s)}


def _repairs(count: int, records: int, rounds: int) -> list[Row]:
    rows: list[Row] = []
    remembered = Remembered()
    owners = [Owner(number, records, remembered) for number in range(count)]
    label: Row = {"owners": count, "records": count * records}
    rows.append(
        {**label, "differing": "everything", **_summary(_joins(owners, rounds, remembered))}
    )
    pair = _alike(owners, remembered)
    version = 1
    for differing in DIFFERING:
        for kept in (True, False):
            costs = []
            for _ in range(rounds):
                version += 1
                _part(pair, owners, records, differing, f"{version}.0", kept=kept)
                costs.append(pair.repair())
                say(f"{count} owners, {differing} differ, commits kept: {kept}")
            case = "commits kept" if kept else "no longer kept"
            rows.append({**label, "differing": f"{differing}, {case}", **_summary(costs)})
    return rows


def _alike(owners: Sequence[Owner], remembered: Remembered) -> Pair:
    """Two that hold the same; after each repair they do so again, and serve the next case."""
    pair = Pair(remembered)
    for owner in owners:
        for peer in (pair.asker, pair.asked):
            pair.hold(peer, owner, owner.manifest())
    return pair


def _part(
    pair: Pair, owners: Sequence[Owner], records: int, differing: int, version: str, *, kept: bool
) -> None:
    """Let the asked go on by so many records."""
    changed = min(len(owners), differing)
    for owner in owners[:changed]:
        commit = owner.change(range(min(records, differing // changed)), version)
        if kept:
            pair.follow(pair.asked, owner, commit)
        else:
            pair.hold(pair.asked, owner, owner.manifest())
    gc.collect()


def _joins(owners: Sequence[Owner], rounds: int, remembered: Remembered) -> list[Cost]:
    costs = []
    for _ in range(rounds):
        pair = Pair(remembered)
        for owner in owners:
            pair.hold(pair.asked, owner, owner.manifest())
        gc.collect()
        costs.append(pair.join())
        say(f"everything, of {len(owners)} owners")
    return costs


def _summary(found: Sequence[Cost] | Sequence[newcomer.Newcomer]) -> Row:
    row: Row = {}
    for name in asdict(found[0]):
        values = [asdict(one)[name] for one in found]
        digits = 4 if name.endswith("_s") else None
        row[name] = {
            "median": round(statistics.median(values), digits),
            "min": round(min(values), digits),
            "max": round(max(values), digits),
        }
    return row


def _measured(row: Row, *, nodes: bool) -> list[Measurement]:
    """In the shape of all benchmarks; the unit of times stands at the end of their names."""
    if nodes:
        case = "a newcomer, two real nodes"
    elif "differing" in row:
        case = f"{row['differing']} differ, {row['owners']} owners, {row['records']:,} records"
    else:
        case = "a newcomer, the protocol's core"
    found = []
    for name, value in row.items():
        if isinstance(value, dict):
            spread = Spread(*(float(value[key]) for key in ("median", "min", "max")))
            unit = "s" if name.endswith("_s") else "B" if name in ("sent", "received") else ""
            words = name.removesuffix("_s").replace("_", " ")
            found.append(Measurement(f"{case}: {words}", unit, spread))
    return found


def _median(row: Row, name: str) -> float:
    figures = row[name]
    assert isinstance(figures, dict)
    return float(figures["median"])


def _print(title: str, rows: Sequence[Row]) -> None:
    print(f"\n{title}\n")
    names = list(rows[0])
    print("| " + " | ".join(name.replace("_", " ") for name in names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(_cell(row[name]) for name in names) + " |")


def _cell(value: object) -> str:
    if not isinstance(value, dict):
        return f"{value:,}" if isinstance(value, int) else str(value)
    median, low, high = value["median"], value["min"], value["max"]
    return f"{median:,}" if low == high else f"{median:,} ({low:,}–{high:,})"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repair", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each case (3)")
    parser.add_argument("--divide", type=int, default=1, help="so many times fewer records")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
