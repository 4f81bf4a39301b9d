"""The words on each document that a registry holds, with a change index for each document.

Rule this module keeps: an index only rises, and rises with every change of that document; of one
that is gone, with that of any other that goes.
"""

from collections.abc import Iterator, Mapping

from protocol.identity import NodeId
from protocol.records import DocumentRecord


class DocumentIndex:
    """Who says what on which document. Only the registry changes it."""

    def __init__(self) -> None:
        self._words: dict[str, dict[NodeId, DocumentRecord]] = {}
        self._indexes: dict[str, int] = {}
        self._floor = 1
        self.index = 1
        """Rises with every change of any document."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def words(self, key: str) -> Mapping[NodeId, DocumentRecord]:
        """Each author's word on one document."""
        return self._words.get(key, {})

    def index_of(self, key: str) -> int:
        """Rises with every change of that document."""
        return self._indexes.get(key, self._floor)

    def put(self, author: NodeId, key: str, word: DocumentRecord | None) -> None:
        """An author's word is this now; None: it took it back."""
        self.index += 1
        words = self._words.setdefault(key, {})
        if word is not None:
            words[author] = word
        else:
            words.pop(author, None)
        self._indexes[key] = self.index
        if not words:
            del self._words[key], self._indexes[key]
            self._floor = self.index
