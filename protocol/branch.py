"""One owner's branch: what applies, what is known, what is a gap and what is a fork.

    parent is our head ............ applied, if the state root comes out
    known hash .................... known
    parent is an older step of ours, or the same dot ... fork, with all that proves it
    not newer ..................... old
    anything else ................. gap: fetch what lies between, or the manifest

Rules this module keeps:

1. Signatures first: nothing of a commit is parsed before its signature was found right.
2. Steps that travel together are verified together: the newest signature, the hashes that link
   them, and one state root.
3. A manifest replaces the state: present is present, absent is gone. So there are no tombstones.
4. All or nothing: a step that does not come out leaves the branch as it was.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from . import bodies, limits
from .agreement.docket import CASES_PER_OWNER_MAX
from .agreement.evidence import Evidence, check_evidence, fork_of
from .commits import (
    NOTHING,
    Change,
    Commit,
    Dot,
    Head,
    Manifest,
    Mend,
    Record,
    RecordKey,
    digest,
    leaf_of,
    path_of,
)
from .errors import RefusedError
from .history.outcomes import AppliedStep, Delta, Foreseen, Forked, Gap, Known, Old, Outcome
from .identity import KeyChain, NodeId, Revoked
from .merkle import Tree
from .proofs import Levels, prove
from .records import Kind, NodeRecord
from .signing import Trust

_NODE = RecordKey(Kind.NODE, bodies.NODE_KEY)
_RECENT_BYTES_MAX = 64 * 1024
"""Changes kept for peers that lag a little; beyond it they are sent the manifest."""


ReadBody: TypeAlias = Callable[[Record], bodies.Body]
"""`bodies.decode`, or one that remembers."""


class Branch:
    """What we hold of one owner. Nobody but `registry` changes it."""

    __slots__ = (
        "_kept_bytes", "_read_body", "_recent", "_tree", "_trust", "bodies", "chain", "evidence",
        "head", "is_own", "merge", "reaped", "records",
    )  # fmt: skip

    def __init__(self, chain: KeyChain, trust: Trust, read_body: ReadBody = bodies.decode) -> None:
        self.chain = chain
        self.head: Head | None = None
        self.records: dict[RecordKey, Record] = {}
        self.bodies: dict[RecordKey, bodies.Body] = {}
        self.evidence: Evidence | None = None
        self.reaped = self.is_own = False
        self.merge: Head | None = None
        """The newest merge that we saw: what forked before it is settled."""
        self._trust = trust
        self._read_body = read_body
        self._tree = Tree()
        self._recent: dict[bytes, Commit] = {}
        self._kept_bytes = 0

    @property
    def owner(self) -> NodeId:
        """Whose branch it is."""
        return self.chain.node

    @property
    def node(self) -> NodeRecord | None:
        """What the owner says of itself."""
        body = self.bodies.get(_NODE)
        return body if isinstance(body, NodeRecord) else None

    @property
    def dot(self) -> Dot:
        """The newest commit that we hold completely; after a revocation nothing is newer."""
        if self.chain.revoked:
            return Dot(self.chain.epoch, 0)
        return self.head.dot if self.head else NOTHING

    @property
    def tree(self) -> Tree:
        """The records by their paths, under the state root; it never changes."""
        return self._tree

    @property
    def tip(self) -> Head | Revoked | None:
        """What the root has of this owner: its head, or the event that ended it; None: nothing.

        Some miss the last commits of an owner that revoked its key, and nobody takes them any more,
        so heads alone would keep roots apart for ever.
        """
        if self.chain.revoked:
            return Revoked(self.owner, self.chain.events[-1])
        return self.head

    @property
    def disputed(self) -> bool:
        """Whether a fork stands unsettled."""
        return self.evidence is not None

    def holds(self, commit: bytes) -> bool:
        """Whether the commit with that hash is our head or among the steps that we keep."""
        return commit in self._recent or (self.head is not None and self.head.hash == commit)

    def forks_with(self, theirs: Head) -> tuple[Evidence, ...]:
        """The proofs that `theirs` and steps that we hold cannot both stand; not yet judged.

        Two, if one step has its parent and a later one its dot: others may hold but one of them.
        """
        head = self.head
        if head is not None and theirs.parents[:1] == (head.hash,) and theirs.dot > head.dot:
            return ()  # it follows all that we hold, as nearly every commit does
        ours = [step.head for step in self._recent.values()]
        if head is not None and head.hash not in self._recent:
            ours.append(head)
        return tuple(fork for one in ours if (fork := fork_of(one, theirs)) is not None)

    def vouches(self, theirs: Head) -> bool:
        """Whether the owner signed this head, with a key that still counts."""
        try:
            self._check_head(theirs)
        except RefusedError:
            return False
        return True

    @property
    def settled(self) -> Dot:
        """What forked before this is settled: by the newest merge, or by a newer key."""
        head_epoch = self.head.epoch if self.head else 0
        newer_key = Dot(self.chain.epoch if self.chain.revoked else head_epoch, 0)
        return max(self.merge.dot, newer_key) if self.merge else newer_key

    def merged(self, evidence: Evidence) -> bool:
        """Whether a merge that we saw, or a newer key, has settled this fork."""
        return max(evidence.first.dot, evidence.second.dot) < self.settled

    def learn_merge(self, merge: Head) -> None:
        """Take note of a merge that others show, perhaps of long ago.

        Raises:
            RefusedError: `malformed`, `foreign` or `bad_signature`; it settles nothing.
        """
        if len(merge.parents) <= 1:
            raise RefusedError("malformed", "a commit that merges nothing")
        self._check_head(merge, kept=True)
        self._settle(merge)

    def offer(self, steps: Sequence[Commit], *, signed_here: bool = False) -> Outcome:
        """Take in steps that follow each other, oldest first; usually one.

        `signed_here`: our own signer has just signed them, so nobody need ask whose key it was.

        Raises:
            RefusedError: `bad_signature`, `root_mismatch`, `limit`, `foreign` or `stale`.
            MalformedError: the changes are not what they should be.
        """
        newest = steps[-1].head
        if self.evidence is not None and len(newest.parents) > 1 and newest.dot <= self.dot:
            self._check_head(newest)
            self._settle(newest)  # we took what followed it as a manifest, and missed the merge
        if self.holds(newest.hash):
            return Known()
        fresh = self._after_known(steps)
        forks = self.forks_with(fresh[0].head)
        if self.head is not None and newest.epoch > self.head.epoch:
            forks = ()  # whichever way the replaced key went, its owner goes on with another
        if not forks and newest.dot <= self.dot:
            return Old()
        if newest.epoch > self.chain.epoch:
            return Gap()  # the key events that we lack come with what lies between
        self._authenticate(steps, signed_here=signed_here)
        if forks:
            return self._forked(forks, fresh[1:])
        ours = (self.head.hash,) if self.head else ()
        if fresh[0].head.parents[:1] != ours or self.reaped:
            return Gap()
        return self._apply(fresh)

    def land(self, commit: Commit, foreseen: Foreseen | None) -> Outcome:
        """Take our own next step, which our signer has just signed; raises as `offer` does.

        It leads where it was foreseen to lead, if the branch is where it was then. Otherwise it is
        judged as anybody's, but for its signature.
        """
        head, ours = commit.head, (self.head.hash,) if self.head else ()
        follows = head.parents[:1] == ours and head.dot > self.dot and not self.reaped
        key_counts = head.epoch == self.chain.epoch and not self.chain.revoked
        if foreseen is None or foreseen.base is not self._tree or not (follows and key_counts):
            return self.offer((commit,), signed_here=True)
        before, steps = self.dot, (commit,)
        deltas = self._become(foreseen.tree, foreseen.records, foreseen.bodies)
        self._follow(steps)
        return AppliedStep(self.owner, deltas, steps, (foreseen.changes,), before)

    def adopt(self, manifest: Manifest, *, even_older: bool = False) -> Outcome:
        """Replace the state by a newer manifest. Raises as `offer` does.

        `even_older` is for an owner who steps back to what the cluster holds, in order to merge.
        """
        head = manifest.head
        standing = self._judge(head, even_older=even_older)
        return standing if standing is not None else self._replace(manifest)

    def _replace(self, manifest: Manifest) -> AppliedStep:
        head = manifest.head
        if len(manifest.records) > limits.RECORDS_PER_OWNER_MAX:
            raise RefusedError("limit", f"more than {limits.RECORDS_PER_OWNER_MAX} records")
        tree = Tree.of(map(leaf_of, manifest.records))
        if tree.root != head.state_root or len(tree) != len(manifest.records):
            raise RefusedError("root_mismatch", "the records are not the state that was signed")
        records = {RecordKey(r.kind, r.key): r for r in manifest.records}
        new = {
            key: self.bodies[key] if self.records.get(key) == record else self._read_body(record)
            for key, record in records.items()
        }
        deltas, before = _difference(self.bodies, new), self.dot
        self.records, self.bodies, self._tree = records, new, tree
        self._jump(head)
        return AppliedStep(self.owner, deltas, (), (), before)

    def mend(self, mend: Mend) -> Outcome:
        """Move to a newer state by the records that differ. Raises as `offer` does."""
        standing = self._judge(mend.head)
        if standing is not None:
            return standing
        if self.reaped or self._tree.root != mend.base:
            return Gap()  # the differences are not those to what we hold by now
        deltas, before = self._change(mend.changes, mend.head.state_root), self.dot
        self._jump(mend.head)
        return AppliedStep(self.owner, deltas, (), (), before)

    def copy(self, trust: Trust, read_body: ReadBody) -> "Branch":
        """The same state, to go another way from here. Costs about 2 µs: bodies are shared."""
        other = Branch(self.chain, trust, read_body)
        other.head, other.evidence = self.head, self.evidence
        other.reaped, other.merge, other.is_own = self.reaped, self.merge, self.is_own
        other.records, other.bodies = dict(self.records), dict(self.bodies)
        other._tree, other._recent = self._tree, dict(self._recent)
        other._kept_bytes = self._kept_bytes
        return other

    def prove(self, key: RecordKey) -> Levels | None:
        """The proof that the record is in this state."""
        return prove(self._tree, path_of(key.kind, key.key))

    def preview(self, changes: Sequence[Change]) -> bytes:
        """The state root that `changes` would leave behind."""
        return self._tree_after(_records_of(changes)).root

    def foresee(
        self, changes: tuple[Change, ...], read: Mapping[RecordKey, bodies.Body | None]
    ) -> Foreseen:
        """Where `changes` lead, which say what is in `read`: to be landed once they are durable."""
        records = _records_of(changes)
        return Foreseen(self._tree, self._tree_after(records), changes, records, read)

    def since(self, known: bytes) -> list[Commit] | None:
        """The commits after the one with that hash, oldest first, or None if not all are kept."""
        first = next(iter(self._recent.values()), None)
        before = first.head.parents[:1] if first else None
        if before == ((known,) if known else ()):
            return list(self._recent.values())
        if known not in self._recent:
            return None
        hashes = list(self._recent)
        return [self._recent[one] for one in hashes[hashes.index(known) + 1 :]]

    def kept(self) -> list[Commit]:
        """The newest steps, oldest first: those since the last manifest, also since our merge."""
        return list(self._recent.values())

    def newest_merge(self) -> Commit | None:
        """The newest kept step that has two parents."""
        return next((s for s in reversed(self._recent.values()) if len(s.head.parents) > 1), None)

    def manifest(self) -> Manifest | None:
        """The whole state, or None where there is none to show."""
        if self.head is None or self.reaped:
            return None
        return Manifest(self.head, tuple(self.records[key] for key in sorted(self.records)))

    def restore(
        self, head: Head, commits: Sequence[Commit], records: Sequence[Record], *, reaped: bool
    ) -> None:
        """Take back what was on disk; trusted as far as its root comes out.

        Raises:
            RefusedError: `root_mismatch`; the branch is left empty.
        """
        self._check_head(head, kept=True)
        if reaped or self.chain.revoked:
            self.head, self.reaped = head, True
            return
        self._replace(Manifest(head, tuple(records)))
        if commits and commits[-1].head.hash == head.hash:
            self._remember(commits)
            for commit in commits:
                self._settle(commit.head)

    def adopt_reaped(self, head: Head) -> bool:
        """Take a newer head whose records nobody has any more; only if we have none either.

        Raises:
            RefusedError: not signed by its owner.
        """
        if self.records:
            return False
        self._check_head(head)
        self.head, self.reaped = head, True
        return True

    def lose(self) -> tuple[Delta, ...]:
        """Drop all, the head too: it was signed with a key that does not stand any more."""
        deltas = self.reap()
        self.head, self.reaped, self.evidence = None, False, None
        return deltas

    def reap(self) -> tuple[Delta, ...]:
        """Drop the records of a dead owner; its head stays, so old commits stay refused."""
        deltas = _difference(self.bodies, {})
        self.records, self.bodies, self._tree = {}, {}, Tree()
        self._recent.clear()
        self._kept_bytes = 0
        self.reaped = True
        return deltas

    def _after_known(self, steps: Sequence[Commit]) -> Sequence[Commit]:
        """The steps from the first that we do not hold."""
        for place, step in enumerate(steps[:-1]):
            if not self.holds(step.head.hash):
                return steps[place:]
        return steps[-1:]

    def _forked(self, forks: tuple[Evidence, ...], later: Sequence[Commit]) -> Forked:
        """What the first step proves and those after it do, the newest: no more is kept anyway."""
        for step in later[-limits.HEADERS_KEPT :]:
            forks += self.forks_with(step.head)
        for fork in forks[-CASES_PER_OWNER_MAX:]:
            check_evidence(fork, self.chain, self._trust)  # only the newest step was verified
        return Forked(forks[-CASES_PER_OWNER_MAX:])

    def _authenticate(self, steps: Sequence[Commit], *, signed_here: bool) -> None:
        for before, after in itertools.pairwise(steps):
            if after.head.parents[:1] != (before.head.hash,) or after.head.dot <= before.head.dot:
                raise RefusedError("malformed", "commits that do not follow each other")
        for step in steps:
            if step.head.owner != self.owner:
                raise RefusedError("foreign", "a commit of another owner")
            if digest(step.changes_encoded) != step.head.changes_hash:
                raise RefusedError("bad_signature", "the changes are not those that were signed")
        self._check_head(steps[-1].head, signed_here=signed_here)

    def _check_head(self, head: Head, *, signed_here: bool = False, kept: bool = False) -> None:
        """`kept`: we took it before, when its key may have been the one that counted."""
        if head.owner != self.owner:
            raise RefusedError("foreign", "a head of another owner")
        if not kept and (self.chain.revoked or head.epoch < self.chain.epoch):
            raise RefusedError("stale", "signed with a key that its owner has replaced")
        key = self.chain.key_of(head.epoch)
        if key is None:
            raise RefusedError("bad_signature", f"no key of epoch {head.epoch} is known")
        if not signed_here and not head.signed_by(key, self._trust):
            raise RefusedError("bad_signature", "not signed by its owner for this cluster")

    def _judge(self, head: Head, *, even_older: bool = False) -> Outcome | None:
        """What stands against moving to a signed head, whatever its state; None if nothing does."""
        if self.head is not None and not self.reaped and head.hash == self.head.hash:
            return Known()
        forks = () if even_older else self.forks_with(head)
        older = head.dot < self.dot or (head.dot == self.dot and not self.reaped)
        if older and not forks and not even_older:
            return Old()
        self._check_head(head)
        # To replace one branch by the other would lose what it says.
        return Forked(forks) if forks else None

    def _apply(self, steps: Sequence[Commit]) -> AppliedStep:
        each = tuple(step.changes() for step in steps)
        changes = [change for part in each for change in part]
        deltas, before = self._change(changes, steps[-1].head.state_root), self.dot
        self._follow(steps)
        return AppliedStep(self.owner, deltas, tuple(steps), each, before)

    def _follow(self, steps: Sequence[Commit]) -> None:
        self._remember(steps)
        self._move(steps[-1].head)
        for step in steps:
            self._settle(step.head)

    def _change(self, changes: Sequence[Change], state_root: bytes) -> tuple[Delta, ...]:
        """Set and remove records, all or none; of two changes to one key the later counts."""
        records = _records_of(changes)
        tree = self._tree_after(records)
        if tree.root != state_root:
            raise RefusedError("root_mismatch", "the state that comes out is not the one signed")
        if len(tree) > limits.RECORDS_PER_OWNER_MAX:
            raise RefusedError("limit", f"more than {limits.RECORDS_PER_OWNER_MAX} records")
        read = {key: self._read_body(one) if one else None for key, one in records.items()}
        return self._become(tree, records, read)

    def _become(
        self,
        tree: Tree,
        records: Mapping[RecordKey, Record | None],
        read: Mapping[RecordKey, bodies.Body | None],
    ) -> tuple[Delta, ...]:
        deltas = []
        for key, record in records.items():
            body = read[key]
            deltas.append(Delta(key, self.bodies.pop(key, None), body))
            self.records.pop(key, None)
            if record is not None and body is not None:
                self.bodies[key] = body
                self.records[key] = record
        self._tree = tree
        return tuple(deltas)

    def _tree_after(self, records: Mapping[RecordKey, Record | None]) -> Tree:
        tree = self._tree.put([leaf_of(record) for record in records.values() if record])
        for key, record in records.items():
            if record is None:
                tree = tree.remove(path_of(key.kind, key.key))
        return tree

    def _move(self, head: Head) -> None:
        self.head = head
        self.reaped = False

    def _jump(self, head: Head) -> None:
        """Move to a head without the steps that led there."""
        self._recent.clear()
        self._kept_bytes = 0
        self._move(head)
        self._settle(head)

    def _settle(self, head: Head) -> None:
        """A merge ends every dispute over what was signed before it, a new key over older ones."""
        if len(head.parents) > 1 and (self.merge is None or self.merge.dot < head.dot):
            self.merge = head
        if self.evidence is not None and self.merged(self.evidence):
            self.evidence = None

    def _remember(self, steps: Sequence[Commit]) -> None:
        for step in steps:
            self._recent[step.head.hash] = step
            self._kept_bytes += len(step.changes_encoded)
        most = limits.OWN_STEPS_KEPT if self.is_own else limits.HEADERS_KEPT
        bytes_max = _RECENT_BYTES_MAX * most // limits.HEADERS_KEPT
        while len(self._recent) > most or (self._kept_bytes > bytes_max and len(self._recent) > 1):
            oldest = next(iter(self._recent))
            self._kept_bytes -= len(self._recent.pop(oldest).changes_encoded)


def _records_of(changes: Sequence[Change]) -> dict[RecordKey, Record | None]:
    """What each change leaves under its key."""
    return {
        RecordKey(one.kind, one.key): Record(one.kind, one.key, one.body) if one.body else None
        for one in changes
    }


def _difference(
    before: dict[RecordKey, bodies.Body], after: dict[RecordKey, bodies.Body]
) -> tuple[Delta, ...]:
    deltas = [Delta(key, body, None) for key, body in before.items() if key not in after]
    for key, body in after.items():
        old = before.get(key)
        if old is not body and old != body:
            deltas.append(Delta(key, old, body))
    return tuple(deltas)
