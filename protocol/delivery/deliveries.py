"""Who still lacks which of our own commits, and when each is tried next: the retry queue.

    committed ─▶ waits for all ─┬─ acknowledged (receipt, answer, vector, equal root) ─▶ done
                                └─ patience ends ─▶ due ─▶ courier tries ─┬─ answered ─▶ how far
                                                                          └─ failed ─▶ backoff

Rules this module keeps:

1. One row a peer, whatever it lacks (decision 23). At most `ROWS_MAX` rows.
2. At most one try a peer is under way; `LANE_MAX` with peers that answer, `PROBES_MAX` with those
   whose breaker is not closed: so the dead never hold what the living need.
3. What changed in a row is written to disk `SETTLE_S` later, for all rows together.
4. What is due lies in a heap; what was planned anew leaves its old place there behind.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from protocol.clocks import Instant
from protocol.commits import NOTHING, Dot
from protocol.effects import DropDelivery, Effect, KeepDelivery, Notify, Store, TrimOutbox
from protocol.events import Acknowledged
from protocol.identity import NodeId

from .attempts import BACKOFF_MAX_S, JITTER, Attempts
from .outbox import Outbox
from .standing import Breaker, Delivery, OutboxEntry, Priority

ROWS_MAX = 1_024
LANE_MAX, PROBES_MAX = 64, 8
FULL_S = 0.1
"""Who is due and finds no place free is tried again after this."""
SETTLE_S = 1.0
"""What changed is written to disk so much later, together with what changed meanwhile."""
RESTART_S, NEWCOMER_S = 3.0, 5.0
"""After a start, and for a new member: time for heartbeats and syncs to tell how far it is."""
RETURN_JITTER_S = 0.25
HISTORY_MAX = 64
"""Acknowledgements of one peer of which it is remembered when they came."""
_DUE_MAX = 4 * ROWS_MAX
_NEVER = float("inf")


class Standing(NamedTuple):
    """How one peer stands, for people to read. A tuple, as a thousand are made at each reading."""

    peer: NodeId
    held: Dot
    stored: Dot
    waiting: int
    """How many commits of ours in the outbox it lacks."""
    oldest: Dot
    newest: Dot
    """… the oldest and the newest of them; `NOTHING` where it lacks none."""
    priority: Priority
    since_us: int
    """Since when it lacks something, Unix microseconds; 0: it lacks nothing."""
    attempts: int
    next_try_us: int
    """Unix microseconds; 0: none is planned."""
    breaker: Breaker
    under_way: bool
    """A try is being made now."""
    behind: bool
    """It lacks more than the outbox holds, and is shown the state."""
    score: int
    """How it has been answering, per mille."""
    latency_us: int
    """How long it takes to acknowledge, smoothed; 0: not known."""


@dataclass(slots=True)
class DeliveryCounters:
    """What came of it all since the start."""

    receipts: int = 0
    acknowledged: int = 0
    """Rows that came to lack nothing."""
    attempts: int = 0
    failures: int = 0
    resent: int = 0
    """Commits brought by deliveries that were answered."""
    states: int = 0
    """Tries in which a state was shown, for want of the steps."""
    expired: int = 0
    """Rows of members that left or were reaped while they lacked something."""


class _Row:
    """One peer as a receiver of our commits."""

    __slots__ = (
        "acks", "at_s", "at_us", "held", "peer", "since_us", "stored", "tries",
        "under_way",
    )  # fmt: skip

    def __init__(self, peer: NodeId) -> None:
        self.peer = peer
        self.held = self.stored = NOTHING
        self.since_us = 0
        """Since when it lacks something; 0: it lacks nothing."""
        self.tries = Attempts()
        self.under_way = False
        self.at_s = _NEVER
        """When it is tried, monotonic; `at_us`: the same in Unix microseconds, 0 for never."""
        self.at_us = 0
        self.acks: deque[tuple[int, int]] = deque(maxlen=HISTORY_MAX)
        """The versions that it came to hold, and when we heard so, Unix microseconds."""

    def delivery(self) -> Delivery:
        """The row as it is kept."""
        tries = self.tries
        return Delivery(
            peer=self.peer, held=self.held, stored=self.stored, since_us=self.since_us,
            attempts=tries.in_row, next_try_us=self.at_us, breaker=tries.breaker,
            score=tries.score, latency_us=tries.latency_us,
        )  # fmt: skip


class Deliveries:
    """The rows of all peers. `courier` makes the tries."""

    def __init__(self, rng: Random, outbox: Outbox | None = None) -> None:
        self.outbox = Outbox() if outbox is None else outbox  # an empty one is false
        self.counters = DeliveryCounters()
        self.audience: tuple[NodeId, ...] = ()
        """Who gets all our commits from ourselves, if not by others sooner; each has a row."""
        self._wanted: dict[NodeId, None] = {}
        self._rng = rng
        self._rows: dict[NodeId, _Row] = {}
        self._lacking: dict[NodeId, _Row] = {}
        self._due: list[tuple[float, int, NodeId]] = []
        self._sequence = 0
        self._busy = {True: 0, False: 0}
        """Tries under way with peers whose breaker is closed, and with others."""
        self._dirty: dict[NodeId, _Row] = {}
        self._gone: dict[NodeId, None] = {}
        self._trimmed = NOTHING
        self._write_at = _NEVER

    @property
    def next_deadline(self) -> float:
        """When `due` or `written` has something to do; infinity if never."""
        return min(self._due[0][0] if self._due else _NEVER, self._write_at)

    # What happens

    def restore(self, rows: Iterable[Delivery], now: Instant) -> None:
        """Take back the queue as it is on disk; the outbox was restored before."""
        for one in rows:
            row = self._rows[one.peer] = _Row(one.peer)
            row.held, row.stored = one.held, one.stored
            row.tries = Attempts(one.attempts, one.breaker, one.score, one.latency_us)
            if one.held != NOTHING:
                row.acks.append((one.held.version, now.wall_us))
            if row.held < self.outbox.head:
                left_s = (one.next_try_us - now.wall_us) / 1e6 if one.next_try_us else RESTART_S
                self._lack(row, one.since_us or now.wall_us)
                self._plan(row, now, min(max(left_s, RESTART_S), BACKOFF_MAX_S))

    def assume(self, nodes: Iterable[NodeId]) -> None:
        """Of a simulated world that begins joined: these hold all that we committed."""
        for node in nodes:
            self._rows[node] = _Row(node)
            self._rows[node].held = self._rows[node].stored = self.outbox.head

    def watch(self, audience: tuple[NodeId, ...], now: Instant) -> None:
        """These are to get our commits.

        Who was one of them and lacks nothing is let go at the next commit, or for want of room: it
        may only have been taken for dead, and what it told counts when it is back.
        """
        self._wanted = dict.fromkeys(audience)
        if len(self._rows) + len(audience) > ROWS_MAX:
            self._let_go(now)
        for node in audience:
            if node not in self._rows and len(self._rows) < ROWS_MAX:
                row = self._rows[node] = _Row(node)
                if self.outbox.head != NOTHING:
                    self._lack(row, now.wall_us)
                    self._plan(row, now, NEWCOMER_S)
        self.audience = tuple(node for node in self._rows if node in self._wanted)

    def committed(self, entry: OutboxEntry, parent: bytes, now: Instant) -> None:
        """A commit of ours is durable, and on its way along the rings."""
        self.outbox.add(entry, parent)
        critical = entry.priority is Priority.CRITICAL
        # Of those beyond the audience it only counts who lacks something, and is tried the sooner.
        for node in self._rows if critical else self.audience:
            row = self._rows.get(node)
            if row is None:
                continue
            if node not in self._lacking:
                if node in self._wanted:
                    self._lack(row, now.wall_us)
                    self._plan(row, now, self._patience_s(row, entry.priority))
            elif critical and not row.tries.in_row:
                patience_s = self._patience_s(row, entry.priority)
                if now.mono_s + patience_s < row.at_s and not row.under_way:
                    self._plan(row, now, patience_s)
        if len(self._lacking) < len(self._rows):
            self._let_go(now)
        self._trim(now)

    def acknowledged(
        self, peer: NodeId, dot: Dot, now: Instant, *, stored: bool = False
    ) -> list[Effect]:
        """It holds our commits up to this one; `stored`: on its disk."""
        row = self._rows.get(peer)
        if row is None or dot > self.outbox.head:
            return []
        further = dot > row.held
        if not further and not (stored and dot > row.stored):
            return []
        if stored:
            row.stored = max(row.stored, dot)
        if further:
            row.held = dot
            row.acks.append((dot.version, now.wall_us))
            self._advanced(row, now)
        self._forget_done()
        self._touch(row, now)
        return [Notify(Acknowledged(peer, row.held, row.stored))]

    def returned(self, peer: NodeId, now: Instant) -> None:
        """It is back: what it lacks is tried at once, give or take some jitter."""
        row = self._lacking.get(peer)
        if row is not None and not row.under_way:
            self._plan(row, now, RETURN_JITTER_S * self._rng.random())

    def gone(self, peer: NodeId, now: Instant) -> None:
        """It left for good or was reaped: nothing is delivered to it any more."""
        if peer in self._rows:
            self.counters.expired += peer in self._lacking
            self._drop(peer, now)

    # Tries

    def due(self, now: Instant) -> list[NodeId]:
        """Who is to be tried now, the highest priority first, then who lacks something longest."""
        rows: list[_Row] = []
        while self._due and self._due[0][0] <= now.mono_s:
            at, _, node = heapq.heappop(self._due)
            row = self._rows.get(node)
            if row is not None and row.at_s == at and not row.under_way:
                rows.append(row)
        rows.sort(key=lambda row: (-self.outbox.priority(row.held), row.since_us))
        begun: list[NodeId] = []
        for row in rows:
            closed = row.tries.breaker is Breaker.CLOSED
            if self._busy[closed] >= (LANE_MAX if closed else PROBES_MAX):
                self._plan(row, now, FULL_S)
                continue
            self._busy[closed] += 1
            row.under_way, row.at_s, row.at_us = True, _NEVER, 0
            row.tries.begin()
            self.counters.attempts += 1
            begun.append(row.peer)
        return begun

    def ended(self, peer: NodeId, now: Instant, *, ok: bool) -> None:
        """The try that `due` began is over; `ok`: it answered."""
        row = self._rows.get(peer)
        if row is None or not row.under_way:
            return
        row.under_way = False
        self._busy[row.tries.breaker is Breaker.CLOSED] -= 1
        if ok:
            row.tries.answered()
        else:
            row.tries.failed()
            self.counters.failures += 1
        if peer in self._lacking:
            again_s = self._patience_s(row) if ok else row.tries.backoff_s(self._rng)
            self._plan(row, now, again_s)
        self._touch(row, now)

    def written(self, now: Instant) -> list[Effect]:
        """What has changed since it was last written, for the disk, if it is time."""
        if now.mono_s < self._write_at:
            return []
        self._write_at = _NEVER
        effects: list[Effect] = [
            Store(KeepDelivery(row.delivery())) for row in self._dirty.values()
        ]
        effects += [Store(DropDelivery(node)) for node in self._gone]
        self._dirty, self._gone = {}, {}
        lacking = (row.held for row in self._lacking.values())
        self.outbox.trim(min(lacking, default=self.outbox.head))
        if self.outbox.floor > self._trimmed:
            self._trimmed = self.outbox.floor
            effects.append(Store(TrimOutbox(self._trimmed)))
        return effects

    # Reading

    def standings(self) -> tuple[Standing, ...]:
        """All rows, in the order of ids."""
        return tuple(self._standing(self._rows[node]) for node in sorted(self._rows))

    def standing(self, peer: NodeId) -> Standing | None:
        """One row."""
        row = self._rows.get(peer)
        return self._standing(row) if row is not None else None

    def held(self, peer: NodeId) -> Dot:
        """How far a peer has acknowledged our commits."""
        row = self._rows.get(peer)
        return row.held if row is not None else NOTHING

    def stored(self, peer: NodeId) -> Dot:
        """How far a peer has our commits on disk, by its receipts."""
        row = self._rows.get(peer)
        return row.stored if row is not None else NOTHING

    def held_at(self, peer: NodeId, version: int) -> int | None:
        """When we heard that it holds our commit of that version, Unix microseconds, if we did."""
        row = self._rows.get(peer)
        if row is None or row.held.version < version:
            return None
        return next(at for held, at in row.acks if held >= version)

    def stores(self, peer: NodeId, version: int) -> bool:
        """Whether it has given a receipt for our commit of that version, or a later one."""
        row = self._rows.get(peer)
        return row is not None and row.stored.version >= version

    # The rows

    def _advanced(self, row: _Row, now: Instant) -> None:
        if row.peer not in self._lacking:
            return
        if row.held < self.outbox.head:
            if not row.under_way:
                self._plan(row, now, self._patience_s(row))
            return
        if not (row.tries.in_row or row.under_way):
            row.tries.took(max(1, now.wall_us - row.since_us))
        del self._lacking[row.peer]
        row.since_us, row.at_s, row.at_us = 0, _NEVER, 0
        if not row.under_way:
            row.tries.answered()  # however we came to hear of it
        self.counters.acknowledged += 1
        self._trim(now)

    def _let_go(self, now: Instant) -> None:
        for node in [n for n in self._rows if n not in self._wanted and n not in self._lacking]:
            self._drop(node, now)

    def _lack(self, row: _Row, since_us: int) -> None:
        row.since_us = since_us
        self._lacking[row.peer] = row

    def _trim(self, now: Instant) -> None:
        """What nobody lacks goes at once; where somebody does, `written` looks closer."""
        if not self._lacking:
            self.outbox.trim(self.outbox.head)
        if self._write_at == _NEVER and self.outbox.floor > self._trimmed:
            self._write_at = now.mono_s + SETTLE_S

    def _plan(self, row: _Row, now: Instant, after_s: float) -> None:
        row.at_s = now.mono_s + after_s
        row.at_us = now.wall_us + round(after_s * 1e6)
        self._sequence += 1
        heapq.heappush(self._due, (row.at_s, self._sequence, row.peer))
        if len(self._due) > _DUE_MAX:
            rows = self._rows.values()
            self._due = [(r.at_s, n, r.peer) for n, r in enumerate(rows) if r.at_s != _NEVER]
            heapq.heapify(self._due)

    def _forget_done(self) -> None:
        """Of those next in the heap, leave out who is not due then: nobody is woken for them."""
        while self._due:
            at_s, _, node = self._due[0]
            row = self._rows.get(node)
            if row is not None and row.at_s == at_s:
                return
            heapq.heappop(self._due)

    def _patience_s(self, row: _Row, priority: Priority | None = None) -> float:
        wanted = self.outbox.priority(row.held) if priority is None else priority
        return row.tries.patience_s(wanted) * (1.0 + JITTER * self._rng.random())

    def _drop(self, node: NodeId, now: Instant) -> None:
        row = self._rows.pop(node)
        self._lacking.pop(node, None)
        self._dirty.pop(node, None)
        if row.under_way:
            self._busy[row.tries.breaker is Breaker.CLOSED] -= 1
        self._gone[node] = None
        self._write_at = min(self._write_at, now.mono_s + SETTLE_S)
        self._trim(now)

    def _touch(self, row: _Row, now: Instant) -> None:
        if row.peer in self._rows:
            self._dirty[row.peer] = row
            self._gone.pop(row.peer, None)
            self._write_at = min(self._write_at, now.mono_s + SETTLE_S)

    def _standing(self, row: _Row) -> Standing:
        waiting, oldest, newest = self.outbox.waiting(row.held)
        lacks = row.peer in self._lacking
        return Standing(
            peer=row.peer, held=row.held, stored=row.stored, waiting=waiting, oldest=oldest,
            newest=newest, priority=self.outbox.priority(row.held), since_us=row.since_us,
            attempts=row.tries.in_row, next_try_us=row.at_us, breaker=row.tries.breaker,
            under_way=row.under_way, behind=lacks and not self.outbox.shows(row.held),
            score=row.tries.score, latency_us=row.tries.latency_us,
        )  # fmt: skip
