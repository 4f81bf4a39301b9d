"""`kith backup` and `kith restore`: all of a node in one file, and back.

Both read and write the node's data directory themselves, because private keys never travel over
HTTP. A running node is asked for a snapshot of its database; one that does not run need not be.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from node.client import Json
from node.durability import DATABASE, restoring
from node.durability import backup as backups
from node.durability.archive import BackupError, Manifest
from node.keyfiles import KeyStoreError
from node.keystore import DirectoryInUseError
from protocol.identity import NodeId, parse_id, short_id
from storage import StorageError

from .doctor import passphrase_in
from .errors import DEGRADED, GOOD, UNKNOWN, CommandError, UsageError
from .options import Command
from .session import note, plain, session_of, show_json, text_of

SNAPSHOT_S = 600.0
"""How long a running node may take to write its snapshot, unless --timeout says otherwise."""
_SHOWN_BYTES_MIN = 16 * 1024 * 1024
"""Of smaller ones it is not worth saying how far they are."""
_MIB = 1024 * 1024


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Of whom, and where to."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup; replaced if it exists")
    _add_data_dir(parser)
    parser.add_argument(
        "--without-keys", action="store_true", help="leave the private keys out of it"
    )


def add_restore(parser: argparse.ArgumentParser) -> None:
    """What, and where to."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="what kith backup wrote")
    _add_data_dir(parser)
    parser.add_argument(
        "--force", action="store_true",
        help="also over another node, or over newer versions of its own; they are put aside",
    )  # fmt: skip
    parser.add_argument(
        "--alone", action="store_true",
        help="no peer is left that knows more: sign on at once (without FILE: what is there)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, required=True, metavar="DIR", help="the node's, on this machine"
    )
    parser.add_argument(
        "--key-passphrase-file", type=Path, metavar="FILE", help="opens keys that are encrypted"
    )


def run_backup(arguments: argparse.Namespace) -> int:
    """Take a backup, verified as a start would verify it."""
    data_dir: Path = arguments.data_dir
    passphrase = passphrase_in(arguments.key_passphrase_file)
    target: Path = arguments.file
    if not target.parent.is_dir() or target.is_dir():
        raise UsageError(f"{target} cannot be a file", hint="name one in a directory that is there")
    try:
        try:
            place = backups.snapshot_alone(data_dir)
        except DirectoryInUseError:
            place = _snapshot_of_running(arguments, data_dir)
        taken = backups.finish(
            place, data_dir, target=target, with_keys=not arguments.without_keys,
            passphrase=passphrase, progress=_progress,
        )  # fmt: skip
    except (BackupError, KeyStoreError, StorageError) as error:
        raise CommandError(plain(str(error)), DEGRADED, code="backup") from None
    if getattr(arguments, "json", False):
        show_json({**_shape(taken.manifest), "file": str(target), "bytes": taken.bytes})
    else:
        print(f"{target}: {_told(taken.manifest)}, {taken.bytes / _MIB:.1f} MiB")
    _note_problems(taken.problems)
    if not arguments.without_keys:
        note("it holds the node's private keys: whoever has it can be the node")
    return GOOD


def _snapshot_of_running(arguments: argparse.Namespace, data_dir: Path) -> Path:
    """Ask the node for a snapshot; the place in its data directory where it lies."""
    if not hasattr(arguments, "timeout"):
        arguments.timeout = SNAPSHOT_S
    with session_of(arguments) as session:
        document = session.document(session.call("POST", "/v1/backup"))
        place = data_dir / Path(text_of(document, "path")).parent.name
    if not place.name.startswith(backups.PLACE_PREFIX) or not (place / DATABASE).exists():
        raise CommandError(
            f"the node wrote {plain(text_of(document, 'path'))}, which is not in {data_dir}",
            DEGRADED,
            hint="does --api name the node whose --data-dir that is?",
            code="backup",
        )
    return place


def run_restore(arguments: argparse.Namespace) -> int:
    """Put a backup back, or say that nobody is left who could know more."""
    data_dir: Path = arguments.data_dir
    wish = restoring.Wish(
        force=arguments.force, alone=arguments.alone,
        passphrase=passphrase_in(arguments.key_passphrase_file),
    )  # fmt: skip
    if arguments.file is None and not arguments.alone:
        raise UsageError("which backup?", hint="kith restore FILE --data-dir DIR")
    if arguments.file is not None and not arguments.file.is_file():
        raise CommandError(f"{arguments.file}: there is no such file", UNKNOWN, code="not_found")
    try:
        if arguments.file is None:
            restoring.go_alone(data_dir)
            done = None
        else:
            done = restoring.restore(arguments.file, data_dir, wish, progress=_progress)
    except (BackupError, KeyStoreError, StorageError) as error:
        raise CommandError(plain(str(error)), DEGRADED, code="restore") from None
    if done is None:
        _say(arguments, {"data_dir": str(data_dir), "alone": True}, "it signs on at its next start")
        return GOOD
    kept = str(done.replaced) if done.replaced else None
    shape = {**_shape(done.manifest), "data_dir": str(data_dir), "alone": wish.alone}
    _say(arguments, {**shape, "replaced": kept}, f"{data_dir}: {_told(done.manifest)}")
    if kept:
        note(f"what was there is in {kept}")
    if not wish.alone:
        note("the node signs nothing before a peer has shown what it holds of it")
    if not wish.alone and not done.knows_peers:
        note("the backup knows no other node: if there is none, add --alone")
    _note_problems(done.problems)
    return GOOD


def _say(arguments: argparse.Namespace, shape: dict[str, Json], words: str) -> None:
    if getattr(arguments, "json", False):
        show_json(shape)
    else:
        print(plain(words))


def _progress(what: str, done: int, total: int) -> None:
    """On standard error, where a person looks on, for what takes long."""
    if not sys.stderr.isatty() or 0 < total < _SHOWN_BYTES_MIN:
        return
    share = f" {100 * done // total} %" if total else ""
    sys.stderr.write(f"\r\x1b[Kkith: {what}{share}")
    if done == total:
        sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


def _note_problems(problems: tuple[str, ...]) -> None:
    for problem in problems:
        note(f"{problem}; its peers will be asked for it")


def _shape(manifest: Manifest) -> dict[str, Json]:
    return {name: value for name, value in asdict(manifest).items() if name != "files"} | {
        "keys": manifest.has_keys
    }


def _told(manifest: Manifest) -> str:
    node: NodeId = parse_id(manifest.node)
    keys = "with its keys" if manifest.has_keys else "without its keys"
    return (
        f"node {short_id(node)} {keys}, own version {manifest.version}, {manifest.records} records "
        f"of {manifest.owners} owners, as of {manifest.taken_at}"
    )


COMMANDS = {
    "backup": Command(
        add_backup, run_backup,
        "example: kith backup a.kith --data-dir ./a\n"
        "A node that runs is asked for a snapshot (--api); DIR must be on this machine.",
    ),
    "restore": Command(
        add_restore, run_restore,
        "example: kith restore a.kith --data-dir ./a\n"
        "The node must not run. What was there is kept in DIR/replaced-TIME.",
    ),
}  # fmt: skip
