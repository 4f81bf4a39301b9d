"""What we ask others over streams, and what is done with their answers.

Six errands: *join* an address (a seed, a last-known peer, a stranger) of whom we know nothing yet;
*sync* with a member; *descend* its trees, of heads before a sync, of states after it; *fetch* one
owner's branch; *check* a member that answers no datagram; *compare* with one that was cut off.

What a peer said it holds and then does not show is withheld (`completeness`): another member is
asked for it at once.

Rules this module keeps:

1. Every request has one errand, ended by exactly one answer or failure.
2. A peer that always says there is more is believed for `ROUNDS_MAX` frames.
3. Errands beyond `errands.ERRANDS_MAX` are not started; repair finds later what they would have.
"""

from typing import assert_never

from protocol.agreement.peer_lists import PeerList
from protocol.agreement.split import SplitAnswer, SplitRequest
from protocol.clocks import Instant
from protocol.commits import NOTHING, Dot, Head
from protocol.effects import Drop, Effect, Notify, Request
from protocol.errors import RefusalCode, RemoteProtocolError
from protocol.events import Joined
from protocol.identity import Address, NodeId
from protocol.intake import Source, Taken
from protocol.wire import exchange
from protocol.wire.exchange import (
    Bundle,
    CheckAnswer,
    CheckRequest,
    FetchAnswer,
    StreamAnswer,
    SyncAnswer,
)
from protocol.wire.trees import TREES_MAX, TreeAnswer

from .comparison import Compared, Comparison
from .completeness import Completeness
from .descent import Fault
from .errands import (
    Checking,
    Comparing,
    Descending,
    Errand,
    Errands,
    FetchFrom,
    Joining,
    StrangerLimit,
    Syncing,
)
from .repair import FETCH_TIMEOUT_S, SYNC_TIMEOUT_S
from .surroundings import Surroundings

CHECK_TIMEOUT_S, COMPARE_TIMEOUT_S = 0.6, 5.0
JOIN_TIMEOUT_S = 5.0
"""How long a seed may take to answer."""
ROUNDS_MAX = 64
LOOK_AGAIN_S = 0.5
"""After a join that brought news, until a successor is asked for what came meanwhile."""

_LIES: tuple[RefusalCode, ...] = ("bad_signature", "root_mismatch", "malformed", "foreign")
"""Refusals of what no honest peer shows."""


