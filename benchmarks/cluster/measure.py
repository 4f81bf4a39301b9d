"""The procedure, the same for both sides.

One block: start all processes, wait until each sees all others alive, let it settle, measure it
idle, send updates through processes drawn by lot, kill processes drawn by lot (each is started
again before the next is killed), end all. Blocks of the two sides take turns, and only one side
runs at a time: what one uses of the machine is not taken from the other.

join         from starting the first, from starting the last, and from the moment at which the last
             one's process is up, until the last one of all sees all others alive
update       from sending it until the last of the others has it
detection    from kill -9 until the last of the others takes the victim for gone (Kith:
             `unreachable`; Serf: `failed`)
idle         packets and IP bytes a node receives a second; processor time; memory, see `usage`
"""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from functools import partial
from random import Random
from statistics import median
from typing import Self

from .fleet import NS_PER_S, BenchError
from .sides import Side
from .traffic import Counter
from .usage import usage_of

JOIN_WITHIN_S = 90.0
REJOIN_WITHIN_S = 60.0
SETTLE_S = 8.0
"""After joining: adverts, repairs and coalesced events are over by then."""
UPDATE_WITHIN_S = 10.0
UPDATE_PAUSE_S = (0.2, 0.6)
DETECT_WITHIN_S = 60.0
KILL_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much one block does."""

    updates: int
    kills: int
    idle_s: float
    counts_traffic: bool


@dataclass(slots=True)
class Findings:
    """What was measured on one side, over all its blocks; lists hold one value a measurement."""

    join_first_s: list[float] = field(default_factory=list)
    join_last_s: list[float] = field(default_factory=list)
    join_ready_s: list[float] = field(default_factory=list)
    update_ack_ms: list[float] = field(default_factory=list)
    update_half_ms: list[float] = field(default_factory=list)
    update_all_ms: list[float] = field(default_factory=list)
    detect_first_s: list[float] = field(default_factory=list)
    detect_all_s: list[float] = field(default_factory=list)
    return_s: list[float] = field(default_factory=list)
    """From starting a killed one again until all see all."""
    idle_packets: list[float] = field(default_factory=list)
    idle_bytes: list[float] = field(default_factory=list)
    idle_cpu_ms: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    pss_mb: list[float] = field(default_factory=list)
    false_alarms: int = 0
    missed: list[str] = field(default_factory=list)
    """What did not happen within its bound."""

    @classmethod
    def joined(cls, blocks: Iterable[Self]) -> Self:
        """All blocks as one."""
        whole = cls()
        for block in blocks:
            for one in fields(cls):
                values = getattr(whole, one.name) + getattr(block, one.name)
                setattr(whole, one.name, values)
        return whole


def run_block(
    side: Side, amounts: Amounts, found: Findings, rng: Random, say: Callable[[str], None]
) -> None:
    """Run one block on a fresh side, and add what was found; the caller stops the side.

    Raises:
        BenchError: the run cannot go on.
        ClusterError: a process cannot be started.
    """
    _join(side, found, say)
    time.sleep(SETTLE_S)
    side.connect()
    if amounts.idle_s:
        _idle(side, amounts, found, say)
    _updates(side, amounts.updates, found, rng, say)
    _kills(side, amounts.kills, found, rng, say)
    side.fleet.read()
    found.false_alarms += len(side.fleet.alarms)
    for by, name, after_s in side.fleet.alarms:
        place = side.fleet.names.index(name) if name in side.fleet.names else "?"
        say(f"{side.name}: FALSE ALARM: node {by} took node {place} for gone after {after_s:.2f} s")


def _join(side: Side, found: Findings, say: Callable[[str], None]) -> None:
    fleet = side.fleet
    say(f"{side.name}: starting {len(fleet)} processes")
    started_ns = [fleet.start(index) for index in range(len(fleet))]
    if not fleet.wait(fleet.all_joined, JOIN_WITHIN_S):
        raise BenchError(f"{side.name}: not joined in {JOIN_WITHIN_S:.0f} s: {fleet.missing()}")
    found.join_first_s.append((fleet.joined_ns() - started_ns[0]) / NS_PER_S)
    found.join_last_s.append((fleet.joined_ns() - started_ns[-1]) / NS_PER_S)
    found.join_ready_s.append((fleet.joined_ns() - fleet.ready_ns) / NS_PER_S)
    say(
        f"{side.name}: all joined {found.join_first_s[-1]:.2f} s after the first was started,"
        f" {found.join_last_s[-1]:.2f} s after the last, {found.join_ready_s[-1]:.2f} s after its"
        " process was up"
    )


def _idle(side: Side, amounts: Amounts, found: Findings, say: Callable[[str], None]) -> None:
    pids = side.fleet.pids()
    with Counter(side.ports) if amounts.counts_traffic else nullcontext() as counter:
        began = time.monotonic()
        traffic = counter.read() if counter else None
        usage = {pid: usage_of(pid) for pid in pids}
        time.sleep(amounts.idle_s)
        took_s = time.monotonic() - began
        passed = counter.read().since(traffic) if counter and traffic else None
        now = {pid: usage_of(pid) for pid in pids}
    found.idle_cpu_ms += [(now[pid].cpu_ms - usage[pid].cpu_ms) / took_s for pid in pids]
    found.rss_mb += [now[pid].rss_bytes / 1e6 for pid in pids]
    found.pss_mb += [now[pid].pss_bytes / 1e6 for pid in pids]
    cost = f"{median(found.idle_cpu_ms):.1f} ms/s, {median(found.rss_mb):.0f} MB"
    if passed is not None:
        found.idle_packets.append(passed.packets / len(pids) / took_s)
        found.idle_bytes.append(passed.bytes / len(pids) / took_s)
        cost += f", {found.idle_bytes[-1]:.0f} B/s, {found.idle_packets[-1]:.1f} packets/s"
    say(f"{side.name}: idle for {took_s:.0f} s: a node costs {cost}")


def _updates(
    side: Side, count: int, found: Findings, rng: Random, say: Callable[[str], None]
) -> None:
    for _ in range(count):
        time.sleep(rng.uniform(*UPDATE_PAUSE_S))
        number = len(found.update_ack_ms) + 1
        update = side.update(rng.randrange(len(side.fleet)), number, UPDATE_WITHIN_S)
        found.update_ack_ms.append(update.acknowledged_ms)
        if update.half_ms is not None:
            found.update_half_ms.append(update.half_ms)
        if update.all_ms is None:
            found.missed.append(f"update {number} was not everywhere in {UPDATE_WITHIN_S:.0f} s")
        else:
            found.update_all_ms.append(update.all_ms)
    if count and found.update_all_ms:
        say(f"{side.name}: {count} updates, median {median(found.update_all_ms):.1f} ms for all")


def _kills(
    side: Side, count: int, found: Findings, rng: Random, say: Callable[[str], None]
) -> None:
    fleet = side.fleet
    for number in range(1, count + 1):
        time.sleep(KILL_PAUSE_S)
        victim = rng.randrange(len(fleet))
        name = fleet.names[victim]
        killed_ns = fleet.kill(victim)
        awaited = len(fleet.others(victim))
        fleet.wait(partial(fleet.gone_for_all, victim), DETECT_WITHIN_S)
        gone = sorted((at_ns - killed_ns) / NS_PER_S for at_ns in fleet.gone_ns(victim))
        if len(gone) == awaited:
            found.detect_first_s.append(gone[0])
            found.detect_all_s.append(gone[-1])
            say(f"{side.name}: kill {number}: {name} gone for all after {gone[-1]:.2f} s")
        else:
            found.missed.append(
                f"{name} killed, but gone for {len(gone)} of {awaited} in {DETECT_WITHIN_S:.0f} s"
            )
            say(f"{side.name}: {found.missed[-1]}")
        started_ns = fleet.start(victim)
        if not fleet.wait(fleet.all_joined, REJOIN_WITHIN_S):
            raise BenchError(
                f"{side.name}: {name} not back in {REJOIN_WITHIN_S:.0f} s: {fleet.missing()}"
            )
        found.return_s.append((fleet.joined_ns() - started_ns) / NS_PER_S)
        side.reconnect(victim)
