"""The SQL of every write and read, built with SQLAlchemy Core and compiled once.

Compiled here rather than at each call, so that a lone commit costs its fsync and little more: the
driver's own cursor, or `Connection.exec_driver_sql`, hands the rows straight to SQLite. Parameters
go by position: those of an upsert in the order of its columns, those of the others as their comment
says.
"""

from collections.abc import Sequence

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Integer,
    Select,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import sqlite

from protocol.limits import HEADERS_KEPT, OWN_STEPS_KEPT

from .schema import (
    branches,
    commits,
    deliveries,
    evidence,
    meta,
    metadata,
    own,
    records,
    results,
)

_DIALECT = sqlite.dialect(paramstyle="qmark")


def _compiled(statement: ClauseElement, columns: Sequence[str] | None = None) -> str:
    names = None if columns is None else list(columns)
    return str(statement.compile(dialect=_DIALECT, column_keys=names))


def _upsert(
    statement: sqlite.Insert, columns: Sequence[str], *, key: Sequence[str], sets: Sequence[str]
) -> str:
    changed = [(name, statement.excluded[name]) for name in sets]
    return _compiled(
        statement.on_conflict_do_update(index_elements=list(key), set_=dict(changed)), columns
    )


_HEAD = ("head", "epoch", "version", "reaped")
_COMMIT_KEY = ("owner", "epoch", "version")
_RECORD_KEY = ("owner", "kind", "key")
_OWNER: BindParameter[bytes] = bindparam("owner_is")

SET_HEAD = _upsert(
    sqlite.insert(branches), ("owner", "key_events", *_HEAD), key=("owner",), sets=_HEAD
)
"""An owner known before keeps its key events."""

SET_KEY_EVENTS = _upsert(
    sqlite.insert(branches),
    ("owner", "key_events", "epoch", "version", "reaped"),
    key=("owner",),
    sets=("key_events",),
)
"""An owner known before keeps its head."""

SET_RECORD = _upsert(
    sqlite.insert(records), (*_RECORD_KEY, "body"), key=_RECORD_KEY, sets=("body",)
)

REMOVE_RECORD = _compiled(
    delete(records).where(
        records.c.owner == _OWNER, records.c.kind == bindparam("k"), records.c.key == bindparam("n")
    )
)
"""Owner, kind, key."""

REMOVE_RECORDS = _compiled(delete(records).where(records.c.owner == _OWNER))
"""Owner."""

_COMMIT = ("hash", "packed", "priority", "size", "parent")

SET_COMMIT = _upsert(
    sqlite.insert(commits), (*_COMMIT_KEY, *_COMMIT), key=_COMMIT_KEY, sets=_COMMIT
)

_DOT = tuple_(commits.c.epoch, commits.c.version)
_TRIM = tuple_(own.c.trim_epoch, own.c.trim_version)


def _nth_newest(place: int | BindParameter[int]) -> Select[tuple[int, int]]:
    """The dot of an owner's commit at that place, counted from 0 at the newest."""
    return (
        select(commits.c.epoch, commits.c.version)
        .where(commits.c.owner == bindparam("same_owner"))
        .order_by(commits.c.epoch.desc(), commits.c.version.desc())
        .limit(literal_column("1"))
        .offset(literal_column(str(place)) if isinstance(place, int) else place)
    )


def _older_than(bound: Select[tuple[int, int]]) -> str:
    older = _DOT < bound.scalar_subquery()  # noqa: SIM300 (SQL)
    return _compiled(delete(commits).where(commits.c.owner == _OWNER, older))


def _trimmed(kept: int) -> Select[tuple[int, int]]:
    """The trim mark, or the oldest of so many newest where that is older; none while all stay."""
    oldest = _nth_newest(kept - 1).subquery("oldest")
    is_trim = tuple_(oldest.c.epoch, oldest.c.version) > _TRIM
    return select(
        case((is_trim, own.c.trim_epoch), else_=oldest.c.epoch),
        case((is_trim, own.c.trim_version), else_=oldest.c.version),
    ).select_from(own.join(oldest, literal_column("true")))


REMOVE_COMMITS_FROM = _compiled(
    delete(commits).where(commits.c.owner == _OWNER, tuple_(bindparam("e"), bindparam("v")) <= _DOT)
)
"""Owner, epoch, version."""

PRUNE_COMMITS = _older_than(_nth_newest(HEADERS_KEPT - 1))
"""Owner, owner again. Walks the primary key's index only, and finds nothing below the limit."""

PRUNE_OWN_COMMITS = _older_than(_trimmed(OWN_STEPS_KEPT))
"""The same for the node whose file it is, which keeps all from the trim mark on besides. Walks past
the newest `OWN_STEPS_KEPT`, and past what it removes, however long the outbox is."""

COUNT_COMMITS = _compiled(
    select(func.count()).select_from(commits).where(commits.c.owner == _OWNER)
)
"""Owner."""

FIND_NTH_NEWEST = _compiled(_nth_newest(bindparam("place", type_=Integer)))
"""Owner, one, the place. Walks as far."""

RAISE_OWN_DOT = _compiled(
    update(own)
    .values(epoch=bindparam("e"), version=bindparam("v"))
    .where(tuple_(own.c.epoch, own.c.version) < tuple_(bindparam("e2"), bindparam("v2")))
)
"""Epoch, version, epoch, version."""

RAISE_TRIM = _compiled(
    update(own)
    .values(trim_epoch=bindparam("e"), trim_version=bindparam("v"))
    .where(tuple_(bindparam("e2"), bindparam("v2")) > _TRIM)
)
"""Epoch, version, epoch, version."""

