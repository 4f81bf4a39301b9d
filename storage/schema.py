"""The tables of the newest schema version, as SQLAlchemy Core sees them.

Everything is BLOB, INTEGER or TEXT. Ids and hashes are raw bytes; heads, commits, key events and
record bodies are the canonical bytes of `protocol`, kept as they were signed.

Rules this module keeps:

1. It describes the *newest* version only. How a file gets there is in `migrations`, whose steps are
   frozen once released; a test compares the two.
2. A change here needs a new migration.
"""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

APPLICATION_ID = 0x4B697468
"""`Kith` in ASCII: bytes 68–71 of the file (sqlite.org/fileformat.html, section 1.3.16)."""

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True, nullable=False),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Whose file it is: `cluster` (32 bytes) and `node` (32 bytes). And `must-hear`, where this is not
the newest state: why its node has to hear of itself from a peer before it signs."""

own = Table(
    "own",
    metadata,
    Column("id", Integer, primary_key=True, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("trim_epoch", Integer, nullable=False, server_default="-1"),
    Column("trim_version", Integer, nullable=False, server_default="0"),
)
"""One row, id 1: our lives so far, the highest dot that we signed or took as ours, and the trim
mark: the dot up to which nobody needs our commits step by step. Neither dot goes back."""

branches = Table(
    "branches",
    metadata,
    Column("owner", LargeBinary, primary_key=True, nullable=False),
    Column("key_events", LargeBinary, nullable=False),
    Column("head", LargeBinary),
    Column("epoch", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("reaped", Integer, nullable=False),
)
"""One row an owner. `key_events` is a canonical list; `head` is null where only they are known."""

records = Table(
    "records",
    metadata,
    Column("owner", LargeBinary, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("owner", "kind", "key"),
    sqlite_with_rowid=False,
)
"""The live records. Without rowids, so an owner's records lie together, in canonical order."""

commits = Table(
    "commits",
    metadata,
    Column("owner", LargeBinary, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    Column("priority", Integer, nullable=False, server_default="1"),
    Column("size", Integer, nullable=False, server_default="0"),
    Column("parent", LargeBinary),
    PrimaryKeyConstraint("owner", "epoch", "version"),
)
"""The newest 32 of each owner; of our own the newest 256, and all after the trim mark, which are
the outbox. With rowids: a commit may be large, and its key is walked often. The last three columns
mean something for our own commits only: `size` is that of the changes, `parent` the hash of the
first parent, so that the outbox is read without reading a body."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("peer", LargeBinary, primary_key=True, nullable=False),
    Column("held_epoch", Integer, nullable=False),
    Column("held_version", Integer, nullable=False),
    Column("stored_epoch", Integer, nullable=False),
    Column("stored_version", Integer, nullable=False),
    Column("since_us", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_us", Integer, nullable=False),
    Column("breaker", Integer, nullable=False),
    Column("score", Integer, nullable=False),
    Column("latency_us", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""One row a peer: how far it has come in our commits, and how our tries went. `protocol` bounds how
many."""

evidence = Table(
    "evidence",
    metadata,
    Column("id", LargeBinary, primary_key=True, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("found_at_us", Integer, nullable=False),
    Column("reported_by", LargeBinary),
    Column("settled_at_us", Integer),
    Column("settled_epoch", Integer),
    Column("merge", LargeBinary),
    sqlite_with_rowid=False,
)
"""Forks; `kind` says what the proof is (0: two heads, 1: two key events). What settled one is null
while it is open; `merge` is null also where a rotation did. `protocol` bounds how many."""

results = Table(
    "results",
    metadata,
    Column("sequence", Integer, primary_key=True, nullable=False),
    Column("update_id", Text, nullable=False, unique=True),
    Column("owner", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("created_at_us", Integer, nullable=False),
    Index("results_by_age", "created_at_us"),
)
"""What each update id was answered with, by order of writing; bounded in number and age. Behind the
`body_hash` stands a sum over the row, so that a damaged one is noticed."""
