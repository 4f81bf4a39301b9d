"""A backup as one file: a tar that any tar can read, and a checksum over all of it at its end.

    manifest.json │ kith.db │ identity.key │ identity.next │ … end of the tar │ seal

The seal is one line, `kith-backup FORMAT BLAKE2B-256`, behind the tar's own end, where tar programs
do not look. Each file's hash stands in the manifest as well, and is checked where it was put. What
a seal cannot tell is whether somebody wrote another one: that the content is what its owners signed
is judged by `examination`, after unpacking.

Rules this module keeps:

1. A backup is made whole or not at all: a temporary file, mode 0600, fsync, rename, fsync of the
   directory.
2. Of what is unpacked nothing is believed: only files that the manifest names, of names that a
   backup can have, of their sizes, as regular files, into an empty directory.
"""

import errno
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, BinaryIO

from node.keyfiles import AFTER_FILE, KEY_FILE, NEXT_FILE, sync_directory

from . import DATABASE

FORMAT = 1
ANOTHER = "take another backup"
"""What to do about one that is damaged."""
KEY_FILES = (KEY_FILE, NEXT_FILE, AFTER_FILE)
_NAMES = (DATABASE, *KEY_FILES)
_MANIFEST = "manifest.json"
_MANIFEST_BYTES_MAX = 64 * 1024
_MAGIC = b"kith-backup "
_SEAL_BYTES = len(_MAGIC) + 4 + 1 + 64 + 1
_CHUNK_BYTES = 1024 * 1024
_HASH_BYTES = 32

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many bytes of how many are."""


class BackupError(Exception):
    """A backup that cannot be written or used: which file, why, what to do; nothing was changed."""

    def __init__(self, path: Path, reason: str, remedy: str = "") -> None:
        super().__init__(f"{path}: {reason}" + (f"; {remedy}" if remedy else ""))
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """One file of a backup."""

    bytes: int
    blake2b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup is of. Written as JSON, in this order."""

    format: int
    kith: str
    """The version of the program that wrote it."""
    cluster: str
    """The cluster's id, hexadecimal."""
    node: str
    taken_at: str
    epoch: int
    version: int
    """Of the node's own newest commit."""
    root: str
    owners: int
    records: int
    files: Mapping[str, Packed]
    """By name."""

    @property
    def has_keys(self) -> bool:
        """Whether the private keys are in it."""
        return KEY_FILE in self.files


def describe(directory: Path, names: Sequence[str]) -> dict[str, Packed]:
    """Size and hash of those files that are there."""
    found = {}
    for name in names:
        path = directory / name
        if path.exists():
            with path.open("rb") as file:
                digest = _hash_of(file, path.stat().st_size, lambda *_: None, "")
            found[name] = Packed(bytes=path.stat().st_size, blake2b=digest)
    return found


