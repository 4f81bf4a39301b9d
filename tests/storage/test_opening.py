"""What is refused when a database is opened, and that refusing changes nothing."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.identity import id_text
from protocol.signing import cluster_id
from storage import (
    CannotOpenError,
    DatabaseDamagedError,
    DatabaseLockedError,
    DatabaseTooNewError,
    DatabaseUnreachableError,
    StorageError,
    WrongClusterError,
    WrongNodeError,
    connecting,
    open_store,
)

from .situations import ALICE, BOB, CLUSTER, chain, footprint, keep, open_alice, result

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with something in it, closed."""
    found = tmp_path / "kith.db"
    store = open_alice(found)
    store.write([chain(BOB)], [result("u")])
    store.write([keep(ALICE, n, **{f"s{n}": b"x" * 900}) for n in range(1, 60)])
    store.begin_life()
    store.close()
    return found


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """The same of a process that died: the newest lies only in the -wal."""
    found = tmp_path / "kith.db"
    program = (
        "import os, sys; from pathlib import Path; from tests.storage.situations import *\n"
        "store = open_alice(Path(sys.argv[1]))\n"
        "store.write([keep(ALICE, n, web=b'x' * 900) for n in range(1, 60)])\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(found)], check=False)
    assert Path(f"{found}-wal").stat().st_size > 0
    return found


def expect_refused(path: Path, kind: type[StorageError]) -> StorageError:
    before = footprint(path.parent)

    with pytest.raises(kind) as caught:
        open_alice(path)

    assert footprint(path.parent) == before
    assert not path.with_name("kith.db.lock").exists()
    assert str(path) in str(caught.value)
    return caught.value


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
        connection.commit()
    connection.close()


def test_closed_database_leaves_no_wal_and_only_its_owner_may_read_it(path: Path) -> None:
    assert list(footprint(path.parent)) == ["kith.db", "versions.reserved"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_empty_file_becomes_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "kith.db").touch()

    store = open_alice(tmp_path / "kith.db")

    assert store.begin_life() == 1
    store.close()


def test_creation_that_was_cut_short_is_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "kith.db"
    change(path, "PRAGMA journal_mode = WAL")
    assert path.stat().st_size > 0

    store = open_alice(path)

    assert store.begin_life() == 1
    store.close()


def test_nothing_of_an_attempt_that_was_cut_short_is_taken_for_the_database(tmp_path: Path) -> None:
    """A journal beside an empty file would be rolled back into the new one."""
    for name in ("kith.db.new", "kith.db.new-wal", "kith.db.new-journal", "kith.db-journal"):
        (tmp_path / name).write_bytes(b"half a page")
    (tmp_path / "kith.db").touch()

    store = open_alice(tmp_path / "kith.db")

    assert store.begin_life() == 1
    store.close()
    assert list(footprint(tmp_path)) == ["kith.db", "versions.reserved"]
    assert stat.S_IMODE((tmp_path / "kith.db").stat().st_mode) == 0o600


def test_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kith.db"
    path.write_text("groceries: bread, milk, and something that fills more than a header\n" * 99)

    assert "does not start like" in str(expect_refused(path, DatabaseDamagedError))


def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    change(tmp_path / "kith.db", "CREATE TABLE bookmarks (url)")

    assert "another program" in str(expect_refused(tmp_path / "kith.db", DatabaseDamagedError))


@pytest.mark.parametrize("pages_left", [0.5, 1, 2, 5])
def test_truncated_file_is_refused(path: Path, pages_left: float) -> None:
    os.truncate(path, round(pages_left * PAGE))

    expect_refused(path, DatabaseDamagedError)


def test_file_that_lost_its_last_page_is_refused(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE)

    expect_refused(path, DatabaseDamagedError)


def test_file_emptied_beside_its_wal_is_refused(crashed: Path) -> None:
    os.truncate(crashed, 0)

    expect_refused(crashed, DatabaseDamagedError)


@pytest.mark.parametrize("page", range(1, 10))
def test_page_full_of_rubbish_is_refused(path: Path, page: int) -> None:
    overwrite(path, page * PAGE, random.Random(page).randbytes(PAGE))

    expect_refused(path, DatabaseDamagedError)


@pytest.mark.parametrize("offset", [0, 15, 16, 19, 21, 47, 59, 60, 68, 100, 103, 105])
def test_flipped_byte_in_the_header_is_refused(path: Path, offset: int) -> None:
    overwrite(path, offset, bytes([path.read_bytes()[offset] ^ 0xFF]))

    expect_refused(path, CannotOpenError)


def test_no_flipped_byte_anywhere_raises_anything_but_storage_errors(path: Path) -> None:
    whole = path.read_bytes()
    rng = random.Random(7)
    offsets = [*range(100), *(rng.randrange(len(whole)) for _ in range(150))]
    refused = 0
    for offset in offsets:
        path.write_bytes(whole)
        overwrite(path, offset, bytes([whole[offset] ^ (1 << rng.randrange(8))]))
        before = footprint(path.parent)
        try:
            store = open_alice(path)
        except CannotOpenError:
            refused += 1
            assert footprint(path.parent) == before, offset
            continue
        try:
            store.load()
        except StorageError:
            refused += 1
        finally:
            store.close()
    assert refused > 30


@pytest.mark.parametrize("version", [1, 2])
def test_version_that_does_not_fit_the_tables_is_refused_before_any_step(
    path: Path, version: int
) -> None:
    change(path, f"PRAGMA user_version = {version}")

    error = expect_refused(path, DatabaseDamagedError)

    assert f"not the tables of schema version {version}" in str(error)


def test_damage_after_a_crash_is_refused_with_the_wal_untouched(crashed: Path) -> None:
    overwrite(crashed, 0, b"rubbish")

    expect_refused(crashed, DatabaseDamagedError)


def test_row_that_is_not_what_was_written_is_refused_when_loaded(path: Path) -> None:
    change(path, "UPDATE branches SET head = x'00' WHERE head IS NOT NULL")
    store = open_alice(path)

    with pytest.raises(DatabaseDamagedError, match="a row cannot be read"):
        store.load()
    store.close()


def test_own_version_behind_the_own_head_is_refused_when_loaded(path: Path) -> None:
    # Going on from there would sign a version twice, which is a fork.
    change(path, "UPDATE own SET version = 3")
    store = open_alice(path)

    with pytest.raises(DatabaseDamagedError, match="older than our own head"):
        store.load()
    store.close()


def test_newer_schema_is_refused(path: Path) -> None:
    change(path, "PRAGMA user_version = 1000")

    error = expect_refused(path, DatabaseTooNewError)

    assert isinstance(error, DatabaseTooNewError)
    assert error.found_version == 1000


def test_another_cluster_is_refused_also_after_a_crash(crashed: Path) -> None:
    before = footprint(crashed.parent)

    with pytest.raises(WrongClusterError) as caught:
        open_store(crashed, cluster=cluster_id("other"), node=ALICE)

    assert footprint(crashed.parent) == before
    assert CLUSTER.hex()[:16] in str(caught.value)
    assert cluster_id("other").hex()[:16] in str(caught.value)


def test_another_node_is_refused(path: Path) -> None:
    before = footprint(path.parent)

    with pytest.raises(WrongNodeError) as caught:
        open_store(path, cluster=CLUSTER, node=BOB)

    assert footprint(path.parent) == before
    assert id_text(ALICE) in str(caught.value)
    assert id_text(BOB) in str(caught.value)


def test_second_opening_is_refused_and_names_the_process(path: Path) -> None:
    store = open_alice(path)

    with pytest.raises(DatabaseLockedError, match=f"process {os.getpid()}"):
        open_alice(path)

    assert store.begin_life() == 2
    store.close()
    open_alice(path).close()


def test_database_held_by_another_program_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "BUSY_TIMEOUT_S", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(DatabaseLockedError):
        open_alice(path)
    other.close()


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachableError, match="No such file or directory"):
        open_alice(tmp_path / "nowhere" / "kith.db")


