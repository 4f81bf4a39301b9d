"""Reading everything back: rows into values of `protocol`, checked for their form.

Whether they are true is for the core to find out, by the roots. Each function here raises
TypeError, ValueError or MalformedError for a row that nobody wrote like this; `store` says what
that means.

Of our own commits only the newest are read whole. The outbox is read without bodies, from our head
backwards, for as long as each commit is the first parent of the one after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from sqlalchemy import Connection

from protocol import limits
from protocol.agreement.docket import Case, Settlement
from protocol.agreement.evidence import unpack_evidence, unpack_key_fork
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
from protocol.delivery.standing import Breaker, Delivery, OutboxEntry, Priority
from protocol.identity import KEY_EVENTS_MAX, NODE_ID_BYTES, NodeId
from protocol.limits import OWN_STEPS_KEPT
from protocol.restored import RestoredBranch
from protocol.wire import codec

from . import statements
from .interface import Loaded, Result
from .reserve import Reserved

TWO_HEADS, TWO_KEY_EVENTS = 0, 1
"""Kinds of evidence: what of an owner cannot both stand."""
MUST_HEAR = "must-hear"
"""In `meta`: why this node has to hear of itself before it signs."""
_KEY_EVENT_BYTES_MAX = 512
_SUM_BYTES = 8


def load(connection: Connection, node: NodeId, reserved: Reserved | None) -> Loaded:
    """Everything that the file of that node holds, with what is reserved beside it."""
    incarnation, *dots = connection.exec_driver_sql(statements.LOAD_OWN).one()
    last_dot, trim = _dot(*dots[:2]), _dot(*dots[2:])
    branches = _load_branches(connection, node)
    ours = next((branch for branch in branches if branch.owner == node), None)
    head = ours.head if ours else None
    if head is not None and head.dot > last_dot:
        raise ValueError("our own last version is older than our own head")
    evidence = map(_read_case, connection.exec_driver_sql(statements.LOAD_EVIDENCE))
    deliveries = map(_read_delivery, connection.exec_driver_sql(statements.LOAD_DELIVERIES))
    reason = connection.exec_driver_sql(statements.FIND_META, (MUST_HEAR,)).scalar()
    rows = connection.exec_driver_sql(statements.LOAD_OUTBOX, (node, *trim))
    outbox, floor = _read_outbox(rows, head, trim)
    version = reserved.version if reserved else None
    forgotten = last_dot == NOTHING and version is None
    if last_dot == NOTHING and version:
        last_dot = Dot(0, version)
    return Loaded(
        incarnation=_integer(incarnation),
        last_dot=last_dot,
        branches=tuple(branches),
        evidence=tuple(evidence),
        must_hear=reason.decode() if isinstance(reason, bytes) else "",
        forgotten=forgotten,
        deliveries=tuple(deliveries),
        outbox=outbox,
        outbox_floor=floor,
    )


def _load_branches(connection: Connection, node: NodeId) -> list[RestoredBranch]:
    commits: defaultdict[object, list[Commit]] = defaultdict(list)
    newest = (node, OWN_STEPS_KEPT)
    for owner, hash_, packed in (
        *reversed(connection.exec_driver_sql(statements.LOAD_NEWEST_COMMITS, newest).all()),
        *connection.exec_driver_sql(statements.LOAD_COMMITS, (node,)),
    ):
        commits[owner].append(_read_commit(owner, hash_, packed))
    records: defaultdict[object, list[Record]] = defaultdict(list)
    for owner, kind, key, body in connection.exec_driver_sql(statements.LOAD_RECORDS):
        if not isinstance(key, str) or not isinstance(body, bytes):
            raise TypeError("a record of another type")
        records[owner].append(Record(_integer(kind), key, body))
    branches = [
        RestoredBranch(
            NodeId(_id(owner)),
            _read_key_events(key_events),
            _read_head(head, owner, tuple(dot)),
            tuple(commits.pop(owner, ())),
            tuple(records.pop(owner, ())),
            bool(_integer(reaped)),
        )
        for owner, key_events, head, *dot, reaped in connection.exec_driver_sql(
            statements.LOAD_BRANCHES
        )
    ]
    if commits or records:
        raise ValueError("commits or records of an owner who is not there")
    if any(branch.reaped and branch.records for branch in branches):
        raise ValueError("records of an owner whose records were dropped")
    return branches


def _read_commit(owner: object, hash_: object, packed: bytes) -> Commit:
    commit = unpack_commit(packed)
    head = commit.head
    if (head.owner, head.hash, head.changes_hash) != (owner, hash_, digest(commit.changes_encoded)):
        raise ValueError("a commit of another owner, or not what was signed")
    return commit


def _read_outbox(
    newest_first: Iterable[Sequence[object]], head: Head | None, trim: Dot
) -> tuple[tuple[OutboxEntry, ...], Dot]:
    """The chain that ends in that head, oldest first, and the dot before it."""
    entries: list[OutboxEntry] = []
    wanted: object = head.hash if head else None
    floor = trim
    for epoch, version, hash_, priority, size, parent in newest_first:
        dot = _dot(epoch, version)
        if hash_ != wanted:
            floor = dot
            break
        if not isinstance(hash_, bytes) or len(hash_) != HASH_BYTES:
            raise TypeError("a commit whose hash is none")
        entries.append(OutboxEntry(dot, hash_, Priority(_integer(priority)), _integer(size)))
        wanted = parent
    return tuple(reversed(entries)), floor


def _read_delivery(row: Sequence[object]) -> Delivery:
    peer, held_epoch, held_version, stored_epoch, stored_version, *rest = row
    since_us, attempts, next_try_us, breaker, score, latency_us = map(_integer, rest)
    return Delivery(
        peer=NodeId(_id(peer)),
        held=_dot(held_epoch, held_version),
        stored=_dot(stored_epoch, stored_version),
        since_us=since_us,
        attempts=attempts,
        next_try_us=next_try_us,
        breaker=Breaker(breaker),
        score=score,
        latency_us=latency_us,
    )


def read_result(row: Sequence[object]) -> Result:
    """What an update was answered with."""
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
    if body_hash[HASH_BYTES:] != sum_of(result):
        raise ValueError("a result that is not what was written")
    return result


def sum_of(result: Result) -> bytes:
    """Nobody signed it and no root covers it: without this, damage would be told to a client."""
    fields = (result.update_id, result.owner, result.name, result.id)
    packed = codec.pack([*fields, result.version, result.body_hash, result.created_at_us])
    return blake2b(packed, digest_size=_SUM_BYTES, person=b"kith/result").digest()


def _read_case(row: Sequence[object]) -> Case:
    id_, kind, proof, found_at, reported_by, *end = row
    if kind not in (TWO_HEADS, TWO_KEY_EVENTS) or not isinstance(proof, bytes):
        raise TypeError("evidence of another type")
    case = Case(
        unpack_evidence(proof) if kind == TWO_HEADS else unpack_key_fork(proof),
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


def _dot(epoch: object, version: object) -> Dot:
    return Dot(_integer(epoch, low=-1), _integer(version))


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
