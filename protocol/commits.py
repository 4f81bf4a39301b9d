"""Commits: the signed steps of an owner's branch, as in git.

A commit is a header, a signature over it, and the changes. The header names the owner, the epoch of
its key, a version that only rises, the parents, the time, the Merkle root of the state it leaves
behind and the hash of its changes; so one signature covers all, and the changes are parsed only
after it was verified.

Rules this module keeps:

1. Signed bytes are kept and passed on as they are; a hash is always of those bytes.
2. Decoding refuses what is not canonical, unsorted or beyond a limit (`MalformedError`).
3. Nothing here judges a chain: that is `branch`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple, cast

from . import limits, signing
from .errors import MalformedError
from .identity import NODE_ID_BYTES, NodeId
from .merkle import Leaf
from .records import Kind
from .wire import codec

HASH_BYTES = 32
PARENTS_MAX = 2
_FORMAT = 1
HEADER_MAX = 400
"""Bytes in an encoded header."""
_KEY_MAX = 2 * limits.NAME_MAX + 1
_CHANGE = codec.Layout(
    codec.integer("kind", high=max(Kind)),
    codec.text("key", most=_KEY_MAX),
    codec.raw("body", most=limits.RECORD_BYTES_MAX),
)


_BY_KEY = itemgetter(0, 1)


def digest(data: bytes) -> bytes:
    """BLAKE2b-256, the hash of everything here."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


class Dot(NamedTuple):
    """A point on an owner's branch; compares as `(epoch, version)`."""

    epoch: int
    version: int


NOTHING = Dot(-1, 0)
"""Older than any commit."""


class RecordKey(NamedTuple):
    """What a record is known by within its owner's state."""

    kind: int
    key: str


class Record(NamedTuple):
    """One live record: its key and its canonical body."""

    kind: int
    key: str
    body: bytes


class Change(NamedTuple):
    """A record set to `body`, or removed where `body` is None."""

    kind: int
    key: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Head:
    """A signed header: all that is needed to check a state against it."""

    owner: NodeId
    epoch: int
    version: int
    parents: tuple[bytes, ...]
    issued_at: int
    """Hybrid logical time, Unix microseconds."""
    state_root: bytes
    changes_hash: bytes
    encoded: bytes
    signature: bytes
    hash: bytes

    @property
    def dot(self) -> Dot:
        """Its place in the order of its owner's commits."""
        return Dot(self.epoch, self.version)

    def pack(self) -> bytes:
        """The head as it travels and is stored."""
        return codec.pack([self.encoded, self.signature])

    def signed_by(self, public_key: bytes, trust: signing.Trust) -> bool:
        """Whether that key signed this header, in that cluster. About 53 µs."""
        return trust.verify(public_key, signing.Domain.COMMIT, self.encoded, self.signature)


@dataclass(frozen=True, slots=True)
class Commit:
    """A head with the changes that led to it, still encoded."""

    head: Head
    changes_encoded: bytes

    def pack(self) -> bytes:
        """The commit as it travels and is stored."""
        return codec.pack([self.head.encoded, self.head.signature, self.changes_encoded])

    def changes(self) -> tuple[Change, ...]:
        """Decode the changes.

        Raises:
            MalformedError: not canonical, unsorted, or beyond a limit.
        """
        return decode_changes(self.changes_encoded)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An owner's whole state at `head`; complete if its tree has the head's state root."""

    head: Head
    records: tuple[Record, ...]
    """Sorted by `(kind, key)`."""


@dataclass(frozen=True, slots=True)
class Mend:
    """What leads from one state of an owner to a later one, whatever steps lay between."""

    head: Head
    """The later state's."""
    base: bytes
    """The state root to begin from."""
    changes: tuple[Change, ...]


def path_of(kind: int, key: str) -> bytes:
    """Where a record lies in its owner's tree."""
    return digest(f"{kind:d}\0{key}".encode())


def leaf_of(record: Record) -> Leaf:
    """The leaf that stands for a record in its owner's tree."""
    return Leaf(path_of(record.kind, record.key), digest(record.body), record)


