"""Backing a node up, whether it runs or not.

    runs           ask it: it writes a snapshot of its database into its data directory
    does not run   take its lock, and write the snapshot oneself
                   ─▶ copy its key files beside it ─▶ examine, as a start would ─▶ pack

A private key never travels over HTTP: whoever takes a backup reads the data directory himself, and
the rights of its files are what authorises him.

Rules this module keeps:

1. What is not whole is not packed.
2. A place for a snapshot is a directory of its own, mode 0700; what was left of one is removed when
   it is old, and when the node starts.
"""

import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from node import keystore
from node.keyfiles import KEY_FILE
from node.times import format_us
from node.version import VERSION
from protocol.identity import id_text
from storage import StorageError, snapshot_store

from . import DATABASE
from .archive import FORMAT, KEY_FILES, BackupError, Manifest, Progress, copy_keys, describe, pack
from .examination import Examination, examine

PLACE_PREFIX = "backup-"
LEFT_AFTER_S = 3_600.0
"""A snapshot that nobody has packed after so long was forgotten."""
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was written."""

    manifest: Manifest
    bytes: int
    problems: tuple[str, ...]
    """Branches of others that do not verify; the node asks its peers for them."""


def new_place(data_dir: Path) -> Path:
    """An empty directory for a snapshot. Raises OSError."""
    place = data_dir / f"{PLACE_PREFIX}{secrets.token_hex(6)}"
    place.mkdir(mode=0o700)
    return place


def remove_left(data_dir: Path, *, older_than_s: float = LEFT_AFTER_S) -> None:
    """Remove snapshots that nobody has packed."""
    for place in data_dir.glob(f"{PLACE_PREFIX}*"):
        if place.is_dir() and time.time_ns() / 1e9 - place.stat().st_mtime >= older_than_s:
            shutil.rmtree(place, ignore_errors=True)


def snapshot_alone(data_dir: Path) -> Path:
    """A snapshot of a node that does not run; the place where it lies.

    Raises:
        keystore.DirectoryInUseError: it runs; ask it.
        BackupError, StorageError: it cannot be taken.
    """
    if not (data_dir / DATABASE).exists():
        raise BackupError(data_dir, f"there is no {DATABASE}", "name a node's --data-dir")
    with keystore.lock(data_dir):
        remove_left(data_dir)
        place = new_place(data_dir)
        try:
            snapshot_store(data_dir / DATABASE, place / DATABASE)
        except StorageError:
            shutil.rmtree(place, ignore_errors=True)
            raise
    return place


def finish(
    place: Path,
    data_dir: Path,
    *,
    target: Path,
    with_keys: bool,
    passphrase: bytes | None,
    progress: Progress,
) -> Taken:
    """Pack a snapshot and the key files of its node, and remove the place.

    Raises:
        BackupError: something is not whole, or the backup cannot be written; there is none.
    """
    try:
        _copy_keys(data_dir, place)
        progress("examining", 0, 0)
        found = examine(place, passphrase=passphrase, read_only=True)
        if not found.sound:
            raise BackupError(data_dir, "; ".join(found.problems), "see: kith doctor")
        names = (DATABASE, *(KEY_FILES if with_keys else ()))
        manifest = _manifest(found, place, names)
        size = pack(target, place, manifest, progress=progress)
        return Taken(manifest, size, tuple(found.problems))
    except OSError as error:
        raise BackupError(data_dir, error.strerror or str(error)) from None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copy_keys(data_dir: Path, place: Path) -> None:
    """As they are together: a rotation meanwhile shows in the first of them, and we begin anew."""
    for _ in range(_TRIES):
        copy_keys(data_dir, place)
        current = data_dir / KEY_FILE
        if not current.exists() or current.read_bytes() == (place / KEY_FILE).read_bytes():
            return
    raise BackupError(data_dir, "its keys change all the time", "repeat it")


def _manifest(found: Examination, place: Path, names: tuple[str, ...]) -> Manifest:
    assert found.cluster is not None
    assert found.node is not None
    assert found.root is not None
    return Manifest(
        format=FORMAT,
        kith=VERSION,
        cluster=found.cluster.hex(),
        node=id_text(found.node),
        taken_at=format_us(time.time_ns() // 1_000),
        epoch=found.own.epoch,
        version=found.own.version,
        root=found.root.hex(),
        owners=found.owners,
        records=found.records,
        files=describe(place, names),
    )
