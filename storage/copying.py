"""Copying a database into a new file, page by page, while whoever has it open goes on writing.

By SQLite's online backup (sqlite.org/c3ref/backup_finish.html): what the same connection writes in
between is in the copy too, and the copy is consistent, as of its end. Not by VACUUM INTO, which
would hold up writes for all of its time.

Rule: nothing is synced. Whoever wants the copy to last puts it where it is to be, and syncs that.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, exc

from .connecting import connect
from .errors import DatabaseUnreachableError, translate

PAGES = 128
"""Pages of 4 KiB copied in one go: a write waits for a copy no longer than half a MiB takes."""


def copy_into(source: Connection, path: Path, *, between: Callable[[], None]) -> None:
    """Write all that `source` has into the new file `path`, calling `between` now and then.

    Raises:
        DatabaseUnreachableError, DiskFullError, DiskFailedError: there is no new file.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise DatabaseUnreachableError(str(path), f"{error.strerror}") from error
    try:
        with connect(path, "mode=rw") as copy:
            copy.exec_driver_sql("PRAGMA synchronous = OFF").close()
            copy.rollback()
            given, taken = (one.connection.driver_connection for one in (source, copy))
            assert isinstance(given, sqlite3.Connection)
            assert isinstance(taken, sqlite3.Connection)
            given.backup(taken, pages=PAGES, progress=lambda *_: between())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, exc.SQLAlchemyError | sqlite3.Error):
            raise translate(error, str(path)) from error
        raise
