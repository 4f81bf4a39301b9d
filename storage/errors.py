"""Every exception the storage layer raises, and what state it leaves behind.

StorageError
├── CannotOpenError              nothing was opened; the file is as it was, byte for byte
│   ├── DatabaseUnreachableError the path cannot be read and written
│   ├── DatabaseLockedError      another process has it open
│   ├── DatabaseDamagedError     not a whole Kith database (may also come up later, in use)
│   ├── DatabaseTooNewError      written by a later Kith
│   ├── WrongClusterError        of another cluster
│   └── WrongNodeError           of another node
├── DiskFullError                nothing of the transaction was done; works again with room
├── DiskFailedError              fatal: what was written last is uncertain; end the process
├── QueueFullError               the writer took nothing of what was submitted
├── StorageClosedError           the store or its writer was closed before
└── StorageBrokenError           undone; SQLite refused for a reason that only a bug explains

Each message names the path, what was found, what was expected, and the remedy. A fatal error is
never retried: after a failed fsync the page cache may hold what the disk does not (Rebello et al.,
"Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

import sqlite3

from sqlalchemy import exc

_PRIMARY = 0xFF
_NOT_TEXT = "Could not decode to UTF-8"
"""What Python says, without a code of SQLite's; what follows quotes the bytes."""


class StorageError(Exception):
    """Base class; never raised itself."""

    fatal = False
    """Whether the store may not be used any more."""

    def __init__(self, path: str, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}. {remedy}")
        self.path = path
        self.found = found
        self.expected = expected
        self.remedy = remedy


class CannotOpenError(StorageError):
    """Base class of what `open_store` refuses; the file was not changed."""


class DatabaseUnreachableError(CannotOpenError):
    """The path cannot be read and written: missing folder, permissions, read-only disk."""

    fatal = True

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            path,
            found=reason,
            expected="a folder and file that this process may read and write",
            remedy="Create the folder, or give its owner the rights, or configure another path.",
        )


class DatabaseLockedError(CannotOpenError):
    """Another process has the database open. Two nodes with one identity would fork."""

    fatal = True

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(
            path,
            found=f"in use by {holder}",
            expected="a database that no other process has open",
            remedy="Stop the other process, or give this node a data folder of its own.",
        )


class DatabaseDamagedError(CannotOpenError):
    """Not a whole Kith database. When raised in use, it is fatal, and the transaction undone."""

    fatal = True

    def __init__(self, path: str, found: str) -> None:
        super().__init__(
            path,
            found=f"damaged or not Kith's: {found}",
            expected="a whole Kith database",
            remedy="Put a backup back, or start once with `kith node … --rebuild`: the file is"
            " moved aside, and the node reads itself back from its peers.",
        )


class DatabaseTooNewError(CannotOpenError):
    """Written by a later Kith than this one; nothing was changed."""

    def __init__(self, path: str, *, found: int, newest: int) -> None:
        super().__init__(
            path,
            found=f"schema version {found}",
            expected=f"at most version {newest}",
            remedy="Run the Kith that wrote it, or a later one; there is no way back.",
        )
        self.found_version = found
        self.newest_version = newest


class WrongClusterError(CannotOpenError):
    """The database belongs to another cluster; nothing was changed."""

    def __init__(self, path: str, *, found: str, expected: str) -> None:
        super().__init__(
            path,
            found=f"a database of the cluster with id {found}",
            expected=f"cluster id {expected}",
            remedy="Correct the cluster's name in the configuration, or use an empty data folder.",
        )


class WrongNodeError(CannotOpenError):
    """The database belongs to another node; nothing was changed."""

    def __init__(self, path: str, *, found: str, expected: str) -> None:
        super().__init__(
            path,
            found=f"a database of node {found}",
            expected=f"node {expected}",
            remedy="Give the node the key file that belongs to this folder, or an empty folder.",
        )


class DiskFullError(StorageError):
    """There was no room. The whole transaction was undone; with room again, everything works."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path,
            found="no room to write",
            expected="free space on the disk",
            remedy="Free some space; nothing is lost, and nothing needs to be restarted.",
        )


class DiskFailedError(StorageError):
    """Reading, writing or fsync failed. What was being written is uncertain; end the process."""

    fatal = True

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            path,
            found=f"the disk failed ({reason})",
            expected="a disk that keeps what it is given",
            remedy="Check the disk and the system's log, then start the node again.",
        )


class QueueFullError(StorageError):
    """The writer has too much waiting; it took nothing of what was submitted."""

    def __init__(self, path: str, *, waiting: int) -> None:
        super().__init__(
            path,
            found=f"{waiting} writes are waiting",
            expected="a disk that keeps up",
            remedy="Wait for `Writer.room`; what is left out costs a sync after the next start.",
        )


class StorageClosedError(StorageError):
    """The store or its writer was closed before; nothing was done."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path, found="already closed", expected="an open store", remedy="Open it again."
        )


class StorageBrokenError(StorageError):
    """Something refused that never should. The transaction was undone; please report it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            path,
            found=reason,
            expected="a statement that works",
            remedy="This is a bug of Kith: please report it with this line.",
        )


SQL_ERRORS = (exc.SQLAlchemyError, sqlite3.Error, UnicodeDecodeError)
"""What a statement raises; the last where SQLite's own message quotes what is no text any more."""


def translate(
    error: exc.SQLAlchemyError | sqlite3.Error | UnicodeDecodeError, path: str
) -> StorageError:
    """What an error of SQLite means for us, by its result code (sqlite.org/rescode.html)."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    code: int = getattr(cause, "sqlite_errorcode", 0) & _PRIMARY
    reason = f"{getattr(cause, 'sqlite_errorname', type(error).__name__)}: {cause}"
    match code:
        case sqlite3.SQLITE_FULL:
            return DiskFullError(path)
        case sqlite3.SQLITE_IOERR:
            return DiskFailedError(path, reason)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_FORMAT:
            return DatabaseDamagedError(path, reason)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseLockedError(path, "another program")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return DatabaseUnreachableError(path, reason)
        case _:
            no_text = isinstance(cause, UnicodeDecodeError) or str(cause).startswith(_NOT_TEXT)
            return (
                DatabaseDamagedError(path, "a text is not UTF-8")
                if no_text
                else StorageBrokenError(path, reason)
            )