def pack(target: Path, directory: Path, manifest: Manifest, *, progress: Progress) -> int:
    """Write a backup of the files that the manifest names; how many bytes it has.

    Raises:
        BackupError: it cannot be written; whatever was there before is.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        opened = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(opened, "w+b") as file:  # noqa: PTH123 (a descriptor, not a path)
                _write(file, directory, manifest, progress)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            beside.replace(target)
            sync_directory(target.parent)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(target, error) from None
    return size


def unpack(path: Path, into: Path, *, progress: Progress) -> Manifest:
    """Check a backup's seal, and put its files into an empty directory, durably.

    Raises:
        BackupError: it is no backup, cut short, altered, or of a later format; what `into` then
            holds is worthless.
    """
    try:
        with path.open("rb") as file:
            _check_seal(path, file, progress)
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r|") as tar:
                return _extract(path, tar, into, progress)
    except tarfile.TarError as error:
        raise BackupError(path, f"damaged: {error}", ANOTHER) from None
    except OSError as error:
        if error.filename == str(path):
            raise BackupError(path, error.strerror or str(error)) from None
        raise _unwritable(into, error) from None


def _write(file: BinaryIO, directory: Path, manifest: Manifest, progress: Progress) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        raw = json.dumps(asdict(manifest), indent=2).encode()
        tar.addfile(_entry(_MANIFEST, len(raw)), io.BytesIO(raw))
        for name, packed in manifest.files.items():
            progress(f"packing {name}", packed.bytes, packed.bytes)
            with (directory / name).open("rb") as source:
                tar.addfile(_entry(name, packed.bytes), source)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    digest = _hash_of(file, size, progress, "sealing")
    file.seek(0, os.SEEK_END)
    file.write(_seal(digest))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _seal(digest: str) -> bytes:
    return b"%s%04d %s\n" % (_MAGIC, FORMAT, digest.encode())


def _check_seal(path: Path, file: BinaryIO, progress: Progress) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _SEAL_BYTES))
    seal = file.read()
    file.seek(0)
    is_ours = file.read(len(_MANIFEST)) == _MANIFEST.encode()
    form = seal[len(_MAGIC) : len(_MAGIC) + 4]
    if not seal.startswith(_MAGIC) or not form.isdigit():
        if is_ours:
            raise BackupError(path, "cut short or damaged: its end is not a backup's", ANOTHER)
        raise BackupError(path, "it is no backup of kith", "name a file that kith backup wrote")
    file.seek(0)
    if seal != _seal(_hash_of(file, size - _SEAL_BYTES, progress, "checking")):
        if form != b"%04d" % FORMAT:
            raise BackupError(
                path, f"written in format {int(form)}, or damaged; this kith knows {FORMAT}",
                "use the kith that wrote it, or a later one",
            )  # fmt: skip
        raise BackupError(path, "damaged: its checksum does not fit", ANOTHER)


def _extract(path: Path, tar: tarfile.TarFile, into: Path, progress: Progress) -> Manifest:
    manifest: Manifest | None = None
    done = 0
    for entry in tar:
        source = tar.extractfile(entry) if entry.isreg() else None
        if source is None:
            raise BackupError(path, f"it holds {entry.name!r}, which is no file", ANOTHER)
        if manifest is None:
            manifest = _read_manifest(path, entry.name, source.read(_MANIFEST_BYTES_MAX))
            continue
        expected = manifest.files.get(entry.name)
        target = into / entry.name
        if expected is None or entry.size != expected.bytes or target.exists():
            raise BackupError(path, f"it holds {entry.name!r} other than it says", ANOTHER)
        if copy(source, target) != expected.blake2b:
            raise BackupError(path, f"damaged: {entry.name} has another hash", ANOTHER)
        done += entry.size
        progress("unpacking", done, sum(one.bytes for one in manifest.files.values()))
    missing = [name for name in manifest.files if not (into / name).exists()] if manifest else [""]
    if manifest is None or missing:
        raise BackupError(path, f"it lacks {missing[0] or _MANIFEST}", ANOTHER)
    sync_directory(into)
    return manifest


def _read_manifest(path: Path, name: str, raw: bytes) -> Manifest:
    """The first file of a backup."""
    try:
        document = json.loads(raw if name == _MANIFEST else b"")
        if document.get("format") != FORMAT:
            raise BackupError(
                path, f"written in format {document.get('format')}; this kith knows {FORMAT}",
                "use the kith that wrote it, or a later one",
            )  # fmt: skip
        files = {name: Packed(**packed) for name, packed in document.pop("files").items()}
        manifest = Manifest(**document, files=files)
    except (ValueError, TypeError, AttributeError, KeyError):
        raise BackupError(path, "its manifest cannot be read", ANOTHER) from None
    if DATABASE not in files or any(name not in _NAMES for name in files):
        raise BackupError(path, f"its manifest names {', '.join(sorted(files))}", ANOTHER)
    return manifest


def copy(source: IO[bytes], target: Path) -> str:
    """Write a new file, mode 0600, durably; its hash. Raises OSError."""
    digest = blake2b(digest_size=_HASH_BYTES)
    opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(opened, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def copy_keys(data_dir: Path, place: Path) -> None:
    """Leave in a place the key files of a directory, and no others. Raises OSError."""
    for name in KEY_FILES:
        (place / name).unlink(missing_ok=True)
        if (data_dir / name).exists():
            with (data_dir / name).open("rb") as source:
                copy(source, place / name)


def _hash_of(file: BinaryIO, size: int, progress: Progress, doing: str) -> str:
    digest = blake2b(digest_size=_HASH_BYTES)
    left = size
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
        progress(doing, size - left, size)
    return digest.hexdigest()


def _unwritable(path: Path, error: OSError) -> BackupError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BackupError(path, "there is no room on the disk", "free some, and repeat it")
    return BackupError(path, error.strerror or str(error), "name a place that can be written")
