"""The registry: every owner's branch, one root over all heads, and the indexes that answer lookups.

Rules this module keeps:

1. A lookup does no I/O and touches only the service it asks for.
2. Each service has a change index of its own: whoever watches one is never woken by another.
3. The root covers every head that we hold completely, reaped owners included, and of an owner that
   revoked its key the event that did; the *settled* root
   leaves out owners that changed in the last two seconds, so that an update under way is not
   mistaken for a difference, and owners in dispute: of those everybody shows the side that it met
   first, so one liar could keep all roots apart for ever and wear out repair.
"""

from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from . import bodies, limits
from .agreement.document_index import DocumentIndex
from .agreement.evidence import Evidence, KeyFork, key_fork_of
from .bodies import NODE_KEY
from .branch import Branch, ReadBody
from .clocks import VersionVector
from .commits import Commit, Head, Manifest, Mend, RecordKey
from .errors import RefusedError
from .history.outcomes import AppliedStep, Delta, Foreseen, Outcome
from .identity import KeyChain, NodeId, parting, unpack_event, verify_chain
from .merkle import Tree
from .proofs import RecordProof, prove
from .records import DocumentRecord, GuestRecord, Kind, NodeRecord, ServiceRecord
from .restored import RestoredBranch
from .shared.journal import InstanceStep, Journal, OwnerStep
from .shared.layered import Layered
from .signing import Trust

SETTLE_S = 2.0
_VANISHED_MAX = 20_000
"""Services without instances whose change index is remembered for their watchers."""

_NODE = RecordKey(Kind.NODE, NODE_KEY)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Instance:
    """One running copy of a service, and who speaks for it."""

    owner: NodeId
    service: ServiceRecord


@dataclass(frozen=True, slots=True)
class Holding:
    """Branches, and the tree over their heads: where many registries may begin.

    Shared by them and never changed; no branch of it has services, guests or documents.
    """

    branches: Mapping[NodeId, Branch]
    heads: Tree


