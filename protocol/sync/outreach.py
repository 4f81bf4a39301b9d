"""What we ask others over streams, and what is done with their answers.

Five errands: *join* an address (a seed, a last-known peer, a stranger) of whom we know nothing yet;
*sync* with a member; *fetch* one owner's branch; *check* a member that answers no datagram;
*compare* with one that was cut off.

Rules this module keeps:

1. Every request has one errand, ended by exactly one answer or failure.
2. A peer that always says there is more is believed for `ROUNDS_MAX` frames.
3. Errands beyond `errands.ERRANDS_MAX` are not started; repair finds later what they would have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from protocol.agreement.docket import Docket
from protocol.agreement.partitions import Episodes
from protocol.agreement.split import SplitAnswer, SplitRequest
from protocol.authoring import Authoring
from protocol.clocks import Instant
from protocol.detector.detection import MembershipEffect
from protocol.detector.membership import Membership
from protocol.effects import Drop, Effect, Notify, Request
from protocol.errors import RemoteProtocolError
from protocol.events import Joined
from protocol.identity import Address, NodeId
from protocol.intake import Intake, Source, Taken
from protocol.registry import Registry
from protocol.wire import exchange
from protocol.wire.exchange import (
    Bundle,
    CheckAnswer,
    CheckRequest,
    FetchAnswer,
    StreamAnswer,
    SyncAnswer,
)

from .errands import Checking, Comparing, Errands, FetchFrom, Joining, StrangerLimit, Syncing
from .repair import FETCH_TIMEOUT_S, SYNC_TIMEOUT_S, Repair

CHECK_TIMEOUT_S = 0.6
COMPARE_TIMEOUT_S = 5.0
JOIN_TIMEOUT_S = 5.0
"""How long a seed may take to answer."""
ROUNDS_MAX = 64
LOOK_AGAIN_S = 0.5
"""After a join that brought news, until a successor is asked for what came meanwhile."""

Translate = Callable[[list[MembershipEffect], Instant], list[Effect]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The pieces of a `Peer` that errands touch."""

    me: NodeId
    registry: Registry
    membership: Membership
    authoring: Authoring
    repair: Repair
    intake: Intake
    docket: Docket
    episodes: Episodes
    translate: Translate


