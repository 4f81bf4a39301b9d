"""One node's protocol as a single machine: bytes and time in, effects out.

    datagrams ─┐                       ┌─▶ Send, Request
    frames ────┤                       │
    answers ───┼─▶ Peer ─▶ effects ────┼─▶ Store, Persist
    proposals ─┤    │                  │
    time ──────┘    ▼ reads            └─▶ Notify, Drop
                registry, membership

The node and the simulator drive this same class. Its parts: `intake` judges facts, `authoring`
signs ours, `dissemination` passes on, `repair` and `outreach` ask, `answers` answers, `membership`
knows who is here.

Rules this module keeps:

1. Effects are performed in the order given; nothing else has to be remembered.
2. A peer cannot make it raise: what is refused becomes a `Drop` with a code.
3. No `now` is earlier than the one before (`ClockError`).
4. Reading (`registry`, `membership`, `rotation`) is free at any time between two calls.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import assert_never

from .agreement.docket import Docket
from .agreement.evidence import Evidence, KeyFork
from .agreement.monitor import Divergence
from .agreement.partitions import Episodes
from .authoring import Authoring
from .bodies import NODE_KEY, Body
from .clocks import HybridClock, Instant
from .commits import RecordKey
from .delivery.courier import Courier, Recalled
from .delivery.deliveries import Deliveries
from .delivery.standing import Priority
from .detector.detection import (
    MembershipEffect,
    Reaped,
    RecordWanted,
    Refused,
    Status,
    StatusChanged,
    Tell,
    TryStream,
)
from .detector.membership import Membership
from .dissemination import Again, Dissemination, Echoes, Told
from .effects import Drop, DropRecords, Effect, KeepChain, Notify, Persist, Store
from .errors import ClockError, ProposalError, RemoteProtocolError
from .events import Committed, MemberChanged, Ready
from .identity import Address, KeyChain, NodeId
from .intake import Intake, Parts, Source
from .keyring import Keyring, MemberVoice
from .post import Post
from .records import Kind, NodeRecord, Phase
from .registry import Registry
from .restored import RestoredBranch
from .rotation import Rotation, RotationParts
from .setup import PeerSetup
from .signing import Signer, Trust
from .sync.adverts import Adverts
from .sync.answers import Answers
from .sync.credit import Credit
from .sync.errands import Delivering
from .sync.outreach import Outreach
from .sync.recollection import Recollection
from .sync.repair import Repair
from .sync.surroundings import Surroundings
from .wire import exchange
from .wire.messages import (
    Advert,
    Beat,
    DatagramKind,
    Keys,
    Message,
    Push,
    Receipt,
    Want,
    inspect,
)

LAG_S = 0.15
"""A tick that comes later than this says that our own event loop lagged."""
NODE_RECORD = RecordKey(Kind.NODE, NODE_KEY)


class Peer:
    """Drive it with `receive`, `serve`, `answered`, `propose`, `persisted` and `tick`.

    Perform the effects that each returns, in order; call `tick` no later than `next_deadline`.
    """

    def __init__(self, setup: PeerSetup, *, rng: Random, now: Instant) -> None:
        self._me, self._record, self._now = setup.chain.node, setup.record, now
        self._asked_s = float("inf")
        """When we asked to be called, at the latest."""
        self._echoes = Echoes()
        trust, joined, clock = Trust(setup.cluster, setup.verifier), setup.joined, HybridClock()
        self._read = setup.reading.message
        self.registry = Registry(trust, joined.holding if joined else None, setup.reading.body)
        self.docket, self.divergence = Docket(), Divergence()
        self.unrestored: list[tuple[NodeId, str]] = []
        """Owners whose stored branch did not come out, and why; peers are asked for them."""
        prefixes = joined.prefixes if joined else None
        self._keyring = Keyring(self._me, setup.signer, setup.cluster, prefixes)
        self._post = Post(self._me, self.registry, self._keyring, now=now)
        self._tell = self._post.tell
        self.registry.learn(setup.chain.packed())
        own = self.registry.claim(self._me, is_own=True)
        self.recollection = Recollection(setup.hearing, own, now=now.mono_s)
        self._restore(setup.restored)
        voice = MemberVoice(self._me, setup.signer, trust, self.registry)
        self.membership = Membership(
            setup.membership, self._me, incarnation=setup.record.incarnation, voice=voice,
            rng=rng, now=now.mono_s, assembly=joined.assembly if joined else None,
        )  # fmt: skip
        self.episodes = Episodes(self._me, self.registry, self.membership)
        self._dissemination, self._again = Dissemination(), Again()
        self._repair = Repair(self.registry, rng=rng)
        self._authoring = Authoring(
            own, setup.signer, trust, last=setup.last_dot, clock=clock, born=now.wall_us
        )
        self.rotation = Rotation(RotationParts(
            me=self._me, trust=trust, registry=self.registry, membership=self.membership,
            keyring=self._keyring, voice=voice, authoring=self._authoring, docket=self.docket,
            again=self._again, translate=self._translate, tell=self._tell,
        ))  # fmt: skip
        self._intake = Intake(Parts(
            me=self._me, trust=trust, registry=self.registry, membership=self.membership,
            dissemination=self._dissemination, rotation=self.rotation, clock=clock,
            authoring=self._authoring, docket=self.docket, episodes=self.episodes,
            displaced=self._repair.displaced, again=self._again,
            translate=self._translate, tell=self._tell,
        ))  # fmt: skip
        self._intake.restore(setup.evidence)
        around = Surroundings(
            me=self._me, registry=self.registry, membership=self.membership,
            authoring=self._authoring, repair=self._repair, intake=self._intake,
            docket=self.docket, episodes=self.episodes, recollection=self.recollection,
            translate=self._translate,
        )  # fmt: skip
        outreach = self._outreach = Outreach(around)
        self._courier = Courier(around, outreach, voice, self._tell, rng)
        self._courier.restore(setup.queue, now)
        self._answers = Answers(around, outreach, self._courier)
        self._adverts = Adverts(around, outreach, self._dissemination, self._tell)
        self._ready = self._authoring.open = joined is not None
        self._first = self._beginning(now)
        self._deadline_s = self._find_deadline()

    @property
    def me(self) -> NodeId:
        """Our own id."""
        return self._me

    @property
    def ready(self) -> bool:
        """Whether we have read ourselves back and committed our own record in this life."""
        return self._ready

    @property
    def reading_back(self) -> bool:
        """Whether we still wait to hear of ourselves before signing anything."""
        return not self._authoring.open and not self._authoring.shut

    @property
    def born(self) -> int:
        """No version and no counter of ours in this life is lower."""
        return self._authoring.born

    @property
    def record(self) -> NodeRecord:
        """What we say of ourselves, durable or not yet."""
        return self._record

    @property
    def next_deadline(self) -> float:
        """The latest `now.mono_s` at which `tick` must be called again."""
        return self._deadline_s

    @property
    def credit(self) -> Credit:
        """What each peer's word has been worth: whether it showed what it said it holds."""
        return self._repair.credit

    @property
    def deliveries(self) -> Deliveries:
        """Which peers hold our commits, which do not, and when those are tried next."""
        return self._courier.deliveries

    def intended(self, key: RecordKey) -> Body | None:
        """Our newest word on one of our own records, also where it is not durable yet."""
        return self._authoring.intended(key)

    # Inputs

    def receive(self, datagram: bytes, source: Address, *, now: Instant) -> list[Effect]:
        """Take in one datagram. Never raises for what a peer sent."""
        self._advance(now)
        node: NodeId | None = None
        effects: list[Effect] = []
        prefix = b""
        try:
            kind, prefix = inspect(datagram)
            node = self._keyring.node_of(prefix)
            if node is None:
                stranger = self._outreach.stranger(prefix, source, now.mono_s)
                return self._done([Drop(source, "unknown_sender"), *stranger])
            body = self._post.open(datagram, node)
            if kind is DatagramKind.PUSH and self._echoes.hears(body):
                echo: list[Effect] = [Drop(source, "duplicate")]
                heard = self.membership.heard(node, now=now.mono_s)
                return self._done(echo + self._translate(heard, now))
            message = self._read(kind, body)
        except RemoteProtocolError as error:
            effects = [Drop(source, error.code)]
            if error.code == "bad_mac" and node is not None:
                effects += self._outreach.unheard_key(node, prefix, now.mono_s)
            return self._done(effects)
        effects = self._heard(message, Source(node, source), now)
        if self.registry.node(node) is None:  # we have its keys, but not its record, or reaped it
            effects += self._outreach.stranger(prefix, source, now.mono_s, known=node)
        return self._done(effects)

    def tick(self, *, now: Instant) -> list[Effect]:
        """Do everything that is due. Early and repeated calls are harmless."""
        if now.mono_s - self._asked_s > LAG_S:
            self.membership.lagged(now.mono_s - self._asked_s, now=now.mono_s)
        self._advance(now)
        effects, self._first = self._first, []
        effects += self._open(now)
        effects += self._tell(self._again.due(now=now.mono_s))
        effects += self._translate(self.membership.tick(now=now.mono_s), now)
        effects += self._tell(self._dissemination.tick(now=now.mono_s))
        effects += self._tell(self._repair.displaced.due(self.membership.status, now=now.mono_s))
        for node in self._repair.due(now=now.mono_s):
            effects += self._outreach.sync(node, now=now.mono_s)
        return self._done([*effects, *self._courier.tick(now)])

    def serve(
        self, frame: bytes, caller: NodeId, source: Address, *, now: Instant
    ) -> tuple[bytes | None, list[Effect]]:
        """Answer one request frame of an authenticated stream; None closes the stream."""
        self._advance(now)
        try:
            request = exchange.decode_request(frame)
        except RemoteProtocolError as error:
            return None, self._done([Drop(source, error.code)])
        answer, effects = self._answers.give(request, caller, Source(caller, source), now)
        return exchange.encode_answer(answer), self._done(effects)

    def answered(
        self, ticket: int, answer: bytes | None, by: NodeId | None, *, now: Instant
    ) -> list[Effect]:
        """A `Request` was answered by the node `by`, or failed (None)."""
        self._advance(now)
        errand = self._outreach.errands.redeem(ticket)
        if isinstance(errand, Delivering):
            effects = self._courier.answered(errand, answer, now)
        else:
            effects = self._outreach.answered(errand, answer, by, now)
        if self.recollection.waiting:
            effects += self._open(now)
        return self._done([*effects, *self._author(now)])

    def recalled(self, ticket: int, commits: Recalled, *, now: Instant) -> list[Effect]:
        """The disk gave back what `Recall` asked for, or could not (None)."""
        self._advance(now)
        return self._done(self._courier.recalled(ticket, commits, now))

    def stored(self, number: int, *, ok: bool, now: Instant) -> list[Effect]:
        """All that was stored before that `Mark` is durable, or (not `ok`) some of it never is."""
        self._advance(now)
        return self._done(self._courier.stored(number, now, ok=ok))

    def join(self, address: Address, *, now: Instant) -> list[Effect]:
        """Ask whoever is there for all it holds, and tell it of us; ends in `Joined`."""
        self._advance(now)
        return self._done(self._outreach.join(address))

    def measure(self, nodes: Iterable[NodeId], *, now: Instant) -> list[Effect]:
        """Somebody asks how far these are: ping a few whose round trip is not known of late."""
        self._advance(now)
        return self._done(self._translate(self.membership.measure(nodes, now=now.mono_s), now))

    def read_back(self, *, now: Instant) -> list[Effect]:
        """Everybody who could be asked was: stop waiting to hear of ourselves, if we need not.

        Where we need to, ask again from time to time while `reading_back`.
        """
        self._advance(now)
        self.recollection.asked = True
        return self._done(self._open(now))

    def propose(
        self,
        changes: Mapping[RecordKey, Body | None],
        ticket: int | None,
        *,
        now: Instant,
        priority: Priority = Priority.NORMAL,
        more: bool = False,
    ) -> list[Effect]:
        """Set or remove ours; counts when `Committed` names the ticket. `more` follow: do not sign.

        Raises:
            ProposalError: the changes cannot be taken; nothing was.
        """
        self._advance(now)
        if self.recollection.waiting:
            raise ProposalError("waiting", "this node waits to hear of itself from a peer")
        self._authoring.stage(changes, ticket, priority)
        if isinstance(record := changes.get(NODE_RECORD), NodeRecord):
            self._record = record
        return [] if more else self._author(now)  # neither moves a deadline

    def rotate(
        self, chain: KeyChain, signer: Signer, ticket: int | None, *, now: Instant
    ) -> list[Effect]:
        """Go on with a new key, with which the next commit is signed: `Committed` names the ticket.

        Raises:
            ProposalError: it does not continue our chain, or this is not the time; nothing changed.
        """
        self._advance(now)
        self.rotation.turn(chain, signer, ticket, now=now.mono_s)
        return self._done(self._author(now))

    def revoke(self, chain: KeyChain, ticket: int | None, *, now: Instant) -> list[Effect]:
        """End this identity: sign nothing more, and tell everybody.

        Raises:
            ProposalError: `chain` is not ours with a revocation; nothing changed.
        """
        self._advance(now)
        self.rotation.revoke(chain, ticket)
        return self._done(self.rotation.persist())

    def met(
        self, packed: Sequence[bytes], source: Address, *, now: Instant
    ) -> tuple[bool, list[Effect]]:
        """Key events were shown on a stream; may their owner be talked to? See `Rotation.met`."""
        self._advance(now)
        good, effects = self.rotation.met(packed, source, now)
        return good, self._done(effects)

    def persisted(self, *, now: Instant, more: bool = False) -> list[Effect]:
        """The last `Persist` is durable: show it, send it, write the next (`more`: on `sign`)."""
        self._advance(now)
        if self.rotation.ending_in_flight:
            return self._done(self.rotation.ended(now))
        landed = self._authoring.landed()
        effects = self.rotation.turned(landed.turn, now) if landed.turn else []
        effects += self._intake.applied_here(landed, now)
        self._courier.committed(landed, now)
        if not self._ready and self._record.phase is Phase.RUNNING:
            self._ready = True
            effects.append(Notify(Ready()))
        effects.append(Notify(Committed(landed.tickets, landed.commit.head.dot)))
        signed = [] if more else self._author(now)
        return self._done([*effects, *signed, *self.rotation.persist()])

    def sign(self, *, now: Instant) -> list[Effect]:
        """Sign what waits, where it was said that `more` follows."""
        self._advance(now)
        return self._author(now)

    # What they come to

    def _heard(self, message: Message, source: Source, now: Instant) -> list[Effect]:
        node = source.node
        if node is None:
            return []
        match message:
            case Beat(heartbeat, root):
                ours = self.registry.settled_root(now.mono_s)
                self._repair.heard_root(node, root, ours, now=now.mono_s)
                equal = ours.startswith(root)
                self.episodes.heard_root(node, equal=equal, now=now)
                self.divergence.heard(node, equal=equal, now=now)
                effects = self._courier.equal_root(node, now) if equal else []
                heard = self.membership.receive(heartbeat, node, now=now.mono_s)
                return effects + self._translate(heard, now)
            case Push():
                effects = self._adverts.pushed(message, source, now)
            case Advert():
                effects = self._adverts.advertised(message, node, now)
            case Want():
                effects = self._adverts.wanted(message, node)
            case Evidence():
                taken = self._intake.evidence(message, source, now)
                effects = self._outreach.take(taken, source) + self._author(now)
            case Receipt():
                effects = self._courier.received(message, node, now)
            case Keys() | KeyFork():
                effects, lacks = self.rotation.take(message, source.address, now, by=node)
                effects += self._outreach.fetch(message.owner, node) if lacks else []
            case _:
                return self._translate(self.membership.receive(message, node, now=now.mono_s), now)
        return self._translate(self.membership.heard(node, now=now.mono_s), now) + effects

    def _open(self, now: Instant) -> list[Effect]:
        """Once we have heard of ourselves, or need not: sign from here on, first who we are."""
        if not self.reading_back:
            return []
        coming = self._repair.is_coming(self._me)
        forked = self._authoring.merging or bool(self.docket.open_cases(self._me))
        if not self.recollection.is_over(coming=coming, forked=forked, now=now.mono_s):
            return []
        self._authoring.open, self.recollection.waiting = True, False
        record = replace(self._record, updated_at=now.wall_us)
        self._authoring.stage({NODE_RECORD: record}, None, Priority.CRITICAL)
        return self._author(now)

    def _author(self, now: Instant) -> list[Effect]:
        commit = self._authoring.next(now)
        return [Persist(commit.keeps(), commit.tickets)] if commit is not None else []

    def _beginning(self, now: Instant) -> list[Effect]:
        if self._ready:
            self._courier.joined(now)
            return []
        admitted = self._translate(self._intake.admit_restored(now.mono_s), now)
        chain = Store(KeepChain(self._authoring.chain))
        return [*admitted, chain, *self.rotation.check_ourselves()]

    def _restore(self, restored: Sequence[RestoredBranch]) -> None:
        for stored in restored:
            try:
                self.registry.restore(stored)
            except RemoteProtocolError as error:
                self.unrestored.append((stored.owner, str(error)))
            self._keyring.learn(stored.owner)

    # Effects

    def _translate(self, told: list[MembershipEffect], now: Instant) -> list[Effect]:
        """What the failure detector asks for, as effects of ours."""
        effects: list[Effect] = []
        for one in told:
            match one:
                case Tell(to, message):
                    effects += self._tell([Told((to,), self._post.with_root(message))])
                case TryStream(to):
                    effects += self._outreach.check(to, now)
                case StatusChanged():
                    effects += self._status_changed(one, now)
                case Reaped(node):
                    self._repair.forget(node)
                    self.episodes.reaped(node, now)
                    self._courier.deliveries.gone(node, now)
                    head = self.registry.reap(node)
                    effects += [Store(DropRecords(head))] if head else []
                case RecordWanted(node):
                    effects += self._outreach.fetch(node, node)
                case Refused(sender, code):
                    effects.append(Drop(self._post.address(sender), code))
                case _:
                    assert_never(one)
        return effects

    def _status_changed(self, change: StatusChanged, now: Instant) -> list[Effect]:
        self.registry.touch(change.node)
        if change.new is Status.ALIVE and change.old in (Status.UNREACHABLE, Status.DEAD):
            self._repair.returned(change.node, now=now.mono_s)
        self.episodes.changed(change, now)
        self._courier.status_changed(change, now)
        if change.new not in (Status.ALIVE, Status.SUSPECT):
            self.divergence.forget(change.node)
        return [Notify(MemberChanged(change.node, change.old, change.new, change.certified))]

    def _advance(self, now: Instant) -> None:
        if now.mono_s < self._now.mono_s:
            raise ClockError(previous_s=self._now.mono_s, now_s=now.mono_s)
        self._now = self._post.now = now

    def _done(self, effects: list[Effect]) -> list[Effect]:
        news, questions = self.episodes.drain()
        effects += [Notify(one) for one in news]
        for node, question in questions:
            effects += self._outreach.compare(node, question, self._now)
        effects += self._courier.owed(effects, self._now)
        self._deadline_s = self._asked_s = self._find_deadline()
        return effects

    def _find_deadline(self) -> float:
        if self._first:
            return self._now.mono_s
        deadline = min(self.membership.next_deadline, self._dissemination.next_deadline)
        if self.reading_back:
            deadline = min(deadline, self.recollection.deadline)
        deadline = min(deadline, self._repair.next_deadline, self._again.next_deadline)
        return min(deadline, self._repair.displaced.next_deadline, self._courier.next_deadline)
