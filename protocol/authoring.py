"""Our own branch: from proposals to signed commits, one at a time.

A commit is a group commit: while one is being written to disk, further proposals gather and become
the next one. A commit takes effect here and leaves this node only when it is durable, so nothing
that was ever seen by anyone can be forgotten by a crash.

Rules this module keeps:

1. At most one commit is in flight.
2. A version is `max(last + 1, Unix microseconds)`, never used twice whatever the wall clock does.
3. Nothing is signed before this node has read itself back from its peers (or could not).
4. A new key and the first commit that it signs are one step, durable together.
5. If the cluster holds a branch of ours that we forgot, we merge: keys we signed since this start,
   or in steps of ours that are newer than the cluster's head, win; for every other key the
   cluster's state wins, present or absent. What a key signed that we have replaced since is nothing
   that we forgot: whoever stole that key signed it.
6. A fork of ours whose other side nobody shows any more is settled all the same, by a commit that
   names it as second parent.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import bodies, limits
from .bodies import Body
from .branch import Branch
from .clocks import HybridClock, Instant
from .commits import Change, Commit, Dot, Draft, Head, Manifest, Record, RecordKey, make_commit
from .effects import Keep, KeepChain, KeepCommit, KeepManifest
from .errors import LocalProtocolError, ProposalError, RemoteProtocolError
from .identity import KeyChain
from .signing import Signer, Trust

COMMIT_BYTES_MAX = 512 * 1024
_WAITING_MAX = 100_000
"""Changes that may wait for the disk; beyond it the edge is told to slow down."""

_SIGNED_MAX = 1_024
"""Of so many commits we remember that we signed them; a fork behind them goes unnoticed."""
_SINCE_START_MAX = 2 * limits.RECORDS_PER_OWNER_MAX
"""Keys of which we remember that we signed them since our start; the oldest go first."""


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

    def change_of(self, key: RecordKey) -> Change | None:
        """What it does to a record, if anything. The changes are in the order of their keys."""
        place = bisect.bisect_left(self.changes, key, key=_key_of)
        found = self.changes[place] if place < len(self.changes) else None
        return found if found is not None and _key_of(found) == key else None

    def keeps(self) -> tuple[Keep, ...]:
        """What has to be durable."""
        own = KeepCommit(self.commit, self.changes)
        if self.turn is not None:
            return KeepChain(self.turn.chain), own
        return (KeepManifest(self.base), own) if self.base else (own,)


@dataclass(frozen=True, slots=True)
class Turn:
    """A new key of ours: the chain that leads to it, and who signs with it."""

    chain: KeyChain
    signer: Signer


class Authoring:
    """Signs our commits. `Peer` applies them when they are durable."""

    def __init__(
        self, branch: Branch, signer: Signer, trust: Trust, *, last: Dot, clock: HybridClock
    ) -> None:
        self.signer = signer
        """Whoever signs our commits now."""
        self.shut = False
        """Nothing may be signed any more: our key was replaced or revoked."""
        self._branch = branch
        self._turn: Turn | None = None
        self._trust = trust
        self._last = max(last, branch.dot)
        self._clock = clock
        self._waiting: dict[RecordKey, bytes | None] = {}
        self._tickets: list[int] = []
        self._signed_since_start: dict[RecordKey, bytes | None] = {}
        self._base = Dot(0, 0)
        """Of the oldest commit of ours that we know: what is older may be ours too."""
        self._signed: dict[bytes, Dot] = {}
        self._merged = Dot(0, 0)
        """Of the newest forgotten commit that we merged: the older ones led to it."""
        self._recollect()
        self._merge_with: tuple[Manifest, Branch] | None = None
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
        flying = self.in_flight.change_of(key) if self.in_flight else None
        if key in self._waiting:
            raw = self._waiting[key]
        elif flying is not None:
            raw = flying.body
        else:
            return self._branch.bodies.get(key)
        return bodies.decode(Record(key.kind, key.key, raw)) if raw else None

    def stage(self, changes: Mapping[RecordKey, Body | None], ticket: int | None) -> None:
        """Let changes wait for the next commit.

        Raises:
            ProposalError: too large, too many, or nothing could take them now; nothing was staged.
        """
        if self.shut:
            raise ProposalError("keys", "this node's key was revoked or replaced; it ends")
        encoded = {key: bodies.encode(body) if body else None for key, body in changes.items()}
        for key, raw in encoded.items():
            if raw is not None and len(raw) > limits.RECORD_BYTES_MAX:
                raise ProposalError(
                    "record",
                    f"{key.key} takes {len(raw)} bytes; at most {limits.RECORD_BYTES_MAX} are "
                    "allowed: shorten tags, metadata or checks",
                )
            if raw is not None:
                _vouch(key, raw)
        if len(self._waiting) + len(encoded) > _WAITING_MAX:
            raise ProposalError("overloaded", "too many changes wait for the disk; try again later")
        if any(encoded.values()) and self._count_with(encoded) > limits.RECORDS_PER_OWNER_MAX:
            raise ProposalError(
                "limit",
                f"this node holds {self._count_with({})} records; at most "
                f"{limits.RECORDS_PER_OWNER_MAX} are allowed: register with another node",
            )
        self._waiting.update(encoded)
        if ticket is not None:
            self._tickets.append(ticket)

    def next(self, now: Instant) -> InFlight | None:
        """Sign what waits, if nothing is in flight; None if there is nothing to do."""
        if not self.open or self.shut or self.in_flight is not None:
            return None
        idle = not self._waiting and not self._tickets and self._settle_with is None
        if idle and self._merge_with is None and self._turn is None:
            return None
        if self._merge_with is not None:
            self.in_flight = self._merge(*self._merge_with, now)
        else:
            self.in_flight = self._extend(now)
        since_start = self._signed_since_start
        for change in self.in_flight.changes:
            key = RecordKey(change.kind, change.key)
            since_start.pop(key, None)
            since_start[key] = change.body
        while len(since_start) > _SINCE_START_MAX:
            del since_start[next(iter(since_start))]
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
            self._merge_with = self._settle_with = self.confronted = None  # it settles all before
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

        All that we signed since the oldest step that we kept we know; anything else that is newer
        than that one was signed in a life that our disk has forgotten.
        """
        return self.open and self.misses(dot, commit)

    def misses(self, dot: Dot, commit: bytes) -> bool:
        """The same, also while we read ourselves back, and may be about to hear of it."""
        if dot.epoch < self.chain.epoch:
            return False
        return dot > max(self._base, self._merged) and commit not in self._signed

    def merge_with(self, theirs: Manifest) -> None:
        """The cluster holds a branch of ours that we forgot; the next commit merges it.

        Raises:
            RemoteProtocolError: it is not what we signed.
        """
        if self._merge_with is None or self._merge_with[0].head.dot < theirs.head.dot:
            base = Branch(self.chain, self._trust)
            base.adopt(theirs)
            self._merge_with = (theirs, base)

    def turn_to(self, turn: Turn, ticket: int | None) -> None:
        """Go on with a new key: the next commit is signed with it, whatever it changes."""
        self._turn = turn
        if ticket is not None:
            self._tickets.append(ticket)

    @property
    def turning(self) -> bool:
        """Whether a new key is on its way."""
        flying = self.in_flight.turn if self.in_flight else None
        return self._turn is not None or flying is not None

    def took(self, head: Head) -> None:
        """Our branch was moved to a head that we signed in an earlier life."""
        self._last = max(self._last, head.dot)
        self._recollect()

    def _recollect(self) -> None:
        """Know again which commits are ours, as far back as the disk or the cluster says."""
        kept = self._branch.kept()
        self._signed = {step.head.hash: step.head.dot for step in kept}
        self._base = Dot(0, 0)
        if kept and kept[0].head.parents:
            self._base = kept[0].head.dot
        elif not kept and (head := self._branch.head) is not None:
            self._base, self._signed = head.dot, {head.hash: head.dot}

    def _count_with(self, staged: Mapping[RecordKey, bytes | None]) -> int:
        """How many records there will be when all that waits, and `staged`, has landed."""
        flying = self.in_flight.changes if self.in_flight else ()
        held = self._branch.records
        most = len(held) + len(flying) + len(self._waiting) + len(staged)
        if most <= limits.RECORDS_PER_OWNER_MAX:
            return most  # no need to look closer, which takes time
        coming: dict[RecordKey, bytes | None] = {
            RecordKey(change.kind, change.key): change.body for change in flying
        }
        coming |= {**self._waiting, **staged}
        gone = sum(1 for key, raw in coming.items() if raw is None and key in held)
        return len(held) - gone + sum(1 for key, raw in coming.items() if raw and key not in held)

    def _extend(self, now: Instant) -> InFlight:
        taken = self._take_waiting()
        tickets, self._tickets = tuple(self._tickets), []
        if self._waiting:  # more than one commit's worth: its callers wait for the last of them
            self._tickets, tickets = [*tickets], ()
        changes = _sorted_changes(taken)
        head = self._branch.head
        parents: tuple[bytes, ...] = (head.hash,) if head else ()
        if self._settle_with is not None and head is not None and self._settle_with != head.hash:
            parents = (head.hash, self._settle_with)
        self._settle_with = None
        root = self._branch.preview(changes)
        turn, self._turn = self._turn, None
        commit = self._sign(changes, parents, root, now, turn)
        return InFlight(commit, changes, tickets, None, turn)

    def _merge(self, theirs: Manifest, base: Branch, now: Instant) -> InFlight:
        self._merge_with = self._settle_with = self.confronted = None
        changes = _sorted_changes(self._since(theirs.head.dot) | self._signed_since_start)
        ours = (self._branch.head.hash,) if self._branch.head else ()
        self._last = max(self._last, theirs.head.dot)
        commit = self._sign(changes, (theirs.head.hash, *ours), base.preview(changes), now)
        self._merged = max(self._merged, theirs.head.dot)
        return InFlight(commit, changes, (), theirs)

    def _since(self, theirs: Dot) -> dict[RecordKey, bytes | None]:
        """What our steps say that are newer than the cluster's head, so that it cannot know them.

        They are of a life that signed without having heard itself, and ended before it did.
        """
        return {
            RecordKey(change.kind, change.key): change.body
            for step in self._branch.kept()
            if step.head.dot > theirs
            for change in step.changes()
        }

    def _sign(
        self,
        changes: Sequence[Change],
        parents: tuple[bytes, ...],
        root: bytes,
        now: Instant,
        turn: Turn | None = None,
    ) -> Commit:
        chain, signer = (turn.chain, turn.signer) if turn else (self.chain, self.signer)
        self._last = Dot(chain.epoch, max(self._last.version + 1, now.wall_us))
        draft = Draft(
            owner=self._branch.owner,
            dot=self._last,
            parents=parents,
            issued_at=self._clock.tick(now.wall_us),
            state_root=root,
        )
        commit = make_commit(draft, changes, key=signer, cluster=self._trust.cluster)
        self._signed[commit.head.hash] = commit.head.dot
        if len(self._signed) > _SIGNED_MAX:
            self._base = self._signed.pop(next(iter(self._signed)))
        return commit

    def _take_waiting(self) -> dict[RecordKey, bytes | None]:
        taken: dict[RecordKey, bytes | None] = {}
        size = 0
        for key, raw in self._waiting.items():
            size += len(key.key) + len(raw or b"") + 8
            if taken and (len(taken) >= limits.GROUP_COMMIT_MAX or size > COMMIT_BYTES_MAX):
                break
            taken[key] = raw
        for key in taken:
            del self._waiting[key]
        return taken


def _vouch(key: RecordKey, raw: bytes) -> None:
    """What a peer would refuse must not be signed: nobody could ever take the commit."""
    try:
        bodies.decode(Record(key.kind, key.key, raw))
    except RemoteProtocolError as error:
        raise ProposalError("record", f"{key.key}: {error}") from None


def _sorted_changes(changes: Mapping[RecordKey, bytes | None]) -> tuple[Change, ...]:
    return tuple(Change(key.kind, key.key, changes[key]) for key in sorted(changes))


def _key_of(change: Change) -> RecordKey:
    return RecordKey(change.kind, change.key)
