"""Version 2: the evidence of forks, kept with what settled them."""

from sqlalchemy import Connection

_STATEMENTS = (
    (
        "CREATE TABLE evidence (id BLOB NOT NULL PRIMARY KEY, kind INTEGER NOT NULL, proof BLOB"
        " NOT NULL, found_at_us INTEGER NOT NULL, reported_by BLOB, settled_at_us INTEGER,"
        " settled_epoch INTEGER, merge BLOB) WITHOUT ROWID"
    ),
)


def migrate(connection: Connection) -> None:
    """From version 1 to version 2."""
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
