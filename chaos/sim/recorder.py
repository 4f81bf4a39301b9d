"""Writes the history of a run: what every node said, translated into names.

Hashes of heads and records are computed here, from the records themselves and without the core's
trees, so that a checker compares the core with something else than itself.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

from chaos.history import (
    Accepted,
    Acknowledged,
    Belief,
    Believed,
    Deceived,
    Diverged,
    History,
    Key,
    Life,
    Links,
    Lived,
    Proved,
    Queued,
    Rekeyed,
    Remembered,
    Reported,
    RootSample,
    Signed,
    Standing,
    Theft,
    Ware,
)
from protocol import events, signing
from protocol.agreement.evidence import AnyEvidence
from protocol.agreement.report import Episode
from protocol.branch import Branch
from protocol.commits import Change, Dot, Head, Record, RecordKey, decode_head
from protocol.delivery.deliveries import Deliveries
from protocol.detector.detection import SignedAck, SignedVotes, Status
from protocol.effects import Drop, Effect, Keep, KeepCommit, KeepEvidence, KeepManifest
from protocol.events import KeysChanged, MemberChanged, Parted, Stage
from protocol.identity import NodeId
from protocol.records import Kind, ServiceRecord
from protocol.registry import Registry
from protocol.signing import Domain, Signer

from .clock import Clock
from .timeline import Timeline

_COMMIT_PREFIX = Domain.COMMIT.value + b"\0"
_NOT_AUTHENTIC = ("bad_mac", "unknown_sender")
"""Why a datagram is refused before anything of it counts."""


def digest_of(records: Iterable[Record]) -> str:
    """A hash over records, whatever order they come in."""
    state = hashlib.blake2b(digest_size=12)
    for record in sorted(records):
        state.update(b"%d %d %d " % (record.kind, len(record.key), len(record.body)))
        state.update(record.key.encode() + record.body)
    return state.hexdigest()


def record_name(key: RecordKey) -> str:
    """A record as a history names it."""
    return f"{Kind(key.kind).name.lower()} {key.key}"


def _digest(body: bytes | None) -> str:
    return "" if body is None else hashlib.blake2b(body, digest_size=8).hexdigest()


def _pair(dot: Dot) -> tuple[int, int]:
    return dot.epoch, dot.version


def heads_of(registry: Registry, without: Mapping[NodeId, None]) -> tuple[str, str]:
    """Hashes over the heads that a node holds: of all owners, and of all but some."""
    every, some = hashlib.blake2b(digest_size=12), hashlib.blake2b(digest_size=12)
    pairs = []
    for owner in registry.owners():
        branch = registry.branch(owner)
        if branch is not None and branch.head is not None:
            pairs.append((owner, branch.head.hash))
    for owner, head in sorted(pairs):
        every.update(owner + head)
        if owner not in without:
            some.update(owner + head)
    return every.hexdigest(), some.hexdigest()


class Recorder:
    """Takes note; the lists of the history grow in the order of time."""

    def __init__(self, timeline: Timeline, history: History) -> None:
        self.history = history
        self.names: dict[NodeId, str] = {}
        self.villains: dict[NodeId, None] = {}
        self._timeline = timeline
        self._records: dict[str, str] = {}
        self._changes: dict[str, tuple[tuple[str, str], ...]] = {}
        self._stages: dict[tuple[str, int], dict[Stage, float]] = {}
        """By node and number of a report, when it came so far."""
        self._signed: list[tuple[float, Head]] = []
        self._rotated: dict[NodeId, None] = {}
        self._wares: dict[bytes, tuple[str, int]] = {}
        """What thieves made, whole datagrams and signatures: in whose name, with which key."""
        self._noted: dict[tuple[str, bytes], None] = {}

    def lived(self, node: str, life: Life) -> None:
        """A process started, ended, froze or went on."""
        self.history.lives.append(Lived(self._timeline.now, node, life))

    def believed(self, node: str, event: MemberChanged) -> None:
        """A node changed its mind."""
        subject = self.names.get(event.node)
        if subject is not None:
            belief = _BELIEFS[event.new]
            now = self._timeline.now
            self.history.beliefs.append(Believed(now, node, subject, belief, event.certified))

    def accepted(self, node: str, branch: Branch, dot: Dot) -> None:
        """A node made a commit the head of a branch; a step before it does not count."""
        if branch.head is None or branch.head.dot != dot:
            return
        head = branch.head
        self.history.accepted.append(
            Accepted(
                self._timeline.now,
                node,
                self._owner(branch.owner),
                (head.epoch, head.version),
                head.hash.hex(),
                digest_of(branch.records.values()),
            )
        )

    def writes(self, branch: Branch | None, keeps: Sequence[Keep]) -> None:
        """An owner is about to make these durable, after what it holds of its own."""
        records = dict(branch.records) if branch else {}
        for keep in keeps:
            if isinstance(keep, KeepManifest):
                records = {RecordKey(r.kind, r.key): r for r in keep.manifest.records}
            elif isinstance(keep, KeepCommit):
                self.committed(keep.commit.head, records, keep.changes)

    def committed(
        self, head: Head, records: Mapping[RecordKey, Record], changes: Sequence[Change]
    ) -> None:
        """An owner made a commit of its own: what its state is after it."""
        after = dict(records)
        for change in changes:
            key = RecordKey(change.kind, change.key)
            after.pop(key, None)
            if change.body is not None:
                after[key] = Record(change.kind, change.key, change.body)
        self._records[head.hash.hex()] = digest_of(after.values())
        self._changes[head.hash.hex()] = tuple(
            (record_name(RecordKey(one.kind, one.key)), _digest(one.body)) for one in changes
        )

    def parted(self, node: str, event: Parted) -> None:
        """A node's report of a partition began or went on."""
        stages = self._stages.setdefault((node, event.number), {})
        if event.stage is Stage.BEGAN:
            stages.clear()  # of an earlier life
        stages[event.stage] = self._timeline.now

    def reported(self, node: str, episodes: Iterable[Episode]) -> None:
        """The reports that a node holds."""
        for episode in episodes:
            stages = self._stages.get((node, episode.number), {})
            is_over = episode.reconciled is not None
            report = Reported(
                node,
                began_s=stages[Stage.BEGAN],
                reconciled_s=stages[Stage.RECONCILED] if is_over else math.inf,
                exact=episode.exact,
                away=tuple(sorted(self._owner(one) for one in episode.cuts)),
                diverged=tuple(
                    Diverged(
                        self._owner(one.owner), record_name(one.key), one.became.name.lower(),
                        one.here,
                    )
                    for one in episode.diverged.values()
                ),
                left=episode.left,
            )  # fmt: skip
            self.history.reports.append(report)

    def signed(self, owner: NodeId, encoded: bytes, signature: bytes) -> None:
        """A key signed a commit's header; in another's name it is worth nothing."""
        head = decode_head(encoded, signature)
        if head.owner == owner:
            self._signed.append((self._timeline.now, head))

    def stored(self, node: str, keep: Keep) -> None:
        """A node stored something of others; of what it stored only proofs of forks are noted."""
        if not isinstance(keep, KeepEvidence):
            return
        owner, *commits = self.proof(keep.case.evidence)
        now = self._timeline.now
        self.history.proved.append(Proved(now, node, owner, (commits[0], commits[1])))

    # Keys that are replaced, and those who stole them

    def rekeyed(self, node: str, event: KeysChanged) -> None:
        """A node learned that an owner, or itself, has another key."""
        owner = self._owner(event.owner)
        self._rotated[event.owner] = None
        self.history.rekeyed.append(Rekeyed(self._timeline.now, node, owner, event.epoch))

    # Who is known to hold what

    def acknowledged(self, owner: str, event: events.Acknowledged) -> None:
        """An owner heard how far a peer holds its commits."""
        peer = self.names.get(event.peer)
        if peer is not None:
            now, held, stored = self._timeline.now, _pair(event.held), _pair(event.stored)
            self.history.acknowledged.append(Acknowledged(now, owner, peer, held, stored))

    def queue(self, owner: str, deliveries: Deliveries, clock: Clock) -> None:
        """How an owner's retry queue stands at the moment."""
        now = self._timeline.now
        for row in deliveries.standings():
            peer = self.names.get(row.peer)
            if peer is None:
                continue
            left_s = (row.next_try_us - clock.instant(now).wall_us) / 1e6
            next_s = now + left_s if row.next_try_us else 0.0
            held, lacks = _pair(row.held), row.since_us > 0
            queued = Queued(now, owner, peer, held, lacks, next_s, row.under_way)
            self.history.queued.append(queued)

    def remembered(self, node: str, registry: Registry) -> None:
        """What a node that starts knows from its disk, also which keys were replaced."""
        now = self._timeline.now
        for owner, dot in registry.vector().items():
            self.history.remembered.append(Remembered(now, node, self._owner(owner), _pair(dot)))
        for owner in self._rotated:
            chain = registry.chain(owner)
            if chain is not None and chain.epoch:
                self.history.rekeyed.append(Rekeyed(now, node, self._owner(owner), chain.epoch))

    def standings(self, registry: Registry) -> tuple[Standing, ...]:
        """What a node holds of everybody who replaced its key."""
        found = []
        for owner in self._rotated:
            branch = registry.branch(owner)
            if branch is not None and branch.head is not None:
                name, commit = self._owner(owner), branch.head.hash.hex()
                records = digest_of(branch.records.values())
                found.append(Standing(name, branch.chain.epoch, commit, records))
        return tuple(sorted(found, key=lambda standing: standing.owner))

    def stole(self, owner: NodeId, epoch: int) -> None:
        """A villain begins to use a key of somebody else."""
        self.history.thefts.append(Theft(self._timeline.now, self._owner(owner), epoch))

    def made(self, owner: NodeId, epoch: int, ware: bytes) -> None:
        """A thief made this datagram, or signature, in the owner's name."""
        self._wares[ware] = self._owner(owner), epoch

    def signed_by_thief(self, head: Head, records: Iterable[Record]) -> None:
        """A thief made a commit in its owner's name."""
        self.history.stolen.append(
            Signed(
                self._timeline.now,
                self._owner(head.owner),
                (head.epoch, head.version),
                head.hash.hex(),
                digest_of(records),
                tuple(parent.hex() for parent in head.parents),
            )
        )

    def arrived(self, node: str, datagram: bytes, effects: Sequence[Effect]) -> None:
        """A node took in a datagram, which may be a thief's."""
        if self._wares and datagram in self._wares:
            reasons = [effect.reason for effect in effects if isinstance(effect, Drop)]
            if not any(reason in _NOT_AUTHENTIC for reason in reasons):
                self._deceived(node, datagram, Ware.DATAGRAM)

    def stands(self, node: str, items: Iterable[SignedAck | SignedVotes]) -> None:
        """These signed statements count at a node; a thief's are noted once."""
        for item in items if self._wares else ():
            if item.signature in self._wares and (node, item.signature) not in self._noted:
                self._noted[node, item.signature] = None
                self._deceived(node, item.signature, Ware.STATEMENT)

    def _deceived(self, node: str, ware: bytes, kind: Ware) -> None:
        owner, epoch = self._wares[ware]
        self.history.deceived.append(Deceived(self._timeline.now, node, owner, epoch, kind))

    def proof(self, evidence: AnyEvidence) -> tuple[str, str, str]:
        """A proof as the history tells it: the owner and the two commits (or keys), sorted."""
        first, second = sorted((evidence.first.hash.hex(), evidence.second.hash.hex()))
        return self._owner(evidence.owner), first, second

    def _owner(self, owner: NodeId) -> str:
        return self.names.get(owner) or owner.hex()[:12]

    def links(
        self, blocked: Iterable[tuple[int, int]], *, loss: float, hard: bool, late: bool
    ) -> None:
        """The links changed."""
        pairs = frozenset((f"n{a}", f"n{b}") for a, b in blocked)
        self.history.links.append(Links(self._timeline.now, pairs, loss, hard, late))

    def root(self, node: str, registry: Registry) -> None:
        """What a node holds at the moment."""
        every, honest = heads_of(registry, self.villains)
        root = registry.root.hex()
        self.history.roots.append(RootSample(self._timeline.now, node, every, root, honest))

    def finish(self) -> None:
        """Add what was signed, with what is known of each commit by now."""
        for at_s, head in self._signed:
            commit = head.hash.hex()
            version = (head.epoch, head.version)
            known = self._records.get(commit, "")
            parents = tuple(parent.hex() for parent in head.parents)
            owner = self._owner(head.owner)
            changes = self._changes.get(commit)
            self.history.signed.append(
                Signed(at_s, owner, version, commit, known, parents, changes)
            )


