"""Putting a backup back, so that the node goes on as if nothing had happened.

    lock ▶ unpack into restoring.tmp ▶ choose the keys ▶ examine, as a start would ▶ may it replace
    what is there? ▶ mark it ▶ rename to restoring ▶ old files aside ▶ new files in ▶ remove

Rules this module keeps:

1. Before the first file of the directory is touched, everything is unpacked, verified and durable.
2. Cut short before the rename, nothing has changed; after it, the node refuses to start until the
   restore is repeated (`check_whole`), because half of it may be there.
3. Nothing is deleted: what is replaced is kept in `replaced-<time>`.
4. The database is marked, so that the node signs nothing before it has heard of itself: its peers
   know what it did after the backup.
5. What lies beside a database goes with it, also where the database itself is gone: SQLite would
   replay a -wal of other days over the file that is put back.
6. Of two key files of one node the newer stays: with the older it would be shut out.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from node import keystore
from node.keyfiles import KeyStoreError, SealedError, sync_directory
from protocol.commits import Dot
from protocol.errors import MalformedError
from protocol.identity import KeyChain, NodeId, id_text, parse_id, short_id
from storage import Reserve, StorageError, copy_store, open_store, whose

from . import DATABASE
from .archive import ANOTHER, KEY_FILES, BackupError, Manifest, Progress, copy_keys, unpack
from .examination import examine

UNPACKING, SWITCHING = "restoring.tmp", "restoring"
_BESIDE = ("", "-wal", "-shm", "-journal")
_FORCE = "--force puts what is there aside and goes on"
_SEALED = "its key files are encrypted"
_PASSPHRASE = "give --key-passphrase-file FILE"  # noqa: S105 (names an option)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to."""

    manifest: Manifest
    replaced: Path | None
    """Where what was there lies now."""
    knows_peers: bool
    """Whether the backup names other nodes, which can be asked."""
    problems: tuple[str, ...]
    """Branches of others that do not verify; the node asks its peers for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a backup is to be put back."""

    force: bool = False
    """Also over another node, or over newer versions of its own."""
    alone: bool = False
    """No peer is left that could know more: sign on at once."""
    passphrase: bytes | None = None


def check_whole(data_dir: Path) -> None:
    """Refuse a directory in which a restore was cut short.

    Raises:
        BackupError: repeat the restore.
    """
    if (data_dir / SWITCHING).exists():
        raise BackupError(data_dir, "a restore was cut short here", "repeat kith restore")


def restore(path: Path, data_dir: Path, wish: Wish, *, progress: Progress) -> Restored:
    """Put a backup into a node's data directory.

    Raises:
        keystore.DirectoryInUseError: a node runs there.
        BackupError: the backup or the directory is not as it should be; nothing was changed.
        KeyStoreError, StorageError: the directory cannot be used; nothing was changed.
    """
    with keystore.lock(data_dir):
        place = data_dir / UNPACKING
        try:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=0o700)
            manifest = unpack(path, place, progress=progress)
            doomed = _choose_keys(path, manifest, place, data_dir, wish)
            if (data_dir / DATABASE).exists():
                _check_may_replace(manifest, data_dir, wish)
            doomed += [f"{DATABASE}{suffix}" for suffix in _BESIDE]
            progress("verifying", 0, 0)
            found = examine(place, passphrase=wish.passphrase)
            said = manifest.root, manifest.epoch, manifest.version
            is_same = said == ((found.root or b"").hex(), *found.own)
            if not found.sound or not is_same or found.keys != "good":
                reason = "; ".join(found.problems) or "it is not what its manifest says"
                raise BackupError(path, reason, ANOTHER)
            _mark(place, manifest, wish)
            replaced = _switch(place, data_dir, doomed)
        except OSError as error:
            raise BackupError(data_dir, error.strerror or str(error)) from None
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return Restored(manifest, replaced, found.owners > 1, tuple(found.problems))


def go_alone(data_dir: Path) -> None:
    """Have a node that waits to hear of itself wait no more: nobody is left who could tell it.

    Raises:
        keystore.DirectoryInUseError: it runs; end it first.
        BackupError, KeyStoreError, StorageError: nothing was changed.
    """
    if not (data_dir / DATABASE).exists():
        raise BackupError(data_dir, f"there is no {DATABASE}", "name a node's --data-dir")
    with keystore.lock(data_dir):
        check_whole(data_dir)
        owner = whose(data_dir / DATABASE)
        if owner is None:
            raise BackupError(data_dir, f"{DATABASE} is empty", "restore a backup first")
        store = open_store(data_dir / DATABASE, cluster=owner[0], node=owner[1])
        store.mark("")
        store.close()
        Reserve(data_dir / DATABASE).begin()


