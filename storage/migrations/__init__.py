"""How a file reaches the newest schema version: forward only, one transaction a step.

Each step is a module `mNNNN_what.py` with a function `migrate(connection)`; its place in
`MIGRATIONS` is the version that it leads to. SQLite's `user_version` says how far a file is.

Rules for steps:

1. A released step is never edited. Its SQL is written out, not derived from `schema`, which moves.
2. A step runs inside a transaction that also sets `user_version`; if it fails, the file stays whole
   at the version before.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from sqlalchemy import Connection

from storage.transaction import transaction

from . import m0001_first, m0002_evidence, m0003_delivery

Migration: TypeAlias = Callable[[Connection], None]

MIGRATIONS: tuple[Migration, ...] = (
    m0001_first.migrate,
    m0002_evidence.migrate,
    m0003_delivery.migrate,
)
"""The step at index `n` leads from version `n` to `n + 1`."""


def version_of(connection: Connection) -> int:
    """The schema version of the open file; 0 is an empty one."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring the file to the newest version; returns how many steps that took.

    Whatever a step raises passes through, with the steps before it done and itself undone.
    """
    before = version_of(connection)
    connection.rollback()
    for version in range(before, len(migrations)):
        with transaction(connection):
            migrations[version](connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {version + 1}")
    return max(0, len(migrations) - before)
