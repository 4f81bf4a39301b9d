"""One process a database: an advisory lock on a file of its own beside it.

SQLite's own locks come too late: we look at a file before SQLite does, and closing any descriptor
of a file drops all POSIX locks that the process holds on it (sqlite.org/howtocorrupt.html, section
2.2). `flock` on another file has neither trouble, and the kernel releases it when the process dies.
"""

import fcntl
import os
from pathlib import Path

from .errors import DatabaseLockedError, DatabaseUnreachableError

_TRIES = 100


class FileLock:
    """Held from `take_lock` until `release`."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def none(cls, path: Path) -> "FileLock":
        """Of something that nobody else can have open."""
        return cls(path, -1)

    def release(self) -> None:
        """Let go, and remove the file. Repeating it is harmless."""
        if self._descriptor >= 0:
            # Removed while still locked: whoever opened it meanwhile sees that it is not the file
            # of that name any more, and tries again.
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def take_lock(database: Path) -> FileLock:
    """Lock `database` for this process; it need not exist, its folder must.

    Raises:
        DatabaseLockedError: somebody holds it, in this process or another.
        DatabaseUnreachableError: the folder is missing or may not be written.
    """
    path = database.with_name(database.name + ".lock")
    for _ in range(_TRIES):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnreachableError(str(database), f"{error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder else "another process"
            raise DatabaseLockedError(str(database), who) from None
        if _is_still(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
            return FileLock(path, descriptor)
        os.close(descriptor)
    raise DatabaseLockedError(str(database), "processes that start and end all the time")


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
