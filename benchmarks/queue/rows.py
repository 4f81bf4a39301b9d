"""The machine: `Deliveries` and its `Outbox`, with as many rows and entries as they take.

All that is timed here runs on the event loop of a node, between two datagrams.
"""

import gc
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

from node.server import GC_THRESHOLDS
from protocol.clocks import Instant
from protocol.commits import Dot
from protocol.delivery.courier import AUDIENCE_MAX
from protocol.delivery.deliveries import FULL_S, SETTLE_S, Deliveries
from protocol.delivery.outbox import BYTES_MAX, Outbox
from protocol.delivery.standing import OutboxEntry, Priority
from protocol.identity import NodeId

from .figures import Figures

COMMITS = 100_000
COMMIT_BYTES = 300
WALL_US = 1_800_000_000_000_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
REPEATS = 20


class Full:
    """A queue whose peers all hold the first commit.

    A node's audience is 32 members, so as many rows as this come about only where the audience
    turned over again and again and nobody of it could be reached: see `turn_over`.

    Args:
        peers: How many rows.
        commits_max: How many commits its outbox takes.
    """

    def __init__(self, peers: int, commits_max: int) -> None:
        self.peers = [NodeId(number.to_bytes(32, "big")) for number in range(1, peers + 1)]
        self.queue = Deliveries(Random(1), Outbox(commits_max, BYTES_MAX))
        self._now_s = 0.0
        self._version = 0
        self.queue.watch(tuple(self.peers), self.now)
        self.commit()
        self.acknowledge(self._version)

    @property
    def now(self) -> Instant:
        """The time, which is virtual."""
        return Instant(self._now_s, WALL_US + round(self._now_s * 1e6))

    def dot(self, version: int) -> Dot:
        """Of the commit with that number, from 1."""
        return Dot(0, version)

    def turn_over(self) -> None:
        """The audience is 32 from now on; who lacks something keeps its row."""
        self.queue.watch(tuple(self.peers[:AUDIENCE_MAX]), self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds

    def commit(self) -> None:
        """One more commit of ours is durable."""
        self._version += 1
        parent = _hash(self._version - 1) if self._version > 1 else b""
        entry = OutboxEntry(
            self.dot(self._version), _hash(self._version), Priority.NORMAL, COMMIT_BYTES
        )
        self.queue.committed(entry, parent, self.now)

    def acknowledge(self, version: int) -> None:
        """All peers say that they hold that commit."""
        for peer in self.peers:
            self.queue.acknowledged(peer, self.dot(version), self.now, stored=True)

    def end_tries(self) -> None:
        """No try that is under way is answered."""
        for peer in self.peers:
            self.queue.ended(peer, self.now, ok=False)


def measure(figures: Figures, peers: int, commits_max: int) -> None:
    """All that happens to a queue, each of it many times."""
    gc.collect()
    gc.set_threshold(*GC_THRESHOLDS)  # as in a node
    full = Full(peers, commits_max)
    first_s = []
    for _ in range(REPEATS):
        full.acknowledge(full.queue.outbox.head.version)
        full.wait(1.0)
        first_s.append(_timed(full.commit))
    figures.add("a commit, no row lacking anything before (ms)", [s * 1e3 for s in first_s])
    full.turn_over()
    took_s = [_timed(full.commit) for _ in range(COMMITS)]
    figures.add("a commit, all rows lacking others (µs)", [s * 1e6 for s in took_s])
    _measure_passes(figures, full)
    _measure_acknowledgements(figures, full)


def _measure_passes(figures: Figures, full: Full) -> None:
    queue = full.queue
    figures.add("reading all rows (ms)", _repeated(queue.standings))
    full.wait(60.0)
    due_s = [_timed(lambda: queue.due(full.now))]
    passes_s = []
    for _ in range(REPEATS):
        full.wait(FULL_S * 1.2)
        passes_s.append(_timed(lambda: queue.due(full.now)))
    figures.add("a pass, all due and no place free (ms)", [s * 1e3 for s in passes_s])
    full.end_tries()
    writes_s = []
    for _ in range(REPEATS):
        full.wait(60.0)
        due_s.append(_timed(lambda: queue.due(full.now)))
        full.end_tries()
        for peer in full.peers:
            queue._touch(queue._rows[peer], full.now)  # noqa: SLF001
        full.wait(SETTLE_S)
        writes_s.append(_timed(lambda: queue.written(full.now)))
    figures.add("a pass, all rows due (ms)", [s * 1e3 for s in due_s])
    figures.add("collecting all rows to be written (ms)", [s * 1e3 for s in writes_s])


def _measure_acknowledgements(figures: Figures, full: Full) -> None:
    queue, newest = full.queue, full.queue.outbox.head.version
    each_s = []
    for fifths in (1, 2, 3, 4):
        dot = full.dot(newest - (5 - fifths) * len(queue.outbox) // 5)
        for peer in full.peers:
            begun = time.perf_counter()
            queue.acknowledged(peer, dot, full.now)
            each_s.append(time.perf_counter() - begun)
    figures.add("an acknowledgement (µs)", [s * 1e6 for s in each_s])


def memory(peers: int, commits_max: int, *, traced: bool) -> tuple[float, float]:
    """MB of the rows, and of a full outbox; to be asked in a process of its own."""
    gc.collect()
    if traced:
        tracemalloc.start()
    before = _bytes_now(traced=traced)
    full = Full(peers, commits_max)
    gc.collect()
    rows = _bytes_now(traced=traced)
    full.commit()
    full.turn_over()
    for _ in range(commits_max):
        full.commit()
    gc.collect()
    return (rows - before) / 1e6, (_bytes_now(traced=traced) - rows) / 1e6


def _bytes_now(*, traced: bool) -> int:
    if traced:
        return tracemalloc.get_traced_memory()[0]
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def _repeated(call: Callable[[], object]) -> list[float]:
    return [_timed(call) * 1e3 for _ in range(REPEATS)]


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _hash(version: int) -> bytes:
    return version.to_bytes(32, "big")
