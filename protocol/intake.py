"""What is done with a fact once it came in, whichever way: verify, apply, keep, tell, pass on.

Datagrams and streams, joins and repairs all end here, so a fact is judged by one piece of code.

Rules this module keeps:

1. A refusal changes nothing, names its code and is counted against whoever sent it.
2. What was applied is stored, shown to watchers, told to membership and passed on, in that order.
3. Our own branch is never moved by others once we may sign, nor before to what does not know all
   that we hold; what they hold of us that we do not know is merged by `authoring`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .agreement.docket import Case, Docket, Reported, Settlement
from .agreement.evidence import Evidence, KeyFork, check_evidence, check_key_fork
from .agreement.partitions import Episodes
from .authoring import Authoring, InFlight
from .branch import Branch
from .clocks import HybridClock, Instant
from .commits import Commit, Head, Manifest, Mend
from .detector.detection import MembershipEffect
from .detector.membership import Membership
from .dissemination import Again, Dissemination, Told, pushes_of
from .effects import (
    Drop,
    DropRecords,
    Effect,
    KeepCommit,
    KeepEvidence,
    KeepManifest,
    KeepMend,
    Notify,
    Store,
)
from .errors import RefusalCode, RefusedError, RemoteProtocolError
from .events import Applied, ForkFound, ForkSettled
from .history.outcomes import AppliedStep, Forked, Gap, Known, Old, Outcome
from .identity import Address, NodeId, unpack_event
from .merkle import Tree
from .records import ForgetRecord, NodeRecord, Phase, ServiceRecord
from .registry import SETTLE_S, Registry
from .rotation import Rotation
from .signing import Trust
from .sync.displaced import Displaced
from .sync.newcomers import NewOwners
from .wire.exchange import Bundle, Steps
from .wire.messages import Advert, Advertised, Keys

PUSH_RINGS = 4
PROOF_AGAIN_S = (0.3, 2.0)
"""When a proof is told again: roots do not show who missed it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who brought a fact."""

    node: NodeId | None
    address: Address
    asked: bool = False
    """We asked for it: others may well have it, so it is advertised, not pushed."""


@dataclass(slots=True)
class Taken:
    """What came of a fact."""

    source: Source
    effects: list[Effect] = field(default_factory=list)
    news: bool = False
    """Something was applied."""
    gap: NodeId | None = None
    """The owner of whom more must be fetched."""
    refused: RefusalCode | None = None
    """Why nothing more came of it."""

    def refuse(self, error: RemoteProtocolError) -> "Taken":
        """Nothing more came of it than what was learned before it was refused."""
        self.effects.append(Drop(self.source.address, error.code))
        self.refused = error.code
        return self


@dataclass(frozen=True, slots=True)
class Parts:
    """The pieces of a `Peer` that a fact passes through."""

    me: NodeId
    trust: Trust
    registry: Registry
    membership: Membership
    dissemination: Dissemination
    rotation: Rotation
    clock: HybridClock
    authoring: Authoring
    docket: Docket
    episodes: Episodes
    displaced: Displaced
    again: Again
    translate: Callable[[list[MembershipEffect], Instant], list[Effect]]
    tell: Callable[[list[Told]], list[Effect]]


class Intake:
    """Judges facts and applies them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._new_owners = NewOwners()

    def steps(
        self, steps: tuple[Commit, ...], events: tuple[bytes, ...], source: Source, now: Instant
    ) -> Taken:
        """Take in commits that follow each other, from a push or a sync."""
        owner = steps[-1].head.owner
        taken = Taken(source)
        try:
            branch = self._branch_of(owner, events, taken, now)
            if branch is None:
                taken.gap = owner
                return taken
            if owner == self._parts.me and self._parts.authoring.open:
                return self._about_us(steps[-1].head, None, taken, now)
            is_old = source.asked and _is_old(steps[-1].head, now)
            outcome = self._parts.registry.offer(owner, steps, now=now.mono_s, is_old=is_old)
        except RemoteProtocolError as error:
            return taken.refuse(error)
        return self._settle(taken, outcome, owner, now)

    def bundle(self, bundle: Bundle, source: Source, now: Instant, *, final: bool = False) -> Taken:
        """Take in what a sync or fetch brought of one owner.

        `final`: it was fetched, so a lone head is all there is: its owner was reaped.
        """
        content = bundle.content
        if isinstance(content, Steps):
            return self.steps(content.commits, bundle.key_events, source, now)
        taken = Taken(source)
        try:
            if isinstance(content, Manifest):
                return self._manifest(content, bundle.key_events, taken, now)
            owner = content.owner if isinstance(content, Head) else None
            branch = self._branch_of(owner, bundle.key_events, taken, now)
            if isinstance(content, Head) and branch is not None and final:
                return self._reaped_head(content, branch, taken)
        except RemoteProtocolError as error:
            return taken.refuse(error)
        if isinstance(content, Head) and (branch is None or branch.dot < content.dot):
            taken.gap = content.owner
        return taken

    def mend(self, mend: Mend, source: Source, now: Instant) -> Taken:
        """Take in what a comparison of states came to."""
        taken = Taken(source)
        try:
            is_old = source.asked and _is_old(mend.head, now)
            branch = self._parts.registry.branch(mend.head.owner)
            before = (branch.head, branch.tree) if branch else None
            outcome = self._parts.registry.mend(mend, now=now.mono_s, is_old=is_old)
        except RemoteProtocolError as error:
            return taken.refuse(error)
        if isinstance(outcome, AppliedStep):
            taken.effects.append(Store(KeepMend(mend.head, mend.changes)))
            self._displaced(before, source, now)
        return self._settle(taken, outcome, mend.head.owner, now)

    def evidence(self, evidence: Evidence, source: Source, now: Instant) -> Taken:
        """Take in the proof of a fork."""
        parts = self._parts
        branch, taken = parts.registry.branch(evidence.owner), Taken(source)
        if branch is None:
            return taken
        try:
            if not parts.docket.holds(evidence):
                check_evidence(evidence, branch.chain, parts.trust)
        except RefusedError as error:
            return taken.refuse(error)
        self._forked(taken, evidence, now, told=True)
        taken.effects += self._ended(evidence.owner, now)  # it may have been merged long ago
        if evidence.owner == parts.me and parts.authoring.open:
            return self._confronted(evidence, branch, taken)
        return taken

    def _confronted(self, evidence: Evidence, branch: Branch, taken: Taken) -> Taken:
        """Somebody proves that we forked: show the merge, or fetch the side that we forgot."""
        parts, teller = self._parts, taken.source.node
        if evidence.first.epoch < branch.chain.epoch:
            taken.effects += self._show_newest(branch, taken.source)
            return taken
        forgotten = evidence.second if branch.holds(evidence.first.hash) else evidence.first
        merge = branch.newest_merge()
        shown = pushes_of((merge,) if merge is not None else (), b"")
        if not branch.merged(evidence):
            parts.authoring.confront(forgotten)
            taken.gap = parts.me
        elif not shown:
            parts.authoring.settle(forgotten)  # long ago, or too large: who asks may never see it
        elif teller is not None:
            taken.effects += parts.tell([Told((teller,), push) for push in shown])
        return taken

    def reported(self, report: Reported, source: Source, now: Instant) -> Taken:
        """Take in what a sync told of a fork, be it open or settled long ago."""
        parts, evidence, merge = self._parts, report.evidence, report.merge
        if parts.registry.branch(evidence.owner) is None:
            return Taken(source)
        if isinstance(evidence, KeyFork):
            return self._key_fork(evidence, source, now)
        branch = parts.registry.claim(evidence.owner)
        known, merged = parts.docket.holds(evidence), branch.merged(evidence)
        if known and (merged or merge is None):
            return Taken(source)
        taken = Taken(source)
        try:
            if merge is not None and not merged:
                parts.registry.learn_merge(merge, now=now.mono_s)
            if merge is None or not branch.merged(evidence):
                return self.evidence(evidence, source, now)
            if not known:
                check_evidence(evidence, branch.chain, parts.trust)
                self._forked(taken, evidence, now, told=True)
        except RemoteProtocolError as error:
            return taken.refuse(error)
        taken.effects += self._ended(evidence.owner, now)
        return taken

    def _key_fork(self, fork: KeyFork, source: Source, now: Instant) -> Taken:
        taken = Taken(source)
        if source.node is not None and not self._parts.docket.holds(fork):
            rotation = self._parts.rotation
            taken.effects, lacks = rotation.take(fork, source.address, now, by=source.node)
            taken.gap = fork.owner if lacks else None
        return taken

    def restore(self, cases: Iterable[Case]) -> None:
        """Take back the evidence of earlier lives: what was in dispute still is."""
        parts = self._parts
        for case in cases:
            branch = parts.registry.branch(case.owner)
            merge = case.settlement.merge if case.settlement else None
            try:
                if branch is None:
                    continue
                if isinstance(case.evidence, KeyFork):
                    check_key_fork(case.evidence, branch.chain, parts.trust)
                    parts.registry.key_forks.setdefault(case.owner, case.evidence)
                else:
                    check_evidence(case.evidence, branch.chain, parts.trust)
                if merge is not None:
                    parts.registry.claim(case.owner).learn_merge(merge)
            except RemoteProtocolError:
                continue  # a page gone bad, or a chain that was not read back: peers know better
            parts.docket.add(case)
            if isinstance(case.evidence, Evidence) and case.open and case.owner != parts.me:
                parts.registry.dispute(case.evidence)

    def applied_here(self, landed: InFlight, now: Instant) -> list[Effect]:
        """Our own commit is durable: apply it, tell the world."""
        registry, effects = self._parts.registry, list[Effect]()
        if landed.base is not None:
            adopted = registry.adopt(landed.base, now=now.mono_s, even_older=True)
            effects += self._landed(adopted, now)
        outcome = registry.land(landed.commit, landed.foreseen, now=now.mono_s)
        effects += self._landed(outcome, now)
        return effects + self._ended(self._parts.me, now)

    def _landed(self, outcome: Outcome, now: Instant) -> list[Effect]:
        if not isinstance(outcome, AppliedStep):
            return []
        return self._after(outcome, now) + self._pass_on(outcome, None, now)

    def _branch_of(
        self, owner: NodeId | None, events: tuple[bytes, ...], taken: Taken, now: Instant
    ) -> Branch | None:
        parts = self._parts
        known = parts.registry.branch(owner) if owner is not None else None
        if not events:
            return known
        if known is None and not self._new_owners.admits(taken.source.address.host, now.mono_s):
            raise RefusedError("rate_limited", "too many new owners from one address in a minute")
        if owner is not None and unpack_event(events[0]).hash != owner:
            raise RefusedError("foreign", "key events of another owner")
        return parts.rotation.learn(events, taken.effects, now, by=taken.source.node)

    def _manifest(
        self, manifest: Manifest, events: tuple[bytes, ...], taken: Taken, now: Instant
    ) -> Taken:
        owner, ours = manifest.head.owner, self._parts.authoring
        branch = self._branch_of(owner, events, taken, now)
        if branch is None:
            raise RefusedError("unknown_sender", "a state without the key events of its owner")
        if owner == self._parts.me and (ours.open or ours.strays(manifest)):
            return self._about_us(manifest.head, manifest, taken, now)
        is_old = taken.source.asked and _is_old(manifest.head, now)
        before = branch.head, branch.tree
        outcome = self._parts.registry.adopt(manifest, now=now.mono_s, is_old=is_old)
        if isinstance(outcome, AppliedStep):
            taken.effects.append(Store(KeepManifest(manifest)))
            self._displaced(before, taken.source, now)
        return self._settle(taken, outcome, owner, now)

    def _displaced(
        self, before: tuple[Head | None, Tree] | None, source: Source, now: Instant
    ) -> None:
        """A state was replaced by one that shows no steps: its owner may have forgotten it."""
        head, tree = before or (None, None)
        if head is not None and tree and head.owner not in (source.node, self._parts.me):
            self._parts.displaced.note(head, tree, now=now.mono_s)

    def _reaped_head(self, head: Head, branch: Branch, taken: Taken) -> Taken:
        """Of a reaped owner only the head is left anywhere; it counts for the root."""
        if branch.owner != self._parts.me and self._parts.registry.adopt_reaped(head):
            taken.news = True
            taken.effects.append(Store(DropRecords(head)))
        return taken

    def _about_us(
        self, theirs: Head, manifest: Manifest | None, taken: Taken, now: Instant
    ) -> Taken:
        """The cluster shows us our own branch while we may sign: do we know this head?"""
        parts = self._parts
        branch = parts.registry.branch(parts.me)
        if branch is None:
            return taken
        if theirs.epoch < branch.chain.epoch:  # by whoever stole the key that we have replaced
            taken.effects += self._show_newest(branch, taken.source)
            return taken
        proved = parts.authoring.confronted
        if branch.holds(theirs.hash):
            if manifest is not None and proved is not None:
                parts.authoring.settle(proved)  # who proved the fork does not hold its other side
            return taken
        forks = branch.forks_with(theirs)
        for fork in forks:
            if not parts.docket.holds(fork):
                check_evidence(fork, branch.chain, parts.trust)
                self._forked(taken, fork, now)
        forgotten = (
            branch.head is None
            or theirs.dot > branch.dot
            or bool(forks)
            or parts.authoring.forgot(theirs.dot, theirs.hash)
            or (proved is not None and theirs.dot >= proved.dot)
        )
        flying = parts.authoring.in_flight
        if not forgotten or (flying and flying.commit.head.hash == theirs.hash):
            return taken
        if manifest is None:
            taken.gap = parts.me
        else:
            parts.authoring.merge_with(manifest)
            taken.news = True
        return taken

    def _show_newest(self, branch: Branch, source: Source) -> list[Effect]:
        """Answer who holds what does not stand of ours: our key, and our head to fetch."""
        if source.node is None or branch.head is None:
            return []
        keys = Keys(branch.owner, branch.chain.events[-1])
        newest = Advertised(branch.owner, branch.dot, branch.head.hash, large=True)
        return self._parts.tell([Told((source.node,), one) for one in (keys, Advert((newest,)))])

    def _settle(self, taken: Taken, outcome: Outcome, owner: NodeId, now: Instant) -> Taken:
        parts, source = self._parts, taken.source
        branch = parts.registry.branch(owner)
        match outcome:
            case AppliedStep():
                taken.news = True
                if owner == parts.me and branch is not None and branch.head is not None:
                    parts.authoring.took(branch.head)
                for commit, changes in zip(outcome.commits, outcome.changes, strict=True):
                    taken.effects.append(Store(KeepCommit(commit, changes)))
                taken.effects += self._after(outcome, now)
                taken.effects += self._pass_on(outcome, source, now)
                if branch is not None and branch.evidence is not None:
                    # Its owner knows whether it was merged since.
                    taken.effects += parts.tell([Told((owner,), branch.evidence)])
            case Forked(proofs):
                for evidence in proofs:
                    self._forked(taken, evidence, now)
            case Gap():
                taken.gap = owner
            case Old():
                taken.effects.append(Drop(source.address, "stale"))
            case Known():
                taken.effects.append(Drop(source.address, "duplicate"))
        taken.effects += self._ended(owner, now)
        return taken

    def _after(self, step: AppliedStep, now: Instant) -> list[Effect]:
        parts, owner = self._parts, step.owner
        branch = parts.registry.branch(owner)
        head = branch.head if branch else None
        if head is None:
            return []
        parts.dissemination.got(owner)
        parts.episodes.applied(step, head.dot, now)
        parts.clock.observe(head.issued_at, now.wall_us)
        told: list[MembershipEffect] = []
        services: dict[str, None] = {}
        for delta in step.deltas:
            body = delta.old if delta.new is None else delta.new
            if isinstance(body, ServiceRecord):
                services[body.name] = None
            elif isinstance(delta.new, NodeRecord) and owner != parts.me:
                told += self.member(owner, delta.new, now.mono_s)
            elif isinstance(delta.new, ForgetRecord) and delta.new.node != parts.me:
                told += parts.membership.forget(
                    delta.new.node, incarnation=delta.new.incarnation, now=now.mono_s
                )
        event = Applied(owner, head.dot, tuple(services), step.before, len(step.commits))
        return [Notify(event), *parts.translate(told, now)]

    def admit_restored(self, now: float) -> list[MembershipEffect]:
        """Tell membership of all that we knew when we ended."""
        registry, told = self._parts.registry, list[MembershipEffect]()
        for node in registry.owners():
            record = registry.node(node)
            if record is not None and node != self._parts.me:
                told += self.member(node, record, now)
        return told

    def member(self, node: NodeId, record: NodeRecord, now: float) -> list[MembershipEffect]:
        """Tell membership what a node says of itself."""
        membership = self._parts.membership
        if record.phase is Phase.RUNNING:
            return membership.admit(node, incarnation=record.incarnation, now=now)
        leaving = record.phase is Phase.LEFT
        return membership.depart(node, incarnation=record.incarnation, leaving=leaving, now=now)

    def _pass_on(self, step: AppliedStep, source: Source | None, now: Instant) -> list[Effect]:
        """Push the newest step; of a whole state, or of what we asked for, only tell."""
        parts = self._parts
        branch = parts.registry.branch(step.owner)
        if branch is None or branch.head is None:
            return []
        not_to = (source.node if source else None, step.owner)
        targets = tuple(n for n in parts.membership.push_targets(PUSH_RINGS) if n not in not_to)
        if not step.commits or (source is not None and source.asked):
            large = not step.commits
            parts.dissemination.advertise(branch.head, targets, now=now.mono_s, large=large)
            return []
        commit = step.commits[-1]
        inception = branch.chain.events[0].pack() if not commit.head.parents else b""
        return parts.tell(parts.dissemination.fresh(commit, inception, targets, now=now.mono_s))

    def _forked(
        self, taken: Taken, evidence: Evidence, now: Instant, *, told: bool = False
    ) -> None:
        """Evidence goes first of all to its owner, who may mend it, and along the rings.

        `told`: its source holds it. Otherwise that brought one half, and may lack the other.
        """
        parts = self._parts
        branch = parts.registry.branch(evidence.owner)
        disputed = evidence.owner != parts.me and parts.registry.dispute(evidence)
        added = parts.docket.add(Case(evidence, now.wall_us, taken.source.node))
        if added is None and not disputed:
            return
        taken.news = True
        source, nearest = taken.source.node, parts.membership.push_targets(PUSH_RINGS)
        targets = [node for node in nearest if node != source]
        if source not in (None, evidence.owner) and not told:
            targets = [source, *targets]
        if branch is not None and not branch.merged(evidence):
            targets = [evidence.owner, *targets]
            taken.effects.append(Notify(ForkFound(evidence, now.wall_us)))
            parts.episodes.forked(evidence)
        proof = Told(tuple(dict.fromkeys(targets)), evidence)
        parts.again.add(proof, PROOF_AGAIN_S, now=now.mono_s)
        taken.effects = [*parts.tell([proof]), *taken.effects]
        if added is not None:
            taken.effects.append(Store(KeepEvidence(added.case, added.dropped)))

    def _ended(self, owner: NodeId, now: Instant) -> list[Effect]:
        """What a merge or a key settled is so in the docket too; the rest stays a dispute."""
        parts = self._parts
        branch = parts.registry.branch(owner)
        if branch is None or not parts.docket.concerns(owner):
            return []
        effects: list[Effect] = []
        through, merge = branch.settled, branch.merge
        by_merge = merge if merge is not None and merge.dot == through else None
        settlement = Settlement(now.wall_us, through.epoch, by_merge)
        for case in parts.docket.settle(owner, through, settlement):
            effects += [Notify(ForkSettled(case)), Store(KeepEvidence(case))]
        if not branch.disputed and owner != parts.me:
            for case in parts.docket.open_cases(owner):
                if isinstance(case.evidence, Evidence):
                    parts.registry.dispute(case.evidence)
        return effects


def _is_old(head: Head, now: Instant) -> bool:
    """Whether what we asked for has surely settled elsewhere; a wrong clock costs a vain sync."""
    return now.wall_us - head.issued_at > SETTLE_S * 1e6