def test_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kith.db").mkdir()

    with pytest.raises(DatabaseUnreachableError):
        open_alice(tmp_path / "kith.db")


def test_crashed_database_is_taken_up_with_everything(crashed: Path) -> None:
    store = open_alice(crashed)

    assert store.load().last_dot.version == 59
    store.close()
    assert list(footprint(crashed.parent)) == ["kith.db", "versions.reserved"]


def test_file_and_wal_are_judged_together_after_a_checkpoint_cut_short(crashed: Path) -> None:
    # A checkpoint that was cut leaves pages of the file half written; the -wal still has them.
    wal = Path(f"{crashed}-wal").read_bytes()
    frames = range(32, len(wal), 24 + PAGE)
    in_wal = {int.from_bytes(wal[start : start + 4], "big") for start in frames}
    torn = max(page for page in in_wal if page * PAGE <= crashed.stat().st_size)
    assert torn > 1
    overwrite(crashed, (torn - 1) * PAGE, b"\xff" * PAGE)

    store = open_alice(crashed)

    assert store.load().last_dot.version == 59
    store.close()


def test_every_commit_is_synced_and_the_file_is_ours_alone(path: Path) -> None:
    store = open_alice(path)
    connection = store._database._connection
    found = {
        name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("journal_mode", "synchronous", "locking_mode", "mmap_size", "foreign_keys")
    }
    connection.rollback()
    store.close()

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "locking_mode": "exclusive",
        "mmap_size": 0,
        "foreign_keys": 1,
    }


def test_path_with_odd_characters_works(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%e.db"

    open_alice(path).close()

    assert path.stat().st_size > 0
