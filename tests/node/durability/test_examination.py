"""What `kith doctor` finds in data directories, good and bad, and that it leaves them alone."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from node import keystore
from node.durability import DATABASE
from node.durability.examination import Examination, State, examine

from .directories import CLUSTER, fill

ROOT = Path(__file__).parents[3]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    fill(tmp_path / "n")
    return tmp_path / "n"


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """Of a node that died: the newest lies only in the -wal."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from tests.node.durability import directories as d\n"
        "d.SqliteStore.close = lambda _: os._exit(9)\n"
        "d.fill(Path(sys.argv[1]))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "n")], check=False, cwd=ROOT)
    assert (tmp_path / "n" / f"{DATABASE}-wal").stat().st_size > 0
    return tmp_path / "n"


def footprint(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.iterdir())
    }


def services(found: Examination) -> dict[str, str]:
    return {f"{one.name}/{one.id}": one.update_id for one in found.services()}


def change(directory: Path, statement: str) -> None:
    with sqlite3.connect(directory / DATABASE) as connection:
        connection.execute(statement)
        connection.commit()
    connection.close()


def test_a_good_directory_is_good_and_all_that_it_holds_is_told(directory: Path) -> None:
    found = examine(directory)

    assert (found.state, found.problems, found.keys) == (State.GOOD, [], "good")
    assert (found.cluster, found.incarnation, found.owners, found.records) == (CLUSTER, 1, 2, 12)
    assert found.own == found.last
    assert services(found) == {f"web/web-{n}": f"u-web-{n}" for n in range(5)}
    assert [one.update_id for one in found.results] == [f"u-web-{n}" for n in range(5)]
    assert found.rows["results"] == 5
    assert found.sizes[DATABASE] > 0
    assert found.free_bytes > 0


@pytest.mark.parametrize("read_only", [False, True])
def test_looking_at_a_clean_directory_changes_nothing(directory: Path, *, read_only: bool) -> None:
    before = footprint(directory)

    assert examine(directory, read_only=read_only).state is State.GOOD

    after = footprint(directory)
    assert {**after, "lock": ""} == {**before, "lock": ""}


def test_what_a_crash_left_in_the_wal_is_taken_in(crashed: Path) -> None:
    found = examine(crashed)

    assert (found.state, found.problems) == (State.RECOVERED, [])
    assert len(services(found)) == 5
    assert not (crashed / f"{DATABASE}-wal").exists()
    assert examine(crashed).state is State.GOOD


def test_reading_only_sees_the_wal_and_leaves_it(crashed: Path) -> None:
    before = footprint(crashed)

    found = examine(crashed, read_only=True)

    assert (found.state, found.problems) == (State.RECOVERED, [])
    assert len(services(found)) == 5
    assert footprint(crashed) == before


def test_reading_only_leaves_an_older_schema_as_it_is(directory: Path) -> None:
    for table in ("evidence", "deliveries"):
        change(directory, f"DROP TABLE {table}")
    added = {"commits": ("priority", "size", "parent"), "own": ("trim_epoch", "trim_version")}
    for table, columns in added.items():
        for column in columns:
            change(directory, f"ALTER TABLE {table} DROP COLUMN {column}")
    change(directory, "PRAGMA user_version = 1")
    before = footprint(directory)

    found = examine(directory, read_only=True)

    assert (found.state, len(services(found))) == (State.GOOD, 5)
    assert footprint(directory) == before


def test_a_directory_that_a_node_uses_is_not_touched(directory: Path) -> None:
    with keystore.lock(directory):
        before = footprint(directory)
        found = examine(directory)

        assert found.state is State.IN_USE
        assert f"process {os.getpid()}" in found.problems[0]
        assert footprint(directory) == before
        assert examine(directory, read_only=True).state is State.IN_USE


def test_what_is_not_there_is_absent(tmp_path: Path) -> None:
    assert examine(tmp_path / "nowhere").state is State.ABSENT
    assert not (tmp_path / "nowhere").exists()
    keystore.load_or_create(tmp_path, CLUSTER, None)
    assert examine(tmp_path).state is State.ABSENT
    (tmp_path / DATABASE).touch()
    assert examine(tmp_path).state is State.ABSENT


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE records SET body = CAST(body || x'00' AS BLOB) WHERE key = 'web/web-1'",
            "our own branch does not verify",
        ),
        ("UPDATE records SET key = CAST(x'ff2f' AS TEXT) WHERE key = 'db/db-1'", "not UTF-8"),
        ("DELETE FROM records WHERE key = 'db/db-1'", "does not verify"),
        ("UPDATE branches SET head = x'00'", "a row cannot be read"),
        ("UPDATE own SET version = 3", "older than our own head"),
        ("UPDATE results SET owner = x'00'", "a row cannot be read"),
        ("DROP TABLE commits", "not the tables of schema version"),
        ("UPDATE meta SET value = zeroblob(32) WHERE key = 'node'", "key files are those of node"),
    ],
)
def test_what_does_not_verify_is_damaged(directory: Path, statement: str, problem: str) -> None:
    change(directory, statement)

    found = examine(directory)

    assert found.state is State.DAMAGED
    assert problem in "\n".join(found.problems)


def test_an_index_that_does_not_fit_its_table_is_damaged(directory: Path) -> None:
    with sqlite3.connect(directory / DATABASE) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'results_by_age'")
        connection.commit()
    connection.close()

    found = examine(directory)

    assert found.state is State.DAMAGED


def test_damaged_and_missing_key_files_are_named(directory: Path) -> None:
    key = directory / "identity.key"
    whole = key.read_bytes()
    key.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    damaged = examine(directory)
    key.unlink()
    missing = examine(directory)

    assert (damaged.state, damaged.keys) == (State.DAMAGED, "damaged")
    assert "its checksum is wrong" in damaged.problems[0]
    assert (missing.state, missing.keys) == (State.DAMAGED, "absent")


def test_sealed_keys_are_no_damage_and_a_passphrase_opens_them(directory: Path) -> None:
    keystore.load_or_create(directory, CLUSTER, b"secret")

    assert (examine(directory).state, examine(directory).keys) == (State.GOOD, "sealed")
    assert examine(directory, passphrase=b"secret").keys == "good"
    assert examine(directory, passphrase=b"wrong").state is State.DAMAGED


def test_a_database_of_another_cluster_shows_in_its_keys(directory: Path) -> None:
    change(directory, "UPDATE meta SET value = zeroblob(32) WHERE key = 'cluster'")

    found = examine(directory)

    assert found.state is State.DAMAGED
    assert "belongs to another cluster" in found.problems[0]
