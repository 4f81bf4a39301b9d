"""The versions that this node may use, promised in a small file that outlives its database.

    versions.reserved:  kith-versions 1 VERSION INCARNATION CHECKSUM

A version is never used twice, or its owner forks. The database knows the last one; but it may be
damaged and made anew, and then the clock alone would be trusted, which may have been set back. So
no own commit with a version above the file's is written, and hence none is sent, before the file
says a higher one; it is raised an hour at a time, which costs its syncs once an hour. The same
holds for incarnations, at every start.

Rules this module keeps:

1. It never goes down.
2. It is made whole or not at all: a temporary file, fsync, rename, fsync of the folder.
3. A file that is damaged counts as lost, which is safe: nobody guesses what it said.
"""

import errno
import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from protocol import limits

from .creation import sync
from .errors import DatabaseUnreachableError, DiskFailedError, DiskFullError, StorageError

AHEAD_US = 3_600 * 1_000_000
"""How far ahead versions are reserved. A version is about a time in microseconds: after a rebuild
versions run ahead of the clock by at most this, and that harms nobody, as they only order."""

_MAGIC = "kith-versions 1"
_LOST = "lost"
_FILE_MAX = 256


@dataclass(frozen=True, slots=True)
class Reserved:
    """Nothing above these was ever signed."""

    version: int | None
    """None: whatever was signed was lost, and has not been heard of yet."""
    incarnation: int


class Reserve:
    """The file beside one database. Hold the database's lock."""

    NAME = "versions.reserved"

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(self.NAME)
        self._known = _read(self._path)

    @property
    def known(self) -> Reserved | None:
        """What the file says; None where it is lost, or was never made."""
        return self._known

    def begin(self) -> None:
        """Say that nothing was signed that anybody knows of; what is reserved already stays.

        Raises:
            StorageError: it cannot be written.
        """
        if self._known is None or self._known.version is None:
            self._write(Reserved(0, self._known.incarnation if self._known else 0))

    def cover(self, *, version: int = 0, incarnation: int = 0) -> None:
        """See to it that the file allows both, durably.

        Raises:
            DiskFullError: no room; nothing changed.
            StorageError: it cannot be written; fatal.
        """
        known = self._known or Reserved(None, 0)
        if version > (known.version or 0):
            ahead = min(version + AHEAD_US, limits.VERSION_MAX)
            self._write(Reserved(ahead, max(incarnation, known.incarnation)))
        elif incarnation > known.incarnation:
            self._write(Reserved(known.version, incarnation))

    def _write(self, reserved: Reserved) -> None:
        version = _LOST if reserved.version is None else reserved.version
        text = f"{_MAGIC} {version} {reserved.incarnation}"
        fresh = self._path.with_name(f"{self.NAME}.new")
        try:
            with open(fresh, "wb", opener=_private) as file:
                file.write(f"{text} {_checksum(text)}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            sync(self._path.parent)
        except OSError as error:
            raise _meaning(self._path, error) from error
        self._known = reserved


def _read(path: Path) -> Reserved | None:
    try:
        with path.open("rb") as file:
            line = file.read(_FILE_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatabaseUnreachableError(str(path), f"{error.strerror}") from error
    text, _, checksum = line.decode("ascii", "replace").removesuffix("\n").rpartition(" ")
    if checksum != _checksum(text) or not text.startswith(f"{_MAGIC} "):
        return None
    version, incarnation = text.removeprefix(f"{_MAGIC} ").split(" ")
    return Reserved(None if version == _LOST else int(version), int(incarnation))


def _checksum(text: str) -> str:
    return blake2b(text.encode(), digest_size=16, person=b"kith/versions").hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _meaning(path: Path, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(str(path))
    if error.errno == errno.EIO:
        return DiskFailedError(str(path), f"{error.strerror}")
    return DatabaseUnreachableError(str(path), f"{error.strerror}")
