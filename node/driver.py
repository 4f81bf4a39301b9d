"""The one task that owns the protocol machine, and performs what it asks for.

Nothing else calls `Peer`'s inputs, so it needs no lock: each call runs to its end without a
checkpoint, and each list of effects is performed, in order, before the next call. Nothing here
waits either: disk and streams are other tasks, and their answers come back as inputs.

    datagrams ──▶ receive ──┐
    streams ────▶ serve ────┤                ┌──▶ transport.send_nowait
    deadline ───▶ tick ─────┼─▶ effects ─────┼──▶ writer (then persisted)
    API ────────▶ propose ──┘                └──▶ pool (a task asks, then answered)

A proposal is answered when its commit is on disk, or refused; who stops waiting undoes nothing.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NoReturn, assert_never

import trio

from node import logs
from protocol.bodies import Body
from protocol.clocks import Instant
from protocol.commits import Commit, Dot, RecordKey
from protocol.delivery.standing import Priority
from protocol.detector.detection import Status
from protocol.effects import (
    Drop,
    Effect,
    Keep,
    KeepCommit,
    Mark,
    Notify,
    Persist,
    Recall,
    Request,
    Send,
    Store,
)
from protocol.events import Applied, Committed, Event, Joined, KeysChanged, MemberChanged
from protocol.identity import Address, KeyChain, NodeId, short_id
from protocol.peer import Peer
from protocol.signing import Signer
from protocol.wire.handshake import Credentials, Session
from storage import DiskFullError, QueueFullError, Result, StorageError, Writer

from .delivery.counting import DriverCounters
from .delivery.gathering import Gathering
from .reachability import Attempt, Reachability
from .transport.datagrams import DatagramTransport
from .transport.errors import TransportError
from .transport.pool import StreamPool

log = logs.get()

PERSIST_RETRY_S = 1.0
"""Between two tries to write our own commit while the disk is full."""

Listener = Callable[[Event], None]
Answer = Callable[[Dot], Result]
"""What a proposal's caller will be told, made of the commit that it became part of."""
Done = Callable[[Dot | None], None]
"""Told the commit that a proposal became part of, when that is on disk and visible here; or nothing
if it cannot be written for want of room, and takes effect when there is. Must not wait or raise."""


class DiskFull(Exception):  # noqa: N818 (a state to answer for, not a failure of ours)
    """Our own commits cannot be written for want of room; lookups go on.

    `definite`: the change was not taken. Otherwise it was signed already, and takes effect as soon
    as there is room again.
    """

    def __init__(self, *, definite: bool) -> None:
        super().__init__("no room on the disk")
        self.definite = definite


