"""What one datagram costs a real node, in processor time: the `step_ms` of the model `machine`.

Real nodes are started, a process each, and given updates. What they use above idling, divided by
the datagrams that as many simulated nodes send for as many updates, is the step. It holds all that
a node does for an update: HTTP, signatures, the log, the disk; so it is an upper bound of what a
datagram costs on the way. It depends on the machine, and is an argument of the simulation.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from benchmarks import deployed
from benchmarks.cluster.fleet import BenchError
from benchmarks.cluster.kith import KithSide
from benchmarks.cluster.usage import usage_of

from .cluster import ClusterTrial, perform

JOIN_WITHIN_S = 90.0
UPDATE_WITHIN_S = 10.0
SETTLE_S = 8.0
IDLE_S = 10.0
UPDATE_PAUSE_S = (0.1, 0.3)


@dataclass(frozen=True, slots=True)
class Step:
    """What was measured."""

    step_ms: float
    update_node_ms: float
    """Processor time of a node for one update, above idling."""
    idle_node_ms_s: float
    datagrams: float
    """That a simulated node sends for one update."""


def measure(nodes: int, updates: int, seed: int, say: Callable[[str], None]) -> Step:
    """Start real nodes, work out the step, end them.

    Raises:
        BenchError: they did not join, or an update did not arrive.
        ClusterError: a process cannot be started.
    """
    links = ClusterTrial(nodes, "links", 0.0, 0, 0.0, seed, updates=3, kills=0)
    datagrams = median(perform(links).update_datagrams)
    deployed.prepare()
    with tempfile.TemporaryDirectory(prefix="kith-step-") as folder:
        side = KithSide(nodes, Path(folder))
        try:
            for index in range(nodes):
                side.fleet.start(index)
            if not side.fleet.wait(side.fleet.all_joined, JOIN_WITHIN_S):
                raise BenchError(f"not joined in {JOIN_WITHIN_S:.0f} s: {side.fleet.missing()}")
            say(f"{nodes} nodes have joined")
            time.sleep(SETTLE_S)
            idle_ms_s = _used_ms_s(side, lambda: time.sleep(IDLE_S))
            began = time.monotonic()
            used_ms_s = _used_ms_s(side, lambda: _update(side, updates, Random(seed)))
            took_s = time.monotonic() - began
        finally:
            side.fleet.stop()
    update_ms = (used_ms_s - idle_ms_s) * took_s / updates
    return Step(update_ms / datagrams, update_ms, idle_ms_s, datagrams)


def _update(side: KithSide, updates: int, rng: Random) -> None:
    for number in range(1, updates + 1):
        time.sleep(rng.uniform(*UPDATE_PAUSE_S))
        came = side.update(rng.randrange(len(side.fleet)), number, UPDATE_WITHIN_S)
        if came.all_ms is None:
            raise BenchError(f"update {number} was not everywhere in {UPDATE_WITHIN_S:.0f} s")


def _used_ms_s(side: KithSide, act: Callable[[], None]) -> float:
    """Processor time of a node and second while something is done."""
    pids, began = side.fleet.pids(), time.monotonic()
    before_ms = sum(usage_of(pid).cpu_ms for pid in pids)
    act()
    after_ms = sum(usage_of(pid).cpu_ms for pid in pids)
    return (after_ms - before_ms) / len(pids) / (time.monotonic() - began)
