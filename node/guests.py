"""Guests: participants without a node of their own, registered through a host node.

A guest without a key is vouched for by its host, which signs the record; several hosts may vouch
for one, and the majority of them decides, then the latest. A guest with a key signs each word
itself: the host only passes it on, anyone can check it, and nobody else can speak for that id.

Rules this module keeps:

1. Nothing is awaited between reading what is known of a guest and proposing the next word on it.
2. A renewal that changes nothing is kept in memory, not committed, so that a thousand guests that
   say every ten seconds that they live cost the cluster nothing; once in `SHOW_EVERY_US` it is.
3. A guest that does not renew within its `ttl` turns critical, and goes after ten times that; both
   are found by one loop with one deadline.
4. Of what other hosts say of keyed guests, only what the guest itself signed counts.
"""

import base64
import binascii
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import orjson
import trio

from node import logs
from protocol import rules
from protocol.bodies import Body, key_of
from protocol.commits import RecordKey
from protocol.delivery.standing import Priority
from protocol.detector.detection import Status
from protocol.errors import ProposalError
from protocol.identity import Address, NodeId, id_text
from protocol.records import GuestRecord, Kind, NodeRecord
from protocol.wire import guest_words

from .agreement.tally import Tally
from .agreement.vouching import Settled, facts, settle
from .checks.schedule import Schedule
from .context import NodeContext
from .driver import DiskFull
from .durations import DurationError, parse_ms
from .http import ApiError, invalid_field, not_found
from .registrar import Claim, Request, UpdateIds, commit, refusal_of
from .times import parse_us

log = logs.get()

GONE_AFTER_TTLS = 10
CLOCK_MAX_US = 5 * 60 * 1_000_000
"""How far a word's `last_updated` may be from this node's clock."""
SHOW_EVERY_US = 5 * 60 * 1_000_000
"""How old the committed `last_updated` of a guest may grow while it renews."""
RETRY_S = 1.0
VERIFIED_MAX = 10_000
"""Signed words whose judgement is remembered."""

SETTLED_MAX = 10_000
"""Guests of whom it is remembered which host's word counts."""

