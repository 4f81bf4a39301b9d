"""Version 3: how far each peer has come in our commits, and which of them still wait for somebody.

The outbox begins empty: what was committed before this version, no peer was ever noted to hold, so
each is shown the state first in any case.
"""

from sqlalchemy import Connection

_STATEMENTS = (
    (
        "CREATE TABLE deliveries (peer BLOB NOT NULL PRIMARY KEY, held_epoch INTEGER NOT NULL,"
        " held_version INTEGER NOT NULL, stored_epoch INTEGER NOT NULL, stored_version INTEGER NOT"
        " NULL, since_us INTEGER NOT NULL, attempts INTEGER NOT NULL, next_try_us INTEGER NOT NULL,"
        " breaker INTEGER NOT NULL, score INTEGER NOT NULL, latency_us INTEGER NOT NULL)"
        " WITHOUT ROWID"
    ),
    "ALTER TABLE commits ADD COLUMN priority INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE commits ADD COLUMN size INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE commits ADD COLUMN parent BLOB",
    "ALTER TABLE own ADD COLUMN trim_epoch INTEGER NOT NULL DEFAULT -1",
    "ALTER TABLE own ADD COLUMN trim_version INTEGER NOT NULL DEFAULT 0",
    "UPDATE own SET trim_epoch = epoch, trim_version = version",
)


def migrate(connection: Connection) -> None:
    """From version 2 to version 3."""
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