def _choose_keys(
    path: Path, manifest: Manifest, place: Path, data_dir: Path, wish: Wish
) -> list[str]:
    """Leave in the place the keys that are to count; the key files of the directory that go."""
    there, brought = _chains(path, manifest, place, data_dir, wish)
    if brought is None and there is None:
        raise BackupError(
            path, "it has no keys, and the directory has none of that node",
            "put its identity.key and identity.next there, mode 0600, and repeat it",
        )  # fmt: skip
    if there is None or (brought is not None and len(brought.events) > len(there.events)):
        return [name for name in KEY_FILES if (data_dir / name).exists()]
    copy_keys(data_dir, place)
    return []


def _chains(
    path: Path, manifest: Manifest, place: Path, data_dir: Path, wish: Wish
) -> tuple[KeyChain | None, KeyChain | None]:
    """The key events of that node in the directory, and in the backup, where there are any."""
    node, cluster = _node_of(path, manifest), bytes.fromhex(manifest.cluster)
    brought: KeyChain | None = None
    try:
        brought = keystore.examine(place, cluster, wish.passphrase)
        there = keystore.examine(data_dir, cluster, wish.passphrase)
    except SealedError:
        raise BackupError(path, _SEALED, _PASSPHRASE) from None
    except KeyStoreError as error:
        if error.path.parent == place:
            raise BackupError(path, f"its keys cannot be used ({error.reason})", ANOTHER) from None
        if not wish.force:
            raise BackupError(data_dir, f"keys cannot be used ({error})", _FORCE) from None
        return None, brought
    if there is not None and there.node != node:
        if not wish.force:
            reason = f"the keys of another node, {short_id(there.node)}, are there"
            raise BackupError(data_dir, reason, _FORCE)
        there = None
    return there, brought


def _check_may_replace(manifest: Manifest, data_dir: Path, wish: Wish) -> None:
    """Whether the database that is there may go. One that cannot be read may."""
    if wish.force:
        return
    try:
        owner = whose(data_dir / DATABASE)
        if owner is None:
            return
        cluster, node = owner
        if cluster.hex() != manifest.cluster or id_text(node) != manifest.node:
            raise BackupError(data_dir, f"the database of node {short_id(node)} is there", _FORCE)
        store = copy_store(data_dir / DATABASE, node=node)
        last = store.load().last_dot
        store.close()
    except StorageError:
        return
    if last > Dot(manifest.epoch, manifest.version):
        raise BackupError(
            data_dir,
            f"its database is newer than the backup (own version {last.version}, not "
            f"{manifest.version})",
            _FORCE,
        )


def _mark(place: Path, manifest: Manifest, wish: Wish) -> None:
    reason = "" if wish.alone else f"restored from the backup of {manifest.taken_at}"
    store = open_store(
        place / DATABASE, cluster=bytes.fromhex(manifest.cluster), node=parse_id(manifest.node)
    )
    store.mark(reason)
    store.close()
    sync_directory(place)


def _switch(place: Path, data_dir: Path, doomed: list[str]) -> Path | None:
    staged = data_dir / SWITCHING
    shutil.rmtree(staged, ignore_errors=True)
    place.replace(staged)
    sync_directory(data_dir)
    going = [name for name in doomed if (data_dir / name).exists()]
    aside: Path | None = None
    if going:
        aside = data_dir / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        aside.mkdir(mode=0o700)
        for name in going:
            (data_dir / name).replace(aside / name)
        sync_directory(aside)
        sync_directory(data_dir)
    for name in (*KEY_FILES, DATABASE):
        if (staged / name).exists():
            (staged / name).replace(data_dir / name)
    sync_directory(data_dir)
    shutil.rmtree(staged)
    sync_directory(data_dir)
    return aside


def _node_of(path: Path, manifest: Manifest) -> NodeId:
    try:
        bytes.fromhex(manifest.cluster)
        return parse_id(manifest.node)
    except (ValueError, MalformedError):
        raise BackupError(path, "its manifest names no node", ANOTHER) from None