Words: TypeAlias = Mapping[NodeId, GuestRecord]
"""Each host's word on one guest."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a guest said, read and checked as far as it can be alone."""

    record: GuestRecord
    creates: bool
    """Action `register`; with `update` it has to be known already."""
    request: Request


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a word: status `registered`, `updated` or `unchanged`."""

    status: str
    update_id: str


class Guests:
    """The guests of this node, and what is known of all others. `run` watches over ours.

    Args:
        context: The running node.
        updates: Remembers what update ids were answered with.
        tally: Counts what had to be decided.
    """

    def __init__(self, context: NodeContext, updates: UpdateIds, tally: Tally) -> None:
        self._context = context
        self._peer = context.peer
        self._me = context.me
        self._updates = updates
        self._tally = tally
        self._schedule: Schedule[str] = Schedule()
        self._renewed_us: dict[str, int] = {}
        self._wake = trio.Event()
        self._verified: dict[tuple[bytes, bytes, bytes], bool] = {}
        self._settled: dict[str, tuple[Words, tuple[NodeId, ...], Settled]] = {}

    def knows(self, guest: str) -> bool:
        """Whether anybody vouches for that id."""
        return bool(self._peer.registry.guest(guest)) or self._own(guest) is not None

    def settled(self, guest: str) -> Settled | None:
        """What counts as true of a guest; None for an unknown one."""
        return self._settle(guest, self._peer.registry.guest(guest))

    def all_settled(self) -> Iterator[Settled]:
        """All guests, by id."""
        for guest, hosts in sorted(self._peer.registry.guests()):
            found = self._settle(guest, hosts)
            if found is not None:
                yield found

    async def take(self, word: Word) -> Taken:
        """Register a guest, or take its newer word.

        Raises:
            ApiError: 400 a field breaks a rule; 403 `not_owner`, another key holds that id; 404 it
                is to be updated but unknown; 409 `stale_version`, it said something newer before,
                or `conflict`, the update id is taken; 413, 503: no room.
        """
        request = word.request
        if request.update_id and await self._updates.recall(request) is not None:
            return Taken("unchanged", request.update_id)
        with self._updates.claim(request, "", word.record.id) as claim:
            taken, version = await self._apply(word, claim)
            await self._updates.settle(claim, version)
            return taken

    async def remove(self, guest: str) -> int:
        """Forget a guest of this node; the version of the commit that did.

        Raises:
            ApiError: 403 `not_owner`, another host vouches for it; 404; 503 no room on the disk.
        """
        if self._own(guest) is None:
            hosts = self._peer.registry.guest(guest)
            if not hosts:
                raise not_found(f"no guest has the id {guest!r}")
            raise self._vouched_elsewhere(guest, min(hosts))
        self._schedule.drop(guest)
        dot = await commit(self._context.driver, {_key(guest): None})
        if self._own(guest) is None:
            self._renewed_us.pop(guest, None)
        return dot.version

    def resume(self) -> None:
        """Expect a word from each of our guests from now on, as after a start."""
        branch = self._peer.registry.branch(self._me)
        for body in branch.bodies.values() if branch else ():
            if isinstance(body, GuestRecord):
                self._expect(body)

    async def run(self) -> None:
        """Watch over our guests until cancelled: critical after their ttl, gone after ten."""
        while True:
            due = self._schedule.next_due()
            self._wake = trio.Event()
            with trio.move_on_at(float("inf") if due is None else due):
                await self._wake.wait()
            await self._let_go(trio.current_time())

    async def _let_go(self, now: float) -> None:
        changes: dict[RecordKey, Body | None] = {}
        due: list[str] = []
        while (guest := self._schedule.pop_due(now)) is not None:
            record = self._own(guest)
            if record is None:
                continue
            due.append(guest)
            changes[_key(guest)] = None if record.critical else replace(record, critical=True)
            if record.critical:
                self._renewed_us.pop(guest, None)
            else:
                rest_s = (GONE_AFTER_TTLS - 1) * record.ttl_ms / 1_000
                self._schedule.set(guest, now + rest_s)
        if not changes:
            return
        try:
            await self._context.driver.propose(changes, priority=Priority.BACKGROUND)
        except (DiskFull, ProposalError) as error:
            log.debug("guests_wait", reason=str(error), guests=len(due))
            for guest in due:
                self._schedule.set(guest, now + RETRY_S)

    async def _apply(self, word: Word, claim: Claim) -> tuple[Taken, int]:
        record, before = word.record, self._own(word.record.id)
        self._check_may_speak(record)
        self._check_is_newer(record, before)
        if before is None and not word.creates and not self._peer.registry.guest(record.id):
            raise not_found(f"no guest has the id {record.id!r}; use action register")
        claim.update_id = record.update_id
        version, status = await self._keep(record, before, claim)
        self._renewed_us[record.id] = max(record.last_updated, self._renewed_us.get(record.id, 0))
        self._expect(record)
        return Taken(status, record.update_id), version

    async def _keep(
        self, record: GuestRecord, before: GuestRecord | None, claim: Claim
    ) -> tuple[int, str]:
        """Commit a word, if it says something that the cluster has to know."""
        if before is None or _differs(before, record):
            dot = await commit(self._context.driver, {key_of(record): record}, claim)
            return dot.version, "registered" if before is None else "updated"
        durable = self._peer.registry.guest(record.id).get(self._me)
        is_old = record.last_updated - before.last_updated > SHOW_EVERY_US
        if before.critical or is_old or durable != before:
            dot = await commit(self._context.driver, {key_of(record): record}, claim)
            return dot.version, "unchanged"
        branch = self._peer.registry.branch(self._me)
        return branch.dot.version if branch else 0, "unchanged"

    def _check_may_speak(self, record: GuestRecord) -> None:
        """Only the key that holds an id may speak for it, through whichever host."""
        for host, known in self._words_on(record.id):
            if not known.public_key or known.public_key == record.public_key:
                continue
            error = ApiError(
                403, "not_owner", f"the guest {record.id} has a key of its own, and this word is "
                "not signed with it",
            )  # fmt: skip
            error.with_detail("owner_address", known.address)
            raise error.with_detail("host", id_text(host))

    def _check_is_newer(self, record: GuestRecord, before: GuestRecord | None) -> None:
        newest_us = self._renewed_us.get(record.id, 0)
        for host, known in self._words_on(record.id):
            # Without a key, another host's word could be anybody's, of any time.
            if host == self._me or known.public_key:
                newest_us = max(newest_us, known.last_updated)
        is_again = record.last_updated == newest_us and before is not None
        if is_again and before is not None and not _differs(before, record):
            return
        if record.last_updated <= newest_us:
            raise ApiError(
                409, "stale_version", "last_updated must be later than that of the word before",
                "last_updated",
            )  # fmt: skip

    def _words_on(self, guest: str) -> Iterator[tuple[NodeId, GuestRecord]]:
        """Each host's word on a guest that counts: of keyed ones, what the guest itself signed."""
        own = self._own(guest)
        if own is not None:
            yield self._me, own
        for host, known in sorted(self._peer.registry.guest(guest).items()):
            if host != self._me and (not known.public_key or self._is_genuine(known)):
                yield host, known

    def _settle(self, guest: str, hosts: Mapping[NodeId, GuestRecord]) -> Settled | None:
        words = {
            host: word
            for host, word in hosts.items()
            if not word.public_key or host == self._me or self._is_genuine(word)
        }
        if not words:
            return None
        reached = self._reached(words)
        known = self._settled.get(guest)
        if known is not None and known[:2] == (words, reached):
            return known[2]
        found = settle(words, reached)
        self._tally.note("guest", found.resolution)
        self._settled[guest] = words, reached, found
        if len(self._settled) > SETTLED_MAX:
            del self._settled[next(iter(self._settled))]
        return found

    def _reached(self, hosts: Iterable[NodeId]) -> tuple[NodeId, ...]:
        status = self._peer.membership.status
        return tuple(host for host in hosts if status(host) in (Status.ALIVE, Status.SUSPECT))

    def _is_genuine(self, word: GuestRecord) -> bool:
        """Whether the guest itself signed that, for this cluster."""
        about = word.public_key, word.signature, word.signed_body
        known = self._verified.get(about)
        if known is None:
            known = is_signed(word, self._context.config.cluster)
            self._verified[about] = known
            if len(self._verified) > VERIFIED_MAX:
                del self._verified[next(iter(self._verified))]
        return known and says(word)

    def _own(self, guest: str) -> GuestRecord | None:
        body = self._peer.intended(_key(guest))
        return body if isinstance(body, GuestRecord) else None

    def _expect(self, record: GuestRecord) -> None:
        """Wait for the guest's next word from now on."""
        share = GONE_AFTER_TTLS - 1 if record.critical else 1
        self._schedule.set(record.id, trio.current_time() + share * record.ttl_ms / 1_000)
        self._wake.set()

    def _vouched_elsewhere(self, guest: str, host: NodeId) -> ApiError:
        record = self._peer.registry.node(host)
        address = _api_address(record) if record else ""
        error = ApiError(403, "not_owner", f"the guest {guest} is registered with another node")
        error.with_detail("owner", id_text(host))
        return error.with_detail("owner_address", address)


