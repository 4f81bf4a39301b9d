"""Documents, as this node reads and writes them: the use cases behind `/v1/documents`.

Rules this module keeps:

1. Readers see what is durable. A writer descends from all that this node holds, its own newest word
   included, durable or not; nothing is awaited between reading that and proposing the next word.
2. A write is judged in this order: its update id, its conditions, who may write, limits.
3. A write that changes nothing makes no commit, so that edits beside it still merge.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from node.agreement.critical import require_majority
from node.context import NodeContext
from node.http import ApiError, not_found, too_large
from node.registrar import Claim, Request, UpdateIds, commit, refusal_of
from node.registrar.updates import conflict
from protocol import bodies, limits, rules
from protocol.agreement import documents
from protocol.agreement.documents import Document
from protocol.commits import RecordKey
from protocol.delivery.standing import Priority
from protocol.detector.detection import Status
from protocol.errors import ProposalError
from protocol.identity import Address, NodeId, id_text
from protocol.records import DocumentRecord, Kind

from .tally import Tally

REACHED = (Status.ALIVE, Status.SUSPECT)
KEPT_MAX = 10_000
"""Documents whose join is kept until one of their words changes."""

Make = Callable[[Document], Mapping[str, bytes | None]]
"""What a write does to the fields of the document that it descends from."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What has to hold for a write to be done; entity tags as documents have them, or `*`."""

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None

    def judge(self, document: Document) -> None:
        """Compare with what this node holds.

        Raises:
            ApiError: 412 `precondition_failed`.
        """
        tag = etag_of(document) if document.exists else None
        wanted, unwanted = self.if_match, self.if_none_match
        if wanted is not None and (tag is None or not {"*", tag}.intersection(wanted)):
            state = f"is {tag}" if tag else "does not exist"
            raise ApiError(
                412, "precondition_failed", f"the document {state} here, not what If-Match says; "
                "read it again and repeat the change",
            )  # fmt: skip
        if unwanted is not None and tag is not None and {"*", tag}.intersection(unwanted):
            raise ApiError(
                412, "precondition_failed", f"the document exists, it is {tag} here, which "
                "If-None-Match rules out",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to."""

    version: int
    """Of the commit; of the newest one if nothing had to be changed."""
    update_id: str
    created: bool = False


class Documents:
    """The documents that this node holds.

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
        self._kept: OrderedDict[str, tuple[int, Document]] = OrderedDict()

    def find(self, key: str) -> Document:
        """A document as it stands here; it may not exist."""
        index = self._peer.registry.index_of_document(key)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == index:
            return kept[1]
        document = documents.joined(key, self._peer.registry.document(key))
        if document.words or document.ignored:
            self._count(document)
            self._kept[key] = index, document
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        else:
            self._kept.pop(key, None)
        return document

    def all(self) -> Iterator[Document]:
        """All documents that exist, by key."""
        for key in sorted(self._peer.registry.documents()):
            document = self.find(key)
            if document.exists:
                yield document

    def held(self, key: str) -> tuple[Mapping[NodeId, DocumentRecord], Document]:
        """All words, with our own newest one, durable or not; and what they make."""
        words = dict(self._peer.registry.document(key))
        own = self._peer.intended(RecordKey(Kind.DOCUMENT, key))
        if isinstance(own, DocumentRecord):
            words[self._me] = own
        else:
            words.pop(self._me, None)
        return words, documents.joined(key, words)

    async def write(
        self,
        key: str,
        make: Make,
        owners: Sequence[NodeId] | None,
        conditions: Conditions,
        request: Request,
    ) -> Written:
        """Write a document.

        Raises:
            ApiError: 400 a field breaks a rule; 403 `not_owner`; 409 the update id is taken; 412 a
                condition does not hold; 413 and 503: no room, or a critical change in a minority.
        """
        if request.update_id:
            known = await self._updates.recall(request)
            if known is not None:
                return Written(known.version, known.update_id)
        with self._updates.claim(request, "", key) as claim:
            written = await self._apply(key, make, owners, conditions, claim)
            await self._updates.settle(claim, written.version)
            return written

    async def delete(self, key: str, conditions: Conditions) -> int:
        """Delete what this node sees of a document; the version of the commit that did.

        Raises:
            ApiError: 403 `not_owner`; 404; 412 a condition does not hold; 503 no room on the disk.
        """
        _, before = self.held(key)
        conditions.judge(before)
        if not before.exists:
            raise not_found(f"there is no document {key[: limits.NAME_MAX]!r}")
        self._check_may_write(before)
        try:
            word = documents.delete(before, self._me, self.now_us(), born=self._peer.born)
        except ProposalError as error:
            raise refusal_of(error) from None
        return (await commit(self._context.driver, {bodies.key_of(word): word})).version

    async def _apply(
        self,
        key: str,
        make: Make,
        owners: Sequence[NodeId] | None,
        conditions: Conditions,
        claim: Claim,
    ) -> Written:
        request = claim.request
        words, before = self.held(key)
        own = words.get(self._me)
        if own is not None and request.update_id and own.update_id == request.update_id:
            # Its result is forgotten (too old, too many since), but our word still names it.
            _check_repeated(own, self._me, make(before), request.update_id)
            return Written(await self._durably(own, claim), request.update_id)
        conditions.judge(before)
        self._check_may_write(before)
        changed = make(before)
        is_listed = owners is not None and tuple(owners) != before.owners
        if is_listed:
            require_majority(self._peer, "changing who owns a document")
        if before.exists and not changed and not is_listed and not before.settled.is_contested:
            return Written(await self._durably(own, claim), request.update_id)
        word = self._word(before, changed, owners, request.update_id)
        priority = Priority.CRITICAL if is_listed else Priority.NORMAL
        changes = {bodies.key_of(word): word}
        dot = await commit(self._context.driver, changes, claim, priority=priority)
        return Written(dot.version, request.update_id, created=not before.exists)

    def _word(
        self,
        before: Document,
        changed: Mapping[str, bytes | None],
        owners: Sequence[NodeId] | None,
        update_id: str,
    ) -> DocumentRecord:
        try:
            word = documents.write(
                before,
                changed,
                self._me,
                self.now_us(),
                owners=owners,
                update_id=update_id,
                born=self._peer.born,
            )
            rules.check_document(word)
        except ProposalError as error:
            raise refusal_of(error) from None
        size = bodies.bytes_of(word)
        if size > limits.RECORD_BYTES_MAX:
            raise too_large(
                "value", f"value: the document takes {size} bytes with all its fields, siblings "
                f"and writers; at most {limits.RECORD_BYTES_MAX} are allowed: shorten it",
            )  # fmt: skip
        return word

    async def _durably(self, own: DocumentRecord | None, claim: Claim) -> int:
        """The version at which our own word, which is not to change, is on disk."""
        durable = self._peer.registry.document(own.key).get(self._me) if own else None
        if own is not None and durable != own:
            return (await commit(self._context.driver, {bodies.key_of(own): own}, claim)).version
        branch = self._peer.registry.branch(self._me)
        return branch.dot.version if branch else 0

    def _check_may_write(self, before: Document) -> None:
        if before.may_write(self._me):
            return
        error = ApiError(
            403, "not_owner", f"the document {before.key} names its owners, and this node is none; "
            "write it through one of them",
        )  # fmt: skip
        for owner in before.owners:
            record = self._peer.registry.node(owner)
            if record is not None and self._peer.membership.status(owner) in REACHED:
                error.with_detail("owner", id_text(owner))
                error.with_detail("owner_address", str(Address(record.api_host, record.api_port)))
                break
        raise error

    def now_us(self) -> int:
        """Our clock, but later than all that we signed, also after it was set back."""
        branch = self._peer.registry.branch(self._me)
        return max(_wall_us(), branch.dot.version + 1 if branch else 0)

    def _count(self, document: Document) -> None:
        for decided in document.conflicts.values():
            self._tally.note("document", decided)
        if document.settled.is_contested:
            self._tally.note("owners", document.settled)


def etag_of(document: Document) -> str:
    """The entity tag: equal where the same writes are held, and only there."""
    return f'"{document.version.hex()}"'


def _check_repeated(
    own: DocumentRecord, me: NodeId, wanted: Mapping[str, bytes | None], update_id: str
) -> None:
    """Whether our last write is this one: what it set is what this one would set, or has set."""
    known = dict(own.context).get(me, ((0, 0),))
    newest = known[-1][1]
    for entry in own.entries:
        is_of_it = entry.field and (entry.writer, entry.counter) == (me, newest)
        if is_of_it and wanted.get(entry.field, entry.value) != entry.value:
            raise conflict(update_id)


def _wall_us() -> int:
    return time.time_ns() // 1_000
