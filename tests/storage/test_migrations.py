"""Old files reach the newest version, step by step, whole or not at all."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect

from protocol.commits import Dot
from protocol.effects import KeepCommit
from storage import DatabaseDamagedError, schema
from storage.connecting import connect
from storage.migrations import MIGRATIONS, migrate, version_of

from .situations import ALICE, BOB, CLUSTER, commit, delivery, entries, open_alice, steps

VERSION_1 = """
PRAGMA application_id = 1265202280;
PRAGMA user_version = 1;
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE own (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), incarnation INTEGER NOT NULL,
  epoch INTEGER NOT NULL, version INTEGER NOT NULL);
CREATE TABLE branches (owner BLOB NOT NULL PRIMARY KEY, key_events BLOB NOT NULL, head BLOB,
  epoch INTEGER NOT NULL, version INTEGER NOT NULL, reaped INTEGER NOT NULL);
CREATE TABLE records (owner BLOB NOT NULL, kind INTEGER NOT NULL, key TEXT NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY (owner, kind, key)) WITHOUT ROWID;
CREATE TABLE commits (owner BLOB NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
  hash BLOB NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (owner, epoch, version));
CREATE TABLE results (sequence INTEGER NOT NULL PRIMARY KEY, update_id TEXT NOT NULL UNIQUE,
  owner BLOB NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
  body_hash BLOB NOT NULL, created_at_us INTEGER NOT NULL);
CREATE INDEX results_by_age ON results (created_at_us);
"""
"""As the first release wrote it. Never to be edited: files like this are out there."""


VERSION_2 = """
PRAGMA user_version = 2;
CREATE TABLE evidence (id BLOB NOT NULL PRIMARY KEY, kind INTEGER NOT NULL, proof BLOB NOT NULL,
  found_at_us INTEGER NOT NULL, reported_by BLOB, settled_at_us INTEGER, settled_epoch INTEGER,
  merge BLOB) WITHOUT ROWID;
"""
"""What the release after it added. Never to be edited either."""


def write_version_2(path: Path, own: list[KeepCommit]) -> None:
    """With these commits of the node's own."""
    write_version_1(path)
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_2)
    for keep in own:
        head = keep.commit.head
        row = (ALICE, head.epoch, head.version, head.hash, keep.commit.pack())
        connection.execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?)", row)
        changed = (head.pack(), head.version)
        connection.execute("UPDATE branches SET head = ?, version = ?", changed)
    connection.commit()
    connection.close()


def write_version_1(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)", [("cluster", CLUSTER), ("node", ALICE)]
    )
    connection.execute("INSERT INTO own VALUES (1, 5, 0, 42)")
    head = commit(ALICE, 42).head
    row = (ALICE, b"\x90", head.pack(), head.epoch, head.version, 0)
    connection.execute("INSERT INTO branches VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()


def opened(path: Path) -> Connection:
    path.touch()
    return connect(path, "mode=rw")


def add_retries(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE retries (peer BLOB)")


def fail_half_way(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE half (x)")
    raise RuntimeError("half-way")


def tables(connection: Connection) -> set[str]:
    found = set(inspect(connection).get_table_names())
    connection.rollback()
    return found


def test_file_of_the_first_version_opens_with_all_it_holds(tmp_path: Path) -> None:
    write_version_1(tmp_path / "kith.db")

    store = open_alice(tmp_path / "kith.db")

    loaded = store.load()
    assert (loaded.incarnation, loaded.last_dot) == (5, Dot(0, 42))
    assert loaded.branches[0].head == commit(ALICE, 42).head
    store.close()


def test_file_of_the_second_version_keeps_its_commits_and_begins_an_outbox(tmp_path: Path) -> None:
    own = steps(ALICE, 40, 4)
    write_version_2(tmp_path / "kith.db", own[:3])

    store = open_alice(tmp_path / "kith.db")

    loaded = store.load()
    (branch,) = loaded.branches
    assert branch.commits == tuple(keep.commit for keep in own[:3])
    assert (loaded.outbox, loaded.outbox_floor, loaded.deliveries) == ((), Dot(0, 42), ())
    store.write([own[3], delivery(BOB, 42)])
    loaded = store.load()
    assert (loaded.outbox, loaded.outbox_floor) == (entries(own[3:]), Dot(0, 42))
    assert loaded.deliveries == (delivery(BOB, 42).delivery,)
    store.close()


def test_new_file_goes_through_every_step(tmp_path: Path) -> None:
    connection = opened(tmp_path / "kith.db")

    assert version_of(connection) == 0
    assert migrate(connection, [*MIGRATIONS, add_retries]) == len(MIGRATIONS) + 1
    assert version_of(connection) == len(MIGRATIONS) + 1
    assert "retries" in tables(connection)
    assert migrate(connection, [*MIGRATIONS, add_retries]) == 0
    connection.close()


def test_only_the_missing_steps_are_done(tmp_path: Path) -> None:
    write_version_1(tmp_path / "kith.db")
    connection = opened(tmp_path / "kith.db")

    assert migrate(connection, [MIGRATIONS[0], add_retries]) == 1

    assert version_of(connection) == 2
    connection.close()


def test_failed_step_leaves_the_version_before_intact(tmp_path: Path) -> None:
    connection = opened(tmp_path / "kith.db")

    with pytest.raises(RuntimeError, match="half-way"):
        migrate(connection, [MIGRATIONS[0], fail_half_way])

    assert version_of(connection) == 1
    connection.rollback()
    assert "half" not in tables(connection)
    assert migrate(connection, [MIGRATIONS[0], add_retries]) == 1
    connection.close()


def test_half_an_identity_is_refused(tmp_path: Path) -> None:
    write_version_1(tmp_path / "kith.db")
    connection = sqlite3.connect(tmp_path / "kith.db")
    connection.execute("DELETE FROM meta WHERE key = 'node'")
    connection.commit()
    connection.close()

    with pytest.raises(DatabaseDamagedError, match="does not say whose"):
        open_alice(tmp_path / "kith.db")


def shape(connection: Connection) -> dict[str, object]:
    found = inspect(connection)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            [index["column_names"] for index in found.get_indexes(name)],
            [unique["column_names"] for unique in found.get_unique_constraints(name)],
        )
        for name in sorted(found.get_table_names())
    }


def test_the_steps_lead_to_the_tables_that_the_schema_describes(tmp_path: Path) -> None:
    migrated = opened(tmp_path / "kith.db")
    migrate(migrated)
    described = create_engine("sqlite://").connect()
    schema.metadata.create_all(described)

    assert shape(migrated) == shape(described)

    migrated.close()
    described.close()