def check_guest(record: GuestRecord) -> None:
    """Apply every rule of a guest's record.

    Raises:
        ApiError: 400, naming the field.
    """
    try:
        rules.check_guest(record)
    except ProposalError as error:
        raise refusal_of(error) from None


def check_time(last_updated_us: int, now_us: int) -> None:
    """Refuse a word that is not of now.

    Raises:
        ApiError: 400, more than five minutes from this node's clock.
    """
    apart_s = abs(last_updated_us - now_us) / 1_000_000
    if apart_s * 1_000_000 > CLOCK_MAX_US:
        raise invalid_field(
            "last_updated",
            f"last_updated: is {apart_s:.0f} s away from this node's clock; at most "
            f"{CLOCK_MAX_US // 1_000_000} s are allowed: set the clock, or sign anew",
        )


def is_signed(word: GuestRecord, cluster: str) -> bool:
    """Whether the signed body of a word was signed with its key, for that cluster."""
    return guest_words.is_signed(
        word.signed_body, public_key=word.public_key, signature=word.signature, cluster=cluster
    )


def says(word: GuestRecord) -> bool:
    """Whether the signed body says what the record does: a host could else put words into it."""
    document = orjson.loads(word.signed_body)
    capabilities = document.get("capabilities")
    try:
        return (
            document["id"] == word.id
            and document["address"] == word.address
            and document["metrics_port"] == word.metrics_port
            and document["node_type"] == word.node_type.value
            and document["is_load_balancer"] is word.is_load_balancer
            and isinstance(capabilities, list)
            and sorted(set(capabilities)) == list(word.capabilities)
            and parse_us(document["last_updated"]) == word.last_updated
            and ("ttl" not in document or parse_ms(document["ttl"]) == word.ttl_ms)
            and base64.b64decode(document["public_key"]) == word.public_key
        )
    except (KeyError, TypeError, DurationError, ValueError, binascii.Error):
        return False


def _differs(before: GuestRecord, record: GuestRecord) -> bool:
    return facts(before) != facts(record)


def _key(guest: str) -> RecordKey:
    return RecordKey(Kind.GUEST, guest)


def _api_address(record: NodeRecord) -> str:
    return str(Address(record.api_host, record.api_port))


def _wall_us() -> int:
    return time.time_ns() // 1_000
