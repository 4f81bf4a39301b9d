"""Backups of directories that no node uses, put back: what may be replaced, and what never is."""

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from node import keystore
from node.durability import DATABASE, archive
from node.durability.archive import BackupError, pack, unpack
from node.durability.backup import PLACE_PREFIX, finish, remove_left, snapshot_alone
from node.durability.examination import State, examine
from node.durability.restoring import SWITCHING, UNPACKING, Wish, check_whole, go_alone, restore
from node.keyfiles import KEY_FILE, NEXT_FILE, KeyStoreError
from storage import open_store
from tests.cluster.situations import LARGE, say

from .directories import CLUSTER, fill, live, service, setup
from .test_archive import quiet

LOAD = 10_000 if LARGE else 100


def taken(data_dir: Path, name: str = "backup", *, with_keys: bool = True) -> Path:
    """A backup of a directory, beside it."""
    target = data_dir.with_name(name)
    finish(
        snapshot_alone(data_dir), data_dir, target=target, with_keys=with_keys, passphrase=None,
        progress=quiet,
    )  # fmt: skip
    return target


def put(backup: Path, data_dir: Path, *, force: bool = False, alone: bool = False) -> Path | None:
    wish = Wish(force=force, alone=alone)
    return restore(backup, data_dir, wish, progress=quiet).replaced


def refused(backup: Path, data_dir: Path, *, force: bool = False) -> str:
    """Why; the directory is as it was."""
    before = contents(data_dir)
    with pytest.raises((BackupError, KeyStoreError)) as error:
        put(backup, data_dir, force=force)
    assert contents(data_dir) == before
    return str(error.value)