def instant() -> Instant:
    """Now, as the core is told it."""
    return Instant(trio.current_time(), time.time_ns() // 1_000)


class Driver:
    """Owns the peer. `run` is its task; the other methods may be called from any trio task."""

    def __init__(
        self,
        peer: Peer,
        *,
        writer: Writer,
        transport: DatagramTransport,
        pool: StreamPool,
        tasks: trio.Nursery,
        reachability: Reachability | None = None,
    ) -> None:
        self.peer = peer
        self.counters = DriverCounters()
        self.reachability = reachability or Reachability()
        self.disk_full = False
        """Whether our own commits wait for room on the disk."""
        self._writer = writer
        self._transport = transport
        self._pool = pool
        self._tasks = tasks
        self._timer = trio.CancelScope()
        self._backlog: deque[Effect] = deque()
        self._performing = False
        self._last_ticket = 0
        self._waiting: dict[int, Done] = {}
        """By ticket, whoever has to be told; told once, and then forgotten."""
        self._gathering = Gathering()
        self._answers: dict[int, Answer] = {}
        """By ticket, until the commit is on its way to the disk; also of who waits no more."""
        self._joins: dict[Address, list[_Outcome]] = {}
        self._listeners: list[Listener] = [self._turned]
        self.settled: Callable[[], None] = _nothing
        """Called when an input was dealt with and all its effects were performed; as a listener."""
        self.acquainted = False
        """Whether a peer has answered in this life, and so would have told us of ourselves."""
        self.renew: Callable[[Credentials], None] = pool.renew
        """Called when our own key is another, before anybody hears of it."""
        self._turning: Credentials | None = None
        self._ready = trio.Event()

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every event, in order, at once; it must neither wait nor raise."""
        self._listeners.append(listener)

    async def ready(self) -> None:
        """Wait until our own record of this life is committed."""
        await self._ready.wait()

    async def propose(
        self,
        changes: Mapping[RecordKey, Body | None],
        answer: Answer | None = None,
        *,
        priority: Priority = Priority.NORMAL,
    ) -> Dot:
        """Commit changes of ours; returns when they are on disk and visible here.

        What `answer` makes of the commit is on disk together with it, or not at all; it is asked
        for when that is signed, also if nobody waits any more. `priority` says how soon a peer that
        does not acknowledge the commit is tried.

        Raises:
            ProposalError: they cannot be taken; nothing was.
            DiskFull: no room on the disk; see `definite`.
        """
        outcome = _Outcome()
        ticket = self.begin(changes, outcome.succeed, answer, priority=priority)
        try:
            return await outcome.dot()
        finally:
            self._waiting.pop(ticket, None)

    def begin(
        self,
        changes: Mapping[RecordKey, Body | None],
        done: Done,
        answer: Answer | None = None,
        *,
        priority: Priority = Priority.NORMAL,
        more: bool = False,
    ) -> int:
        """`propose` for whoever does not wait: `done` is told, never before this returns.

        With `more`, further proposals follow at once, the last of them without it: they become one
        commit if they fit, each taken or refused by itself.

        Returns:
            A ticket, of no use but to `propose`.

        Raises:
            ProposalError: they cannot be taken; nothing was.
            DiskFull: no room on the disk; nothing was taken.
        """
        if self.disk_full:
            raise DiskFull(definite=True)
        ticket = self._last_ticket = self._last_ticket + 1
        if priority is not Priority.CRITICAL:
            more = more or self._gathering.lacks(len(self._waiting) + 1)
        effects = self.peer.propose(changes, ticket, priority=priority, more=more, now=instant())
        self._waiting[ticket] = done
        if answer is not None:
            self._answers[ticket] = answer
        if effects:
            self._perform(effects)
        return ticket

    async def join(self, address: Address) -> bool:
        """Ask whoever is at `address` for all it holds, and tell it of us; whether it answered."""
        outcome = _Outcome()
        self._joins.setdefault(address, []).append(outcome)
        self._perform(self.peer.join(address, now=instant()))
        return await outcome.joined()

    def measure(self, nodes: Collection[NodeId]) -> None:
        """Have the round trips to a few of these measured, if need be; later reads show them."""
        now = instant()
        due = self.peer.membership.distances.due(nodes, now=now.mono_s)
        if due:
            self._perform(self.peer.measure(due, now=now))

    async def rotate(self, chain: KeyChain, signer: Signer) -> Dot:
        """Go on with a new key; returns when its first commit is on disk and visible here.

        Raises:
            ProposalError: it does not continue our chain, or this is not the time.
            DiskFull: no room on the disk: it counts as soon as there is.
        """
        outcome = _Outcome()
        ticket = self._expect(outcome.succeed)
        try:
            effects = self.peer.rotate(chain, signer, ticket, now=instant())
            self._turning = Credentials(chain, signer, self._pool.credentials.cluster)
            self._perform(effects)
            return await outcome.dot()
        finally:
            self._waiting.pop(ticket, None)

    async def revoke(self, chain: KeyChain) -> Dot:
        """End our identity; returns when that is on disk and told. Raises as `rotate` does."""
        outcome = _Outcome()
        ticket = self._expect(outcome.succeed)
        try:
            self._perform(self.peer.revoke(chain, ticket, now=instant()))
            return await outcome.dot()
        finally:
            self._waiting.pop(ticket, None)

    def met(self, key_events: Sequence[bytes], source: Address) -> bool:
        """Key events were shown on a stream; whether their owner may be talked to."""
        good, effects = self.peer.met(key_events, source, now=instant())
        self._perform(effects)
        return good

    def read_back(self) -> None:
        """Everybody who could be asked for our own branch was."""
        self._perform(self.peer.read_back(now=instant()))

    async def serve(self, frame: bytes, session: Session, source: Address) -> bytes:
        """Answer a request on a stream.

        Raises:
            ValueError: the request is no request; the stream is to be closed.
        """
        self._forgive(session.node)
        answer, effects = self.peer.serve(frame, session.node, source, now=instant())
        self._perform(effects)
        await trio.lowlevel.checkpoint()
        if answer is None:
            raise ValueError("not a request")
        return answer

    async def run(self) -> NoReturn:
        """Drive until cancelled. Cancelling loses sends and unanswered requests, nothing else."""
        self._tasks.start_soon(self._keep_time)
        self._tasks.start_soon(self._transport.send_queued)
        while True:
            for packet in await self._transport.receive_batch():
                self._perform(self.peer.receive(packet.datagram, packet.source, now=instant()))

    async def _keep_time(self) -> NoReturn:
        while True:
            # `_perform` moves the deadline of this scope whenever the peer's own moves.
            deadline = self._gathering.sooner(self.peer.next_deadline)
            with trio.CancelScope(deadline=deadline) as self._timer:
                await trio.sleep_forever()
            if trio.current_time() >= self._gathering.until_s:
                self._sign()
            now, deadline = instant(), self.peer.next_deadline
            if now.mono_s >= deadline:
                self.counters.lag_worst_s = max(self.counters.lag_worst_s, now.mono_s - deadline)
                self._perform(self.peer.tick(now=now))

    def _perform(self, effects: Sequence[Effect]) -> None:
        # A listener may propose in turn: its effects wait until those before them are done.
        self._backlog.extend(effects)
        if self._performing:
            return
        self._performing = True
        try:
            while self._backlog:
                self._perform_one(self._backlog.popleft())
        finally:
            self._performing = False
        self.settled()
        deadline = self._gathering.sooner(self.peer.next_deadline)
        if deadline != self._timer.deadline:  # later, too: to fire in vain costs far more
            self._timer.deadline = deadline

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case Send(to, datagram, urgent):
                self._transport.send_nowait(datagram, to, urgent=urgent)
            case Request():
                self._tasks.start_soon(self._ask, effect)
            case Persist(keeps, tickets):
                self._gathering.end(len(tickets))
                self._persist(keeps, self._results(keeps, tickets))
            case Store(keep):
                self._store(keep)
            case Mark(number):
                self._writer.when_durable(partial(self._marked, number))
            case Recall():
                self._tasks.start_soon(self._recall, effect)
            case Notify(event):
                self._publish(event)
            case Drop(_, reason):
                self.counters.refused[reason] = self.counters.refused.get(reason, 0) + 1
            case _:
                assert_never(effect)

    async def _ask(self, request: Request) -> None:
        answer: bytes | None = None
        by: NodeId | None = None
        begun = instant()
        if not request.always and self.reachability.barred(request.to, now=begun.mono_s):
            self.counters.requests_barred += 1
            await trio.lowlevel.checkpoint()
            self._perform(self.peer.answered(request.ticket, None, None, now=instant()))
            return
        reason = ""
        self.counters.requests += 1
        try:
            got = await self._pool.request(
                request.to, request.expected, request.body, timeout_s=request.timeout_s
            )
        except trio.ClosedResourceError:
            return  # the pool closed before us: the node is ending, and nobody waits any more
        except TransportError as error:
            self.counters.requests_failed += 1
            reason = str(error)
            log.debug("peer_request_failed", peer=str(request.to), reason=reason)
        else:
            answer, by = got.body, got.session.node
        now = trio.current_time()
        attempt = Attempt(begun.wall_us, answer is not None, now - begun.mono_s, reason)
        self.reachability.note(request.to, attempt, now=now)
        self._perform(self.peer.answered(request.ticket, answer, by, now=instant()))

    def _marked(self, number: int, ok: bool) -> None:
        if not self._tasks.cancel_scope.cancel_called:  # else the sockets are closed by now
            self._perform(self.peer.stored(number, ok=ok, now=instant()))

    async def _recall(self, asked: Recall) -> None:
        commits: tuple[Commit, ...] | None = None
        try:
            commits = await self._writer.recall(asked.after, asked.count, asked.bytes_max)
        except StorageError as error:
            log.debug("not_recalled", reason=str(error))
        self._perform(self.peer.recalled(asked.ticket, commits, now=instant()))

    def _results(self, keeps: tuple[Keep, ...], tickets: tuple[int, ...]) -> list[Result]:
        answers = [self._answers.pop(ticket) for ticket in tickets if ticket in self._answers]
        dots = [keep.commit.head.dot for keep in keeps if isinstance(keep, KeepCommit)]
        return [answer(dot) for dot in dots for answer in answers]

    def _persist(self, keeps: tuple[Keep, ...], results: Sequence[Result]) -> None:
        try:  # no task waits for the disk: to wake one costs more than to write a record
            self._writer.write_then(keeps, results, partial(self._persisted, keeps, results))
        except StorageError as error:  # told later all the same, as `begin` promises
            self._tasks.start_soon(self._not_taken, keeps, results, error)

    async def _not_taken(
        self, keeps: tuple[Keep, ...], results: Sequence[Result], error: StorageError
    ) -> None:
        await trio.lowlevel.checkpoint()
        self._persisted(keeps, results, error)

    async def _persist_again(self, keeps: tuple[Keep, ...], results: Sequence[Result]) -> None:
        await trio.sleep(PERSIST_RETRY_S)
        self._persist(keeps, results)

    def _persisted(
        self, keeps: tuple[Keep, ...], results: Sequence[Result], error: StorageError | None
    ) -> None:
        if self._tasks.cancel_scope.cancel_called:
            return  # the sockets are closed by now
        if isinstance(error, DiskFullError | QueueFullError):
            if not self.disk_full:
                log.warning("disk_full", reason=str(error))
            self.disk_full = True
            self._refuse_waiting()
            self._tasks.start_soon(self._persist_again, keeps, results)
        elif error is None:  # any other is fatal: the writer has told the server, which ends all
            self._landed()

    def _landed(self) -> None:
        if self.disk_full:
            log.info("disk_has_room_again")
            self.disk_full = False
        self.counters.commits += 1
        now = instant()
        more = self._gathering.begin(len(self._waiting), now=now.mono_s)
        self._perform(self.peer.persisted(now=now, more=more))
        if more and not self._gathering.lacks(len(self._waiting)):
            self._sign()

    def _sign(self) -> None:
        self._gathering.end(len(self._waiting))
        self._perform(self.peer.sign(now=instant()))

    def _refuse_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(None)

    def _store(self, keep: Keep) -> None:
        try:
            self._writer.submit(keep)
        except StorageError as error:
            # That owner's branch will not verify after a restart, and is fetched anew then.
            self.counters.stores_skipped += 1
            log.debug("store_skipped", reason=str(error))

    def _publish(self, event: Event) -> None:
        match event:
            case Committed(tickets, dot):
                for ticket in tickets:
                    done = self._waiting.pop(ticket, None)
                    if done is not None:
                        done(dot)
            case Joined(address, node, ok):
                self.acquainted = self.acquainted or ok
                log.debug("joined", peer=str(address), node=short_id(node) if node else "", ok=ok)
                for outcome in self._joins.pop(address, []):
                    outcome.end_join(ok=ok)
            case MemberChanged(node, _, Status.ALIVE, _):
                self._forgive(node)
            case Applied(owner, dot, _, after, steps):
                self.counters.applied += 1
                who, at = short_id(owner), dot.version
                log.debug("applied", owner=who, version=at, after=after.version, steps=steps)
            case _:
                pass
        if self.peer.ready:
            self._ready.set()
        for listener in self._listeners:
            listener(event)

    def _turned(self, event: Event) -> None:
        if isinstance(event, KeysChanged) and event.owner == self.peer.me and self._turning:
            self.renew(self._turning)
            self._turning = None

    def _forgive(self, node: NodeId) -> None:
        if (record := self.peer.registry.node(node)) is not None:
            self.reachability.forgive(Address(record.host, record.port))

    def _expect(self, done: Done) -> int:
        self._last_ticket += 1
        self._waiting[self._last_ticket] = done
        return self._last_ticket


def _nothing() -> None:
    pass


class _Outcome:
    """What one caller waits for."""

    __slots__ = ("_done", "_dot", "_ok")

    def __init__(self) -> None:
        self._done = trio.Event()
        self._dot: Dot | None = None
        self._ok = False

    def succeed(self, dot: Dot | None) -> None:
        self._dot = dot
        self._done.set()

    def end_join(self, *, ok: bool) -> None:
        self._ok = ok
        self._done.set()

    async def dot(self) -> Dot:
        await self._done.wait()
        if self._dot is None:
            raise DiskFull(definite=False)
        return self._dot

    async def joined(self) -> bool:
        await self._done.wait()
        return self._ok
