"""What clients asked for and how it ended, shared by all of them.

Rules this module keeps:

1. An operation is kept when it is over, with what its client knew then.
2. It is bounded: after `OPERATIONS_MAX` the clients rest. What lookups show is held once.
"""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.history import DocumentWrite, Key, Operation

from .identities import Identities
from .journal import RunClock
from .record import Sample

OPERATIONS_MAX = 200_000


@dataclass(slots=True)
class Ledger:
    """All that clients did, shared by them."""

    clock: RunClock
    identities: Identities
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    operations: list[Operation] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    """By number: the version of the commit that did an acknowledged write, as its owner said."""
    document_writes: list[DocumentWrite] = field(default_factory=list)
    _pairs: dict[tuple[Key, int], tuple[Key, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self) -> int:
        """The next operation's."""
        with self._lock:
            return next(self.numbers)

    def keep(self, operation: Operation, sample: Sample, version: int = 0) -> None:
        """It is over."""
        with self._lock:
            self.operations.append(operation)
            self.samples.append(sample)
            if version:
                self.versions[operation.number] = version

    def keep_document(self, write: DocumentWrite, sample: Sample) -> None:
        """A write to a document is over."""
        with self._lock:
            self.document_writes.append(write)
            self.samples.append(sample)

    def one_of(self, pair: tuple[Key, int]) -> tuple[Key, int]:
        """The same, held once however often it is seen."""
        with self._lock:
            return self._pairs.setdefault(pair, pair)

    @property
    def is_full(self) -> bool:
        """Whether no more can be kept."""
        return len(self.samples) >= OPERATIONS_MAX