class Outreach:
    """Starts errands and ends them."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._completeness = Completeness(
            around.me, around.registry, around.membership, around.repair
        )
        self.errands = Errands()
        self._strangers = StrangerLimit()

    def join(self, address: Address, rounds: int = 0, told: PeerList | None = None) -> list[Effect]:
        """Ask whoever is at `address` for all it holds; tell it of us if we have signed.

        While we wait to hear of ourselves we ask as if we held nothing of ours: who knows us shows.
        """
        around = self._around
        if self.errands.full():
            return [Notify(Joined(address, None, ok=False))]
        told = told or PeerList(held=tuple(around.registry.vector()))
        ticket = self.errands.issue(Joining(address, rounds, told))
        own: Bundle | None = None
        branch = around.registry.branch(around.me)
        if rounds == 0 and around.authoring.open and branch is not None and branch.head:
            room = exchange.own_bytes_max(sum(1 for _ in around.registry.owners()))
            own = around.repair.bundle(branch, b"", room)
        hidden = around.me if rounds == 0 and around.recollection.waiting else None
        body = exchange.encode_request(around.repair.sync_request(own, hidden=hidden))
        return [Request(address, None, body, ticket, JOIN_TIMEOUT_S, always=True)]

    def stranger(
        self, prefix: bytes, source: Address, now: float, *, known: NodeId | None = None
    ) -> list[Effect]:
        """Somebody whom we do not know sent a datagram: ask who that is, now and then.

        Of one that we have reaped (`known`) we hold the head, so that nobody would show us more:
        fetch its state from itself.
        """
        if not self._strangers.allows(prefix, now):
            return []
        branch = self._around.registry.branch(known) if known is not None else None
        if known is not None and branch is not None and branch.reaped:
            return self.fetch(known, known, at=source)
        return self.join(source)

    def unheard_key(self, node: NodeId, prefix: bytes, now: float) -> list[Effect]:
        """A datagram in a member's name is under no key of its: has it another one by now?

        Its own address is asked, never where the datagram came from: the handshake shows the key
        events, the answer the branch.
        """
        return self.fetch(node, node) if self._strangers.allows(prefix, now) else []

    def sync(self, node: NodeId, *, now: float) -> list[Effect]:
        """Ask a member for what differs."""
        around = self._around
        address = self._address(node)
        if address is None or self.errands.full():
            around.repair.synced(node, news=False, now=now)
            return []
        if around.repair.descends(node):
            comparison = Comparison([Compared(around.registry.heads)])
            return self._descend(Descending(node, address, comparison))
        return self._sync(Syncing(node, address))

    def fetch(  # noqa: PLR0913 (all but two by name)
        self,
        owner: NodeId,
        node: NodeId,
        *,
        whole: bool = False,
        at: Address | None = None,
        expects: Dot = NOTHING,
        tried: tuple[NodeId, ...] = (),
        state: bytes = b"",
    ) -> list[Effect]:
        """Ask a member for one owner's branch.

        Args:
            owner: whose branch.
            node: who is asked.
            whole: the state, whatever steps there are.
            at: where the member is, if its own record does not say (it may have been reaped).
            expects: what somebody said is there to be had.
            tried: who did not show that.
            state: the commit whose state is wanted, if not the newest.
        """
        address = self._address(node) or at
        if address is None or self.errands.full():
            return []
        fetching = self._around.repair.start_fetch(owner, whole=whole, at=state)
        if fetching is None:
            return []
        ticket = self.errands.issue(FetchFrom(node, address, fetching, expects, (*tried, node)))
        body = exchange.encode_request(fetching.request())
        return [Request(address, node, body, ticket, FETCH_TIMEOUT_S)]

    def check(self, node: NodeId, now: Instant) -> list[Effect]:
        """Try to reach a member by a stream."""
        address = self._address(node)
        if address is None or self.errands.full():
            return self._checked(node, None, now)
        ticket = self.errands.issue(Checking(node))
        body = exchange.encode_request(CheckRequest())
        return [Request(address, node, body, ticket, CHECK_TIMEOUT_S, always=True)]

    def compare(self, node: NodeId, question: SplitRequest, now: Instant) -> list[Effect]:
        """Ask a member that was cut off from us how it stood when we met again."""
        address = self._address(node)
        if address is None or self.errands.full():
            self._around.episodes.answered(node, None, now)
            return []
        ticket = self.errands.issue(Comparing(node))
        body = exchange.encode_request(question)
        return [Request(address, node, body, ticket, COMPARE_TIMEOUT_S, always=True)]

    def take(self, taken: Taken, source: Source, expects: Dot = NOTHING) -> list[Effect]:
        """The effects of a fact, and a fetch of what it showed to be missing.

        `expects` is what whoever brought it must hold to have brought it.
        """
        effects = list(taken.effects)
        if taken.gap is not None and source.node is not None:
            about_us = taken.gap == self._around.me
            at = source.address if source.address.port else None
            effects += self.fetch(taken.gap, source.node, whole=about_us, at=at, expects=expects)
        return effects

    def answered(
        self, errand: Errand, frame: bytes | None, by: NodeId | None, now: Instant
    ) -> list[Effect]:
        """A request was answered, or failed (None)."""
        answer: StreamAnswer | None = None
        refused: list[Effect] = []
        try:
            answer = exchange.decode_answer(frame) if frame is not None else None
        except RemoteProtocolError as error:
            refused = [Drop(self._source(by).address, error.code)]
            if by is not None:
                self._around.repair.credit.note_lie(by, now=now.mono_s)
        match errand:
            case Joining():
                return refused + self._joined(errand, answer, by, now)
            case Syncing():
                return refused + self._synced(errand, answer, now)
            case Descending():
                return refused + self._descended(errand, answer, len(frame or b""), now)
            case FetchFrom():
                return refused + self._fetched(errand, answer, now)
            case Checking(node):
                return refused + self._checked(node, answer, now)
            case Comparing(node):
                told = answer if isinstance(answer, SplitAnswer) else None
                self._around.episodes.answered(node, told, now)
                return refused
            case _:
                assert_never(errand)

    def _joined(
        self, errand: Joining, answer: StreamAnswer | None, by: NodeId | None, now: Instant
    ) -> list[Effect]:
        if not isinstance(answer, SyncAnswer):
            return [Notify(Joined(errand.address, by, ok=False))]
        source = Source(by, errand.address, asked=True)
        effects, news = self._bundles(answer, source, {}, now)
        told = errand.told.with_more(exchange.listed(answer))
        if answer.more and news and errand.rounds < ROUNDS_MAX:
            return effects + self.join(errand.address, errand.rounds + 1, told)
        if news:
            self._look_again(now)
        return [*effects, Notify(Joined(errand.address, by, ok=True, told=told))]

    def _look_again(self, now: Instant) -> None:
        """Many may join at once, each while the others' word is still on its way: ask once more."""
        around = self._around
        for node in around.membership.push_targets(1):
            around.repair.hurry(node, now=now.mono_s, after_s=LOOK_AGAIN_S)

    def _sync(self, errand: Syncing) -> list[Effect]:
        ticket = self.errands.issue(errand)
        body = exchange.encode_request(self._around.repair.sync_request(None, errand.scope))
        return [Request(errand.address, errand.node, body, ticket, SYNC_TIMEOUT_S)]

    def _synced(self, errand: Syncing, answer: StreamAnswer | None, now: Instant) -> list[Effect]:
        repair, node = self._around.repair, errand.node
        if not isinstance(answer, SyncAnswer):
            repair.synced(node, news=errand.news, now=now.mono_s)
            return []
        effects, news = self._bundles(answer, self._source(node), errand.shown, now)
        errand.news = errand.news or news
        if answer.more and news and errand.rounds < ROUNDS_MAX:
            errand.rounds += 1
            return effects + self._sync(errand)
        repair.synced(node, news=errand.news, now=now.mono_s)
        promised = repair.claims_of(node)
        for owner, head in errand.promised.items():
            branch = self._around.registry.branch(owner)
            if (
                self._completeness.lacks(owner, head.dot)
                and branch is not None
                and not branch.vouches(head)
            ):
                repair.credit.note_lie(node, now=now.mono_s)
            else:
                promised[owner] = head.dot
        for owner, dot in promised.items():
            if self._completeness.lacks(owner, dot) and errand.shown.get(owner, NOTHING) < dot:
                effects += self._withheld(owner, dot, (node,), now)
        return effects

    def _bundles(
        self, answer: SyncAnswer, source: Source, shown: dict[NodeId, Dot], now: Instant
    ) -> tuple[list[Effect], bool]:
        around = self._around
        effects: list[Effect] = []
        lone: list[Head] = []
        news = False
        for bundle in answer.bundles:
            taken = around.intake.bundle(bundle, source, now)
            head = exchange.head_of(bundle.content)
            if head is not None:
                shown[head.owner] = max(head.dot, shown.get(head.owner, NOTHING))
                if head.owner == around.me:
                    around.recollection.shown(head)
            if taken.refused in _LIES and source.node is not None:
                around.repair.credit.note_lie(source.node, now=now.mono_s)
            if isinstance(bundle.content, Head) and taken.gap and self._comparable(bundle.content):
                lone.append(bundle.content)
                effects += taken.effects
            else:
                effects += self.take(taken, source, head.dot if head else NOTHING)
            news = news or taken.news
        for report in answer.evidence:
            taken = around.intake.reported(report, source, now)
            effects += self.take(taken, source)
            news = news or taken.news
        if source.node is not None and lone:
            mends = self._mend(lone, source.node, source.address, ())
            effects, news = effects + mends, news or bool(mends)
        if source.node is not None and around.registry.node(source.node) is not None:
            told = around.membership.take_standing(
                [*answer.gossip.acks, *answer.gossip.votes], source.node, now=now.mono_s
            )
            effects += around.translate(told, now)
        return effects, news

    def _fetched(
        self, errand: FetchFrom, answer: StreamAnswer | None, now: Instant
    ) -> list[Effect]:
        repair, fetching = self._around.repair, errand.fetching
        owner, node = fetching.owner, errand.node
        if not isinstance(answer, FetchAnswer):
            repair.end_fetch(owner)
            return self._elsewhere(owner, errand.expects, errand.tried)
        if answer.bundle is None:
            repair.end_fetch(owner)
            return self._withheld(owner, errand.expects, errand.tried, now)
        whole = repair.collect(fetching, answer.bundle)
        if whole is None:
            ticket = self.errands.issue(errand)
            body = exchange.encode_request(fetching.request())
            return [Request(errand.address, node, body, ticket, FETCH_TIMEOUT_S)]
        repair.end_fetch(owner)
        return self._whole_fetched(errand, whole, now)

    def _whole_fetched(self, errand: FetchFrom, whole: Bundle, now: Instant) -> list[Effect]:
        owner, node, expects = errand.fetching.owner, errand.node, errand.expects
        taken = self._around.intake.bundle(whole, self._source(node), now, final=True)
        head = exchange.head_of(whole.content)
        if isinstance(whole.content, Head) and self._comparable(whole.content):
            mends = self._mend([whole.content], node, errand.address, errand.tried)
            return taken.effects + mends
        if taken.refused in _LIES:
            return taken.effects + self._lied(owner, expects, errand.tried, now)
        if head is None or head.dot < expects:
            return taken.effects + self._withheld(owner, expects, errand.tried, now)
        return taken.effects

    def _comparable(self, head: Head) -> bool:
        """Whether we hold an older state to compare with the one at that head, surely signed."""
        branch = self._around.registry.branch(head.owner)
        return (
            branch is not None
            and head.owner != self._around.me
            and bool(branch.records)
            and branch.dot < head.dot
            and branch.vouches(head)
        )

    def _mend(
        self, heads: list[Head], node: NodeId, address: Address, tried: tuple[NodeId, ...]
    ) -> list[Effect]:
        """Compare what we hold of some owners with their states at these heads."""
        around, effects = self._around, list[Effect]()
        starting = [head for head in heads if around.repair.start_mend(head.owner)]
        for first in range(0, len(starting), TREES_MAX):
            trees = [
                Compared(branch.tree, head)
                for head in starting[first : first + TREES_MAX]
                if (branch := around.registry.branch(head.owner))
            ]
            tried_now = (*tried, node) if node not in tried else tried
            effects += self._descend(Descending(node, address, Comparison(trees), tried_now))
        return effects

    def _descend(self, errand: Descending) -> list[Effect]:
        request = errand.comparison.request()
        if request is None:
            return []
        ticket = self.errands.issue(errand)
        body = exchange.encode_request(request)
        return [Request(errand.address, errand.node, body, ticket, SYNC_TIMEOUT_S)]

    def _descended(
        self, errand: Descending, answer: StreamAnswer | None, size: int, now: Instant
    ) -> list[Effect]:
        """A round of comparing is over; at the end of the last, take what came of it."""
        failed = not isinstance(answer, TreeAnswer)
        if isinstance(answer, TreeAnswer):
            errand.comparison.take(answer, size)
            more = self._descend(errand)
            if more:
                return more
        effects: list[Effect] = []
        for tree in errand.comparison.trees:
            if tree.head is None:
                effects += self._heads_compared(errand, tree, now, failed=failed)
            else:
                effects += self._state_compared(errand, tree, tree.head, now, failed=failed)
        return effects

    def _heads_compared(
        self, errand: Descending, tree: Compared, now: Instant, *, failed: bool
    ) -> list[Effect]:
        repair, node = self._around.repair, errand.node
        fault, descent = tree.fault, tree.descent
        if failed or fault in (Fault.LIED, Fault.WITHHELD):
            if fault is Fault.LIED:
                repair.credit.note_lie(node, now=now.mono_s)
            elif fault is Fault.WITHHELD:
                repair.credit.note_withheld(node, now=now.mono_s)
            repair.synced(node, news=False, now=now.mono_s)
            return []
        if fault is not None or descent is None:
            return self._sync(Syncing(node, errand.address))
        promised = {
            leaf.item.owner: leaf.item
            for leaf in descent.theirs
            if isinstance(leaf.item, Head)
            and self._completeness.lacks(leaf.item.owner, leaf.item.dot)
        }
        about = [NodeId(leaf.path) for leaf in (*descent.theirs, *descent.lacking)]
        # Also where nothing differs: what stands against whom travels with every sync.
        return self._sync(Syncing(node, errand.address, tuple(about), promised))

    def _state_compared(
        self, errand: Descending, tree: Compared, head: Head, now: Instant, *, failed: bool
    ) -> list[Effect]:
        around, owner, node = self._around, head.owner, errand.node
        around.repair.end_mend(owner)
        if failed:
            return self._elsewhere(owner, head.dot, errand.tried)
        if tree.fault is Fault.LIED:
            return self._lied(owner, head.dot, errand.tried, now)
        if tree.fault is Fault.WITHHELD:
            return self._withheld(owner, head.dot, errand.tried, now)
        effects: list[Effect] = []
        mend, whole = tree.mend(), True
        if mend is not None:
            taken = around.intake.mend(mend, self._source(node), now)
            effects += taken.effects
            whole = taken.refused == "root_mismatch"
            if taken.gap is None and not whole:
                return effects
        # It is gone there or differs too much: send everything. Or we went on: ask anew.
        return effects + self.fetch(
            owner, node, whole=whole, at=errand.address, expects=head.dot, tried=errand.tried[:-1]
        )

    def _withheld(
        self, owner: NodeId, dot: Dot, tried: tuple[NodeId, ...], now: Instant
    ) -> list[Effect]:
        """The last of those who were asked did not show what was said to be there."""
        if not self._completeness.note_withheld(owner, dot, tried, now.mono_s):
            return []
        return self._elsewhere(owner, dot, tried)

    def _lied(
        self, owner: NodeId, dot: Dot, tried: tuple[NodeId, ...], now: Instant
    ) -> list[Effect]:
        """The last of those who were asked showed what cannot be true."""
        self._around.repair.credit.note_lie(tried[-1], now=now.mono_s)
        return self._elsewhere(owner, dot, tried)

    def _elsewhere(self, owner: NodeId, dot: Dot, tried: tuple[NodeId, ...]) -> list[Effect]:
        """Ask another member for what one did not show."""
        for node in self._completeness.others(owner, dot, tried):
            effects = self.fetch(owner, node, expects=dot, tried=tried)
            if effects:
                return effects
        return []

    def _checked(self, node: NodeId, answer: StreamAnswer | None, now: Instant) -> list[Effect]:
        around = self._around
        ok = isinstance(answer, CheckAnswer)
        told = around.membership.stream_answered(node, ok=ok, now=now.mono_s)
        return around.translate(told, now)

    def _source(self, node: NodeId | None) -> Source:
        address = self._address(node) if node is not None else None
        return Source(node, address or Address("", 0), asked=True)

    def _address(self, node: NodeId) -> Address | None:
        record = self._around.registry.node(node)
        return Address(record.host, record.port) if record else None
