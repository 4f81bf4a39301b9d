"""What a node keeps on disk: SQLAlchemy Core over SQLite, one writer, group commit.

    store = open_store(path, cluster=..., node=...)       refuses what is damaged or not ours
    loaded, incarnation = store.load(), store.begin_life()
    async with Writer(store, on_fatal=...) as writer:     from here on only the writer uses it
        writer.submit(keep)                               a peer's: soon, in order, nobody waits
        await writer.write_through([keep], [result])      our own: durable on return
        writer.when_durable(then)                         told when what was submitted is durable
        await writer.recall(after, count, bytes_max)      our own commits, read back

SQLAlchemy and SQLite stay behind this layer; only `writer` knows of trio.
"""

from .errors import (
    CannotOpenError,
    DatabaseDamagedError,
    DatabaseLockedError,
    DatabaseTooNewError,
    DatabaseUnreachableError,
    DiskFailedError,
    DiskFullError,
    QueueFullError,
    StorageBrokenError,
    StorageClosedError,
    StorageError,
    WrongClusterError,
    WrongNodeError,
)
from .interface import Loaded, Result, Statistics, Store
from .memory import MemoryStore
from .reserve import Reserve, Reserved
from .store import SqliteStore, copy_store, open_store, set_aside, snapshot_store, whose
from .writer import Writer, WriterStatistics

__all__ = (
    "CannotOpenError",
    "DatabaseDamagedError",
    "DatabaseLockedError",
    "DatabaseTooNewError",
    "DatabaseUnreachableError",
    "DiskFailedError",
    "DiskFullError",
    "Loaded",
    "MemoryStore",
    "QueueFullError",
    "Reserve",
    "Reserved",
    "Result",
    "SqliteStore",
    "Statistics",
    "StorageBrokenError",
    "StorageClosedError",
    "StorageError",
    "Store",
    "Writer",
    "WriterStatistics",
    "WrongClusterError",
    "WrongNodeError",
    "copy_store",
    "open_store",
    "set_aside",
    "snapshot_store",
    "whose",
)
