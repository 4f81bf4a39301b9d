"""Our own branch: from proposals to signed commits, one at a time.

A commit is a group commit: while one is being written to disk, further proposals gather and become
the next one. A commit takes effect here and leaves this node only when it is durable, so nothing
that was ever seen by anyone can be forgotten by a crash.

Rules this module keeps:

1. At most one commit is in flight.
2. A version is `max(last + 1, Unix microseconds)`, never used twice whatever the wall clock does.
3. Nothing is signed before this node has read itself back from its peers (or could not).
4. A new key and the first commit that it signs are one step, durable together.
5. If the cluster holds a branch of ours that we forgot, we merge it, as many of them as there are:
   the later word on each key stands, and this life's is the latest (`agreement.lives`). What a key
   signed that we have replaced since is nothing that we forgot: whoever stole that key signed it.
6. A fork of ours whose other side nobody shows any more is settled all the same, by a commit that
   names it as second parent.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from . import bodies, limits
from .agreement import lives
from .agreement.lives import NODE, Side
from .bodies import Body, Stamp
from .branch import Branch
from .clocks import HybridClock, Instant, Spans, before, bounded, covers, united
from .commits import Change, Commit, Dot, Draft, Head, Manifest, Record, RecordKey, make_commit
from .delivery.standing import Priority
from .effects import Keep, KeepChain, KeepCommit, KeepManifest
from .errors import LocalProtocolError, ProposalError
from .history.outcomes import Foreseen
from .history.tickets import Tickets
from .identity import KeyChain
from .records import NodeRecord
from .signing import Signer, Trust

COMMIT_BYTES_MAX = 512 * 1024
_WAITING_MAX = 100_000
"""Changes that may wait for the disk; beyond it the edge is told to slow down."""

_SIGNED_MAX = 1_024
"""Of so many commits we remember that we signed them; a fork behind them goes unnoticed."""
_REMOVED_MAX = 2 * limits.RECORDS_PER_OWNER_MAX
"""Keys of which we remember that they were removed; the oldest go first."""
_MERGES_MAX = 8
"""Forgotten branches that wait to be merged; of more we hear again."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A signed commit on its way to disk."""

    commit: Commit
    changes: tuple[Change, ...]
    tickets: tuple[int, ...]
    base: Manifest | None
    """For a merge: the cluster's state that it builds on."""
    turn: "Turn | None" = None
    """The key that signed it, where it is new."""
    priority: Priority = Priority.NORMAL
    """The highest among the proposals in it."""
    foreseen: Foreseen | None = None
    """Where it leads; of a merge that is not kept."""

    def change_of(self, key: RecordKey) -> Change | None:
        """What it does to a record, if anything. The changes are in the order of their keys."""
        place = bisect.bisect_left(self.changes, key, key=_key_of)
        found = self.changes[place] if place < len(self.changes) else None
        return found if found is not None and _key_of(found) == key else None

    def sets(self, key: RecordKey) -> bool:
        """Whether it has a word on that record."""
        if self.foreseen is not None:
            return key in self.foreseen.bodies
        return self.change_of(key) is not None

    def word(self, key: RecordKey) -> Body | None:
        """What it makes of a record that it `sets`; None: it removes it."""
        if self.foreseen is not None:
            return self.foreseen.bodies[key]
        change = self.change_of(key)
        raw = change.body if change is not None else None
        return bodies.decode(Record(key.kind, key.key, raw)) if raw else None

    def keeps(self) -> tuple[Keep, ...]:
        """What has to be durable."""
        own = KeepCommit(self.commit, self.changes, self.priority)
        if self.turn is not None:
            return KeepChain(self.turn.chain), own
        return (KeepManifest(self.base), own) if self.base else (own,)


@dataclass(frozen=True, slots=True)
class Turn:
    """A new key of ours: the chain that leads to it, and who signs with it."""

    chain: KeyChain
    signer: Signer


class _Word(NamedTuple):
    """What is to be said of a record, and the same as bytes, without a stamp yet."""

    body: Body
    raw: bytes