class Registry:
    """All branches and what is looked up in them. Only `Peer` changes it; anyone may read."""

    def __init__(
        self, trust: Trust, start: Holding | None = None, read_body: ReadBody = bodies.decode
    ) -> None:
        self._trust = trust
        self._read_body = read_body
        self._branches: MutableMapping[NodeId, Branch] = {}
        self._shared: Mapping[NodeId, Branch] = {}
        """Branches that are not ours to change: copied when something is to be done to them."""
        self._heads = self._settled = Tree()
        if start is not None:
            self._shared, self._branches = start.branches, Layered(start.branches)
            self._heads = self._settled = start.heads
        self._unsettled: deque[tuple[float, NodeId]] = deque()
        self._changed_at: dict[NodeId, float] = {}
        self._services: dict[str, dict[tuple[NodeId, str], Instance]] = {}
        self._guests: dict[str, dict[NodeId, GuestRecord]] = {}
        self._documents = DocumentIndex()
        self.key_forks: dict[NodeId, KeyFork] = {}
        """Of owners with two key events of one sequence, the first proof that was met."""
        self.journal: Journal | None = None
        """Where it is set: what changes is noted there, for watchers."""
        self._index = 1
        self._service_index: dict[str, int] = {}
        self._vanished: dict[str, None] = {}
        self._floor = 1

    # Reading

    @property
    def root(self) -> bytes:
        """The Merkle root over all heads."""
        return self._heads.root

    @property
    def heads(self) -> Tree:
        """All heads under the root, each behind the leaf of its owner; it never changes."""
        return self._heads

    @property
    def index(self) -> int:
        """Rises with every change of anything that a lookup shows."""
        return self._index

    def index_of(self, service: str) -> int:
        """Rises with every change of that service, and only then."""
        return self._service_index.get(service, self._floor)

    def branch(self, owner: NodeId) -> Branch | None:
        """What we hold of an owner."""
        return self._branches.get(owner)

    def chain(self, owner: NodeId) -> KeyChain | None:
        """An owner's verified key events."""
        branch = self._branches.get(owner)
        return branch.chain if branch else None

    def owners(self) -> Iterator[NodeId]:
        """Every owner ever heard of, in the order they were."""
        return iter(self._branches)

    def node(self, owner: NodeId) -> NodeRecord | None:
        """What an owner says of itself."""
        branch = self._branches.get(owner)
        return branch.node if branch else None

    def instance(self, owner: NodeId, name: str, instance: str) -> Instance | None:
        """One instance, or None."""
        return self._services.get(name, {}).get((owner, instance))

    def instances(self, name: str) -> Iterator[Instance]:
        """All instances of a service, whatever their health."""
        return iter(self._services.get(name, {}).values())

    def services(self) -> Iterator[str]:
        """The names of all services that have an instance."""
        return iter(self._services)

    def guests(self) -> Iterator[tuple[str, dict[NodeId, GuestRecord]]]:
        """All guests by their id, with each host's word on them."""
        return iter(self._guests.items())

    def guest(self, guest: str) -> dict[NodeId, GuestRecord]:
        """Each host's word on one guest."""
        return self._guests.get(guest, {})

    def documents(self) -> Iterator[str]:
        """The keys of all documents on which anybody has a word, deleted ones included."""
        return iter(self._documents)

    def document(self, key: str) -> Mapping[NodeId, DocumentRecord]:
        """Each author's word on one document; `agreement.documents.joined` makes one of them."""
        return self._documents.words(key)

    @property
    def documents_index(self) -> int:
        """Rises with every change of any document, and only then."""
        return self._documents.index

    def index_of_document(self, key: str) -> int:
        """Rises with every change of that document."""
        return self._documents.index_of(key)

    def vector(self) -> VersionVector:
        """The vector clock: the newest commit of every owner that we hold completely."""
        return {owner: branch.dot for owner, branch in self._branches.items() if branch.tip}

    def prove(self, owner: NodeId, key: RecordKey) -> RecordProof | None:
        """What shows anybody that an owner signed a record; None where it is not held."""
        branch = self._branches.get(owner)
        if branch is None or branch.head is None or key not in branch.records:
            return None
        in_state, in_heads = branch.prove(key), prove(self._heads, owner)
        if in_state is None or in_heads is None:
            return None
        record = branch.records[key]
        return RecordProof(branch.chain, branch.head, record, in_state, in_heads, self.root)

    def holding(self) -> Holding:
        """All that is held, for others to begin with; this registry must not be changed again."""
        return Holding(self._branches, self._heads)

    def settled_root(self, now: float) -> bytes:
        """The root over the owners that have not changed for two seconds and are not in dispute."""
        while self._unsettled and self._unsettled[0][0] <= now - SETTLE_S:
            at, owner = self._unsettled.popleft()
            branch = self._branches.get(owner)
            if self._changed_at.get(owner) == at and branch and branch.tip:
                del self._changed_at[owner]
                if not branch.disputed:
                    self._settled = self._settled.set(owner, branch.tip.hash)
        return self._settled.root

    def is_settled(self, owner: NodeId) -> bool:
        """Whether that owner's head, as it is now, counts in the settled root."""
        branch = self._branches.get(owner)
        return owner not in self._changed_at and branch is not None and not branch.disputed

    # Changing

    def claim(self, owner: NodeId, *, is_own: bool = False) -> Branch:
        """The branch of a known owner for the one who adds to it, whose it stays."""
        branch = self._branches[owner]
        if self._shared and branch is self._shared.get(owner):
            branch = self._branches[owner] = branch.copy(self._trust, self._read_body)
        branch.is_own = branch.is_own or is_own
        return branch

    def learn(self, packed: Sequence[bytes], *, now: float = 0.0) -> tuple[Branch, bool]:
        """Take in key events; returns the branch and whether the chain is new to us.

        A longer one that continues ours replaces it. Of two that part, the one whose event there
        has the smaller hash stands, whatever their lengths.

        Raises:
            MalformedError, BadKeyEventError: the chain breaks a rule.
            RefusedError: `limit`, no room for another owner; `stale`, another chain stands, and
                `key_forks` has the proof.
        """
        branch = self._branches.get(NodeId(unpack_event(packed[0]).hash)) if packed else None
        if branch is not None and branch.chain.packed() == list(packed):
            return branch, False
        chain = verify_chain(packed, self._trust)
        branch = self._branches.get(chain.node)
        if branch is None:
            if len(self._branches) >= limits.MEMBERS_MAX:
                raise RefusedError("limit", f"{limits.MEMBERS_MAX} owners are known already")
            branch = self._branches[chain.node] = Branch(chain, self._trust, self._read_body)
            self._turn(branch, chain, None, now)
            return branch, True
        at = parting(branch.chain, chain)
        if at is None and len(chain.events) <= len(branch.chain.events):
            return branch, False
        if at is not None:
            ours, theirs = branch.chain.events[at], chain.events[at]
            fork = key_fork_of(chain.node, ours, theirs)
            if fork is not None:
                self.key_forks.setdefault(chain.node, fork)
            if ours.hash < theirs.hash:
                raise RefusedError("stale", "another chain of key events stands for this owner")
        branch = self.claim(chain.node)
        self._turn(branch, chain, at, now)
        return branch, True

    def _turn(self, branch: Branch, chain: KeyChain, parted: int | None, now: float) -> None:
        """An owner has another chain; `parted`: from where on what it signed does not count."""
        owner, head = branch.owner, branch.head
        if parted is not None and head is not None and head.epoch >= parted:
            self._index_deltas(owner, branch.lose())
            self._heads = self._heads.remove(owner)
            self._settled = self._settled.remove(owner)
        branch.chain = chain
        if chain.revoked and branch.tip is not None:
            self._index_deltas(owner, branch.reap())
            self._heads = self._heads.set(owner, branch.tip.hash, branch.tip)
            self._unsettle(owner, now)

    def offer(
        self,
        owner: NodeId,
        steps: Sequence[Commit],
        *,
        now: float,
        is_old: bool = False,
    ) -> Outcome:
        """Take in steps of a known owner. Arguments and errors are those of `Branch.offer`.

        `is_old`: others have held it for long, so here it counts as settled at once.
        """
        branch = self.claim(owner)
        disputed = branch.disputed
        return self._settle(branch, branch.offer(steps), now, disputed=disputed, is_old=is_old)

    def land(self, commit: Commit, foreseen: Foreseen | None, *, now: float) -> Outcome:
        """Take in our own next step. Raises as `Branch.land` does."""
        branch = self.claim(commit.head.owner)
        disputed = branch.disputed
        outcome = branch.land(commit, foreseen)
        return self._settle(branch, outcome, now, disputed=disputed, is_old=False)

    def adopt(
        self, manifest: Manifest, *, now: float, even_older: bool = False, is_old: bool = False
    ) -> Outcome:
        """Take in the whole state of a known owner. Raises as `Branch.adopt` does."""
        branch = self.claim(manifest.head.owner)
        disputed = branch.disputed
        outcome = branch.adopt(manifest, even_older=even_older)
        return self._settle(branch, outcome, now, disputed=disputed, is_old=is_old)

    def mend(self, mend: Mend, *, now: float, is_old: bool = False) -> Outcome:
        """Take in what differs in a known owner's newer state. Raises as `Branch.mend` does."""
        branch = self.claim(mend.head.owner)
        disputed = branch.disputed
        return self._settle(branch, branch.mend(mend), now, disputed=disputed, is_old=is_old)

    def dispute(self, evidence: Evidence) -> bool:
        """Mark a known owner as in dispute; whether that is news."""
        branch = self._branches[evidence.owner]
        if branch.evidence is not None or branch.merged(evidence):
            return False
        self.claim(evidence.owner).evidence = evidence
        self._settled = self._settled.remove(evidence.owner)
        self.touch(evidence.owner)
        return True

    def learn_merge(self, merge: Head, *, now: float) -> None:
        """Take note of a merge that settled forks of a known owner. Raises RefusedError."""
        branch = self.claim(merge.owner)
        disputed = branch.disputed
        branch.learn_merge(merge)
        if disputed and not branch.disputed:
            self.touch(merge.owner)
            self._unsettle(merge.owner, now)

    def touch(self, owner: NodeId) -> None:
        """Something outside its records changed how an owner's instances are seen."""
        branch = self._branches.get(owner)
        bodies_held = branch.bodies.values() if branch else ()
        for name in dict.fromkeys(b.name for b in bodies_held if isinstance(b, ServiceRecord)):
            self._bump(name)
        if self.journal is not None and self.journal.keeps_steps:
            self.journal.step(OwnerStep(owner))

    def reap(self, owner: NodeId) -> Head | None:
        """Drop a dead owner's records; its head, if it has one, stays."""
        branch = self._branches.get(owner)
        if branch is None or branch.head is None or branch.reaped:
            return None
        branch = self.claim(owner)
        self._index_deltas(owner, branch.reap())
        return branch.head

    def adopt_reaped(self, head: Head) -> bool:
        """Take the head of an owner whom others have reaped; whether it is news.

        Raises:
            RefusedError: not signed by its owner.
        """
        branch = self._branches[head.owner]
        if head.dot <= branch.dot or not self.claim(head.owner).adopt_reaped(head):
            return False
        self._heads = self._heads.set(head.owner, head.hash, head)
        self._settled = self._settled.set(head.owner, head.hash)
        return True

    def restore(self, stored: RestoredBranch) -> None:
        """Take back an owner from disk.

        Raises:
            RemoteProtocolError: it is not what was signed; nothing of it was taken but its keys.
        """
        learned, _ = self.learn(stored.key_events)
        if learned.owner != stored.owner:
            raise RefusedError("foreign", "key events under another owner's name")
        branch = self.claim(stored.owner)
        if stored.head is not None:
            branch.restore(stored.head, stored.commits, stored.records, reaped=stored.reaped)
        if branch.tip is None:
            return
        self._heads = self._heads.set(branch.owner, branch.tip.hash, branch.tip)
        self._settled = self._settled.set(branch.owner, branch.tip.hash)
        deltas = tuple(Delta(key, None, body) for key, body in branch.bodies.items())
        self._index_deltas(branch.owner, deltas)

    def _settle(
        self, branch: Branch, outcome: Outcome, now: float, *, disputed: bool, is_old: bool
    ) -> Outcome:
        owner = branch.owner
        if isinstance(outcome, AppliedStep) and branch.head is not None:
            self._heads = self._heads.set(owner, branch.head.hash, branch.head)
            if is_old and not branch.disputed:
                self._changed_at.pop(owner, None)
                self._settled = self._settled.set(owner, branch.head.hash)
            else:
                self._unsettle(owner, now)
            self._index_deltas(owner, outcome.deltas)
        if disputed and not branch.disputed:
            self.touch(owner)
            self._unsettle(owner, now)
        return outcome

    def _unsettle(self, owner: NodeId, now: float) -> None:
        self._settled = self._settled.remove(owner)
        self._changed_at[owner] = now
        self._unsettled.append((now, owner))

    def _index_deltas(self, owner: NodeId, deltas: Sequence[Delta]) -> None:
        services: dict[str, None] = {}
        for delta in deltas:
            body = delta.old if delta.new is None else delta.new
            if isinstance(body, ServiceRecord):
                services[body.name] = None
                self._index_service(owner, body, is_gone=delta.new is None)
                self._note(owner, delta)
            elif isinstance(body, GuestRecord):
                self._index_guest(owner, delta)
            elif delta.key.kind == Kind.DOCUMENT:
                word = delta.new if isinstance(delta.new, DocumentRecord) else None
                self._documents.put(owner, delta.key.key, word)
            elif delta.key == _NODE:
                self.touch(owner)
        for name in services:
            self._bump(name)
            if name not in self._services:
                self._vanish(name)

    def _index_service(self, owner: NodeId, service: ServiceRecord, *, is_gone: bool) -> None:
        instances = self._services.get(service.name)
        if instances is None:
            instances = self._services[service.name] = {}
        if not is_gone:
            instances[owner, service.id] = Instance(owner, service)
            return
        instances.pop((owner, service.id), None)
        if not instances:
            del self._services[service.name]

    def _note(self, owner: NodeId, delta: Delta) -> None:
        if self.journal is not None and self.journal.keeps_steps:
            old, new = delta.old, delta.new
            self.journal.step(InstanceStep(
                owner,
                old if isinstance(old, ServiceRecord) else None,
                new if isinstance(new, ServiceRecord) else None,
            ))  # fmt: skip

    def _index_guest(self, owner: NodeId, delta: Delta) -> None:
        self._index += 1
        if isinstance(delta.new, GuestRecord):
            self._guests.setdefault(delta.new.id, {})[owner] = delta.new
        elif isinstance(delta.old, GuestRecord):
            hosts = self._guests.get(delta.old.id, {})
            hosts.pop(owner, None)
            if not hosts:
                self._guests.pop(delta.old.id, None)

    def _bump(self, name: str) -> None:
        self._index += 1
        self._service_index[name] = self._index
        if self.journal is not None:
            self.journal.changed(name)
        self._vanished.pop(name, None)

    def _vanish(self, name: str) -> None:
        self._vanished[name] = None
        if len(self._vanished) > _VANISHED_MAX:
            oldest = next(iter(self._vanished))
            del self._vanished[oldest]
            self._floor = max(self._floor, self._service_index.pop(oldest))
