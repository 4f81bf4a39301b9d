"""What thousands of nodes in one process would work out again and again, worked out once.

Whether a signature is right, what a message says and what a record says are pure functions of
bytes, and all nodes of a world see the same bytes. Who reads them second is given what the first
one found, the very same values, which also keeps the memory of a large world small.

Rules this module keeps:

1. Exact: an answer is what the real function gave for this very question, kept whole as the key.
2. Every table is bounded; what falls out is worked out again.
3. Whatever ran before changes how fast the next world goes, and nothing else.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from protocol import bodies, signing
from protocol.bodies import Body
from protocol.commits import Record
from protocol.shared.reading import Reading
from protocol.wire.messages import DatagramKind, Message, decode

VERDICTS_MAX = 100_000
"""Signatures remembered, at about 800 bytes."""
MESSAGES_MAX = 10_000
"""Messages remembered, at up to 6 kB."""
BODIES_MAX = 20_000
"""Records remembered, at about 2 kB."""
_TO_MANY = (DatagramKind.PUSH, DatagramKind.ADVERT, DatagramKind.GOSSIP, DatagramKind.EVIDENCE)
"""What is said to several in the same words; of all else no two datagrams are alike."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Memo(Generic[_Key, _Value]):
    """A table of answers; beyond `most` the oldest are forgotten."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._known: dict[_Key, _Value] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, key: _Key, find: Callable[[], _Value]) -> _Value:
        """The answer for `key`; `find` is asked where it is not known."""
        try:
            return self._known[key]
        except KeyError:
            value = find()
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[key] = value
        return value


class MemoVerifier:
    """Judges each signature once. The whole question is the key, so no two are ever confused."""

    __slots__ = ("_verdicts",)

    def __init__(self, most: int = VERDICTS_MAX) -> None:
        self._verdicts: Memo[tuple[bytes, signing.Domain, bytes, bytes, bytes], bool] = Memo(most)

    def __len__(self) -> int:
        """How many verdicts are remembered."""
        return len(self._verdicts)

    def verify(
        self,
        public_key: bytes,
        domain: signing.Domain,
        cluster: bytes,
        payload: bytes,
        signature: bytes,
    ) -> bool:
        """Whether `signature` is that key's word on `payload`. Never raises."""
        question = public_key, domain, cluster, payload, signature
        return self._verdicts.recall(question, lambda: signing.verify(*question))


def remembering() -> Reading:
    """Reads each message and each record once."""
    messages: Memo[tuple[DatagramKind, bytes], Message] = Memo(MESSAGES_MAX)
    records: Memo[Record, Body] = Memo(BODIES_MAX)

    def read_message(kind: DatagramKind, body: bytes) -> Message:
        if kind not in _TO_MANY:
            return decode(kind, body)
        return messages.recall((kind, body), lambda: decode(kind, body))

    def read_body(record: Record) -> Body:
        return records.recall(record, lambda: bodies.decode(record))

    return Reading(read_message, read_body)
