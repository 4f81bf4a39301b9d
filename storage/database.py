"""Opening the database file, and the one connection to it.

Rules this module keeps:

1. A file that we refuse is left as it was, byte for byte, with nothing new beside it.
2. One process has it open, with SQLite in exclusive mode: then the WAL's index lies in our own
   memory, and no -shm is mapped, which a full disk could turn into a SIGBUS.
3. A transaction is durable when it is over: WAL with `synchronous=FULL` (one fsync a commit).
   Only who asks for it by name (`unsafe_no_sync`) gets a file that is never synced.
4. After a fatal error every further transaction raises it again.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, insert

from . import schema
from .connecting import BUSY_TIMEOUT_S, connect
from .copying import copy_into
from .creation import create
from .errors import (
    SQL_ERRORS,
    DatabaseDamagedError,
    StorageBrokenError,
    StorageClosedError,
    StorageError,
    translate,
)
from .inspection import Owner, check_owner, inspect, opened_for_reading
from .lock import FileLock, take_lock
from .migrations import migrate
from .transaction import transaction, writing

CHECKPOINT_PAGES = 1_000
"""The WAL is written back when it holds this many pages of 4 KiB (SQLite's own default)."""
WAL_BYTES_MAX = 16 * 1024 * 1024
"""What remains of a WAL that one large transaction blew up."""

_PRAGMAS = (
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    f"busy_timeout = {round(BUSY_TIMEOUT_S * 1_000)}",
    "mmap_size = 0",
    f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"journal_size_limit = {WAL_BYTES_MAX}",
    "temp_store = MEMORY",
    "trusted_schema = OFF",
)


class Database:
    """An open database. Make one with `open_database`; use it from one thread at a time."""

    def __init__(self, path: Path, connection: Connection, lock: FileLock) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self._fatal: StorageError | None = None
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All of what happens inside is durable afterwards, or nothing of it happened.

        Raises:
            StorageError: of the kind that fits; a fatal one is raised again from now on.
        """
        self._check_usable()
        with self._translating(), transaction(self._connection):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Cursor]:
        """As `transaction`, for the writes of every commit. Raises the same."""
        self._check_usable()
        with self._translating(), writing(self._connection) as cursor:
            yield cursor

    def checkpoint(self) -> None:
        """Write the WAL back into the file and empty it. Raises StorageError."""
        self._check_usable()
        with self._translating():
            self._connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            self._connection.rollback()

    def snapshot(self, path: Path, *, between: Callable[[], None]) -> None:
        """Write all that is here into a new file; see `copying`.

        Raises:
            StorageError: there is no new file, and this database is as usable as before.
        """
        self._check_usable()
        copy_into(self._connection, path, between=between)

    def close(self) -> None:
        """Close the file, which writes the WAL back, and release the lock. May be repeated."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._translating():
                self._connection.close()
        finally:
            self._lock.release()

    def _check_usable(self) -> None:
        if self._fatal is not None:
            raise self._fatal.with_traceback(None)
        if self._closed:
            raise StorageClosedError(str(self.path))

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except SQL_ERRORS as error:
            meaning = translate(error, str(self.path))
            if meaning.fatal:
                self._fatal = meaning
            raise meaning from error


def open_database(
    path: Path, owner: Owner, *, unsafe_no_sync: bool = False, anew: bool = True
) -> Database:
    """Open or, if `anew`, make the database, at the newest schema version.

    Raises:
        CannotOpenError: one of its kinds; the file is as it was.
        DiskFullError, DiskFailedError: while creating or migrating it.
    """
    lock = take_lock(path)
    try:
        if inspect(path, owner) is None:
            _create(path, owner, allowed=anew)
        connection = _open(path, owner)
        if unsafe_no_sync:
            connection.exec_driver_sql("PRAGMA synchronous = OFF").close()
            connection.rollback()
        return Database(path, connection, lock)
    except SQL_ERRORS as error:
        lock.release()
        raise translate(error, str(path)) from error
    except BaseException:
        lock.release()
        raise


def copy_database(path: Path) -> Database:
    """A copy in memory, at the newest schema version; the file stays as it is, byte for byte.

    Raises:
        CannotOpenError: one of its kinds.
    """
    copy = connect(path, "mode=memory")
    try:
        with opened_for_reading(path) as source:
            taken, given = (one.connection.driver_connection for one in (copy, source))
            assert isinstance(taken, sqlite3.Connection)
            assert isinstance(given, sqlite3.Connection)
            given.backup(taken)
        migrate(copy)
    except SQL_ERRORS as error:
        copy.close()
        raise translate(error, str(path)) from error
    return Database(path, copy, FileLock.none(path))


def snapshot_database(path: Path, target: Path) -> None:
    """Write a database that nobody has open into a new file; its own stays as it is. Hold its lock.

    Raises:
        CannotOpenError, DiskFullError, DiskFailedError: there is no new file.
    """
    try:
        with opened_for_reading(path) as source:
            copy_into(source, target, between=lambda: None)
    except SQL_ERRORS as error:
        raise translate(error, str(path)) from error


def _create(path: Path, owner: Owner, *, allowed: bool) -> None:
    if not allowed:
        raise DatabaseDamagedError(str(path), "missing or empty, where it was in use before")
    if not path.exists() or path.stat().st_size == 0:
        create(path, lambda fresh: _open(fresh, owner))


def _open(path: Path, owner: Owner) -> Connection:
    connection = connect(path, "mode=rw")
    try:
        _configure(connection, path)
        steps = migrate(connection)
        claimed = _claim(connection, path, owner)
        if steps or claimed:
            # The file alone now says what it is and whose.
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            connection.rollback()
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: Connection, path: Path) -> None:
    for pragma in _PRAGMAS:
        connection.exec_driver_sql(f"PRAGMA {pragma}").close()
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    connection.rollback()
    if mode != "wal":
        raise StorageBrokenError(str(path), f"journal mode {mode} where WAL was asked for")


def _claim(connection: Connection, path: Path, owner: Owner) -> bool:
    with transaction(connection):
        if check_owner(connection, path, owner) is not None:
            return False
        connection.execute(
            insert(schema.meta),
            [{"key": "cluster", "value": owner.cluster}, {"key": "node", "value": owner.node}],
        )
        return True
