"""Takes our own commits to the peers that did not acknowledge them, and gives receipts for theirs.

    ours:    committed ─▶ rings; `deliveries` says who is due ─▶ DELIVER ─▶ how far it is ─▶ again
    theirs:  applied ─▶ stored ─▶ RECEIPT

What is shown to a peer in a DELIVER: the steps after the last that it acknowledged, from memory or
read back from disk; where the outbox does not reach back so far, the state; to one that has never
acknowledged anything only the head, since it may hold all.

Rules this module keeps:

1. A try is one request after the other on one stream until the peer has all, `ROUNDS_MAX` at most.
2. A peer's word about how far it is hurts nobody but itself. A commit of ours that we do not know
   is one that we may have forgotten: it is fetched.
3. A receipt is verified before it counts.
"""

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from protocol.authoring import InFlight
from protocol.branch import Branch
from protocol.clocks import Instant
from protocol.commits import HASH_BYTES, NOTHING, Commit, Dot
from protocol.detector.detection import Status, StatusChanged
from protocol.dissemination import Told
from protocol.effects import Drop, Effect, KeepManifest, Notify, Recall, Request, Store
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.events import Applied
from protocol.identity import Address, NodeId
from protocol.keyring import MemberVoice
from protocol.limits import HEADERS_KEPT
from protocol.sync.errands import Delivering
from protocol.sync.outreach import Outreach
from protocol.sync.surroundings import Surroundings
from protocol.wire import exchange
from protocol.wire.exchange import Bundle, DeliverAnswer, DeliverRequest, Steps
from protocol.wire.messages import Receipt

from .deliveries import Deliveries
from .receipts import Receipts
from .standing import OutboxEntry, Queue

AUDIENCE_MAX = 32
"""How many members an owner delivers to itself, and wants receipts from (decision 23)."""
DELIVER_TIMEOUT_S = 5.0
ROUNDS_MAX = 1_024
STEPS_BYTES_MAX = 256 * 1024
"""What the steps of one frame may take."""
STATE_BYTES_MAX = 256 * 1024
"""A larger state is not sent along: its head is shown, and the peer fetches what differs."""
_NONE = bytes(HASH_BYTES)

Recalled: TypeAlias = tuple[Commit, ...] | None
"""Commits of ours as the disk gave them back; None if it could not."""