def encode_changes(changes: Iterable[Change]) -> bytes:
    """Write changes in their one order."""
    ordered = sorted(changes, key=_BY_KEY)
    return codec.pack([(kind, key, body or b"") for kind, key, body in ordered])


def decode_changes(encoded: bytes) -> tuple[Change, ...]:
    """Read what `encode_changes` wrote; see `Commit.changes`."""
    entries = codec.unpack(encoded, "changes")
    if len(entries) > limits.CHANGES_PER_COMMIT_MAX:
        raise MalformedError("changes", f"more than {limits.CHANGES_PER_COMMIT_MAX}")
    changes: list[Change] = []
    last: RecordKey | None = None
    for entry in entries:
        _CHANGE.check(entry, "changes.change")
        kind, key, body = cast(tuple[int, str, bytes], entry)
        here = RecordKey(kind, key)
        if last is not None and here <= last:
            raise MalformedError("changes", "not in order, or one key twice")
        last = here
        changes.append(Change(kind, key, body or None))
    return tuple(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a new commit is to say, before it is signed."""

    owner: NodeId
    dot: Dot
    parents: tuple[bytes, ...]
    issued_at: int
    state_root: bytes


def make_commit(
    draft: Draft, changes: Sequence[Change], *, key: signing.Signer, cluster: bytes
) -> Commit:
    """Sign a commit. The caller vouches for the state root."""
    changes_encoded = encode_changes(changes)
    changes_hash = digest(changes_encoded)
    encoded = codec.pack(
        [
            _FORMAT, draft.owner, draft.dot.epoch, draft.dot.version, draft.parents,
            draft.issued_at, draft.state_root, changes_hash,
        ]
    )  # fmt: skip
    signature = signing.sign(key, signing.Domain.COMMIT, cluster, encoded)
    head = Head(
        draft.owner, draft.dot.epoch, draft.dot.version, draft.parents, draft.issued_at,
        draft.state_root, changes_hash, encoded, signature, digest(encoded),
    )  # fmt: skip
    return Commit(head, changes_encoded)


def decode_head(encoded: bytes, signature: bytes) -> Head:
    """Read a signed header, without judging it.

    Raises:
        MalformedError: not a header.
    """
    if len(encoded) > HEADER_MAX or len(signature) != signing.SIGNATURE_BYTES:
        raise MalformedError("header", "of the wrong size")
    reader = codec.read(encoded, "header")
    reader.integer("format", low=_FORMAT, high=_FORMAT)
    owner = NodeId(reader.fixed("owner", NODE_ID_BYTES))
    epoch = reader.integer("epoch", high=limits.VERSION_MAX)
    version = reader.integer("version", low=1, high=limits.VERSION_MAX)
    parents = tuple(reader.raws("parents", most=PARENTS_MAX, each=HASH_BYTES))
    issued_at = reader.integer("issued_at")
    state_root = reader.fixed("state_root", HASH_BYTES)
    changes_hash = reader.fixed("changes_hash", HASH_BYTES)
    reader.end()
    if any(len(parent) != HASH_BYTES for parent in parents) or len(set(parents)) != len(parents):
        raise MalformedError("header.parents", "not distinct hashes")
    return Head(
        owner, epoch, version, parents, issued_at, state_root, changes_hash, encoded, signature,
        digest(encoded),
    )  # fmt: skip


def unpack_head(packed: bytes) -> Head:
    """Read what `Head.pack` wrote. Raises MalformedError."""
    reader = codec.read(packed, "head")
    encoded, signature = reader.raw("header", most=HEADER_MAX), reader.fixed("signature", 64)
    reader.end()
    return decode_head(encoded, signature)


def unpack_commit(packed: bytes) -> Commit:
    """Read what `Commit.pack` wrote; the changes stay encoded. Raises MalformedError."""
    reader = codec.read(packed, "commit")
    encoded, signature = reader.raw("header", most=HEADER_MAX), reader.fixed("signature", 64)
    changes = reader.raw("changes", most=len(packed))
    reader.end()
    return Commit(decode_head(encoded, signature), changes)
