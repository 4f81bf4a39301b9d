"""A node's state in one SQLite file.

    write:  keeps ──plan──▶ what stands at the end ──▶ one transaction, one fsync
    load:   every row ──▶ `Loaded`, for the core to verify by its roots

Rules this module keeps:

1. Functions take and give values of `protocol` and `interface`, never a row.
2. One transaction a function. Nothing half done stays.
3. Own versions never go back: each own commit raises `own` in the transaction that stores it.
4. What is read back is checked for its form, not for its truth: that is the core's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection

from protocol import limits
from protocol.agreement.docket import Case, Settlement
from protocol.agreement.evidence import KeyFork, unpack_evidence, unpack_key_fork
from protocol.commits import (
    HASH_BYTES,
    NOTHING,
    Commit,
    Dot,
    Head,
    Record,
    digest,
    unpack_commit,
    unpack_head,
)
from protocol.effects import Keep, KeepEvidence
from protocol.errors import MalformedError
from protocol.identity import KEY_EVENTS_MAX, NODE_ID_BYTES, NodeId
from protocol.restored import RestoredBranch
from protocol.wire import codec

from . import statements
from .creation import sync
from .database import Database, copy_database, open_database, snapshot_database
from .errors import DatabaseDamagedError, DatabaseUnreachableError
from .inspection import Owner, inspect
from .interface import RESULTS_AGE_MAX_US, RESULTS_MAX, Loaded, Result, Statistics
from .plan import OwnerPlan, plan
from .reserve import Reserve, Reserved

_KEY_EVENT_BYTES_MAX = 512
_NO_KEY_EVENTS = codec.pack([])
_MUST_HEAR = "must-hear"
"""In `meta`: why this node has to hear of itself before it signs."""
_SUM_BYTES = 8
_TWO_HEADS, _TWO_KEY_EVENTS = 0, 1
"""Kinds of evidence: what of an owner cannot both stand."""

_Row: TypeAlias = tuple[object, ...]


class SqliteStore:
    """A `Store` in one file. Make one with `open_store`; use it from one thread at a time."""

    def __init__(self, database: Database, node: NodeId, reserve: Reserve) -> None:
        self._database = database
        self._node = node
        self._reserve = reserve

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
            return _load(connection, self._node, self._reserve.known)

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
        owners = plan(keeps)
        ours = owners.get(self._node)
        if ours is not None:
            self._reserve.cover(version=ours.highest.version)
        with self._database.transaction() as connection:
            _write_records(connection, owners)
            _write_commits(connection, owners, self._node)
            _write_branches(connection, owners)
            _write_evidence(connection, keeps)
            if ours is not None and ours.highest > NOTHING:
                dot = ours.highest
                connection.exec_driver_sql(statements.RAISE_OWN_DOT, (*dot, *dot))
            if results:
                _write_results(connection, results)

    def mark(self, must_hear: str) -> None:
        """Have each next start hear of itself first, or not; see `Store.mark`."""
        row = (_MUST_HEAR, must_hear.encode())
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
                return None if row is None else _read_result(row)

    def checkpoint(self) -> None:
        """Write the WAL back into the file and empty it."""
        self._database.checkpoint()

    def statistics(self) -> Statistics:
        """Sizes and counts. Counting reads whole indexes: ask once a minute, not once a second."""
        with self._database.transaction() as connection:
            branches, records, commits, results, evidence = (
                int(connection.exec_driver_sql(count).scalar_one()) for count in statements.COUNTS
            )
        return Statistics(
            file_bytes=_bytes_of(self._database.path),
            wal_bytes=_bytes_of(Path(f"{self._database.path}-wal")),
            branches=branches,
            records=records,
            commits=commits,
            results=results,
            evidence=evidence,
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
            return list(map(_read_result, connection.exec_driver_sql(statements.LOAD_RESULTS)))

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


def _read_result(row: Sequence[object]) -> Result:
    update_id, owner, name, id_, version, body_hash, created_at_us = row
    if not isinstance(body_hash, bytes):
        raise TypeError("a result of another type")
    result = Result(
        update_id=_text(update_id),
        owner=NodeId(_id(owner)),
        name=_text(name),
        id=_text(id_),
        version=_integer(version),
        body_hash=body_hash[:HASH_BYTES],
        created_at_us=_integer(created_at_us),
    )
    if body_hash[HASH_BYTES:] != _sum_of(result):
        raise ValueError("a result that is not what was written")
    return result


def _sum_of(result: Result) -> bytes:
    """Nobody signed it and no root covers it: without this, damage would be told to a client."""
    fields = (result.update_id, result.owner, result.name, result.id)
    packed = codec.pack([*fields, result.version, result.body_hash, result.created_at_us])
    return blake2b(packed, digest_size=_SUM_BYTES, person=b"kith/result").digest()


def _many(connection: Connection, statement: str, rows: Iterable[_Row]) -> None:
    listed = list(rows)
    if listed:
        connection.exec_driver_sql(statement, listed)


def _write_records(connection: Connection, owners: dict[NodeId, OwnerPlan]) -> None:
    dropped = [(owner,) for owner, its in owners.items() if its.drop_records]
    _many(connection, statements.REMOVE_RECORDS, dropped)
    removed: list[_Row] = []
    written: list[_Row] = []
    for owner, its in owners.items():
        for (kind, key), body in its.records.items():
            if body is not None:
                written.append((owner, kind, key, body))
            elif not its.drop_records:
                removed.append((owner, kind, key))
    _many(connection, statements.REMOVE_RECORD, removed)
    _many(connection, statements.SET_RECORD, written)


def _write_commits(connection: Connection, owners: dict[NodeId, OwnerPlan], own: NodeId) -> None:
    replaced = [
        (owner, *its.drop_commits_from)
        for owner, its in owners.items()
        if its.drop_commits_from is not None
    ]
    _many(connection, statements.REMOVE_COMMITS_FROM, replaced)
    written = [
        (owner, dot.epoch, dot.version, commit.head.hash, commit.pack())
        for owner, its in owners.items()
        for dot, commit in its.commits.items()
    ]
    _many(connection, statements.SET_COMMIT, written)
    grown = [(owner, owner) for owner, its in owners.items() if its.commits]
    _many(connection, statements.PRUNE_COMMITS, [row for row in grown if row[0] != own])
    _many(connection, statements.PRUNE_OWN_COMMITS, [row for row in grown if row[0] == own])


def _write_branches(connection: Connection, owners: dict[NodeId, OwnerPlan]) -> None:
    heads = [
        (owner, _NO_KEY_EVENTS, head.pack(), head.epoch, head.version, int(its.reaped))
        for owner, its in owners.items()
        if (head := its.head) is not None
    ]
    _many(connection, statements.SET_HEAD, heads)
    chains = [
        (owner, its.key_events, *NOTHING, 0)
        for owner, its in owners.items()
        if its.key_events is not None
    ]
    _many(connection, statements.SET_KEY_EVENTS, chains)


def _write_evidence(connection: Connection, keeps: Sequence[Keep]) -> None:
    for keep in keeps:
        if not isinstance(keep, KeepEvidence):
            continue
        case, settled = keep.case, keep.case.settlement
        kind = _TWO_KEY_EVENTS if isinstance(case.evidence, KeyFork) else _TWO_HEADS
        row = (case.id, kind, case.evidence.pack(), case.found_at, case.reported_by)
        merge = settled.merge.pack() if settled and settled.merge else None
        end = (settled.at, settled.epoch, merge) if settled else (None, None, None)
        connection.exec_driver_sql(statements.SET_EVIDENCE, (*row, *end))
        _many(connection, statements.REMOVE_EVIDENCE, [(dropped,) for dropped in keep.dropped])


def _write_results(connection: Connection, results: Sequence[Result]) -> None:
    rows: list[_Row] = [
        (
            result.update_id,
            result.owner,
            result.name,
            result.id,
            result.version,
            result.body_hash + _sum_of(result),
            result.created_at_us,
        )
        for result in results
    ]
    _many(connection, statements.ADD_RESULT, rows)
    oldest_us = max(result.created_at_us for result in results) - RESULTS_AGE_MAX_US
    connection.exec_driver_sql(statements.PRUNE_RESULTS_BY_AGE, (oldest_us,))
    connection.exec_driver_sql(statements.PRUNE_RESULTS_BY_NUMBER, (RESULTS_MAX,))


def _load(connection: Connection, node: NodeId, reserved: Reserved | None) -> Loaded:
    incarnation, epoch, version = connection.exec_driver_sql(statements.LOAD_OWN).one()
    last_dot = Dot(_integer(epoch, low=-1), _integer(version))
    commits: defaultdict[object, list[Commit]] = defaultdict(list)
    for row in connection.exec_driver_sql(statements.LOAD_COMMITS):
        commits[row[0]].append(_read_commit(*row))
    records: defaultdict[object, list[Record]] = defaultdict(list)
    for owner, kind, key, body in connection.exec_driver_sql(statements.LOAD_RECORDS):
        if not isinstance(key, str) or not isinstance(body, bytes):
            raise TypeError("a record of another type")
        records[owner].append(Record(_integer(kind), key, body))
    branches: list[RestoredBranch] = []
    for owner, key_events, head, *dot, reaped in connection.exec_driver_sql(
        statements.LOAD_BRANCHES
    ):
        branches.append(
            RestoredBranch(
                NodeId(_id(owner)),
                _read_key_events(key_events),
                _read_head(head, owner, tuple(dot)),
                tuple(commits.pop(owner, ())),
                tuple(records.pop(owner, ())),
                bool(_integer(reaped)),
            )
        )
        if branches[-1].reaped and branches[-1].records:
            raise ValueError("records of an owner whose records were dropped")
        if owner == node and tuple(dot) > last_dot:
            raise ValueError("our own last version is older than our own head")
    if commits or records:
        raise ValueError("commits or records of an owner who is not there")
    evidence = map(_read_case, connection.exec_driver_sql(statements.LOAD_EVIDENCE))
    reason = connection.exec_driver_sql(statements.FIND_META, (_MUST_HEAR,)).scalar()
    must_hear = reason.decode() if isinstance(reason, bytes) else ""
    version = reserved.version if reserved else None
    forgotten = last_dot == NOTHING and version is None
    if last_dot == NOTHING and version:
        last_dot = Dot(0, version)
    return Loaded(
        _integer(incarnation), last_dot, tuple(branches), tuple(evidence), must_hear, forgotten
    )


def _read_commit(owner: object, hash_: object, packed: bytes) -> Commit:
    commit = unpack_commit(packed)
    head = commit.head
    if (head.owner, head.hash, head.changes_hash) != (owner, hash_, digest(commit.changes_encoded)):
        raise ValueError("a commit of another owner, or not what was signed")
    return commit


def _read_case(row: Sequence[object]) -> Case:
    id_, kind, proof, found_at, reported_by, *end = row
    if kind not in (_TWO_HEADS, _TWO_KEY_EVENTS) or not isinstance(proof, bytes):
        raise TypeError("evidence of another type")
    case = Case(
        unpack_evidence(proof) if kind == _TWO_HEADS else unpack_key_fork(proof),
        _integer(found_at),
        None if reported_by is None else NodeId(_id(reported_by)),
        _read_settlement(*end),
    )
    if case.id != id_:
        raise ValueError("evidence under another id")
    return case


def _read_settlement(at: object, epoch: object, merge: object) -> Settlement | None:
    if at is None:
        return None
    if merge is not None and not isinstance(merge, bytes):
        raise TypeError("a merge of another type")
    return Settlement(_integer(at), _integer(epoch), unpack_head(merge) if merge else None)


def _read_key_events(packed: bytes) -> tuple[bytes, ...]:
    reader = codec.read(packed, "key events")
    return tuple(
        reader.raw("event", most=_KEY_EVENT_BYTES_MAX)
        for _ in range(min(len(reader), KEY_EVENTS_MAX))
    )


def _read_head(packed: bytes | None, owner: object, dot: tuple[object, ...]) -> Head | None:
    if packed is None:
        return None
    head = unpack_head(packed)
    if head.owner != owner or head.dot != dot:
        raise ValueError("a head of another owner or version")
    return head


def _integer(value: object, *, low: int = 0) -> int:
    if not isinstance(value, int) or not low <= value <= limits.VERSION_MAX:
        raise TypeError(f"not an integer in {low}..{limits.VERSION_MAX}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _id(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != NODE_ID_BYTES:
        raise TypeError("an owner that is no node id")
    return value


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