class Outreach:
    """Starts errands and ends them."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._errands = Errands()
        self._strangers = StrangerLimit()

    def join(self, address: Address, rounds: int = 0) -> list[Effect]:
        """Ask whoever is at `address` for all it holds; tell it of us if we have signed."""
        around = self._around
        if self._errands.full():
            return [Notify(Joined(address, None, ok=False))]
        ticket = self._errands.issue(Joining(address, rounds))
        own: Bundle | None = None
        branch = around.registry.branch(around.me)
        if rounds == 0 and around.authoring.open and branch is not None and branch.head:
            room = exchange.own_bytes_max(sum(1 for _ in around.registry.owners()))
            own = around.repair.bundle(branch, b"", room)
        body = exchange.encode_request(around.repair.sync_request(own))
        return [Request(address, None, body, ticket, JOIN_TIMEOUT_S, always=True)]

    def stranger(self, prefix: bytes, source: Address, now: float) -> list[Effect]:
        """Somebody whom we do not know sent a datagram: ask who that is, now and then."""
        return self.join(source) if self._strangers.allows(prefix, now) else []

    def sync(
        self, node: NodeId, *, now: float, rounds: int = 0, news: bool = False
    ) -> list[Effect]:
        """Ask a member for what differs."""
        around = self._around
        address = self._address(node)
        if address is None or self._errands.full():
            around.repair.synced(node, news=news, now=now)
            return []
        ticket = self._errands.issue(Syncing(node, rounds, news))
        body = exchange.encode_request(around.repair.sync_request(None))
        return [Request(address, node, body, ticket, SYNC_TIMEOUT_S)]

    def fetch(
        self, owner: NodeId, node: NodeId, *, whole: bool = False, at: Address | None = None
    ) -> list[Effect]:
        """Ask a member for one owner's branch.

        Args:
            owner: whose branch.
            node: who is asked.
            whole: the state, whatever steps there are.
            at: where the member is, if its own record does not say (it may have been reaped).
        """
        address = self._address(node) or at
        if address is None or self._errands.full():
            return []
        fetching = self._around.repair.start_fetch(owner, whole=whole)
        if fetching is None:
            return []
        ticket = self._errands.issue(FetchFrom(node, address, fetching))
        body = exchange.encode_request(fetching.request())
        return [Request(address, node, body, ticket, FETCH_TIMEOUT_S)]

    def check(self, node: NodeId, now: Instant) -> list[Effect]:
        """Try to reach a member by a stream."""
        address = self._address(node)
        if address is None or self._errands.full():
            return self._checked(node, None, now)
        ticket = self._errands.issue(Checking(node))
        body = exchange.encode_request(CheckRequest())
        return [Request(address, node, body, ticket, CHECK_TIMEOUT_S, always=True)]

    def compare(self, node: NodeId, question: SplitRequest, now: Instant) -> list[Effect]:
        """Ask a member that was cut off from us how it stood when we met again."""
        address = self._address(node)
        if address is None or self._errands.full():
            self._around.episodes.answered(node, None, now)
            return []
        ticket = self._errands.issue(Comparing(node))
        body = exchange.encode_request(question)
        return [Request(address, node, body, ticket, COMPARE_TIMEOUT_S, always=True)]

    def take(self, taken: Taken, source: Source) -> list[Effect]:
        """The effects of a fact, and a fetch of what it showed to be missing."""
        effects = list(taken.effects)
        if taken.gap is not None and source.node is not None:
            about_us = taken.gap == self._around.me
            at = source.address if source.address.port else None
            effects += self.fetch(taken.gap, source.node, whole=about_us, at=at)
        return effects

    def answered(
        self, ticket: int, frame: bytes | None, by: NodeId | None, now: Instant
    ) -> list[Effect]:
        """A request was answered, or failed (None)."""
        errand = self._errands.redeem(ticket)
        answer: StreamAnswer | None = None
        refused: list[Effect] = []
        try:
            answer = exchange.decode_answer(frame) if frame is not None else None
        except RemoteProtocolError as error:
            refused = [Drop(self._source(by).address, error.code)]
        match errand:
            case Joining():
                return refused + self._joined(errand, answer, by, now)
            case Syncing():
                return refused + self._synced(errand, answer, now)
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
        effects, news = self._bundles(answer, source, now)
        if answer.more and news and errand.rounds < ROUNDS_MAX:
            return effects + self.join(errand.address, errand.rounds + 1)
        if news:
            self._look_again(now)
        return [*effects, Notify(Joined(errand.address, by, ok=True))]

    def _look_again(self, now: Instant) -> None:
        """Many may join at once, each while the others' word is still on its way: ask once more."""
        around = self._around
        for node in around.membership.push_targets(1):
            around.repair.hurry(node, now=now.mono_s, after_s=LOOK_AGAIN_S)

    def _synced(self, errand: Syncing, answer: StreamAnswer | None, now: Instant) -> list[Effect]:
        repair = self._around.repair
        if not isinstance(answer, SyncAnswer):
            repair.synced(errand.node, news=errand.news, now=now.mono_s)
            return []
        effects, news = self._bundles(answer, self._source(errand.node), now)
        if answer.more and news and errand.rounds < ROUNDS_MAX:
            rounds = errand.rounds + 1
            return effects + self.sync(errand.node, now=now.mono_s, rounds=rounds, news=True)
        repair.synced(errand.node, news=news or errand.news, now=now.mono_s)
        return effects

    def _bundles(
        self, answer: SyncAnswer, source: Source, now: Instant
    ) -> tuple[list[Effect], bool]:
        effects: list[Effect] = []
        news = False
        for bundle in answer.bundles:
            taken = self._around.intake.bundle(bundle, source, now)
            effects += self.take(taken, source)
            news = news or taken.news
        for report in answer.evidence:
            taken = self._around.intake.reported(report, source, now)
            effects += self.take(taken, source)
            news = news or taken.news
        if source.node is not None and self._around.registry.node(source.node) is not None:
            around = self._around
            told = around.membership.take_standing(
                [*answer.gossip.acks, *answer.gossip.votes], source.node, now=now.mono_s
            )
            effects += around.translate(told, now)
        return effects, news

    def _fetched(
        self, errand: FetchFrom, answer: StreamAnswer | None, now: Instant
    ) -> list[Effect]:
        repair, fetching = self._around.repair, errand.fetching
        if not isinstance(answer, FetchAnswer) or answer.bundle is None:
            repair.end_fetch(fetching.owner)
            return []
        whole = repair.collect(fetching, answer.bundle)
        if whole is None:
            ticket = self._errands.issue(errand)
            body = exchange.encode_request(fetching.request())
            return [Request(errand.address, errand.node, body, ticket, FETCH_TIMEOUT_S)]
        repair.end_fetch(fetching.owner)
        taken = self._around.intake.bundle(whole, self._source(errand.node), now, final=True)
        return taken.effects

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
