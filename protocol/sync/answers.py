"""What a node answers to the requests of others over streams.

    SYNC    bundles of what the asker lacks, the standing votes, the newest evidence
    FETCH   one owner's branch, or the next part of it
    CHECK   yes
    TREE    nodes of the tree of heads, or of states
    SPLIT   how we stood when we met the asker again
    DELIVER how far we hold the asker's commits, with those that it brings

Rules this module keeps:

1. An answer is made from memory and bounded; whatever a request shows us (that the asker holds more
   than we, or a commit of ours that we forgot) becomes errands of our own.
2. A request from one that is away is word from it, as any datagram is: it is checked.
3. A peer that holds a commit of ours which we forgot is asked for it before it takes ours instead;
   while we read ourselves back, and could not merge it, it is shown nothing of ours.
4. While we must hear of ourselves we show nothing of ourselves to anybody: else a peer could know
   us from us alone, and tell us that nothing is newer than what we showed it.
"""

from dataclasses import replace
from typing import assert_never

from protocol.agreement.split import SplitRequest
from protocol.clocks import Instant
from protocol.commits import Dot
from protocol.delivery.courier import Courier
from protocol.detector.detection import Gossip, SignedAck, SignedVotes, Status, gossip_bytes
from protocol.effects import Drop, Effect
from protocol.identity import NodeId
from protocol.intake import Source
from protocol.wire import exchange
from protocol.wire.exchange import (
    Bundle,
    CheckAnswer,
    CheckRequest,
    DeliverRequest,
    FetchAnswer,
    FetchRequest,
    StreamAnswer,
    StreamRequest,
    SyncRequest,
)
from protocol.wire.trees import TreeRequest

from .outreach import Outreach
from .surroundings import Surroundings

STANDING_BYTES_MAX = 256 * 1024
"""What signed votes and acks may take of the answer to a sync."""


class Answers:
    """Answers requests of authenticated peers."""

    def __init__(self, around: Surroundings, outreach: Outreach, courier: Courier) -> None:
        self._around = around
        self._courier = courier
        self._outreach = outreach

    def give(
        self, request: StreamRequest, caller: NodeId, source: Source, now: Instant
    ) -> tuple[StreamAnswer, list[Effect]]:
        """The answer, and what else follows from the request."""
        answer, effects = self._answer(request, caller, source, now)
        around = self._around
        if around.membership.status(caller) in (Status.UNREACHABLE, Status.DEAD):
            effects += around.translate(around.membership.heard(caller, now=now.mono_s), now)
        return answer, effects

    def _answer(
        self, request: StreamRequest, caller: NodeId, source: Source, now: Instant
    ) -> tuple[StreamAnswer, list[Effect]]:
        match request:
            case SyncRequest():
                return self._sync(request, caller, source, now)
            case FetchRequest():
                return self._fetch(request, caller)
            case CheckRequest():
                return CheckAnswer(), []
            case TreeRequest():
                return self._around.repair.answer_tree(request), []
            case SplitRequest():
                return self._around.episodes.answer(request, caller, now), []
            case DeliverRequest(bundle):
                return self._deliver(bundle, source, caller, now)
            case _:
                assert_never(request)

    def _sync(
        self, request: SyncRequest, caller: NodeId, source: Source, now: Instant
    ) -> tuple[StreamAnswer, list[Effect]]:
        around = self._around
        effects: list[Effect] = []
        if request.own is not None:
            taken = around.intake.bundle(request.own, source, now)
            effects += self._outreach.take(taken, source)
        held = next((one for one in request.vector if one.owner == around.me), None)
        recall = self._recall(held.dot, held.hash, caller) if held else None
        effects += self._courier.holds(caller, held.dot, held.hash, now) if held else []
        hides = recall is not None or around.recollection.waiting
        answer, lacks = around.repair.answer_sync(
            request, self._standing(), without=around.me if hides else None
        )
        answer = replace(answer, evidence=around.docket.reported())
        effects += recall or []
        if lacks and around.registry.node(caller) is not None:
            around.repair.claimed(caller, lacks)
            around.repair.hurry(caller, now=now.mono_s)
        return answer, effects

    def _deliver(
        self, bundle: Bundle, source: Source, caller: NodeId, now: Instant
    ) -> tuple[StreamAnswer, list[Effect]]:
        head = exchange.head_of(bundle.content)
        if head is None or head.owner != caller:
            return self._courier.taken(caller), [Drop(source.address, "foreign")]
        taken = self._around.intake.bundle(bundle, replace(source, asked=True), now)
        return self._courier.taken(caller), self._outreach.take(taken, source, head.dot)

    def _fetch(self, request: FetchRequest, caller: NodeId) -> tuple[StreamAnswer, list[Effect]]:
        ours = request.owner == self._around.me
        recall = self._recall(request.dot, request.known, caller) if ours else None
        if recall is not None or (ours and self._around.recollection.waiting):
            return FetchAnswer(None), recall or []
        return self._around.repair.answer_fetch(request), []

    def _recall(self, dot: Dot, known: bytes, caller: NodeId) -> list[Effect] | None:
        """Where a peer holds a commit that we forgot: ask it, before it takes ours instead."""
        around = self._around
        if not around.authoring.misses(dot, known) or around.registry.node(caller) is None:
            return None
        if not around.authoring.open:
            return []
        return self._outreach.fetch(around.me, caller, whole=True)

    def _standing(self) -> Gossip:
        """What everybody should know of verdicts, as much of it as a frame has room for."""
        room = STANDING_BYTES_MAX
        acks: list[SignedAck] = []
        votes: list[SignedVotes] = []
        for item in self._around.membership.standing():
            room -= gossip_bytes(item)
            if room < 0:
                break
            if isinstance(item, SignedAck):
                acks.append(item)
            else:
                votes.append(item)
        return Gossip(tuple(acks), tuple(votes))
