"""Repair: ask a peer for every owner of whom it holds something else or newer.

A sync sends our version vector over a stream and gets bundles back: the steps that we lack, the
whole state where those are not kept, or a lone head where the state is large. Where there are many
owners, or where a sync has found nothing and the roots still differ, the two trees of heads are
compared first, and the sync is about the differing owners only. Behind a lone head the owner's
state is compared with ours in the same way, or fetched part by part.

When to ask: two heartbeats in turn, of one peer or of two that agree with each other, carry another
root than ours; a member came back; a peer showed in its own request that it holds more. A sync that
finds nothing doubles the wait before the next with that peer, to 60 s, so a peer that lies about
its root costs little.

Rules this module keeps:

1. At most `IN_FLIGHT_MAX` requests at once, one sync a peer, one fetch an owner.
2. A state is collected part by part only as far as one owner may have records.
3. Whether anything is true is not decided here: bundles go to `intake`.
4. A peer whose word has been worth little is asked later, and less often.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from protocol import limits
from protocol.branch import Branch
from protocol.commits import HASH_BYTES, NOTHING, Dot, Head, Manifest, Record
from protocol.detector.detection import Gossip, gossip_bytes
from protocol.identity import NodeId
from protocol.registry import Registry
from protocol.wire.exchange import (
    Bundle,
    FetchAnswer,
    FetchRequest,
    Held,
    Part,
    Steps,
    SyncAnswer,
    SyncRequest,
    weight,
    weight_of,
)
from protocol.wire.trees import TreeAnswer, TreeRequest

from .credit import Credit
from .displaced import Displaced
from .trees import Trees

IN_FLIGHT_MAX = 64
SYNC_TIMEOUT_S = 10.0
FETCH_TIMEOUT_S = 10.0
DIFFERING_BEATS = 2
JITTER_S = 0.25
WAIT_MIN_S, WAIT_MAX_S = 1.0, 60.0
ANSWER_BYTES_MAX = limits.FRAME_MAX - 192 * 1024
"""Room left in a frame for key events, evidence and what the weights underestimate."""
VECTOR_OWNERS_MAX = 64
"""Up to so many owners the vector, 79 bytes an owner, is cheaper than a descent's round trips."""
WHOLE_RECORDS_MAX = 100
"""A larger state is not sent whole to somebody who holds an older one: it is compared."""
MENDS_MAX = 1_024
"""Owners whose states are being compared at once."""
LATER_MAX_S = 2.0
"""How much later a peer is asked whose word is worth nothing."""
LESS_MAX_S = 30.0
"""… and how long it is then left alone after each sync."""
RETURNS_MAX = 3
"""Members that came back and are asked at once, in `RETURN_WINDOW_S`. At the end of a split half
the members come back together and mostly know the same; whom that leaves out, heartbeats show."""
RETURN_WINDOW_S = 2.0
_CLAIMS_MAX = 256
"""Owners for each peer of whom it said that it holds more than we."""
_PEERS_MAX = limits.MEMBERS_MAX
_SHOWN_MAX = 8
"""Large states that are being shown part by part, kept as they were though their owners go on."""
WHOLE_STATE = bytes(HASH_BYTES)
"""As `known`, a hash that no commit has: asks for the manifest whatever steps there are."""


@dataclass(slots=True)
class _Peer:
    differing: int = 0
    wait_s: float = 0.0
    not_before: float = 0.0
    busy: bool = False
    vain: int = 0
    """Syncs in a row that found nothing."""
    claims: dict[NodeId, Dot] = field(default_factory=dict)
    """What it said in its own requests that it holds, and that we lack."""


@dataclass(slots=True)
class Fetching:
    """One owner's state on its way, perhaps in parts."""

    owner: NodeId
    known: bytes
    dot: Dot
    at: bytes = b""
    """The commit whose state is wanted; none: whatever the newest is."""
    head: Head | None = None
    records: list[Record] = field(default_factory=list)

    def request(self) -> FetchRequest:
        """Asks for what is still missing."""
        at = self.head.hash if self.head else self.at
        return FetchRequest(self.owner, self.dot, self.known, at, len(self.records))


