"""A node's state in one SQLite file.

    write:  keeps ──plan──▶ what stands at the end ──▶ one transaction, one fsync
    load:   every row ──▶ `Loaded` (`loading`), for the core to verify by its roots

Rules this module keeps:

1. Functions take and give values of `protocol` and `interface`, never a row.
2. One transaction a function. Nothing half done stays.
3. Own versions never go back: each own commit raises `own` in the transaction that stores it.
4. What is read back is checked for its form, not for its truth: that is the core's.
5. All of our own commits after the trim mark are there, without a gap: whatever removes one of them
   first moves the mark up, in the same transaction.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from protocol.agreement.evidence import KeyFork
from protocol.commits import NOTHING, Commit, Dot, unpack_commit
from protocol.delivery.standing import Delivery, Priority
from protocol.effects import Keep, KeepCommit, KeepEvidence
from protocol.errors import MalformedError
from protocol.identity import NodeId
from protocol.wire import codec

from . import loading, statements
from .creation import sync
from .database import Database, copy_database, open_database, snapshot_database
from .errors import DatabaseDamagedError, DatabaseUnreachableError
from .inspection import Owner, inspect
from .interface import (
    OWN_COMMITS_KEPT,
    OWN_COMMITS_MAX,
    RESULTS_AGE_MAX_US,
    RESULTS_MAX,
    Loaded,
    Result,
    Statistics,
)
from .plan import OwnerPlan, plan
from .reserve import Reserve

_NO_KEY_EVENTS = codec.pack([])

_Row: TypeAlias = tuple[object, ...]

_OTHERS_COLUMNS: _Row = (int(Priority.NORMAL), 0, None)
"""Priority, size and parent where they mean nothing."""


class SqliteStore:
    """A `Store` in one file. Make one with `open_store`; use it from one thread at a time."""

    def __init__(self, database: Database, node: NodeId, reserve: Reserve) -> None:
        self._database = database
        self._node = node
        self._reserve = reserve
        self._own_commits: int | None = None
        """At most so many of ours are on disk; None: not counted yet."""

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self._database.path)

    def load(self) -> Loaded:
        """Everything, as it was after the newest `write`.

        Raises:
            DatabaseDamagedError: a row is not what was written.
        """
        with self._database.transaction() as connection, self._understanding():
            return loading.load(connection, self._node, self._reserve.known)

    def begin_life(self, *, at_least: int = 0) -> int:
        """Raise the incarnation, durably, and return it; see `Store.begin_life`."""
        with self._database.transaction() as connection:
            reserved = self._reserve.known
            least = max(at_least, reserved.incarnation + 1 if reserved else 0)
            connection.exec_driver_sql(statements.RAISE_INCARNATION, (least,))
            raised = int(connection.exec_driver_sql(statements.LOAD_OWN).one()[0])
            self._reserve.cover(incarnation=raised)
            return raised

    def write(self, keeps: Sequence[Keep], results: Sequence[Result] = ()) -> None:
        """Do all of it in order, in one transaction, durable on return; see `Store.write`."""
        planned = plan(keeps)
        owners = planned.owners
        ours = owners.get(self._node, OwnerPlan())
        own_commits = self._own_commits
        self._reserve.cover(version=ours.highest.version)
        with self._database.writing() as cursor:
            _write_records(cursor, owners)
            _write_commits(cursor, owners, self._node)
            _write_branches(cursor, owners)
            _write_evidence(cursor, keeps)
            _write_deliveries(cursor, planned.deliveries)
            if ours.highest > NOTHING:
                dot = ours.highest
                cursor.execute(statements.RAISE_OWN_DOT, (*dot, *dot))
            trim = max(planned.trim, ours.jumped)
            if ours.commits or trim > NOTHING:
                own_commits = self._prune_own(cursor, trim, added=len(ours.commits))
            if results:
                _write_results(cursor, results)
        self._own_commits = own_commits

    def recall(self, after: Dot, count: int, bytes_max: int) -> tuple[Commit, ...]:
        """Our own commits after that dot, oldest first; see `Store.recall`."""
        found: list[Commit] = []
        size = 0
        with self._database.transaction() as connection, self._understanding():
            rows = connection.exec_driver_sql(
                statements.RECALL_COMMITS, (self._node, *after, count)
            )
            for (packed,) in rows:
                size += len(packed)
                if found and size > bytes_max:
                    break
                found.append(unpack_commit(packed))
            rows.close()
        return tuple(found)

    def mark(self, must_hear: str) -> None:
        """Have each next start hear of itself first, or not; see `Store.mark`."""
        row = (loading.MUST_HEAR, must_hear.encode())
        with self._database.transaction() as connection:
            if must_hear:
                connection.exec_driver_sql(statements.SET_META, row)
            else:
                connection.exec_driver_sql(statements.REMOVE_META, row[:1])

    def find_result(self, update_id: str) -> Result | None:
        """What that update was answered with, if it is still remembered."""
        with self._database.transaction() as connection:
            row = connection.exec_driver_sql(statements.FIND_RESULT, (update_id,)).first()
            with self._understanding():
                return None if row is None else loading.read_result(row)

    def checkpoint(self) -> None:
        """Write the WAL back into the file and empty it."""
        self._database.checkpoint()

    def statistics(self) -> Statistics:
        """Sizes and counts. Counting reads whole indexes: ask once a minute, not once a second."""
        with self._database.transaction() as connection:
            branches, records, commits, results, evidence, deliveries = (
                int(connection.exec_driver_sql(count).scalar_one()) for count in statements.COUNTS
            )
            measured = connection.exec_driver_sql(statements.MEASURE_OUTBOX, (self._node,)).one()
        return Statistics(
            file_bytes=_bytes_of(self._database.path),
            wal_bytes=_bytes_of(Path(f"{self._database.path}-wal")),
            branches=branches,
            records=records,
            commits=commits,
            results=results,
            evidence=evidence,
            deliveries=deliveries,
            outbox=int(measured[0]),
            outbox_bytes=int(measured[1]),
        )

    def verify(self) -> list[str]:
        """What SQLite finds wrong with the file, indexes and all; it reads every page."""
        with self._database.transaction() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
            return [str(line) for line in found if line != "ok"]

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        with self._database.transaction() as connection:
            return {
                name: int(connection.exec_driver_sql(count).scalar_one())
                for name, count in statements.ROWS.items()
            }

    def results(self) -> list[Result]:
        """What is remembered of updates, by order of writing."""
        with self._database.transaction() as connection, self._understanding():
            return list(
                map(loading.read_result, connection.exec_driver_sql(statements.LOAD_RESULTS))
            )

    def snapshot(self, path: Path, *, between: Callable[[], None]) -> None:
        """Write all into a new database file; see `Store.snapshot`."""
        self._database.snapshot(path, between=between)

    def close(self) -> None:
        """Write the WAL back and let go of the file. May be repeated."""
        self._database.close()

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except (MalformedError, TypeError, ValueError) as error:
            raise DatabaseDamagedError(self.name, f"a row cannot be read: {error}") from error

    def _prune_own(self, cursor: sqlite3.Cursor, trim: Dot, *, added: int) -> int:
        """Drop what nobody needs of our own commits; returns how many stay, at most.

        They are counted only when they may be too many, so a commit costs the same whatever waits.
        """
        if trim > NOTHING:
            cursor.execute(statements.RAISE_TRIM, (*trim, *trim))
        stay = None if self._own_commits is None else self._own_commits + added
        if stay is None or stay > OWN_COMMITS_MAX:
            counted = cursor.execute(statements.COUNT_COMMITS, (self._node,))
            stay = int(counted.fetchone()[0])
        if stay > OWN_COMMITS_MAX:
            place = (self._node, OWN_COMMITS_KEPT)
            dot = cursor.execute(statements.FIND_NTH_NEWEST, place).fetchone()
            cursor.execute(statements.RAISE_TRIM, (*dot, *dot))
        pruned = cursor.execute(statements.PRUNE_OWN_COMMITS, (self._node, self._node))
        return stay - pruned.rowcount


def open_store(
    path: Path, *, cluster: bytes, node: NodeId, unsafe_no_sync: bool = False, anew: bool = False
) -> SqliteStore:
    """Open the store of that node in that cluster, or create it where there is none.

    With `unsafe_no_sync` nothing that it writes is durable, whatever it says. Where this node has
    signed before, a missing database is damage, and only made `anew` when that is asked for.

    Raises:
        CannotOpenError: one of its kinds; the file is as it was, byte for byte.
        DiskFullError, DiskFailedError: while creating or migrating it.
    """
    reserve = Reserve(path)
    signed = reserve.known is not None and bool(reserve.known.version)
    database = open_database(
        path, Owner(cluster, node), unsafe_no_sync=unsafe_no_sync, anew=anew or not signed
    )
    return SqliteStore(database, node, reserve)


def set_aside(path: Path, *, stamp: str) -> Path:
    """Move a damaged database out of the way, with its -wal; where it is now. Hold its lock.

    Raises:
        DatabaseUnreachableError: it cannot be moved.
    """
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        # The file first: without its -wal it could pass for a whole database of some time ago.
        for suffix in ("", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                beside.replace(aside.with_name(aside.name + suffix))
        sync(path.parent)
    except OSError as error:
        raise DatabaseUnreachableError(str(path), f"{error.strerror}") from error
    return aside


def whose(path: Path) -> tuple[bytes, NodeId] | None:
    """The cluster and node of a database, or None where there is none yet; nothing is changed.

    Raises:
        CannotOpenError: one of its kinds.
    """
    found = inspect(path)
    return None if found is None else (found.cluster, found.node)


def snapshot_store(path: Path, target: Path) -> None:
    """Write a store that nobody has open into a new file; its own is not changed. Hold its lock.

    Raises:
        CannotOpenError, DiskFullError, DiskFailedError: there is no new file.
    """
    snapshot_database(path, target)


def copy_store(path: Path, *, node: NodeId) -> SqliteStore:
    """A copy in memory of that node's store; its file is not changed. Hold its lock.

    Raises:
        CannotOpenError: one of its kinds.
    """
    return SqliteStore(copy_database(path), node, Reserve(path))


def _many(cursor: sqlite3.Cursor, statement: str, rows: Iterable[_Row]) -> None:
    listed = list(rows)
    if listed:
        cursor.executemany(statement, listed)


def _write_records(cursor: sqlite3.Cursor, owners: dict[NodeId, OwnerPlan]) -> None:
    dropped = [(owner,) for owner, its in owners.items() if its.drop_records]
    _many(cursor, statements.REMOVE_RECORDS, dropped)
    removed: list[_Row] = []
    written: list[_Row] = []
    for owner, its in owners.items():
        for (kind, key), body in its.records.items():
            if body is not None:
                written.append((owner, kind, key, body))
            elif not its.drop_records:
                removed.append((owner, kind, key))
    _many(cursor, statements.REMOVE_RECORD, removed)
    _many(cursor, statements.SET_RECORD, written)


def _write_commits(cursor: sqlite3.Cursor, owners: dict[NodeId, OwnerPlan], own: NodeId) -> None:
    replaced = [
        (owner, *its.drop_commits_from)
        for owner, its in owners.items()
        if its.drop_commits_from is not None
    ]
    _many(cursor, statements.REMOVE_COMMITS_FROM, replaced)
    written = [
        (*_commit_row(keep), *(_own_columns(keep) if owner == own else _OTHERS_COLUMNS))
        for owner, its in owners.items()
        for keep in its.commits.values()
    ]
    _many(cursor, statements.SET_COMMIT, written)
    grown = [(owner, owner) for owner, its in owners.items() if its.commits and owner != own]
    _many(cursor, statements.PRUNE_COMMITS, grown)


def _commit_row(keep: KeepCommit) -> _Row:
    head = keep.commit.head
    return head.owner, head.epoch, head.version, head.hash, keep.commit.pack()


def _own_columns(keep: KeepCommit) -> _Row:
    parents = keep.commit.head.parents
    size = len(keep.commit.changes_encoded)
    return int(keep.priority), size, parents[0] if parents else None


def _write_branches(cursor: sqlite3.Cursor, owners: dict[NodeId, OwnerPlan]) -> None:
    heads = [
        (owner, _NO_KEY_EVENTS, head.pack(), head.epoch, head.version, int(its.reaped))
        for owner, its in owners.items()
        if (head := its.head) is not None
    ]
    _many(cursor, statements.SET_HEAD, heads)
    chains = [
        (owner, its.key_events, *NOTHING, 0)
        for owner, its in owners.items()
        if its.key_events is not None
    ]
    _many(cursor, statements.SET_KEY_EVENTS, chains)


def _write_evidence(cursor: sqlite3.Cursor, keeps: Sequence[Keep]) -> None:
    for keep in keeps:
        if not isinstance(keep, KeepEvidence):
            continue
        case, settled = keep.case, keep.case.settlement
        kind = loading.TWO_KEY_EVENTS if isinstance(case.evidence, KeyFork) else loading.TWO_HEADS
        row = (case.id, kind, case.evidence.pack(), case.found_at, case.reported_by)
        merge = settled.merge.pack() if settled and settled.merge else None
        end = (settled.at, settled.epoch, merge) if settled else (None, None, None)
        cursor.execute(statements.SET_EVIDENCE, (*row, *end))
        _many(cursor, statements.REMOVE_EVIDENCE, [(dropped,) for dropped in keep.dropped])


def _write_deliveries(cursor: sqlite3.Cursor, deliveries: dict[NodeId, Delivery | None]) -> None:
    removed = [(peer,) for peer, delivery in deliveries.items() if delivery is None]
    _many(cursor, statements.REMOVE_DELIVERY, removed)
    rows: list[_Row] = [
        (
            one.peer,
            *one.held,
            *one.stored,
            one.since_us,
            one.attempts,
            one.next_try_us,
            int(one.breaker),
            one.score,
            one.latency_us,
        )
        for one in deliveries.values()
        if one is not None
    ]
    _many(cursor, statements.SET_DELIVERY, rows)


def _write_results(cursor: sqlite3.Cursor, results: Sequence[Result]) -> None:
    rows: list[_Row] = [
        (
            result.update_id,
            result.owner,
            result.name,
            result.id,
            result.version,
            result.body_hash + loading.sum_of(result),
            result.created_at_us,
        )
        for result in results
    ]
    _many(cursor, statements.ADD_RESULT, rows)
    oldest_us = max(result.created_at_us for result in results) - RESULTS_AGE_MAX_US
    cursor.execute(statements.PRUNE_RESULTS_BY_AGE, (oldest_us,))
    cursor.execute(statements.PRUNE_RESULTS_BY_NUMBER, (RESULTS_MAX,))


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