class Courier:
    """Ties the retry queue and the receipts to the other parts of a `Peer`."""

    def __init__(
        self,
        around: Surroundings,
        outreach: Outreach,
        voice: MemberVoice,
        tell: Callable[[list[Told]], list[Effect]],
        rng: Random,
    ) -> None:
        self.deliveries = Deliveries(rng)
        self._around = around
        self._errands = outreach.errands
        self._tell = tell
        self._outreach = outreach
        self._voice = voice
        self._receipts = Receipts()
        self._revision = -1

    @property
    def next_deadline(self) -> float:
        """When `tick` or `owed` has something to do; infinity if never."""
        return min(self.deliveries.next_deadline, self._receipts.next_deadline)

    def restore(self, queue: Queue, now: Instant) -> None:
        """Take back the retry queue from disk, but for peers of whom nothing is known any more."""
        registry = self._around.registry
        branch = registry.branch(self._around.me)
        head = branch.head if branch else None
        self.deliveries.outbox.restore(queue.outbox, queue.floor, head)
        self.deliveries.restore(queue.deliveries, now)
        for row in queue.deliveries:
            if registry.node(row.peer) is None:
                self.deliveries.gone(row.peer, now)

    def joined(self, now: Instant) -> None:
        """This world begins with everybody knowing everything."""
        self.deliveries.assume(self._audience())
        self._watch(now)

    # What happens

    def committed(self, landed: InFlight, now: Instant) -> None:
        """A commit of ours is durable, applied, and on its way along the rings."""
        self._watch(now)
        commit = landed.commit
        entry = OutboxEntry(
            commit.head.dot, commit.head.hash, landed.priority, len(commit.changes_encoded)
        )
        parents = commit.head.parents
        self.deliveries.committed(entry, parents[0] if parents else b"", now)

    def status_changed(self, change: StatusChanged, now: Instant) -> None:
        """A member came or went."""
        if change.new in (Status.ALIVE, Status.SUSPECT):
            self.deliveries.returned(change.node, now)
        elif change.new is Status.LEFT:
            self.deliveries.gone(change.node, now)

    def equal_root(self, node: NodeId, now: Instant) -> list[Effect]:
        """Its settled root is ours: if our own branch counts in that, it holds all of it."""
        registry, me = self._around.registry, self._around.me
        branch = registry.branch(me)
        if branch is None or not registry.is_settled(me):
            return []
        return self.deliveries.acknowledged(node, branch.dot, now)

    def holds(self, node: NodeId, dot: Dot, commit: bytes, now: Instant) -> list[Effect]:
        """A peer said how far it holds our commits."""
        if dot.version == 0 or self._around.authoring.forgot(dot, commit):
            return []
        return self.deliveries.acknowledged(node, dot, now)

    def received(self, receipt: Receipt, node: NodeId, now: Instant) -> list[Effect]:
        """A peer vouches for having our commits on disk."""
        if self.deliveries.stores(node, receipt.dot.version):
            return []
        if not self._voice.verify_receipt(receipt, node):
            return [Drop(self._address(node) or Address("", 0), "bad_signature")]
        self.deliveries.counters.receipts += 1
        if self._around.authoring.forgot(receipt.dot, receipt.hash):
            return []
        return self.deliveries.acknowledged(node, receipt.dot, now, stored=True)

    def taken(self, caller: NodeId) -> DeliverAnswer:
        """A peer delivered its commits: how far we hold them; a receipt follows from the disk."""
        branch = self._around.registry.branch(caller)
        if branch is None or branch.head is None:
            return DeliverAnswer(Dot(0, 0), _NONE)
        self._receipts.owe(branch.head)
        return DeliverAnswer(branch.dot, branch.head.hash)

    def owed(self, effects: list[Effect], now: Instant) -> list[Effect]:
        """What these effects have us vouch for, once it is on disk; perform it after them."""
        for effect in effects:
            if isinstance(effect, Notify) and isinstance(effect.event, Applied):
                self._applied(effect.event.owner)
        return self._receipts.mark(now=now.mono_s)

    def stored(self, number: int, now: Instant, *, ok: bool) -> list[Effect]:
        """A mark came true: give the receipts. Or not: of whom something is lost, store all."""
        if ok:
            heads = self._receipts.stored(number)
            return self._tell([Told((h.owner,), self._voice.sign_receipt(h)) for h in heads])
        effects: list[Effect] = []
        for head in self._receipts.lost(number, now=now.mono_s):
            branch = self._around.registry.branch(head.owner)
            manifest = branch.manifest() if branch is not None else None
            if manifest is not None:
                effects.append(Store(KeepManifest(manifest)))
                self._receipts.owe(manifest.head)
        return effects

    def tick(self, now: Instant) -> list[Effect]:
        """Everything that is due."""
        self._watch(now)
        effects = self.deliveries.written(now)
        for node in self.deliveries.due(now):
            effects += self._try(node, now)
        return effects

    # Tries

    def _try(self, node: NodeId, now: Instant) -> list[Effect]:
        address = self._address(node)
        branch = self._around.registry.branch(self._around.me)
        if address is None or branch is None or branch.head is None or self._errands.full():
            self.deliveries.ended(node, now, ok=False)
            return []
        return self._show(Delivering(node, address), branch, now)

    def _show(self, errand: Delivering, branch: Branch, now: Instant) -> list[Effect]:
        """The next round of a try: show it what comes after what it acknowledged."""
        held, outbox = self.deliveries.held(errand.node), self.deliveries.outbox
        if held == NOTHING and not errand.rounds:
            return self._request(errand, Bundle(_events_of(branch), branch.head))
        if not outbox.shows(held):
            return self._show_state(errand, branch)
        kept = branch.kept()
        if kept and kept[0].head.dot <= held:
            return self._show_steps(errand, branch, [c for c in kept if c.head.dot > held], now)
        ticket = self._errands.issue(errand)
        return [Recall(held, HEADERS_KEPT, STEPS_BYTES_MAX, ticket)]

    def recalled(self, ticket: int, commits: Recalled, now: Instant) -> list[Effect]:
        """The disk gave back commits of ours, or could not.

        Raises:
            LocalProtocolError: nothing was to be recalled for that ticket.
        """
        errand = self._errands.redeem(ticket)
        if not isinstance(errand, Delivering):
            raise LocalProtocolError(f"nothing was to be recalled for {errand}")
        branch = self._around.registry.branch(self._around.me)
        if branch is None:
            return []
        if not commits:
            return self._show_state(errand, branch)
        return self._show_steps(errand, branch, list(commits), now)

    def _show_steps(
        self, errand: Delivering, branch: Branch, commits: list[Commit], now: Instant
    ) -> list[Effect]:
        steps: list[Commit] = []
        room = STEPS_BYTES_MAX
        for commit in commits[:HEADERS_KEPT]:
            room -= len(commit.changes_encoded)
            if steps and room < 0:
                break
            steps.append(commit)
        if not steps:
            self.deliveries.ended(errand.node, now, ok=True)
            return []
        errand.showing = len(steps)
        return self._request(errand, Bundle(_events_of(branch), Steps(tuple(steps))))

    def _show_state(self, errand: Delivering, branch: Branch) -> list[Effect]:
        self.deliveries.counters.states += 1
        bundle = self._around.repair.bundle(branch, b"", STATE_BYTES_MAX)
        return self._request(errand, Bundle(_events_of(branch), bundle.content))

    def _request(self, errand: Delivering, bundle: Bundle) -> list[Effect]:
        ticket = self._errands.issue(errand)
        body = exchange.encode_request(DeliverRequest(bundle))
        return [Request(errand.address, errand.node, body, ticket, DELIVER_TIMEOUT_S, always=True)]

    def answered(self, errand: Delivering, frame: bytes | None, now: Instant) -> list[Effect]:
        """A delivery was answered, or failed (None)."""
        node, answer, refused = errand.node, None, list[Effect]()
        try:
            answer = exchange.decode_answer(frame) if frame is not None else None
        except RemoteProtocolError as error:
            refused = [Drop(errand.address, error.code)]
        if not isinstance(answer, DeliverAnswer):
            self.deliveries.ended(node, now, ok=False)
            return refused
        around, before = self._around, self.deliveries.held(node)
        if answer.dot.version and around.authoring.forgot(answer.dot, answer.hash):
            self.deliveries.ended(node, now, ok=True)
            return self._outreach.fetch(around.me, node, whole=True)
        effects = self.holds(node, answer.dot, answer.hash, now)
        branch = around.registry.branch(around.me)
        held = self.deliveries.held(node)
        further = held > before or not errand.rounds
        self.deliveries.counters.resent += errand.showing
        errand.rounds, errand.showing = errand.rounds + 1, 0
        lacks = branch is not None and held < branch.dot
        if branch is not None and lacks and further and errand.rounds < ROUNDS_MAX:
            return effects + self._show(errand, branch, now)
        self.deliveries.ended(node, now, ok=True)
        return effects

    def _applied(self, owner: NodeId) -> None:
        around = self._around
        branch = around.registry.branch(owner)
        if owner == around.me or branch is None or branch.head is None:
            return
        if around.membership.rings.follows(around.me, owner, AUDIENCE_MAX):
            self._receipts.owe(branch.head)

    def _watch(self, now: Instant) -> None:
        rings = self._around.membership.rings
        if rings.revision != self._revision:
            self._revision = rings.revision
            self.deliveries.watch(self._audience(), now)

    def _audience(self) -> tuple[NodeId, ...]:
        return self._around.membership.rings.following(self._around.me, AUDIENCE_MAX)

    def _address(self, node: NodeId) -> Address | None:
        record = self._around.registry.node(node)
        return Address(record.host, record.port) if record else None


def _events_of(branch: Branch) -> tuple[bytes, ...]:
    return tuple(branch.chain.packed())