class WitnessedSigner:
    """A signer whose every commit is taken note of: what was signed, as seen beside the key."""

    __slots__ = ("_inner", "_owner", "_recorder", "_skip")

    def __init__(self, inner: Signer, owner: NodeId, recorder: Recorder) -> None:
        self._inner = inner
        self._owner = owner
        self._recorder = recorder
        self._skip = len(_COMMIT_PREFIX) + signing.CLUSTER_ID_BYTES

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key."""
        return self._inner.public_key

    def sign(self, message: bytes) -> bytes:
        """Sign, and take note."""
        signature = self._inner.sign(message)
        if message.startswith(_COMMIT_PREFIX):
            self._recorder.signed(self._owner, message[self._skip :], signature)
        return signature

    def agree(self, their_public_key: bytes) -> bytes | None:
        """The X25519 secret shared with that key's holder."""
        return self._inner.agree(their_public_key)


def shown(registry: Registry, names: Mapping[NodeId, str]) -> tuple[tuple[Key, int], ...]:
    """Every instance that a registry holds, with the number of the write that set it."""
    found = []
    for name in registry.services():
        found += instances(registry, name, names)
    return tuple(sorted(found, key=lambda entry: (str(entry[0]), entry[1])))


def instances(registry: Registry, name: str, names: Mapping[NodeId, str]) -> list[tuple[Key, int]]:
    """The instances of one service, with the number of the write that set each."""
    return [
        (Key(names[one.owner], name, one.service.id), value_of(one.service))
        for one in registry.instances(name)
        if one.owner in names
    ]


def value_of(service: ServiceRecord) -> int:
    """The number of the operation that wrote this; −1 if no client did."""
    return int(service.version) if service.version.isdigit() else -1


_BELIEFS = {
    Status.ALIVE: Belief.ALIVE,
    Status.SUSPECT: Belief.SUSPECT,
    Status.UNREACHABLE: Belief.UNREACHABLE,
    Status.DEAD: Belief.DEAD,
    Status.STOPPING: Belief.STOPPING,
    Status.LEFT: Belief.LEFT,
}
