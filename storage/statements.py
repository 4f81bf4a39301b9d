"""The SQL of every write and read, built with SQLAlchemy Core and compiled once.

Compiled here rather than at each call, so that a lone commit costs its fsync and little more:
`Connection.exec_driver_sql` hands the rows straight to SQLite. Parameters go by position: those of
an upsert in the order of its columns, those of the others as their comment says.
"""

from collections.abc import Sequence

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import sqlite

from protocol.limits import HEADERS_KEPT, OWN_STEPS_KEPT

from .schema import branches, commits, evidence, meta, metadata, own, records, results

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

SET_COMMIT = _upsert(
    sqlite.insert(commits),
    (*_COMMIT_KEY, "hash", "packed"),
    key=_COMMIT_KEY,
    sets=("hash", "packed"),
)

_DOT = tuple_(commits.c.epoch, commits.c.version)


def _pruned(kept: int) -> str:
    oldest = (
        select(commits.c.epoch, commits.c.version)
        .where(commits.c.owner == bindparam("same_owner"))
        .order_by(commits.c.epoch.desc(), commits.c.version.desc())
        .limit(literal_column("1"))
        .offset(literal_column(str(kept - 1)))
        .scalar_subquery()
    )
    return _compiled(delete(commits).where(commits.c.owner == _OWNER, _DOT < oldest))  # noqa: SIM300 (SQL)


REMOVE_COMMITS_FROM = _compiled(
    delete(commits).where(commits.c.owner == _OWNER, tuple_(bindparam("e"), bindparam("v")) <= _DOT)
)
"""Owner, epoch, version."""

PRUNE_COMMITS = _pruned(HEADERS_KEPT)
"""Owner, owner again. Walks the primary key's index only, and finds nothing below the limit."""

PRUNE_OWN_COMMITS = _pruned(OWN_STEPS_KEPT)
"""The same for the node whose file it is."""

RAISE_OWN_DOT = _compiled(
    update(own)
    .values(epoch=bindparam("e"), version=bindparam("v"))
    .where(tuple_(own.c.epoch, own.c.version) < tuple_(bindparam("e2"), bindparam("v2")))
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

LOAD_OWN = _compiled(select(own.c.incarnation, own.c.epoch, own.c.version))
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
    select(commits.c.owner, commits.c.hash, commits.c.packed).order_by(
        commits.c.owner, commits.c.epoch, commits.c.version
    )
)
LOAD_RECORDS = _compiled(
    select(records.c.owner, records.c.kind, records.c.key, records.c.body).order_by(
        records.c.owner, records.c.kind, records.c.key
    )
)
LOAD_EVIDENCE = _compiled(select(*(evidence.c[name] for name in _EVIDENCE)).order_by(evidence.c.id))
COUNTS = tuple(
    _compiled(select(func.count()).select_from(table))
    for table in (branches, records, commits, results, evidence)
)
"""Of branches, records, commits, results, evidence."""
ROWS = {
    str(table.name): _compiled(select(func.count()).select_from(table))
    for table in metadata.sorted_tables
}
"""Of every table, by its name."""
