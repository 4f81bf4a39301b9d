"""The files in which private keys lie: private, checked, sealed where there is a passphrase.

A file is `payload ‖ BLAKE2b-256(payload)`; the payload is a canonical array: magic, format, role,
cluster id, sealing, sealed content. Sealed means XSalsa20-Poly1305 (PyNaCl's SecretBox) under a key
from the passphrase by Argon2id (RFC 9106; 64 MiB and three passes, its section 4's second choice).
Role and cluster stand inside the seal once more, so that they cannot be exchanged outside.

Rules this module keeps:

1. A file is made whole or not at all: a temporary file, fsync, rename, fsync of the directory.
2. A file that is damaged, open to others, or of another cluster is refused and left as it is.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from protocol import identity, signing
from protocol.errors import MalformedError
from protocol.wire import codec

KEY_FILE = "identity.key"
NEXT_FILE = "identity.next"
AFTER_FILE = "identity.after"
FILE_MAX = 1024 * 1024
SEED_BYTES = 32
_MAGIC = b"kith-key"
_FORMAT = 1
_CHECKSUM_BYTES = 32
CURRENT, NEXT, AFTER = 0, 1, 2
_FILES = {CURRENT: KEY_FILE, NEXT: NEXT_FILE, AFTER: AFTER_FILE}
_PLAIN, _ARGON2ID = 0, 1
_PASSES = 3
_MEMORY_BYTES = 64 * 1024 * 1024
_PASSES_MAX = 16
_MEMORY_MAX_BYTES = 1024 * 1024 * 1024
"""What a file may ask of us: a damaged one must not take all memory."""
_DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")

Entropy = Callable[[int], bytes]


class KeyStoreError(Exception):
    """A key store that cannot be used: which file, why, what to do. Nothing was changed."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path}: {reason}; {remedy}")
        self.path = path
        self.reason = reason
        self.remedy = remedy


class SealedError(KeyStoreError):
    """The file is encrypted, and no passphrase was given."""


class Vault:
    """Reads and writes the key files of one directory."""

    def __init__(
        self, data_dir: Path, cluster: bytes, passphrase: bytes | None, entropy: Entropy
    ) -> None:
        self.cluster = cluster
        self.entropy = entropy
        self._data_dir = data_dir
        self._passphrase = passphrase
        self._open: dict[int, tuple[bytes, list[bytes]]] = {}
        """Contents read from files that are not encrypted."""
        self._derived: dict[tuple[bytes, int, int], bytes] = {}
        """One costly derivation serves both files, which share their salt."""

    def path(self, role: int) -> Path:
        """Where a file lies."""
        return self._data_dir / _FILES[role]

    def holds_a_database(self) -> bool:
        """Whether a node has run in this directory."""
        return any(found.suffix in _DATABASE_SUFFIXES for found in self._data_dir.iterdir())

    def read(self, role: int) -> tuple[bytes, list[bytes]] | None:
        """Seed and packed events, or None if there is no file."""
        path = self.path(role)
        data = _private_bytes(path)
        if data is None:
            return None
        try:
            return self._parsed(path, role, _checked(path, data))
        except MalformedError as error:
            raise damaged(path, str(error)) from None

    def write(self, role: int, seed: bytes, events: list[bytes]) -> None:
        """Write the file anew, sealed if there is a passphrase."""
        path, role = self.path(role), min(role, NEXT)  # the key after is the next one to be
        content = codec.pack([_FORMAT, role, self.cluster, seed, events])
        sealing, sealed = [_PLAIN], content
        if self._passphrase is not None:
            salt, passes, memory = self._parameters()
            box = SecretBox(self._key(salt, passes, memory))
            sealed = bytes(box.encrypt(content, self.entropy(SecretBox.NONCE_SIZE)))
            payload = codec.pack(
                [_MAGIC, _FORMAT, role, self.cluster, [_ARGON2ID, salt, passes, memory], sealed]
            )
        else:
            payload = codec.pack([_MAGIC, _FORMAT, role, self.cluster, sealing, sealed])
        _write_private(path, payload + _checksum(payload))

    def become_next(self) -> None:
        """The key after is the next one from now on."""
        try:
            self.path(AFTER).replace(self.path(NEXT))
            sync_directory(self._data_dir)
        except OSError as error:
            raise unusable(self.path(AFTER), error) from None
        if AFTER in self._open:
            self._open[NEXT] = self._open.pop(AFTER)

    def drop_after(self) -> None:
        """Undo a rotation that did not come as far as to count."""
        self._open.pop(AFTER, None)
        try:
            self.path(AFTER).unlink(missing_ok=True)
            sync_directory(self._data_dir)
        except OSError as error:
            raise unusable(self.path(AFTER), error) from None

    def seal_what_is_open(self) -> None:
        """Encrypt the files that were read in the clear, if there is a passphrase."""
        if self._passphrase is not None:
            for role, (seed, events) in self._open.items():
                self.write(role, seed, events)
        self._open.clear()

    def _parsed(self, path: Path, place: int, payload: bytes) -> tuple[bytes, list[bytes]]:
        role = min(place, NEXT)
        outer = codec.read(payload, "key file")
        outer.fixed("magic", len(_MAGIC))
        if outer.integer("format") != _FORMAT:
            raise KeyStoreError(path, "a newer Kith wrote it", "start that version")
        outer.integer("role", low=role, high=role)
        if outer.fixed("cluster", signing.CLUSTER_ID_BYTES) != self.cluster:
            raise KeyStoreError(
                path, "it belongs to another cluster", "check --cluster, or give another --data-dir"
            )
        sealing = outer.array("sealing", most=4)
        sealed = outer.raw("content", most=FILE_MAX)
        outer.end()
        is_plain = sealing.integer("kind", high=_ARGON2ID) == _PLAIN
        content = sealed if is_plain else self._unsealed(path, sealing, sealed)
        sealing.end()
        inner = codec.read(content, "key file content")
        inner.integer("format", low=_FORMAT, high=_FORMAT)
        inner.integer("role", low=role, high=role)
        if inner.fixed("cluster", signing.CLUSTER_ID_BYTES) != self.cluster:
            raise damaged(path, "it names two clusters")
        seed = inner.fixed("seed", SEED_BYTES)
        events = inner.raws("events", most=identity.KEY_EVENTS_MAX, each=FILE_MAX)
        inner.end()
        if is_plain:
            self._open[place] = seed, events
        return seed, events

    def _unsealed(self, path: Path, sealing: codec.Reader, sealed: bytes) -> bytes:
        salt = sealing.fixed("salt", argon2id.SALTBYTES)
        passes = sealing.integer("passes", low=1, high=_PASSES_MAX)
        memory = sealing.integer("memory", low=argon2id.MEMLIMIT_MIN, high=_MEMORY_MAX_BYTES)
        if self._passphrase is None:
            raise SealedError(path, "it is encrypted", "give --key-passphrase-file")
        try:
            return SecretBox(self._key(salt, passes, memory)).decrypt(sealed)
        except (CryptoError, ValueError):
            raise KeyStoreError(
                path, "it does not open with this passphrase", "check --key-passphrase-file"
            ) from None

    def _parameters(self) -> tuple[bytes, int, int]:
        for known in self._derived:
            return known
        return self.entropy(argon2id.SALTBYTES), _PASSES, _MEMORY_BYTES

    def _key(self, salt: bytes, passes: int, memory: int) -> bytes:
        assert self._passphrase is not None
        found = self._derived.get((salt, passes, memory))
        if found is None:
            found = argon2id.kdf(
                SecretBox.KEY_SIZE, self._passphrase, salt, opslimit=passes, memlimit=memory
            )
            self._derived[salt, passes, memory] = found
        return found


