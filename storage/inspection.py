"""Looking at a database file without changing a byte of it, to refuse what is not ours.

A clean file is opened `immutable`: no locks, no -wal, no -shm. After a crash a -wal lies beside
it, and only together are they whole (a checkpoint may have been cut); then it is opened read-only,
which reads both and leaves a -shm behind, and that is removed again. The caller holds the lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from protocol.identity import NodeId, id_text

from . import schema, wal
from .connecting import connect
from .errors import (
    SQL_ERRORS,
    DatabaseDamagedError,
    DatabaseTooNewError,
    DatabaseUnreachableError,
    StorageBrokenError,
    WrongClusterError,
    WrongNodeError,
    translate,
)
from .migrations import MIGRATIONS, migrate, version_of

WHOLE_CHECK_BYTES_MAX = 64 * 1024 * 1024
"""Up to here all indexes are compared with their tables, too; it takes some 10 ms a MiB."""
QUICK_CHECK_BYTES_MAX = 1024 * 1024 * 1024
"""A larger file is not checked whole at start: that would take longer than starting may."""

_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose database a file is to be."""

    cluster: bytes
    node: NodeId


def inspect(path: Path, expected: Owner | None = None) -> Owner | None:
    """Whose database is there: of `expected`, if that is given; None where there is none yet.

    Raises:
        CannotOpenError: one of its kinds; nothing was changed.
    """
    if _bytes_of(path) == 0:
        if _bytes_of(_beside(path, "-wal")) > 0:
            raise DatabaseDamagedError(str(path), "an empty file, with a -wal beside it")
        return None
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise DatabaseUnreachableError(str(path), f"{error.strerror}") from error
    if magic != _MAGIC:
        raise DatabaseDamagedError(str(path), "it does not start like a SQLite database")
    try:
        with opened_for_reading(path) as connection:
            owner = _check(connection, path, expected)
            _check_wal(path)
            return owner
    except SQL_ERRORS as error:
        meaning = translate(error, str(path))
        if isinstance(meaning, StorageBrokenError):
            # A table that is missing, a schema that cannot be parsed: our statements are sound.
            meaning = DatabaseDamagedError(str(path), meaning.found)
        raise meaning from error


def check_owner(connection: Connection, path: Path, expected: Owner | None) -> Owner | None:
    """Whose the file says that it is; None where it names nobody yet.

    Raises:
        WrongClusterError: it belongs to another cluster.
        WrongNodeError: it belongs to another node.
        DatabaseDamagedError: it says half.
    """
    rows = connection.execute(select(schema.meta.c.key, schema.meta.c.value))
    found: dict[str, object] = {row.key: row.value for row in rows}
    cluster, node = found.get("cluster"), found.get("node")
    if cluster is None and node is None:
        return None
    if not isinstance(cluster, bytes) or not isinstance(node, bytes):
        raise DatabaseDamagedError(str(path), "it does not say whose it is")
    owner = Owner(cluster, NodeId(node))
    if expected is not None and cluster != expected.cluster:
        raise WrongClusterError(
            str(path), found=cluster.hex()[:16], expected=expected.cluster.hex()[:16]
        )
    if expected is not None and node != expected.node:
        raise WrongNodeError(str(path), found=id_text(owner.node), expected=id_text(expected.node))
    return owner


def _check(connection: Connection, path: Path, expected: Owner | None) -> Owner | None:
    application = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
    version = version_of(connection)
    if application == 0 and version == 0 and not _has_tables(connection):
        return None  # its creation was cut short
    if application != schema.APPLICATION_ID:
        raise DatabaseDamagedError(
            str(path), f"a SQLite database of another program (application id {application:#x})"
        )
    if version > len(MIGRATIONS):
        raise DatabaseTooNewError(str(path), found=version, newest=len(MIGRATIONS))
    if version < 1:
        raise DatabaseDamagedError(str(path), f"schema version {version}")
    if not _fits(connection, path, version):
        raise DatabaseDamagedError(str(path), f"not the tables of schema version {version}")
    owner = check_owner(connection, path, expected)
    size = _bytes_of(path) + _bytes_of(_beside(path, "-wal"))
    if size <= QUICK_CHECK_BYTES_MAX:
        check = "integrity_check" if size <= WHOLE_CHECK_BYTES_MAX else "quick_check"
        verdict = connection.exec_driver_sql(f"PRAGMA {check}(1)").scalars().first()
        if verdict != "ok":
            raise DatabaseDamagedError(str(path), f"{check} says: {verdict}")
    return owner


def _check_wal(path: Path) -> None:
    shared = _beside(path, "-shm")
    if not shared.exists():
        return  # opened without a -wal
    lost = wal.transactions_lost(_beside(path, "-wal"), wal.frames_taken(shared))
    if lost > 1:  # the last may be torn by a crash, as it was not synced yet
        raise DatabaseDamagedError(
            str(path), f"its -wal is damaged, and {lost} transactions lie behind that place"
        )


def _has_tables(connection: Connection) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").first() is not None


def _fits(connection: Connection, path: Path, version: int) -> bool:
    """Whether the tables are those of that version; otherwise the steps from there would fail."""
    reference = connect(path, "mode=memory")
    try:
        migrate(reference, MIGRATIONS[:version])
        expected = _columns(reference)
        migrate(reference)
        return _columns(connection) & (expected | _columns(reference)) == expected
    finally:
        reference.close()


def _columns(connection: Connection) -> set[tuple[str, str]]:
    """Every table's name with each of its columns."""
    rows = connection.exec_driver_sql(
        "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c"
        " WHERE t.type = 'table'"
    )
    found = {(str(table), str(column)) for table, column in rows}
    connection.rollback()
    return found


@contextmanager
def opened_for_reading(path: Path) -> Iterator[Connection]:
    """The file, and the -wal that a crash left beside it, as they are. Hold the lock."""
    shared = _beside(path, "-shm")
    after_crash = _bytes_of(_beside(path, "-wal")) > 0
    leave_shared = shared.exists()
    try:
        connection = connect(path, "mode=ro" if after_crash else "immutable=1")
        try:
            yield connection
        finally:
            connection.close()
    finally:
        if after_crash and not leave_shared:
            shared.unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise DatabaseUnreachableError(str(path), f"{error.strerror}") from error
