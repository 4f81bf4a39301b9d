"""Version 1: branches, records, commits, our own life, results of updates."""

from sqlalchemy import Connection

_STATEMENTS = (
    "PRAGMA application_id = 0x4b697468",
    "CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE own (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),"
        " incarnation INTEGER NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL)"
    ),
    "INSERT INTO own (id, incarnation, epoch, version) VALUES (1, 0, -1, 0)",
    (
        "CREATE TABLE branches (owner BLOB NOT NULL PRIMARY KEY, key_events BLOB NOT NULL, head"
        " BLOB, epoch INTEGER NOT NULL, version INTEGER NOT NULL, reaped INTEGER NOT NULL)"
    ),
    (
        "CREATE TABLE records (owner BLOB NOT NULL, kind INTEGER NOT NULL, key TEXT NOT NULL,"
        " body BLOB NOT NULL, PRIMARY KEY (owner, kind, key)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE commits (owner BLOB NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT"
        " NULL, hash BLOB NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (owner, epoch, version))"
    ),
    (
        "CREATE TABLE results (sequence INTEGER NOT NULL PRIMARY KEY, update_id TEXT NOT NULL"
        " UNIQUE, owner BLOB NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT"
        " NULL, body_hash BLOB NOT NULL, created_at_us INTEGER NOT NULL)"
    ),
    "CREATE INDEX results_by_age ON results (created_at_us)",
)


def migrate(connection: Connection) -> None:
    """From an empty file to version 1."""
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
