"""Making a new database file: whole or not at all, whenever the power goes.

A file that is made in place has moments at which only half of its first page is on disk, or a
rollback journal lies beside it, and a start after a power cut would have to guess. So it is made
under another name, complete, and then given its own.

Rules this module keeps:

1. What an earlier attempt left is removed, durably, before anything new lies beside it.
2. The name stands only for a file that says whose it is, and is durable before anything else is.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from .errors import DatabaseUnreachableError, DiskFullError

_LEFT_BESIDE = ("-journal", "-wal", "-shm")


def create(path: Path, complete: Callable[[Path], Connection]) -> None:
    """Make the database; `complete` opens an empty file and makes it one that says whose it is.

    Raises:
        DatabaseUnreachableError, DiskFullError: `path` is as it was.
    """
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        for suffix in _LEFT_BESIDE:
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        sync(path.parent)
        # SQLite gives what lies beside a file the rights of that file.
        os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        complete(fresh).close()
        sync(fresh)
        fresh.replace(path)
        sync(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(str(path)) from error
        raise DatabaseUnreachableError(str(path), f"{error.strerror}") from error


def sync(path: Path) -> None:
    """Make a file's content, or a directory's entries, durable. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