class Repair:
    """Who is to be asked, and what is answered. Pure."""

    def __init__(self, registry: Registry, *, rng: Random) -> None:
        self._registry = registry
        self._rng = rng
        self._peers: dict[NodeId, _Peer] = {}
        self._due: dict[NodeId, float] = {}
        self._returns: deque[float] = deque()
        """When members came back that were asked at once."""
        self.credit = Credit()
        self._trees = Trees(registry)
        self.displaced = Displaced()
        self._fetching: dict[NodeId, Fetching] = {}
        self._mending: dict[NodeId, None] = {}
        self._shown: dict[bytes, Manifest] = {}
        self._other: tuple[NodeId, bytes] | None = None
        """Who carried the last root heard, if that was another than ours, and which."""

    @property
    def next_deadline(self) -> float:
        """When `due` may name somebody; infinity if never."""
        return min(self._due.values()) if self._due else float("inf")

    def heard_root(self, peer: NodeId, theirs: bytes, ours: bytes, *, now: float) -> None:
        """A heartbeat carried the first bytes of the peer's settled root.

        One peer is heard once in a turn of several seconds. Two that agree with each other and not
        with us come sooner, and one liar cannot feign them.
        """
        state = self._state(peer)
        before, self._other = self._other, None
        if ours.startswith(theirs):
            state.differing, state.wait_s = 0, 0.0
            return
        self._other = peer, theirs
        state.differing += 1
        alike = before is not None and before[0] != peer and before[1] == theirs
        if alike or state.differing >= DIFFERING_BEATS:
            self._plan(peer, state, now + self._rng.uniform(0, JITTER_S), now)

    def hurry(self, peer: NodeId, *, now: float, after_s: float = 0.0) -> None:
        """There is reason to think that the peer holds something else: ask soon."""
        at = now + after_s + self._rng.uniform(0, JITTER_S)
        self._plan(peer, self._state(peer), at, now)

    def returned(self, peer: NodeId, *, now: float) -> None:
        """A member that was away is back: ask soon, whatever came of asking before.

        A sync that began before the link was cut may hang until its time is out, and failures in
        between have made the waits long; neither says anything about the peer as it is now.
        """
        self.forget(peer)
        while self._returns and self._returns[0] <= now - RETURN_WINDOW_S:
            self._returns.popleft()
        if len(self._returns) < RETURNS_MAX:
            self._returns.append(now)
            self.hurry(peer, now=now)

    def due(self, *, now: float) -> list[NodeId]:
        """Whom to sync with now. Each is busy until `synced`."""
        if not self._due:
            return []
        ready = [peer for peer, at in self._due.items() if at <= now]
        started = []
        for peer in ready:
            busy = sum(1 for state in self._peers.values() if state.busy)
            if busy >= IN_FLIGHT_MAX:
                self._due[peer] = now + JITTER_S
                continue
            del self._due[peer]
            self._state(peer).busy = True
            started.append(peer)
        return started

    def synced(self, peer: NodeId, *, news: bool, now: float) -> None:
        """A sync with that peer is over, with or without something new."""
        state = self._state(peer)
        state.busy, state.differing = False, 0
        state.vain = 0 if news else state.vain + 1
        state.wait_s = 0.0 if news else min(WAIT_MAX_S, max(WAIT_MIN_S, 2 * state.wait_s))
        doubt = 1.0 - self.credit.score(peer, now=now)
        state.not_before = now + max(state.wait_s, doubt * LESS_MAX_S)

    def descends(self, peer: NodeId) -> bool:
        """Whether the next sync with that peer begins by comparing the trees of heads.

        After one that found nothing it binds the peer to its root: what that promises, it must
        show.
        """
        return len(self._registry.heads) > VECTOR_OWNERS_MAX or self._state(peer).vain > 0

    def claimed(self, peer: NodeId, lacks: Mapping[NodeId, Dot]) -> None:
        """The peer says that it holds these, and we lack them."""
        claims = self._state(peer).claims
        for owner, dot in lacks.items():
            if len(claims) < _CLAIMS_MAX or owner in claims:
                claims[owner] = max(dot, claims.get(owner, NOTHING))

    def claims_of(self, peer: NodeId) -> dict[NodeId, Dot]:
        """What the peer said it holds, once: it has had its chance to show it."""
        state = self._state(peer)
        claims, state.claims = state.claims, {}
        return claims

    def sync_request(
        self,
        own: Bundle | None,
        scope: Iterable[NodeId] | None = None,
        *,
        hidden: NodeId | None = None,
    ) -> SyncRequest:
        """What we hold, as we ask for more: of all owners, or of those that it is about.

        `hidden`: the owner of whom we do not say what we hold.
        """
        vector = []
        for owner in self._registry.owners() if scope is None else scope:
            branch = self._registry.branch(owner) if owner != hidden else None
            if branch is not None and branch.tip is not None:
                vector.append(Held(owner, branch.dot, branch.tip.hash))
            elif scope is not None:
                vector.append(Held(owner, Dot(0, 0), bytes(HASH_BYTES)))
        return SyncRequest(tuple(vector), own, whole=scope is None)

    def answer_sync(
        self, request: SyncRequest, gossip: Gossip, *, without: NodeId | None = None
    ) -> tuple[SyncAnswer, dict[NodeId, Dot]]:
        """What the asker lacks, and what it holds that we lack."""
        theirs = {held.owner: held for held in request.vector}
        bundles: list[Bundle] = []
        room, more = ANSWER_BYTES_MAX, False
        room -= sum(map(gossip_bytes, gossip.acks)) + sum(map(gossip_bytes, gossip.votes))
        whole = room
        for owner in self._registry.owners() if request.whole else theirs:
            branch = self._registry.branch(owner)
            if branch is None or branch.tip is None or owner == without:
                continue
            held = theirs.get(owner)
            if held and (held.hash == branch.tip.hash or held.dot > branch.dot):
                continue
            known = held.hash if held and held.dot.version else b""
            bundle = self.bundle(branch, known, whole)  # what fits the next frame comes with it
            room -= 200 * len(bundle.key_events) + weight(bundle.content)
            if room < 0 and bundles:
                more = True
                break
            bundles.append(bundle)
        return SyncAnswer(tuple(bundles), more, gossip), self._lacks(request.vector)

    def answer_fetch(self, request: FetchRequest) -> FetchAnswer:
        """One owner's branch, or the next part of it."""
        branch = self._registry.branch(request.owner)
        if branch is None or branch.tip is None:
            return FetchAnswer(None)
        shown = self._shown.get(request.at) or self.displaced.manifest(request.at)
        if shown is not None and shown.head.owner == request.owner:
            self._show(shown)
            return FetchAnswer(Bundle(tuple(branch.chain.packed()), _part(shown, request.offset)))
        if request.offset == 0 and self._compares(branch, request.known):
            return FetchAnswer(self.bundle(branch, request.known, ANSWER_BYTES_MAX))
        bundle = self.bundle(branch, request.known, ANSWER_BYTES_MAX)
        manifest = branch.manifest()
        if isinstance(bundle.content, Head) and manifest is not None:
            self._show(manifest)
            bundle = Bundle(bundle.key_events, _part(manifest, 0))
        return FetchAnswer(bundle)

    def bundle(self, branch: Branch, known: bytes, room: int) -> Bundle:
        """The least that brings somebody who holds `known` up to date, if it fits."""
        events = tuple(branch.chain.packed())
        if self._compares(branch, known):
            self._trees.keep_state(branch)
            return Bundle(events, branch.head)
        steps = branch.since(known)
        if steps and len(steps) <= limits.HEADERS_KEPT:
            content = Steps(tuple(steps))
            if weight(content) <= min(room, ANSWER_BYTES_MAX):
                return Bundle(events, content)
        manifest = branch.manifest()
        if manifest is not None and weight(manifest) <= min(room, ANSWER_BYTES_MAX):
            return Bundle(events, manifest)
        return Bundle(events, branch.head)

    def answer_tree(self, request: TreeRequest) -> TreeAnswer:
        """Nodes of trees that we hold or have shown."""
        return self._trees.answer(request, ANSWER_BYTES_MAX)

    def is_coming(self, owner: NodeId) -> bool:
        """Whether that owner's branch is on its way already."""
        return owner in self._fetching or owner in self._mending

    def start_mend(self, owner: NodeId) -> bool:
        """Begin to compare an owner's state, unless it is on its way or too many are."""
        if self.is_coming(owner) or len(self._mending) >= MENDS_MAX:
            return False
        self._mending[owner] = None
        return True

    def end_mend(self, owner: NodeId) -> None:
        """The comparison is over, however it went."""
        self._mending.pop(owner, None)

    def start_fetch(self, owner: NodeId, *, whole: bool, at: bytes = b"") -> Fetching | None:
        """Begin to fetch an owner, unless that is under way or too much is."""
        if self.is_coming(owner) or len(self._fetching) >= IN_FLIGHT_MAX:
            return None
        branch = self._registry.branch(owner)
        known, dot = b"", Dot(0, 0)
        if whole or (branch and branch.reaped):  # steps could not continue what we dropped
            known = WHOLE_STATE
        elif branch and branch.head and not branch.records:
            known = WHOLE_STATE  # there is nothing to compare a state with
        elif branch and branch.head:
            known, dot = branch.head.hash, branch.dot
        fetching = Fetching(owner, known, dot, at)
        self._fetching[owner] = fetching
        return fetching

    def collect(self, fetching: Fetching, bundle: Bundle) -> Bundle | None:
        """Add a part; the whole bundle once it is complete, None while more is to be fetched."""
        part = bundle.content
        if not isinstance(part, Part):
            return bundle
        if fetching.head is None or fetching.head.hash != part.head.hash:
            fetching.head, fetching.records = part.head, []
        if part.offset != len(fetching.records) or not part.records:
            return Bundle(bundle.key_events, None)  # it does not continue what we have: give up
        fetching.records.extend(part.records)
        if len(fetching.records) < part.total:
            return None
        return Bundle(bundle.key_events, Manifest(part.head, tuple(fetching.records)))

    def end_fetch(self, owner: NodeId) -> None:
        """The fetch is over, however it went."""
        self._fetching.pop(owner, None)

    def forget(self, peer: NodeId) -> None:
        """The member is gone."""
        self._peers.pop(peer, None)
        self._due.pop(peer, None)

    def _show(self, manifest: Manifest) -> None:
        self._shown[manifest.head.hash] = manifest
        if len(self._shown) > _SHOWN_MAX:
            del self._shown[next(iter(self._shown))]

    def _plan(self, peer: NodeId, state: _Peer, at: float, now: float) -> None:
        at += (1.0 - self.credit.score(peer, now=now)) * LATER_MAX_S
        if state.busy or peer in self._due or max(at, state.not_before) > now + WAIT_MAX_S:
            return
        self._due[peer] = max(at, state.not_before)

    def _state(self, peer: NodeId) -> _Peer:
        state = self._peers.get(peer)
        if state is None:
            while len(self._peers) >= _PEERS_MAX:
                del self._peers[next(iter(self._peers))]
            state = self._peers[peer] = _Peer()
        return state

    def _compares(self, branch: Branch, known: bytes) -> bool:
        """Whether somebody who holds `known` had better compare the state than be sent it."""
        return (
            known not in (b"", WHOLE_STATE)
            and len(branch.records) > WHOLE_RECORDS_MAX
            and branch.since(known) is None
        )

    def _lacks(self, vector: Iterable[Held]) -> dict[NodeId, Dot]:
        lacks: dict[NodeId, Dot] = {}
        for held in vector:
            branch = self._registry.branch(held.owner)
            if held.dot.version and (branch is None or branch.dot < held.dot):
                lacks[held.owner] = held.dot
        return lacks


def _part(manifest: Manifest, offset: int) -> Part:
    taken: list[Record] = []
    room = ANSWER_BYTES_MAX
    for record in manifest.records[offset:]:
        room -= weight_of(record)
        if room < 0 and taken:
            break
        taken.append(record)
    return Part(manifest.head, len(manifest.records), offset, tuple(taken))