def contents(data_dir: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data_dir)): path.read_bytes()
        for path in sorted(data_dir.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def go_on(data_dir: Path) -> None:
    """The node lives on, and registers something more."""
    identity = keystore.load_or_create(data_dir, CLUSTER, None)
    store = open_store(data_dir / DATABASE, cluster=CLUSTER, node=identity.node)
    store.begin_life()
    loaded, fresh = store.load(), setup(identity.chain, identity.keys)
    lived = replace(fresh, restored=loaded.branches, last_dot=loaded.last_dot)
    live(lived, [service("later", 1)], store)
    store.close()


def must_hear(data_dir: Path) -> str:
    identity = keystore.load_or_create(data_dir, CLUSTER, None)
    store = open_store(data_dir / DATABASE, cluster=CLUSTER, node=identity.node)
    loaded = store.load()
    store.close()
    return loaded.must_hear


def test_a_backup_put_into_an_empty_directory_is_the_node_again(tmp_path: Path) -> None:
    node = fill(tmp_path / "a")
    before = examine(tmp_path / "a", read_only=True)
    backup = taken(tmp_path / "a")
    assert list((tmp_path / "a").glob(f"{PLACE_PREFIX}*")) == [], "nothing is left behind"

    assert put(backup, tmp_path / "b") is None

    found = examine(tmp_path / "b")
    assert (found.state, found.node, found.keys) == (State.GOOD, node, "good")
    assert (found.own, found.root, found.records) == (before.own, before.root, before.records)
    assert found.results == before.results
    assert must_hear(tmp_path / "b").startswith("restored from the backup of 20")
    assert [path.name for path in (tmp_path / "b").glob("re*")] == []


def test_alone_it_is_not_marked_and_the_mark_can_be_taken_off_later(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    put(backup, tmp_path / "b", alone=True)
    assert must_hear(tmp_path / "b") == ""
    put(backup, tmp_path / "c")

    go_alone(tmp_path / "c")

    assert must_hear(tmp_path / "c") == ""
    with pytest.raises(BackupError, match="there is no"):
        go_alone(tmp_path / "d")


def test_a_wal_whose_database_is_gone_is_not_replayed_over_the_one_put_back(tmp_path: Path) -> None:
    node = fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    before = examine(tmp_path / "a", read_only=True)
    store = open_store(tmp_path / "a" / DATABASE, cluster=CLUSTER, node=node)
    store.begin_life()
    left = (tmp_path / "a" / f"{DATABASE}-wal").read_bytes()  # as kill -9 would leave it
    assert left
    store.close()
    (tmp_path / "a" / DATABASE).unlink()
    (tmp_path / "a" / f"{DATABASE}-wal").write_bytes(left)

    aside = put(backup, tmp_path / "a")

    assert aside is not None
    assert (aside / f"{DATABASE}-wal").read_bytes() == left
    assert must_hear(tmp_path / "a") != ""
    assert examine(tmp_path / "a").own == before.own


def test_what_was_there_is_kept_aside(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    (tmp_path / "a" / f"{DATABASE}-wal").write_bytes(b"")
    before = (tmp_path / "a" / DATABASE).read_bytes()

    aside = put(backup, tmp_path / "a")

    assert aside is not None
    assert aside.parent == tmp_path / "a"
    assert (aside / DATABASE).read_bytes() == before
    assert not (aside / KEY_FILE).exists(), "the keys stay where they are"
    assert not (tmp_path / "a" / f"{DATABASE}-wal").exists()
    assert examine(tmp_path / "a").state is State.GOOD


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    with keystore.lock(tmp_path / "a"):
        assert "uses this directory" in refused(backup, tmp_path / "a", force=True)
        with pytest.raises(keystore.DirectoryInUseError):
            snapshot_alone(tmp_path / "a")
        with pytest.raises(keystore.DirectoryInUseError):
            go_alone(tmp_path / "a")


def test_newer_versions_and_other_nodes_are_replaced_only_by_force(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    backup = taken(tmp_path / "a")
    go_on(tmp_path / "a")

    assert "newer than the backup" in refused(backup, tmp_path / "a")
    assert "keys of another node" in refused(backup, tmp_path / "b")
    for name in (KEY_FILE, NEXT_FILE):
        (tmp_path / "b" / name).unlink()
    assert "the database of node" in refused(backup, tmp_path / "b")

    for name in "ab":
        assert put(backup, tmp_path / name, force=True) is not None
        assert examine(tmp_path / name).own == examine(tmp_path / "a").own


def test_by_force_the_keys_of_another_node_go_aside_too(tmp_path: Path) -> None:
    node = fill(tmp_path / "a")
    fill(tmp_path / "b")
    theirs = (tmp_path / "b" / KEY_FILE).read_bytes()

    aside = put(taken(tmp_path / "a"), tmp_path / "b", force=True)

    assert aside is not None
    assert (aside / KEY_FILE).read_bytes() == theirs
    assert keystore.load_or_create(tmp_path / "b", CLUSTER, None).node == node


def test_a_damaged_database_needs_no_force(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    (tmp_path / "a" / DATABASE).write_bytes(b"groceries")

    aside = put(backup, tmp_path / "a")

    assert aside is not None
    assert (aside / DATABASE).read_bytes() == b"groceries"
    assert examine(tmp_path / "a").state is State.GOOD


def test_the_newer_keys_of_a_node_stay(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    rotated = keystore.rotate(tmp_path / "a", CLUSTER, None)

    put(backup, tmp_path / "a")

    assert keystore.load_or_create(tmp_path / "a", CLUSTER, None).chain == rotated.chain
    assert examine(tmp_path / "a").keys == "good"


def test_the_newer_keys_of_a_backup_replace_the_older(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    old = {name: (tmp_path / "a" / name).read_bytes() for name in (KEY_FILE, NEXT_FILE)}
    rotated = keystore.rotate(tmp_path / "a", CLUSTER, None)
    backup = taken(tmp_path / "a")
    for name, content in old.items():
        (tmp_path / "a" / name).write_bytes(content)

    put(backup, tmp_path / "a")

    assert keystore.load_or_create(tmp_path / "a", CLUSTER, None).chain == rotated.chain


def test_without_keys_it_needs_those_of_the_directory(tmp_path: Path) -> None:
    node = fill(tmp_path / "a")
    backup = taken(tmp_path / "a", with_keys=False)
    (tmp_path / "b").mkdir(mode=0o700)
    assert "has no keys" in refused(backup, tmp_path / "b")

    for name in (KEY_FILE, NEXT_FILE):
        (tmp_path / "b" / name).write_bytes((tmp_path / "a" / name).read_bytes())
        (tmp_path / "b" / name).chmod(0o600)
    put(backup, tmp_path / "b")

    assert examine(tmp_path / "b").node == node


def test_keys_that_are_encrypted_need_their_passphrase(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    keystore.load_or_create(tmp_path / "a", CLUSTER, b"secret")
    backup = taken(tmp_path / "a")
    assert "key-passphrase-file" in refused(backup, tmp_path / "b")

    restore(backup, tmp_path / "b", Wish(passphrase=b"secret"), progress=quiet)

    assert examine(tmp_path / "b", passphrase=b"secret").keys == "good"


def altered(backup: Path, statement: str) -> None:
    """As by somebody who knows how a backup is made, and has none of the private keys."""
    place = backup.with_name("altering")
    place.mkdir()
    manifest = unpack(backup, place, progress=quiet)
    connection = sqlite3.connect(place / DATABASE, isolation_level=None)
    connection.execute(statement)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    files = archive.describe(place, tuple(manifest.files))
    fields = {name: getattr(manifest, name) for name in archive.Manifest.__slots__}
    pack(backup, place, archive.Manifest(**{**fields, "files": files}), progress=quiet)


OURS = "owner = (SELECT value FROM meta WHERE key = 'node')"
ALTERED = {
    "a record": "UPDATE records SET body = x'00' WHERE OURS AND kind = 1",
    "one record less": "DELETE FROM records WHERE OURS AND key = 'web/web-1'",
    "the head of another": "UPDATE branches SET head = (SELECT max(head) FROM branches)",
    "no key events": "UPDATE branches SET key_events = x'90' WHERE OURS",
    "no branch": "DELETE FROM branches WHERE OURS",
    "a later version of ours": "UPDATE branches SET version = version + 1 WHERE OURS",
    "another node": "UPDATE meta SET value = zeroblob(32) WHERE key = 'node'",
    "another cluster": "UPDATE meta SET value = zeroblob(32) WHERE key = 'cluster'",
    "a record of another": "UPDATE records SET body = x'00' WHERE NOT (OURS)",
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_on_purpose_is_not_what_was_signed(what: str, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    altered(backup, ALTERED[what].replace("OURS", OURS))
    (tmp_path / "b").mkdir(mode=0o700)

    assert refused(backup, tmp_path / "b")
    assert contents(tmp_path / "b") == {}


def test_what_is_not_whole_is_not_packed(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    connection = sqlite3.connect(tmp_path / "a" / DATABASE)
    connection.execute(ALTERED["a record"].replace("OURS", OURS))
    connection.commit()
    connection.close()

    with pytest.raises(BackupError, match="kith doctor"):
        taken(tmp_path / "a")

    assert not (tmp_path / "backup").exists()
    assert list((tmp_path / "a").glob(f"{PLACE_PREFIX}*")) == []
    with pytest.raises(BackupError, match="there is no"):
        snapshot_alone(tmp_path / "nothing")


def test_a_restore_that_was_cut_short_is_noticed_and_can_be_repeated(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    (tmp_path / "a" / UNPACKING).mkdir()
    check_whole(tmp_path / "a")
    (tmp_path / "a" / SWITCHING).mkdir()
    (tmp_path / "a" / DATABASE).rename(tmp_path / "a" / SWITCHING / DATABASE)
    with pytest.raises(BackupError, match="repeat kith restore"):
        check_whole(tmp_path / "a")

    put(backup, tmp_path / "a")

    check_whole(tmp_path / "a")
    assert examine(tmp_path / "a").state is State.GOOD
    assert not (tmp_path / "a" / UNPACKING).exists()


def test_snapshots_that_nobody_packed_are_removed_in_time(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    place = snapshot_alone(tmp_path / "a")
    remove_left(tmp_path / "a")
    assert place.exists()

    remove_left(tmp_path / "a", older_than_s=0.0)

    assert not place.exists()


class Interrupted(BaseException):
    """As Ctrl-C, at a moment that the test chose."""


def test_interrupted_before_the_switch_nothing_has_changed(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    backup = taken(tmp_path / "a")
    before, seen = contents(tmp_path / "a"), set[str]()

    for what in ("checking", "unpacking", "verifying"):

        def interrupt(doing: str, _done: int, _total: int, *, at: str = what) -> None:
            seen.add(doing)
            if doing == at:
                raise Interrupted

        with pytest.raises(Interrupted):
            restore(backup, tmp_path / "a", Wish(), progress=interrupt)
        assert contents(tmp_path / "a") == before
        check_whole(tmp_path / "a")
    assert seen == {"checking", "unpacking", "verifying"}


def test_cut_short_at_any_step_of_the_switch_it_is_as_before_or_asks_to_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a")
    keystore.rotate(tmp_path / "a", CLUSTER, None)
    backup = taken(tmp_path / "a")
    expected = examine(tmp_path / "a", read_only=True)
    rename, outcomes, step = Path.replace, list[str](), 0
    while "done" not in outcomes:
        data_dir, left = tmp_path / f"b{step}", step
        fill(data_dir)
        old = (data_dir / DATABASE).read_bytes()

        def cut(source: Path, target: Path, *, home: Path = data_dir) -> Path:
            nonlocal left
            if source.is_relative_to(home) and "kith.db.new" not in source.name:
                left -= 1
                if left < 0:
                    raise Interrupted
            return rename(source, target)

        monkeypatch.setattr(Path, "replace", cut)
        try:
            put(backup, data_dir, force=True)
            outcomes.append("done")
        except Interrupted:
            outcomes.append(state_of(data_dir, old))
        finally:
            monkeypatch.undo()
        put(backup, data_dir, force=True)
        found = examine(data_dir)
        assert (found.state, found.own, found.root) == (State.GOOD, expected.own, expected.root)
        assert old in contents(data_dir).values(), "what was there is kept"
        step += 1
    assert outcomes[0] == "as before"
    assert {*outcomes[1:-1]} == {"to be repeated"}
    assert len(outcomes) >= 8


def state_of(data_dir: Path, old: bytes) -> str:
    try:
        check_whole(data_dir)
    except BackupError:
        return "to be repeated"
    return "as before" if (data_dir / DATABASE).read_bytes() == old else "half"


def test_how_long_it_takes(tmp_path: Path) -> None:
    """With `KITH_TEST_LOAD=large` and 10,000 records; `-s` shows it."""
    fill(tmp_path / "a", own=LOAD // 2, theirs=LOAD // 2)
    begun = time.perf_counter()
    backup = taken(tmp_path / "a")
    packed = time.perf_counter()
    put(backup, tmp_path / "b")
    done = time.perf_counter()

    say(
        f"{LOAD} records, {backup.stat().st_size / 2**20:.1f} MiB: backed up and verified in "
        f"{packed - begun:.2f} s, verified and put back in {done - packed:.2f} s"
    )
    assert examine(tmp_path / "b").records == examine(tmp_path / "a").records >= LOAD
