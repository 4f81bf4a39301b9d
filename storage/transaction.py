"""One explicit transaction, on a connection whose driver starts none by itself.

The one that runs with every commit goes past SQLAlchemy, whose way to a statement takes as long as
SQLite needs to carry it out; its statements are compiled by Core all the same (`statements`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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


@contextmanager
def writing(connection: Connection) -> Iterator[sqlite3.Cursor]:
    """The same, with a cursor of the driver's: what is done there raises `sqlite3.Error`."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    cursor = driver.cursor()
    try:
        cursor.execute("BEGIN IMMEDIATE")
        yield cursor
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # what went wrong first is what counts
            driver.rollback()
        raise
    finally:
        cursor.close()