RAISE_INCARNATION = _compiled(
    update(own).values(
        # SQLite's max of two arguments is a function of the row, not an aggregate.
        incarnation=func.max(own.c.incarnation + literal_column("1"), bindparam("at_least"))
    )
)

_EVIDENCE = (
    "id", "kind", "proof", "found_at_us", "reported_by", "settled_at_us", "settled_epoch", "merge",
)  # fmt: skip
SET_EVIDENCE = _upsert(sqlite.insert(evidence), _EVIDENCE, key=("id",), sets=_EVIDENCE[1:])

REMOVE_EVIDENCE = _compiled(delete(evidence).where(evidence.c.id == bindparam("i")))
"""Id."""

_DELIVERY = (
    "peer", "held_epoch", "held_version", "stored_epoch", "stored_version", "since_us", "attempts",
    "next_try_us", "breaker", "score", "latency_us",
)  # fmt: skip
SET_DELIVERY = _upsert(sqlite.insert(deliveries), _DELIVERY, key=("peer",), sets=_DELIVERY[1:])

REMOVE_DELIVERY = _compiled(delete(deliveries).where(deliveries.c.peer == bindparam("p")))
"""Peer."""

_RESULT = ("update_id", "owner", "name", "id", "version", "body_hash", "created_at_us")

ADD_RESULT = _compiled(
    sqlite.insert(results).on_conflict_do_nothing(index_elements=["update_id"]), _RESULT
)
"""The columns of `Result`, in its order."""

PRUNE_RESULTS_BY_NUMBER = _compiled(
    delete(results).where(
        results.c.sequence
        <= select(func.max(results.c.sequence)).scalar_subquery() - bindparam("most")
    )
)
"""How many may stay."""

PRUNE_RESULTS_BY_AGE = _compiled(
    delete(results).where(results.c.created_at_us < bindparam("oldest_us"))
)
"""The oldest time that stays, Unix microseconds."""

FIND_RESULT = _compiled(
    select(*(results.c[name] for name in _RESULT)).where(results.c.update_id == bindparam("u"))
)
"""The update id."""

LOAD_RESULTS = _compiled(
    select(*(results.c[name] for name in _RESULT)).order_by(results.c.sequence)
)

SET_META = _upsert(sqlite.insert(meta), ("key", "value"), key=("key",), sets=("value",))

REMOVE_META = _compiled(delete(meta).where(meta.c.key == bindparam("k")))
"""Key."""

FIND_META = _compiled(select(meta.c.value).where(meta.c.key == bindparam("k")))
"""Key."""

LOAD_OWN = _compiled(
    select(own.c.incarnation, own.c.epoch, own.c.version, own.c.trim_epoch, own.c.trim_version)
)
LOAD_BRANCHES = _compiled(
    select(
        branches.c.owner,
        branches.c.key_events,
        branches.c.head,
        branches.c.epoch,
        branches.c.version,
        branches.c.reaped,
    ).order_by(branches.c.owner)
)
LOAD_COMMITS = _compiled(
    select(commits.c.owner, commits.c.hash, commits.c.packed)
    .where(commits.c.owner != _OWNER)
    .order_by(commits.c.owner, commits.c.epoch, commits.c.version)
)
"""Of all but this owner."""

LOAD_NEWEST_COMMITS = _compiled(
    select(commits.c.owner, commits.c.hash, commits.c.packed)
    .where(commits.c.owner == _OWNER)
    .order_by(commits.c.epoch.desc(), commits.c.version.desc())
    .limit(bindparam("most"))
    .offset(literal_column("0"))
)
"""Owner, how many; the newest first."""

_SINCE = (commits.c.owner == _OWNER, tuple_(bindparam("e"), bindparam("v")) < _DOT)

LOAD_OUTBOX = _compiled(
    select(
        commits.c.epoch,
        commits.c.version,
        commits.c.hash,
        commits.c.priority,
        commits.c.size,
        commits.c.parent,
    )
    .where(*_SINCE)
    .order_by(commits.c.epoch.desc(), commits.c.version.desc())
)
"""Owner, epoch, version: the commits after that dot, the newest first."""

RECALL_COMMITS = _compiled(
    select(commits.c.packed)
    .where(*_SINCE)
    .order_by(commits.c.epoch, commits.c.version)
    .limit(bindparam("most"))
    .offset(literal_column("0"))
)
"""Owner, epoch, version, how many: the commits after that dot, the oldest first."""

LOAD_DELIVERIES = _compiled(
    select(*(deliveries.c[name] for name in _DELIVERY)).order_by(deliveries.c.peer)
)
LOAD_RECORDS = _compiled(
    select(records.c.owner, records.c.kind, records.c.key, records.c.body).order_by(
        records.c.owner, records.c.kind, records.c.key
    )
)
LOAD_EVIDENCE = _compiled(select(*(evidence.c[name] for name in _EVIDENCE)).order_by(evidence.c.id))
COUNTS = tuple(
    _compiled(select(func.count()).select_from(table))
    for table in (branches, records, commits, results, evidence, deliveries)
)
"""Of branches, records, commits, results, evidence, deliveries."""

MEASURE_OUTBOX = _compiled(
    select(func.count(), func.coalesce(func.sum(commits.c.size), literal_column("0")))
    .select_from(own.join(commits, _TRIM < _DOT))
    .where(commits.c.owner == _OWNER)
)
"""Owner: how many commits after the trim mark, and the bytes of their changes."""

ROWS = {
    str(table.name): _compiled(select(func.count()).select_from(table))
    for table in metadata.sorted_tables
}
"""Of every table, by its name."""
