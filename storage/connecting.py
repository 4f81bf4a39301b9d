"""SQLAlchemy connections to one SQLite file."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

BUSY_TIMEOUT_S = 2.0
"""How long to wait while another program (a backup, a curious operator) reads the file."""


def connect(path: Path, query: str) -> Connection:
    """Open the file with a URI query such as `mode=rw` (sqlite.org/uri.html).

    The connection may be used by one thread at a time, not by one thread only. Closing it closes
    the file.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: SQLite refused.
    """
    uri = f"file:{quote(str(path.absolute()))}?{query}"
    engine = create_engine(
        "sqlite+pysqlite://",
        poolclass=NullPool,
        creator=lambda: sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
        ),
    )
    return engine.connect()