class Authoring:
    """Signs our commits. `Peer` applies them when they are durable."""

    def __init__(
        self,
        branch: Branch,
        signer: Signer,
        trust: Trust,
        *,
        last: Dot,
        clock: HybridClock,
        born: int = 0,
    ) -> None:
        """`born`: where this life begins, or sooner, by the wall clock in microseconds."""
        self.signer = signer
        """Whoever signs our commits now."""
        self.shut = False
        """Nothing may be signed any more: our key was replaced or revoked."""
        self._branch = branch
        self._turn: Turn | None = None
        self._trust = trust
        self._last = max(last.version, branch.dot.version)
        """The highest version that we ever signed, in whatever epoch."""
        self._clock = clock
        self._waiting: dict[RecordKey, _Word | None] = {}
        self._tickets = Tickets()
        self._priority = Priority.BACKGROUND
        """Of what waits."""
        self._removed: dict[RecordKey, int] = {}
        """What was removed, and by which version at the latest; all of this life is the latest."""
        self._firsts: dict[RecordKey, tuple[bytes, int]] = {}
        """What we set since the last merge: the body as we signed it, and since which version there
        has been one. It counts where the branch holds that very body; any other is read."""
        self._born = max(born, self._last + 1)
        self._lives: Spans = ()
        """What we know of earlier lives."""
        self._base = Dot(0, 0)
        """Of this life's commits, what is older is not remembered one by one."""
        self._signed: dict[bytes, Dot] = {}
        self._merged = Dot(0, 0)
        """Of the newest forgotten commit that we merged: the older ones led to it."""
        self._recollect()
        self._merges: dict[bytes, tuple[Manifest, Branch]] = {}
        self._settle_with: bytes | None = None
        self.confronted: Head | None = None
        """The commit of ours that we forgot, as evidence proved it; None once that is merged."""
        self.in_flight: InFlight | None = None
        self.open = False
        """Whether signing is allowed: set once this node has read itself back."""

    @property
    def chain(self) -> KeyChain:
        """Our own key events."""
        return self._branch.chain

    def intended(self, key: RecordKey) -> Body | None:
        """Our newest word on a key, also where it is not durable yet."""
        if key in self._waiting:
            word = self._waiting[key]
            return word.body if word is not None else None
        if self.in_flight is not None and self.in_flight.sets(key):
            return self.in_flight.word(key)
        return self._branch.bodies.get(key)

    def stage(
        self,
        changes: Mapping[RecordKey, Body | None],
        ticket: int | None,
        priority: Priority = Priority.NORMAL,
    ) -> None:
        """Let changes wait for the next commit.

        Raises:
            ProposalError: too large, too many, or nothing could take them now; nothing was staged.
        """
        if self.shut:
            raise ProposalError("keys", "this node's key was revoked or replaced; it ends")
        words = {key: _word(key, body) if body else None for key, body in changes.items()}
        if len(self._waiting) + len(words) > _WAITING_MAX:
            raise ProposalError("overloaded", "too many changes wait for the disk; try again later")
        if any(words.values()) and self._count_with(words) > limits.RECORDS_PER_OWNER_MAX:
            raise ProposalError(
                "limit",
                f"this node holds {self._count_with({})} records; at most "
                f"{limits.RECORDS_PER_OWNER_MAX} are allowed: register with another node",
            )
        self._waiting.update(words)
        self._priority = max(self._priority, priority)
        if ticket is not None:
            self._tickets.add(ticket, words)

    def next(self, now: Instant) -> InFlight | None:
        """Sign what waits, if nothing is in flight; None if there is nothing to do."""
        if not self.open or self.shut or self.in_flight is not None:
            return None
        idle = not self._waiting and not self._tickets.settled and self._settle_with is None
        if idle and not self._merges and self._turn is None:
            return None
        if self._merges:
            self.in_flight = self._merge(*self._merges.pop(next(iter(self._merges))), now)
        else:
            self.in_flight = self._extend(now)
        return self.in_flight

    def landed(self) -> InFlight:
        """The commit in flight is durable; it is the caller's now.

        Raises:
            LocalProtocolError: nothing was in flight.
        """
        if self.in_flight is None:
            raise LocalProtocolError("persisted() without a commit in flight")
        landed, self.in_flight = self.in_flight, None
        if landed.turn is not None:
            self.signer = landed.turn.signer
            self._merges.clear()  # it settles all before
            self._settle_with = self.confronted = None
        return landed

    def confront(self, forgotten: Head) -> None:
        """Evidence proves that we signed a commit which we no longer hold."""
        if self.confronted is None or self.confronted.dot > forgotten.dot:
            self.confronted = forgotten

    def settle(self, forgotten: Head) -> None:
        """Of a fork of ours nobody shows the other side: end the dispute with our next commit.

        Whoever shows that side later is heard all the same: it stays one that we forgot.
        """
        self.confronted = None
        self._settle_with = forgotten.hash

    def forgot(self, dot: Dot, commit: bytes) -> bool:
        """Whether that commit of ours is one that we signed and no longer know of.

        Of what this life signed we know each commit, of earlier lives from where to where we know
        them; anything else was signed in a life that our disk has forgotten.
        """
        return self.open and self.misses(dot, commit)

    def misses(self, dot: Dot, commit: bytes) -> bool:
        """The same, also while we read ourselves back, and may be about to hear of it."""
        if dot.epoch < self.chain.epoch or not dot.version:
            return False  # of a replaced key, or no commit at all
        if dot.version < self._born:
            return not covers(self._lives, dot.version)
        return dot > max(self._base, self._merged) and commit not in self._signed

    def strays(self, theirs: Manifest) -> bool:
        """Whether that state of ours does not know the one that we hold; neither is verified.

        Raises:
            RemoteProtocolError: its node record cannot be read.
        """
        head = self._branch.head
        record = next((one for one in theirs.records if one[:2] == NODE), None)
        node = bodies.decode(record) if record else None
        known = lives.known_at(theirs.head, node if isinstance(node, NodeRecord) else None)
        return head is not None and not covers(known, head.version)

    def merge_with(self, theirs: Manifest) -> None:
        """The cluster holds a branch of ours that we forgot; one of the next commits merges it.

        Raises:
            RemoteProtocolError: it is not what we signed.
        """
        if theirs.head.hash not in self._merges and len(self._merges) < _MERGES_MAX:
            base = Branch(self.chain, self._trust)
            base.adopt(theirs)
            self._merges[theirs.head.hash] = theirs, base

    @property
    def born(self) -> int:
        """Where this life begins: above all that an earlier one can have used."""
        return self._born

    @property
    def merging(self) -> bool:
        """Whether a branch that we forgot waits to be merged."""
        return bool(self._merges)

    def turn_to(self, turn: Turn, ticket: int | None) -> None:
        """Go on with a new key: the next commit is signed with it, whatever it changes."""
        self._turn = turn
        if ticket is not None:
            self._tickets.add(ticket, ())

    @property
    def turning(self) -> bool:
        """Whether a new key is on its way."""
        flying = self.in_flight.turn if self.in_flight else None
        return self._turn is not None or flying is not None

    def took(self, head: Head) -> None:
        """Our branch was moved to a head that we signed in an earlier life."""
        self._last = max(self._last, head.dot.version)
        self._recollect()

    def _recollect(self) -> None:
        """Know what our branch knows, and what it removed, as far back as its steps are kept."""
        branch, head = self._branch, self._branch.head
        if head is None:
            return
        self._born = max(self._born, head.version + 1)
        self._lives = bounded(lives.known_at(head, branch.node), limits.LIVES_MAX)
        self._removed = {
            RecordKey(change.kind, change.key): step.head.version
            for step in branch.kept()
            for change in step.changes()
            if change.body is None
        }

    def _count_with(self, staged: Mapping[RecordKey, _Word | None]) -> int:
        """How many records there will be when all that waits, and `staged`, has landed."""
        flying = self.in_flight.changes if self.in_flight else ()
        held = self._branch.records
        most = len(held) + len(flying) + len(self._waiting) + len(staged)
        if most <= limits.RECORDS_PER_OWNER_MAX:
            return most  # no need to look closer, which takes time
        coming = {RecordKey(kind, key): body is not None for kind, key, body in flying}
        coming |= {key: word is not None for key, word in (*self._waiting.items(), *staged.items())}
        gone = sum(1 for key, stays in coming.items() if not stays and key in held)
        new = sum(1 for key, stays in coming.items() if stays and key not in held)
        return len(held) - gone + new

    def _extend(self, now: Instant) -> InFlight:
        taken = self._take_waiting()
        tickets = self._tickets.take(taken)
        turn, self._turn = self._turn, None
        dot = self._next_dot(now, turn)
        changes: list[Change] = []
        read: dict[RecordKey, Body | None] = {}
        for key in sorted(taken):
            word = taken[key]
            read[key], raw = self._stamped(key, word, dot) if word is not None else (None, None)
            changes.append(Change(key.kind, key.key, raw))
            self._note_removed(key, None if word is not None else limits.VERSION_MAX)
        head = self._branch.head
        parents: tuple[bytes, ...] = (head.hash,) if head else ()
        if self._settle_with is not None and head is not None and self._settle_with != head.hash:
            parents = (head.hash, self._settle_with)
        self._settle_with = None
        foreseen = self._branch.foresee(tuple(changes), read)
        commit = self._sign(changes, parents, foreseen.tree.root, dot, now, turn)
        priority, self._priority = self._priority, Priority.BACKGROUND
        if self._waiting:  # of what is left it is not known any more which had it
            self._priority = priority
        return InFlight(commit, foreseen.changes, tickets, None, turn, priority, foreseen)

    def _merge(self, theirs: Manifest, base: Branch, now: Instant) -> InFlight:
        self._settle_with = self.confronted = None
        self._firsts.clear()
        head, branch = theirs.head, self._branch
        their_lives = lives.known_at(head, base.node)
        self._last = max(self._last, head.dot.version)
        dot = self._next_dot(now)
        merge = lives.merge(
            Side(branch.records, self._lives, branch.dot.version),
            Side(base.records, their_lives, head.version),
            born=self._born,
            at=dot.version,
            removed=self._removed,
        )
        for key, version in merge.removed.items():
            self._note_removed(key, version)
        known = united(self._lives, before(their_lives, self._born))
        self._lives = bounded(known, limits.LIVES_MAX)
        if (node := self.intended(NODE)) is not None:
            _, merge.changes[NODE] = self._stamped(NODE, _Word(node, bodies.encode(node)), dot)
        changes = _sorted_changes(merge.changes)
        ours = (branch.head.hash,) if branch.head else ()
        commit = self._sign(changes, (head.hash, *ours), base.preview(changes), dot, now)
        self._merged = max(self._merged, head.dot)
        return InFlight(commit, changes, (), theirs, priority=Priority.CRITICAL)

    def _stamped(self, key: RecordKey, word: _Word, dot: Dot) -> tuple[Body, bytes]:
        """A body as it is signed in the commit of that dot, and its bytes."""
        body, raw = word
        if isinstance(body, NodeRecord):
            body = replace(body, lives=self._lives, born=self._born)
            raw = bodies.encode(body)
        held = self._branch.records.get(key)
        known = self._firsts.get(key)
        if held is None:
            first = dot.version
        elif known is not None and known[0] is held.body:
            first = known[1]
        else:
            first = bodies.stamp_of(held).first
        signed = bodies.stamped_first(raw, Stamp(dot.version, first))
        self._firsts[key] = signed, first
        return body, signed

    def _note_removed(self, key: RecordKey, version: int | None) -> None:
        """That it was removed by then, or (None) set again."""
        self._removed.pop(key, None)
        if version is not None:
            self._firsts.pop(key, None)
            self._removed[key] = version
            while len(self._removed) > _REMOVED_MAX:
                del self._removed[next(iter(self._removed))]

    def _next_dot(self, now: Instant, turn: Turn | None = None) -> Dot:
        epoch = turn.chain.epoch if turn else self.chain.epoch
        self._last = max(self._last + 1, self._born, now.wall_us)
        return Dot(epoch, self._last)

    def _sign(
        self,
        changes: Sequence[Change],
        parents: tuple[bytes, ...],
        root: bytes,
        dot: Dot,
        now: Instant,
        turn: Turn | None = None,
    ) -> Commit:
        signer = turn.signer if turn else self.signer
        draft = Draft(
            owner=self._branch.owner,
            dot=dot,
            parents=parents,
            issued_at=self._clock.tick(now.wall_us),
            state_root=root,
        )
        commit = make_commit(draft, changes, key=signer, cluster=self._trust.cluster)
        self._signed[commit.head.hash] = commit.head.dot
        if len(self._signed) > _SIGNED_MAX:
            self._base = self._signed.pop(next(iter(self._signed)))
        return commit

    def _take_waiting(self) -> dict[RecordKey, _Word | None]:
        taken: dict[RecordKey, _Word | None] = {}
        size = 0
        for key, word in self._waiting.items():
            size += len(key.key) + (len(word.raw) if word is not None else 0) + 8
            if taken and (len(taken) >= limits.GROUP_COMMIT_MAX or size > COMMIT_BYTES_MAX):
                break
            taken[key] = word
        for key in taken:
            del self._waiting[key]
        return taken


def _word(key: RecordKey, body: Body) -> _Word:
    """What a peer would refuse must not be signed: nobody could ever take the commit."""
    raw = bodies.judged(key, body)
    size = len(raw) + bodies.STAMP_BYTES_MAX
    if size > limits.RECORD_BYTES_MAX:
        raise ProposalError(
            "record",
            f"{key.key} takes {size} bytes; at most {limits.RECORD_BYTES_MAX} are allowed: shorten "
            "tags, metadata or checks",
        )
    return _Word(body, raw)


def _sorted_changes(changes: Mapping[RecordKey, bytes | None]) -> tuple[Change, ...]:
    return tuple(Change(key.kind, key.key, changes[key]) for key in sorted(changes))


def _key_of(change: Change) -> RecordKey:
    return RecordKey(change.kind, change.key)
