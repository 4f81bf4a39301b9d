"""Keeping documents' words few, and keeping them: what no request asks for.

Rules this module keeps:

1. Our own word goes where another that counts says all of it; of two equal ones that of the smaller
   id stays. So the words of a document that nobody edits apart come down to one.
2. When a writer is dead or has left, the entitled node with the smallest id among those reached
   says what only that writer said, so that nothing vanishes with its records.
3. The word of a deletion goes a day after it, when no other is left: that long whoever was away may
   bring back old words.
4. All this waits a few seconds after a change, and goes to disk in one commit. On a full disk, or a
   full queue, it waits.
"""

from collections.abc import Mapping

import trio

from node import logs
from node.context import NodeContext
from node.driver import DiskFull
from protocol import bodies, limits
from protocol.agreement import documents
from protocol.agreement.documents import Document
from protocol.bodies import Body
from protocol.commits import RecordKey
from protocol.delivery.standing import Priority
from protocol.detector.detection import Status
from protocol.errors import ProposalError
from protocol.events import Event, MemberChanged
from protocol.identity import NodeId
from protocol.records import DocumentRecord, Kind

from .documents import REACHED, Documents

log = logs.get()

TIDY_EVERY_S = 3.0
LOOK_ALL_EVERY_S = 60.0
"""Between two looks at all documents, for deletions that are old enough to go."""
CHANGES_MAX = limits.GROUP_COMMIT_MAX
"""Changes in one go; the rest at the next."""
DELETED_KEPT_US = 24 * 3_600 * 1_000_000
"""As long as the records of a dead member are kept."""
GONE = (Status.DEAD, Status.LEFT)


class Tidying:
    """Looks after our own words on documents. `run` is its task.

    Args:
        context: The running node.
        held: The documents.
    """

    def __init__(self, context: NodeContext, held: Documents) -> None:
        self._context = context
        self._peer = context.peer
        self._me = context.me
        self._held = held
        self._seen: dict[str, int] = {}
        self._seen_all = 0
        self._look_all = True
        self.dropped = 0
        """Words of ours that another one made needless."""
        self.taken_over = 0
        """Documents taken over from writers that are gone."""
        context.driver.listen(self._heard)

    async def run(self) -> None:
        """Tidy up, every few seconds, until cancelled."""
        looked_at = trio.current_time()
        while True:
            await trio.sleep(TIDY_EVERY_S)
            if trio.current_time() - looked_at > LOOK_ALL_EVERY_S:
                looked_at, self._look_all = trio.current_time(), True
            await self.tidy()

    async def tidy(self) -> None:
        """Look at the documents that changed, or at all where a member did, once."""
        registry = self._peer.registry
        if not self._look_all and self._seen_all == registry.documents_index:
            return
        index, seen, self._seen = registry.documents_index, self._seen, {}
        look_all, self._look_all = self._look_all, False
        changes: dict[RecordKey, Body | None] = {}
        for key in sorted(registry.documents()):
            at = registry.index_of_document(key)
            if not look_all and seen.get(key) == at:
                self._seen[key] = at
                continue
            if len(changes) >= CHANGES_MAX:
                self._look_all = True
                break
            change = self._change_of(key)
            if change is not None:
                changes |= change
            else:
                self._seen[key] = at
        self._seen_all = index
        if changes:
            await self._propose(changes)

    async def _propose(self, changes: Mapping[RecordKey, Body | None]) -> None:
        taken_over = sum(1 for word in changes.values() if word is not None)
        try:
            await self._context.driver.propose(changes, priority=Priority.BACKGROUND)
        except (DiskFull, ProposalError) as error:
            log.debug("documents_wait", reason=str(error), documents=len(changes))
            self._look_all = True
            return
        self.taken_over += taken_over
        self.dropped += len(changes) - taken_over
        if taken_over:
            log.info("documents_taken_over", documents=taken_over)

    def _change_of(self, key: str) -> Mapping[RecordKey, Body | None] | None:
        """What is to be done about a document; None: nothing."""
        words, document = self._held.held(key)
        place = RecordKey(Kind.DOCUMENT, key)
        if self._is_heir(words, document):
            word = documents.adopt(document)
            if bodies.bytes_of(word) <= limits.RECORD_BYTES_MAX:
                return {place: word}
            log.warning("document_too_large_to_take_over", document=key)
        if self._me not in words:
            return None
        if documents.is_needless(self._me, words, document) or self._is_forgotten(words, document):
            return {place: None}
        return None

    def _is_heir(self, words: Mapping[NodeId, DocumentRecord], document: Document) -> bool:
        """Whether some of a document is said by members that are gone alone, and we are to say it.

        A deletion counts too: without its word, old ones would come back.
        """
        status = self._peer.membership.status
        has_room = self._me in document.words or len(document.words) < limits.DOCUMENT_WRITERS_MAX
        if not has_room or not any(status(author) in GONE for author in document.words):
            return False
        staying = {one: words[one] for one in document.words if status(one) not in GONE}
        if documents.joined(document.key, staying).state == document.state:
            return False
        entitled = [
            node
            for node in self._peer.membership.members()
            if document.may_write(node) and (node == self._me or status(node) in REACHED)
        ]
        return bool(entitled) and min(entitled) == self._me

    def _is_forgotten(self, words: Mapping[NodeId, DocumentRecord], document: Document) -> bool:
        is_old = document.updated_at + DELETED_KEPT_US < self._held.now_us()
        return not document.exists and list(words) == [self._me] and is_old

    def _heard(self, event: Event) -> None:
        if isinstance(event, MemberChanged):
            self._look_all = True
