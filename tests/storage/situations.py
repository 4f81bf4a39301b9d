"""Values that the storage tests are told with."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from protocol.agreement.docket import Case, Settlement
from protocol.agreement.evidence import fork_of, key_fork_of
from protocol.commits import (
    Change,
    Commit,
    Dot,
    Draft,
    Head,
    Manifest,
    Record,
    make_commit,
)
from protocol.delivery.standing import Breaker, Delivery, OutboxEntry, Priority
from protocol.effects import (
    DropRecords,
    KeepChain,
    KeepCommit,
    KeepDelivery,
    KeepEvidence,
    KeepManifest,
    KeepMend,
)
from protocol.identity import (
    INCEPTION,
    ROTATION,
    KeyChain,
    NodeId,
    commitment,
    make_event,
)
from protocol.signing import KeyPair, cluster_id
from storage import Result, SqliteStore, open_store

CLUSTER = cluster_id("test")
KEY = KeyPair(b"k" * 32)
ALICE, BOB, CAROL = NodeId(b"a" * 32), NodeId(b"b" * 32), NodeId(b"c" * 32)


def open_alice(path: Path) -> SqliteStore:
    return open_store(path, cluster=CLUSTER, node=ALICE)


def commit(
    owner: NodeId, version: int, changes: Iterable[Change] = (), *, parent: Commit | None = None
) -> Commit:
    draft = Draft(
        owner=owner,
        dot=Dot(0, version),
        parents=(parent.head.hash,) if parent else (),
        issued_at=version,
        state_root=hashlib.blake2b(b"root", digest_size=32).digest(),
    )
    return make_commit(draft, list(changes), key=KEY, cluster=CLUSTER)


def keep(owner: NodeId, version: int, **bodies: bytes | None) -> KeepCommit:
    """A commit of `owner` that sets, or with None removes, services of these names."""
    changes = tuple(Change(1, name, body) for name, body in bodies.items())
    return KeepCommit(commit(owner, version, changes), changes)


def steps(
    owner: NodeId,
    first: int,
    count: int,
    *,
    parent: Commit | None = None,
    priority: Priority = Priority.NORMAL,
) -> list[KeepCommit]:
    """Commits of `owner` of which each is the child of the one before."""
    found: list[KeepCommit] = []
    for version in range(first, first + count):
        change = Change(1, f"s{version % 50}", b"%d" % version)
        parent = commit(owner, version, (change,), parent=parent)
        found.append(KeepCommit(parent, (change,), priority))
    return found


def entries(keeps: Iterable[KeepCommit]) -> tuple[OutboxEntry, ...]:
    """What an outbox says of these."""
    return tuple(
        OutboxEntry(
            one.commit.head.dot,
            one.commit.head.hash,
            one.priority,
            len(one.commit.changes_encoded),
        )
        for one in keeps
    )


def delivery(peer: NodeId, held: int, *, attempts: int = 0) -> KeepDelivery:
    """That peer holds our commits up to this version."""
    return KeepDelivery(
        Delivery(
            peer=peer,
            held=Dot(0, held),
            stored=Dot(0, held - 1),
            since_us=1_000_000,
            attempts=attempts,
            next_try_us=3_000_000,
            breaker=Breaker.OPEN if attempts > 2 else Breaker.CLOSED,
            score=700,
            latency_us=2_500,
        )
    )


def manifest(owner: NodeId, version: int, **bodies: bytes) -> KeepManifest:
    records = tuple(Record(1, name, bodies[name]) for name in sorted(bodies))
    return KeepManifest(Manifest(commit(owner, version).head, records))


def mend(owner: NodeId, version: int, **bodies: bytes | None) -> KeepMend:
    """A newer head of `owner`, under which these services are other ones."""
    changes = tuple(Change(1, name, body) for name, body in bodies.items())
    return KeepMend(commit(owner, version).head, changes)


def reaped(owner: NodeId, version: int) -> DropRecords:
    return DropRecords(head_of(owner, version))


def head_of(owner: NodeId, version: int) -> Head:
    return commit(owner, version).head


def chain(owner: NodeId, *, rotations: int = 0) -> KeepChain:
    pairs = [KeyPair(bytes([n]) * 32) for n in range(1, rotations + 3)]
    events = [
        make_event(
            INCEPTION,
            previous=None,
            key=pairs[0],
            next_commitment=commitment(pairs[1].public_key),
            cluster=CLUSTER,
        )
    ]
    for n in range(1, rotations + 1):
        following = commitment(pairs[n + 1].public_key)
        events.append(
            make_event(
                ROTATION,
                previous=events[-1],
                key=pairs[n],
                next_commitment=following,
                cluster=CLUSTER,
            )
        )
    return KeepChain(KeyChain(owner, tuple(events)))


def fork(
    owner: NodeId, version: int, *, settled: bool = False, dropped: tuple[bytes, ...] = ()
) -> KeepEvidence:
    """Two first commits of `owner`, found by ALICE, who heard of them from CAROL."""
    one, other = commit(owner, version), commit(owner, version, (Change(1, "web", b"1"),))
    evidence = fork_of(one.head, other.head)
    assert evidence is not None
    end = Settlement(2_000_000, 0, commit(owner, version + 1, parent=one).head) if settled else None
    return KeepEvidence(Case(evidence, 1_000_000, CAROL, end), dropped)


def key_fork(owner: NodeId) -> KeepEvidence:
    """Two rotations of one sequence, found by ALICE, told by nobody in particular."""
    inception, one = chain(owner, rotations=1).chain.events
    other = make_event(
        ROTATION, previous=inception, key=KeyPair(bytes([2]) * 32), next_commitment=bytes(32),
        cluster=CLUSTER,
    )  # fmt: skip
    evidence = key_fork_of(owner, one, other)
    assert evidence is not None
    return KeepEvidence(Case(evidence, 1_000_000, None))


def result(update_id: str, *, version: int = 1, at_us: int = 1_000_000) -> Result:
    return Result(
        update_id=update_id,
        owner=ALICE,
        name="web",
        id="web-1",
        version=version,
        body_hash=b"h" * 32,
        created_at_us=at_us,
    )


def footprint(folder: Path) -> dict[str, str]:
    """Every file in the folder by name, with the hash of its bytes; the lock holds no data."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.suffix != ".lock"
    }
