"""One simulated node: the real protocol machine, with a disk, clocks and a process that can fail.

    network ──▶ receive ─┐
    streams ──▶ serve ───┤              ┌──▶ network, streams
    clock ────▶ tick ────┼─▶ effects ───┼──▶ disk (then persisted)
    clients ──▶ propose ─┘              └──▶ recorder, trace

It does what `node/driver` does, without threads and sockets. A byzantine node may have several
*faces*: machines with one identity, each shown to some of the others (Bano et al., "Twins",
OPODIS 2021).

Rules this module keeps:

1. A process that is down or was restarted does nothing that its earlier life had planned.
2. A paused process does nothing; what reaches it waits, as in a socket's buffer, and is bounded.
3. Time is told to the machine only by this node's own clock.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Protocol, assert_never

from chaos.history import Life, Outcome
from protocol import events
from protocol.bodies import Body
from protocol.clocks import Instant
from protocol.commits import NOTHING, Commit, RecordKey
from protocol.detector.config import MembershipConfig
from protocol.effects import (
    Drop,
    Effect,
    Mark,
    Notify,
    Persist,
    Recall,
    Request,
    Send,
    Store,
)
from protocol.errors import ProposalError
from protocol.events import Applied, Committed, Event, KeysChanged, MemberChanged, Parted
from protocol.identity import Address, NodeId
from protocol.peer import NODE_RECORD, Peer
from protocol.records import NodeRecord, Phase
from protocol.restored import RestoredBranch
from protocol.setup import PeerSetup
from protocol.shared.joined import Joined
from protocol.shared.reading import Reading
from protocol.signing import Verifier
from protocol.sync.recollection import Hearing

from .bootstrap import Bootstrap, address_of
from .clock import Clock
from .disk import Disk
from .keys import NodeKeys
from .network import Network
from .recorder import Recorder
from .timeline import Arguments, Deed, Timeline
from .trace import Trace
from .writing import Writing

INBOX_MAX = 2_000
"""What reaches a paused process and waits for it; more is lost, as in a full socket buffer."""
SLOW_BACKLOG_S = 1.0
RESUME_TICK_S = 0.0005
ROUNDING_S = 1e-9
"""A deadline is met a nanosecond late, so that no rounding between clocks makes it early."""
STOP_S = 0.5
"""How long a node that stops goes on after it said so."""

Done = Callable[[Outcome], None]


class Surroundings(Protocol):
    """What of its world a node sees."""

    cluster: bytes
    timeline: Timeline
    network: Network
    recorder: Recorder
    trace: Trace
    config: MembershipConfig
    joined: Joined | None
    stored: tuple[RestoredBranch, ...]
    """What every disk holds from the start."""
    verifier: Verifier
    reading: Reading

    def number_at(self, address: Address) -> int | None:
        """Which node listens there."""
        ...

    def node_at(self, address: Address) -> NodeId | None:
        """Who listens there."""
        ...

    def ask(self, sender: "SimNode", face: int, request: Request) -> None:
        """Perform a request over a stream."""
        ...


class SimNode:
    """One node and its process."""

    def __init__(
        self,
        world: Surroundings,
        number: int,
        *,
        keys: NodeKeys,
        seeds: tuple[int, ...],
        seed: int,
    ) -> None:
        self.number = number
        self.name = f"n{number}"
        self.id: NodeId = keys.chain.node
        self.address = address_of(number)
        self.keys = keys
        self.disk = Disk(world.stored)
        self.clock = Clock()
        self.up = False
        self.paused = 0
        """How many faults hold it frozen."""
        self.slow_s = 0.0
        self._starved = 0
        self.life = 0
        self.faces: list[Peer] = []
        self.faces_wanted = 1
        self.drops: dict[str, int] = {}
        self.filter: Callable[[int, Effect], list[Effect]] | None = None
        """Of a byzantine node: what becomes of an effect of one of its faces."""
        self.hears: Callable[[int, bytes], bool] | None = None
        """Of a byzantine node: whether it listens to a datagram."""
        self.answers: Callable[[bytes | None], bytes | None] | None = None
        """Of a byzantine node: what it makes of an answer on a stream."""
        self._world = world
        self._seeds = tuple(address_of(one) for one in seeds if one != number)
        self._seed = seed
        self._writing = Writing(self, world.timeline)
        self._inbox: deque[Deed] = deque()
        self._busy_until = 0.0
        self._wake_at = float("inf")
        self._waiting: dict[int, Done] = {}
        self._tickets = 0
        self._bootstraps: list[Bootstrap] = []

    @property
    def peer(self) -> Peer:
        """The machine, or a byzantine node's first face."""
        return self.faces[0]

    @property
    def acquainted(self) -> bool:
        """Whether somebody has told it, in this life, what is known of it."""
        knew_all = self._world.joined is not None and self.life == 1
        return knew_all or all(one.acquainted for one in self._bootstraps)

    @property
    def now(self) -> Instant:
        """What its own clocks show."""
        return self.clock.instant(self._world.timeline.now)

    def face_for(self, other: int) -> int:
        """Which of its faces another node sees."""
        return other % len(self.faces)

    # The process

    def start(self, make: Callable[[PeerSetup, Random, Instant], Peer] | None = None) -> None:
        """Run, with the disk as it is. `make` builds the machine where it is not plain `Peer`."""
        world, now = self._world, self.now
        self.keys.load()
        joined = world.joined if not self.life else None
        self.life += 1
        self.up = True
        self._wake_at = float("inf")
        self._inbox.clear()
        self._busy_until = 0.0
        incarnation = self.disk.begin_life(now.wall_us // 1_000_000, world.timeline.now)
        restored = self.disk.load()
        own = next((one for one in restored if one.owner == self.id), None)
        setup = PeerSetup(
            cluster=world.cluster,
            chain=self.keys.chain,
            signer=self.keys.signer,
            record=self.record(incarnation),
            restored=() if joined else restored,
            evidence=self.disk.evidence(),
            last_dot=own.head.dot if own and own.head else NOTHING,
            membership=world.config,
            hearing=Hearing.briefly_if(self.life > 1 and bool(len(restored) > 1 or self._seeds)),
            queue=self.disk.queue(self.id),
            joined=joined,
            verifier=world.verifier,
            reading=world.reading,
        )
        world.recorder.lived(self.name, Life.STARTED)
        if self.paused or self._starved:
            world.recorder.lived(self.name, Life.PAUSED)
        world.trace.note(world.timeline.now, self.name, f"starts, incarnation {incarnation}")
        build = make or (lambda setup, rng, now: Peer(setup, rng=rng, now=now))
        self.faces = [
            build(setup, Random(f"{self._seed}/{self.number}/{self.life}/{face}"), now)
            for face in range(self.faces_wanted)
        ]
        world.recorder.remembered(self.name, self.peer.registry)
        world.recorder.queue(self.name, self.peer.deliveries, self.clock)
        self._bootstraps = [self._bootstrap(face) for face in range(len(self.faces))]
        for face, bootstrap in enumerate(self._bootstraps):
            bootstrap.begin()
            world.timeline.at(world.timeline.now, self._seek, self.life, face)
        self._plan()

    def crash(self, life: Life = Life.CRASHED) -> None:
        """Be gone at once; what clients wait for may or may not have been done."""
        if not self.up:
            return
        self.up = False
        self.faces = self.faces[:1]
        self._world.recorder.lived(self.name, life)
        self._world.trace.note(self._world.timeline.now, self.name, life.value)
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(Outcome.INDEFINITE)

    def stop(self) -> None:
        """Say that we stop, then go."""
        if not self.up:
            return
        for face, peer in enumerate(self.faces):
            if peer.ready:
                record = replace(peer.record, phase=Phase.STOPPING)
                self.perform(face, peer.propose({NODE_RECORD: record}, None, now=self.now))
        self._world.timeline.after(STOP_S, self._ended, self.life)

    def pause(self) -> None:
        """Freeze."""
        self.paused += 1
        if self.paused == 1 and self.up:
            self._world.recorder.lived(self.name, Life.PAUSED)
            self._world.trace.note(self._world.timeline.now, self.name, "paused")

    def resume(self) -> None:
        """Go on, with all that waited: first what is overdue, then what came."""
        self.paused -= 1
        if self.paused or not self.up:
            return
        world = self._world
        if not self._starved:
            world.recorder.lived(self.name, Life.RESUMED)
        world.trace.note(world.timeline.now, self.name, "resumed")
        self._tick(self.life)
        world.timeline.after(RESUME_TICK_S, self._drain, self.life)

    def slow_down(self, seconds: float, *, starved: bool) -> None:
        """Every step takes so much longer, or less again; `starved`: it may not answer in time."""
        self.slow_s = max(0.0, round(self.slow_s + seconds, 9))
        if starved:
            self._starved += 1 if seconds > 0 else -1
            if self.up:
                life = Life.PAUSED if self._starved else Life.RESUMED
                self._world.recorder.lived(self.name, life)

    def run_clock_at(self, rate: float) -> None:
        """Both clocks run faster or slower from now on."""
        self.clock.run_at(rate, self._world.timeline.now)
        self._wake_at = float("inf")
        if self.up:
            self._plan()

    def hurry(self, life: int, deed: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        """Do something when the process gets to it, or never if that is another life."""
        if not self.up or life != self.life:
            return
        if self.paused:
            self._inbox.append(lambda: deed(*arguments))
        elif self.slow_s:
            timeline = self._world.timeline
            self._busy_until = max(timeline.now, self._busy_until) + self.slow_s
            timeline.at(self._busy_until, self._late, life, lambda: deed(*arguments))
        else:
            deed(*arguments)

    # Inputs

    def arrive(self, sender: int, datagram: bytes) -> None:
        """A datagram came; it is lost if too many wait already, as in a full socket buffer."""
        behind_s = self._busy_until - self._world.timeline.now if self.slow_s else 0.0
        if len(self._inbox) < INBOX_MAX and behind_s < SLOW_BACKLOG_S:
            self.hurry(self.life, self._receive, sender, datagram)

    def submit(self, changes: Mapping[RecordKey, Body | None], done: Done) -> None:
        """A client asks for changes; `done` hears how that ended."""
        peer = self.peer
        if not self.up or self.paused or not peer.ready or self.disk.full:
            done(Outcome.INDEFINITE if self.up and self.paused else Outcome.FAILED)
            return
        self._tickets += 1
        ticket = self._tickets
        self._waiting[ticket] = done
        try:
            effects = peer.propose(changes, ticket, now=self.now)
        except ProposalError:
            del self._waiting[ticket]
            done(Outcome.FAILED)
            return
        self.perform(0, effects)

    def serve(self, face: int, body: bytes, caller: "SimNode") -> bytes | None:
        """Answer a request of an authenticated stream."""
        peer = self.faces[face]
        answer, effects = peer.serve(body, caller.id, caller.address, now=self.now)
        self.perform(face, effects)
        return answer if self.answers is None else self.answers(answer)

    def answered(self, face: int, ticket: int, answer: bytes | None, by: NodeId | None) -> None:
        """A request of ours ended."""
        self.perform(face, self.faces[face].answered(ticket, answer, by, now=self.now))

    def act(self, face: int, changes: Mapping[RecordKey, Body | None]) -> None:
        """Change something of our own, on one face, with nobody waiting."""
        peer = self.faces[face]
        if peer.ready:
            self.perform(face, peer.propose(changes, None, now=self.now))

    def _receive(self, sender: int, datagram: bytes) -> None:
        if self.hears is not None and not self.hears(sender, datagram):
            return
        source = address_of(sender)
        for face, peer in enumerate(self.faces):
            effects = peer.receive(datagram, source, now=self.now)
            self._world.recorder.arrived(self.name, datagram, effects)
            self.perform(face, effects)

    def _tick(self, life: int) -> None:
        if not self.up or life != self.life:
            return
        for face, peer in enumerate(self.faces):
            if peer.next_deadline <= self.now.mono_s:
                self.perform(face, peer.tick(now=self.now))
        self._plan()

    def _woken(self, life: int, planned: float) -> None:
        if life != self.life or planned != self._wake_at:
            return
        self._wake_at = float("inf")
        if not self.up or self.paused:
            return
        if self.slow_s:
            self.hurry(life, self._tick, life)
        else:
            self._tick(life)

    def _late(self, life: int, deed: Deed) -> None:
        if self.up and life == self.life:
            if self.paused:
                self._inbox.append(deed)
            else:
                deed()

    def _drain(self, life: int) -> None:
        while self._inbox and self.up and life == self.life and not self.paused:
            self._inbox.popleft()()

    def _ended(self, life: int) -> None:
        if life == self.life:
            self.crash(Life.STOPPED)

    # Effects

    def perform(self, face: int, effects: list[Effect]) -> None:
        """Do what one of its faces asks for, in order."""
        world = self._world
        for effect in effects:
            for one in (effect,) if self.filter is None else self.filter(face, effect):
                world.trace.effect(world.timeline.now, self.number, self.name, one)
                self._perform_one(face, one)
        self._plan()

    def _perform_one(self, face: int, effect: Effect) -> None:
        world = self._world
        match effect:
            case Send(to, datagram):
                receiver = world.number_at(to)
                if receiver is not None and self.face_for(receiver) == face:
                    world.network.send(self.number, receiver, datagram)
            case Request():
                world.ask(self, face, effect)
            case Persist(keeps):
                world.recorder.writes(self.faces[face].registry.branch(self.id), keeps)
                self._writing.persist(face, keeps, partial(self._persisted, face))
            case Store(keep):
                world.recorder.stored(self.name, keep)
                self._writing.store(keep)
            case Mark(number):
                self._writing.mark(partial(self._marked, face, number))
            case Recall():
                self._writing.recall(effect, partial(self._recalled, face, effect.ticket))
            case Notify(event):
                self._heard(face, event)
            case Drop(_, reason):
                self.drops[reason] = self.drops.get(reason, 0) + 1
            case _:
                assert_never(effect)

    def _persisted(self, face: int) -> None:
        self.perform(face, self.faces[face].persisted(now=self.now))

    def _marked(self, face: int, number: int) -> None:
        self.perform(face, self.faces[face].stored(number, ok=True, now=self.now))

    def _recalled(self, face: int, ticket: int, commits: tuple[Commit, ...]) -> None:
        self.perform(face, self.faces[face].recalled(ticket, commits, now=self.now))

    def _heard(self, face: int, event: Event) -> None:  # noqa: C901 (a case an event)
        recorder = self._world.recorder
        match event:
            case Committed(tickets, _):
                for ticket in tickets:
                    if done := self._waiting.pop(ticket, None):
                        done(Outcome.OK)
            case events.Joined(address, _, ok):
                self._bootstraps[face].joined(address, ok=ok)
            case KeysChanged(owner, _, _):
                recorder.rekeyed(self.name, event)
                self.keys.turned(owner)
            case MemberChanged():
                recorder.believed(self.name, event)
            case Parted():
                recorder.parted(self.name, event)
            case events.Acknowledged():
                recorder.acknowledged(self.name, event)
            case Applied(owner, dot):
                branch = self.faces[face].registry.branch(owner)
                if face == 0 and branch is not None:
                    recorder.accepted(self.name, branch, dot)
            case _:
                pass

    def _plan(self) -> None:
        deadline = min(peer.next_deadline for peer in self.faces)
        if deadline == float("inf"):
            return
        at = max(self.clock.world(deadline) + ROUNDING_S, self._world.timeline.now)
        if at < self._wake_at:
            self._wake_at = at
            self._world.timeline.at(at, self._woken, self.life, at)

    # Finding others

    def _bootstrap(self, face: int) -> Bootstrap:
        peer, life = self.faces[face], self.life
        rng = Random(f"{self._seed}/bootstrap/{self.number}/{life}/{face}")

        def join(address: Address) -> None:
            self.perform(face, peer.join(address, now=self.now))

        def read_back() -> None:
            self.perform(face, peer.read_back(now=self.now))

        node_at = self._world.node_at
        return Bootstrap(peer, self._seeds, rng, node_at=node_at, join=join, read_back=read_back)

    def _seek(self, life: int, face: int) -> None:
        if not self.up or life != self.life:
            return
        wait = 0.1 if self.paused else self._bootstraps[face].round()
        self._world.timeline.after(wait, self._seek, life, face)

    def join(self, address: Address) -> None:
        """Ask whoever is there for all it holds, now."""
        for face, peer in enumerate(self.faces):
            self.perform(face, peer.join(address, now=self.now))

    def record(self, incarnation: int) -> NodeRecord:
        """What it says of itself in a life."""
        return NodeRecord(
            name=self.name, host=self.address.host, port=self.address.port,
            api_host=self.address.host, api_port=8400, incarnation=incarnation,
        )  # fmt: skip
