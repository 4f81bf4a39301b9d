"""One explicit transaction, on a connection whose driver starts none by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Everything inside is done, or nothing of it: rolled back when anything is raised.

    The driver's own transactions are off (`isolation_level=None`), because Python's sqlite3 starts
    them late and not before DDL. `IMMEDIATE` takes the write lock at once, so that no statement in
    the middle can find it taken.
    """
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
