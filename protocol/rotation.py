"""Keys that are replaced: what follows when key events turn out to be new, ours or another's.

    ours:     turn ──▶ one commit in flight, signed with the new key ──▶ durable ──▶ KEYS, then push
    others':  KEYS, a handshake, a bundle ──▶ learn ──▶ store ──▶ KEYS along the rings, once

Rules this module keeps:

1. The news of a key goes out before anything that was signed with it.
2. Each node passes a key event on once, at once and again after `AGAIN_S` against loss; who lacks
   events before it asks the sender for the whole chain.
3. Where two events of one sequence meet, the smaller hash stands, and the proof spreads like
   evidence of a fork.
4. An owner that revoked its key has left: its records go, its datagrams and streams are refused.
5. If it is our own key that somebody else replaced, we sign nothing more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .agreement.docket import Case, Docket, Settlement
from .agreement.evidence import KeyFork, check_key_fork
from .authoring import Authoring, Turn
from .branch import Branch
from .clocks import Instant
from .commits import Dot
from .detector.detection import MembershipEffect
from .detector.membership import Membership
from .dissemination import Again, Told
from .effects import Drop, DropRecords, Effect, KeepChain, KeepEvidence, Notify, Persist, Store
from .errors import ProposalError, RefusedError, RemoteProtocolError
from .events import Committed, ForkSettled, KeyForkFound, KeysChanged, ShutOut
from .identity import (
    Address,
    KeyChain,
    NodeId,
    check_event,
    parting,
    unpack_event,
)
from .keyring import Keyring, MemberVoice
from .registry import Registry
from .signing import Signer, Trust
from .wire.messages import Keys

RINGS = 4
"""Rings along which key events spread, as commits do."""
AGAIN_S = 0.1
_LAST_WORD_MAX = 64
"""Members that we tell ourselves that our key is revoked, since we are gone then."""


@dataclass(frozen=True, slots=True)
class RotationParts:
    """The pieces of a `Peer` that key events touch."""

    me: NodeId
    trust: Trust
    registry: Registry
    membership: Membership
    keyring: Keyring
    voice: MemberVoice
    authoring: Authoring
    docket: Docket
    again: Again
    translate: Callable[[list[MembershipEffect], Instant], list[Effect]]
    tell: Callable[[list[Told]], list[Effect]]


@dataclass(frozen=True, slots=True)
class _Ending:
    """Our revocation, until it is durable."""

    chain: KeyChain
    ticket: int | None


class Rotation:
    """Judges and spreads key events; `Peer` drives it."""

    def __init__(self, parts: RotationParts) -> None:
        self._parts = parts
        self._ending: _Ending | None = None
        self.ending_in_flight = False
        """Whether the last `Persist` is of our revocation."""

    # Ours

    def turn(self, chain: KeyChain, signer: Signer, ticket: int | None, *, now: float) -> None:
        """Go on with the key of the newest event of `chain`.

        Raises:
            ProposalError: it does not continue our chain, or an earlier key still passes.
        """
        self._check_next(chain)
        self.check_time(now=now)
        if chain.revoked or chain.key_of(chain.epoch) != signer.public_key:
            raise ProposalError("keys", "the signer does not hold the key of the newest event")
        self._parts.authoring.turn_to(Turn(chain, signer), ticket)

    def check_time(self, *, now: float) -> None:
        """Whether another key may follow now; ask before the key files are changed.

        Raises:
            ProposalError: not yet, or not any more.
        """
        self._check_open()
        if self._parts.keyring.turning(now=now) or self._parts.authoring.turning:
            raise ProposalError("keys", "the last rotation has only just begun; try again in 10 s")

    def turned(self, turn: Turn, now: Instant) -> list[Effect]:
        """Our new key, and its first commit, are durable: tell of the key before all else."""
        parts = self._parts
        parts.registry.learn(turn.chain.packed(), now=now.mono_s)
        parts.keyring.turn(turn.signer, now=now.mono_s)
        parts.voice.signer = turn.signer
        effects: list[Effect] = [Notify(KeysChanged(parts.me, turn.chain.epoch, revoked=False))]
        effects += self._spread(turn.chain, parts.membership.push_targets(RINGS), now)
        return effects + parts.translate(parts.membership.rekeyed(now=now.mono_s), now)

    def revoke(self, chain: KeyChain, ticket: int | None) -> None:
        """End this identity: `chain` is ours with a revocation.

        Raises:
            ProposalError: it does not continue our chain with a revocation.
        """
        self._check_next(chain)
        if not chain.revoked:
            raise ProposalError("keys", "the newest event is no revocation")
        self._ending = _Ending(chain, ticket)
        self._parts.authoring.shut = True

    def persist(self) -> list[Effect]:
        """Make a revocation durable, as soon as no commit is in flight."""
        if self._ending is None or self.ending_in_flight or self._parts.authoring.in_flight:
            return []
        self.ending_in_flight = True
        return [Persist((KeepChain(self._ending.chain),))]

    def ended(self, now: Instant) -> list[Effect]:
        """Our revocation is durable: tell as many as possible while they still hear us."""
        parts, ending = self._parts, self._ending
        if ending is None:
            return []
        self._ending, self.ending_in_flight = None, False
        parts.registry.learn(ending.chain.packed(), now=now.mono_s)
        nearest = parts.membership.push_targets(RINGS)
        others = (node for node in parts.membership.members() if node != parts.me)
        to = tuple(dict.fromkeys([*nearest, *others]))[:_LAST_WORD_MAX]
        tickets = () if ending.ticket is None else (ending.ticket,)
        return [
            Notify(KeysChanged(parts.me, ending.chain.epoch, revoked=True)),
            *self._spread(ending.chain, to, now),
            Notify(Committed(tickets, Dot(ending.chain.epoch, 0))),
        ]

    def check_ourselves(self) -> list[Effect]:
        """Whether the chain that stands for us is one that leads to our key."""
        parts = self._parts
        chain = parts.registry.chain(parts.me)
        ours = parts.authoring.signer.public_key
        if chain is None or chain.key_of(chain.epoch) == ours or parts.authoring.shut:
            return []
        parts.authoring.shut = True
        return [Notify(ShutOut(chain.epoch))]

    # Anybody's

    def learn(
        self, packed: Sequence[bytes], effects: list[Effect], now: Instant, *, by: NodeId | None
    ) -> Branch:
        """Take in key events that `by` brought; what follows is added to `effects`.

        Raises:
            RemoteProtocolError: as `Registry.learn`; what was found out is in `effects` all the
                same.
        """
        registry = self._parts.registry
        owner = NodeId(unpack_event(packed[0]).hash) if packed else None
        before = registry.chain(owner) if owner is not None else None
        proved = registry.key_forks.get(owner) if owner is not None else None
        try:
            branch, is_news = registry.learn(packed, now=now.mono_s)
            if is_news:
                effects += self._follow(branch, before, now, by)
        finally:
            fork = registry.key_forks.get(owner) if owner is not None else None
            if fork is not None and proved is None:
                effects += self._found(fork, by, now)
        return branch

    def take(
        self, message: Keys | KeyFork, source: Address, now: Instant, *, by: NodeId
    ) -> tuple[list[Effect], bool]:
        """What a datagram tells of keys; also whether earlier events have to be fetched."""
        if isinstance(message, KeyFork):
            return self._proved(message, source, now, by)
        return self._heard(message, source, now, by)

    def met(
        self, packed: Sequence[bytes], source: Address, now: Instant
    ) -> tuple[bool, list[Effect]]:
        """These key events were shown on a stream: is whoever holds the newest key to be served?

        They are of the peer, which has proved that it does, or newer ones of our own, by which it
        refuses us. Of whom we know nothing, nothing is learned so.
        """
        registry, effects = self._parts.registry, list[Effect]()
        try:
            owner = NodeId(unpack_event(packed[0]).hash) if packed else None
            known = registry.chain(owner) if owner is not None else None
            if known is None or known.packed() == list(packed):
                return True, []
            branch = self.learn(packed, effects, now, by=owner)
            if len(packed) < len(branch.chain.events):
                raise RefusedError("stale", "that key was replaced or revoked")
        except RemoteProtocolError as error:
            return False, [*effects, Drop(source, error.code)]
        return True, effects

    def newer(self, chain: KeyChain) -> KeyChain | None:
        """The chain that we hold of the same owner, if that one ends before it."""
        known = self._parts.registry.chain(chain.node)
        if known is None or known.epoch <= chain.epoch or parting(known, chain) is not None:
            return None
        return known

    @property
    def shut(self) -> bool:
        """Whether this node may sign nothing any more: its key was replaced or revoked."""
        return self._parts.authoring.shut

    def _heard(
        self, keys: Keys, source: Address, now: Instant, by: NodeId
    ) -> tuple[list[Effect], bool]:
        chain, event = self._parts.registry.chain(keys.owner), keys.event
        if chain is None:
            return [Drop(source, "unknown_sender")], False
        if event.sequence > chain.epoch + 1:
            return [], True
        if event.sequence <= chain.epoch and chain.events[event.sequence].hash == event.hash:
            return [Drop(source, "duplicate")], False
        effects: list[Effect] = []
        try:
            # Judged alone first: whoever tells nonsense shall not have us verify the whole chain.
            before = chain.events[event.sequence - 1] if event.sequence else None
            check_event(event, before, self._parts.trust)
            packed = [one.pack() for one in chain.events[: event.sequence]]
            self.learn([*packed, event.pack()], effects, now, by=by)
        except RemoteProtocolError as error:
            effects.append(Drop(source, error.code))
        return effects, False

    def _proved(
        self, fork: KeyFork, source: Address, now: Instant, by: NodeId
    ) -> tuple[list[Effect], bool]:
        registry = self._parts.registry
        chain = registry.chain(fork.owner)
        if chain is None:
            return [Drop(source, "unknown_sender")], False
        if fork.sequence > len(chain.events):
            return [], True
        effects: list[Effect] = []
        try:
            check_key_fork(fork, chain, self._parts.trust)
            if registry.key_forks.setdefault(fork.owner, fork) is fork:
                effects += self._found(fork, by, now)
            packed = [one.pack() for one in chain.events[: fork.sequence]]
            self.learn([*packed, fork.first.pack()], effects, now, by=by)
        except RemoteProtocolError as error:
            effects.append(Drop(source, error.code))
        return effects, False

    def _follow(
        self, branch: Branch, before: KeyChain | None, now: Instant, by: NodeId | None
    ) -> list[Effect]:
        parts, chain = self._parts, branch.chain
        parts.keyring.learn(branch.owner)
        effects: list[Effect] = [Store(KeepChain(chain))]
        if before is None:
            return effects
        if branch.owner == parts.me:
            return effects + self.check_ourselves()
        if chain.revoked:
            effects += [Store(DropRecords(branch.head))] if branch.head else []
            view = parts.membership.view(branch.owner)
            if view is not None:
                left = parts.membership.depart(
                    branch.owner, incarnation=view.incarnation, leaving=True, now=now.mono_s
                )
                effects += parts.translate(left, now)
            effects += self._close(branch, now)
        elif parting(before, chain) is None:
            parts.keyring.replaced(before, now=now.mono_s)
        effects.append(Notify(KeysChanged(branch.owner, chain.epoch, chain.revoked)))
        targets = [n for n in parts.membership.push_targets(RINGS) if n not in (by, branch.owner)]
        return effects + self._spread(chain, tuple(targets), now)

    def _close(self, branch: Branch, now: Instant) -> list[Effect]:
        """Whoever has ended its identity has no fork left to settle."""
        effects: list[Effect] = []
        settlement = Settlement(now.wall_us, branch.chain.epoch, None)
        for case in self._parts.docket.settle(branch.owner, branch.settled, settlement):
            effects += [Notify(ForkSettled(case)), Store(KeepEvidence(case))]
        return effects

    def _spread(self, chain: KeyChain, to: tuple[NodeId, ...], now: Instant) -> list[Effect]:
        told = Told(to, Keys(chain.node, chain.events[-1]))
        self._parts.again.add(told, (AGAIN_S,), now=now.mono_s)
        return self._parts.tell([told])

    def _found(self, fork: KeyFork, by: NodeId | None, now: Instant) -> list[Effect]:
        parts = self._parts
        added = parts.docket.add(Case(fork, now.wall_us, by))
        kept: list[Effect] = [Store(KeepEvidence(added.case, added.dropped))] if added else []
        targets = [node for node in parts.membership.push_targets(RINGS) if node != by]
        to = tuple(node for node in dict.fromkeys([fork.owner, *targets]) if node != parts.me)
        return [*parts.tell([Told(to, fork)]), Notify(KeyForkFound(fork)), *kept]

    def _check_next(self, chain: KeyChain) -> None:
        ours = self._parts.authoring.chain
        self._check_open()
        if chain.epoch != ours.epoch + 1 or parting(ours, chain) is not None:
            raise ProposalError("keys", "the chain does not continue ours by one event")

    def _check_open(self) -> None:
        if not self._parts.authoring.open or self._parts.authoring.shut:
            raise ProposalError("keys", "this node may not sign yet, or not any more")