def _checked(path: Path, data: bytes) -> bytes:
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if len(data) > FILE_MAX or _MAGIC not in data[:16]:
        raise damaged(path, "it is not a key file")
    if _checksum(payload) != checksum:
        raise damaged(path, "its checksum is wrong")
    return payload


def _checksum(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_CHECKSUM_BYTES, person=b"kith/key-file").digest()


def _private_bytes(path: Path) -> bytes | None:
    """The file's bytes if only its user can read it; None if there is none."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(path, error) from None
    try:
        mode = os.fstat(opened).st_mode
        if not stat.S_ISREG(mode):
            raise KeyStoreError(path, "it is not a regular file", "move it away")
        if mode & 0o077:
            raise KeyStoreError(
                path,
                f"others may read or write it (mode {stat.S_IMODE(mode):04o})",
                f"run chmod 600 {path}, and rotate the key if others could have read it",
            )
        return _read_whole(opened)
    except OSError as error:
        raise unusable(path, error) from None
    finally:
        os.close(opened)


def _read_whole(opened: int) -> bytes:
    """All bytes, but no more than one past the limit."""
    parts: list[bytes] = []
    left = FILE_MAX + 1
    while left and (part := os.read(opened, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _write_private(path: Path, data: bytes) -> None:
    """Replace or make `path` with mode 0600, whole or not at all, and durably."""
    fresh = path.with_name(path.name + ".new")
    try:
        # Only the holder of the lock writes here, so one that is left is of a run that crashed.
        fresh.unlink(missing_ok=True)
        opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(opened, "wb") as file:
            os.fchmod(opened, 0o600)
            file.write(data)
            file.flush()
            os.fsync(opened)
        fresh.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise unusable(path, error) from None


def make_durable_directory(path: Path) -> None:
    """Make `path`, mode 0700, and what is missing above it; it is there after a power cut, too.

    Also if it is there already: who made it may have been ended before it was durable.

    Raises:
        OSError: it cannot be made.
    """
    missing = [above for above in path.parents if not above.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in (path, *missing):
        # A directory in which we may make but not list things cannot be synced by us.
        with suppress(PermissionError):
            sync_directory(made.parent)


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def damaged(path: Path, reason: str) -> KeyStoreError:
    """A file that is not what was written."""
    return KeyStoreError(path, f"the file is damaged: {reason}", "restore it from a backup")


def unusable(path: Path, error: OSError) -> KeyStoreError:
    """What the operating system refused, and what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some space" if full else "give a --data-dir that this user may write"
    return KeyStoreError(path, error.strerror or type(error).__name__, remedy)
