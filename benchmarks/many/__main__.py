"""`python -m benchmarks.many`: measure and print.

Rounds of the two sides take turns, and only one of them runs at a time. Progress goes to standard
error. Exit codes: 0; 2 if it could not be run; 130 after Ctrl-C.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random

import trio

from benchmarks.cluster import traffic
from benchmarks.cluster.fleet import BenchError, free_block
from benchmarks.cluster.traffic import Counter
from benchmarks.measuring import cut_short_by, say, scratch
from benchmarks.report import Measurement, PeerValues, Spread, Way, measure, quantile, table, write
from node import logs
from node.server import GC_THRESHOLDS

from . import memberlist
from .memberlist import MemberlistError, Members
from .town import Town, TownError, open_town

NODES_MAX = 100
SETTLE_S = 5.0
IDLE_S = 8.0
PAUSE_MS = 500
NOTE = (
    "one process each; updates of 300 bytes; ours are signed, with the store in memory; memberlist:"
    " its LAN defaults, its own broadcast queue"
)
QUOTED = (
    "memberlist was not measured in this run; on this kind of machine 0.2.2 took 320 ms (p50) and"
    " 530 ms (p99), and 1.75 kB a node"
)


@dataclass(frozen=True, slots=True)
class Round:
    """What one side did in one round."""

    times_ms: Sequence[Sequence[float]]
    """Of each update, until each of the others that got it had it."""
    bytes: float | None
    """For one update, by a node, idle traffic taken off."""
    missed: int

    def quantile_ms(self, share: float) -> float:
        """Of all arrivals."""
        return quantile((one for times in self.times_ms for one in times), share)

    def all_ms(self) -> float:
        """Until the last one had it: the median of updates."""
        ordered = sorted(max(times) for times in self.times_ms)
        return ordered[len(ordered) // 2]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    logs.setup(level="error", form="json")
    gc.set_threshold(*GC_THRESHOLDS)  # as `kith node` does
    ours: list[Round] = []
    theirs: list[Round] = []
    with (
        cut_short_by(TownError, BenchError, traffic.TrafficError) as ending,
        scratch() as folder,
    ):
        program = _program(folder)
        for number in range(arguments.rounds):
            ours.append(_kith(arguments, number))
            _tell("kith", ours[-1])
            if program is not None:
                _add_members(arguments, program, theirs)
    if ending.code:
        return ending.code
    found = figures(ours, theirs, arguments.nodes)
    print(table(found))
    if arguments.json:
        write(arguments.json, "many", found)
    return 0


def figures(ours: Sequence[Round], theirs: Sequence[Round], nodes: int) -> list[Measurement]:
    """In the shape of all benchmarks; without rounds of memberlist the known ones are quoted."""
    version = memberlist.version()

    def line(
        name: str, unit: str, of: Callable[[Round], float | None], way: Way = "peer / kith"
    ) -> Measurement | None:
        values = [value for one in ours if (value := of(one)) is not None]
        if not values:
            return None
        others = [value for one in theirs if (value := of(one)) is not None]
        peer = PeerValues("memberlist", version, others)
        note = NOTE if others else f"{NOTE}; {QUOTED}"
        return measure(f"{nodes} nodes: {name}", unit, values, peer=peer, way=way, note=note)

    lines = [
        line("an update on another node, p50", "ms", lambda one: one.quantile_ms(0.5)),
        line("an update on another node, p99", "ms", lambda one: one.quantile_ms(0.99)),
        line("an update on all others", "ms", Round.all_ms),
        line("bytes for an update, by a node", "B", lambda one: one.bytes, "kith / peer"),
    ]
    missed = float(sum(one.missed for one in ours))
    lost = Measurement(f"{nodes} nodes: arrivals missed", "", Spread(missed, missed, missed))
    return [one for one in lines if one is not None] + [lost]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many", description="A hundred nodes in one process."
    )
    parser.add_argument("--nodes", type=int, default=NODES_MAX, help="of each (100, the most)")
    parser.add_argument("--updates", type=int, default=20, help="of each a round (20)")
    parser.add_argument("--rounds", type=int, default=2, help="of each (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    arguments = parser.parse_args(argv)
    if not 2 <= arguments.nodes <= NODES_MAX:
        parser.error(f"--nodes: from 2 to {NODES_MAX}")
    return arguments


def _program(folder: Path) -> Path | None:
    if why := memberlist.lacking():
        say(f"SKIPPED: memberlist: {why}")
        return None
    say("building memberlist's side")
    try:
        return memberlist.build(folder)
    except MemberlistError as error:
        say(f"SKIPPED: memberlist: {error}")
        return None


def _kith(arguments: argparse.Namespace, number: int) -> Round:
    first = free_block(arguments.nodes)
    say(f"kith: {arguments.nodes} nodes start")

    async def side() -> Round:
        async with open_town(arguments.nodes, first) as town:
            say("kith: all see all")
            await trio.sleep(SETTLE_S)
            with _counter(first, arguments.nodes) as counter:
                return await _updates(town, arguments, Random(number), counter)

    try:
        return trio.run(side)
    except* TownError as group:
        raise TownError(str(group.exceptions[0])) from None


async def _updates(
    town: Town, arguments: argparse.Namespace, rng: Random, counter: Counter | None
) -> Round:
    idle = _Bytes(counter)
    await trio.sleep(IDLE_S)
    idle_s = idle.per_s()
    busy = _Bytes(counter)
    times = []
    for number in range(arguments.updates):
        await trio.sleep(PAUSE_MS / 1e3)
        times.append(await town.update(rng.randrange(arguments.nodes), number))
    await trio.sleep(SETTLE_S)
    return _round(arguments, times, busy.beyond(idle_s))


def _add_members(arguments: argparse.Namespace, program: Path, found: list[Round]) -> None:
    """One more round, or a word about why there is none."""
    first = free_block(arguments.nodes)
    say(f"memberlist: {arguments.nodes} members start")
    try:
        with Members(
            program, nodes=arguments.nodes, first_port=first, updates=arguments.updates,
            pause_ms=PAUSE_MS,
        ) as members:  # fmt: skip
            members.wait_joined()
            say("memberlist: all see all")
            time.sleep(SETTLE_S)
            with _counter(first, arguments.nodes) as counter:
                idle = _Bytes(counter)
                time.sleep(IDLE_S)
                idle_s = idle.per_s()
                busy = _Bytes(counter)
                times = members.update()
                time.sleep(SETTLE_S)
                found.append(_round(arguments, times, busy.beyond(idle_s)))
    except MemberlistError as error:
        say(f"SKIPPED: a round of memberlist: {error}")
    else:
        _tell("memberlist", found[-1])


def _round(
    arguments: argparse.Namespace, times: Sequence[Sequence[float]], beyond: float | None
) -> Round:
    awaited = (arguments.nodes - 1) * len(times)
    each = None if beyond is None else beyond / arguments.nodes / len(times)
    return Round(times, each, awaited - sum(map(len, times)))


def _counter(first: int, nodes: int) -> Counter | nullcontext[None]:
    if traffic.available():
        return Counter(range(first, first + nodes))
    say(f"SKIPPED: bytes are not counted: {traffic.INSTALL}")
    return nullcontext()


class _Bytes:
    """What passed since it was made."""

    def __init__(self, counter: Counter | None) -> None:
        self._counter = counter
        self._began_s = time.monotonic()
        self._before = counter.read() if counter else None

    def per_s(self) -> float | None:
        """Bytes in a second."""
        passed = self._passed()
        return None if passed is None else passed / (time.monotonic() - self._began_s)

    def beyond(self, idle_per_s: float | None) -> float | None:
        """Bytes more than pass anyway."""
        passed = self._passed()
        if passed is None or idle_per_s is None:
            return None
        return passed - idle_per_s * (time.monotonic() - self._began_s)

    def _passed(self) -> int | None:
        if self._counter is None or self._before is None:
            return None
        return self._counter.read().since(self._before).bytes


def _tell(name: str, one: Round) -> None:
    cost = "" if one.bytes is None else f", {one.bytes:,.0f} B a node"
    say(
        f"{name}: {one.quantile_ms(0.5):.0f} ms (p50), {one.quantile_ms(0.99):.0f} ms (p99),"
        f" {one.missed} missed{cost}"
    )


if __name__ == "__main__":
    sys.exit(main())
