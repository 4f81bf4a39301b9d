"""What a data directory holds, and whether it is whole: looked at as a node's start looks at it.

    lock ▶ whose ▶ key files ▶ open (recovers the WAL) ▶ every page ▶ every branch, by its root

Rules this module keeps:

1. Nothing is changed but what opening a database changes: it takes in the -wal that a crash left,
   and brings an older schema to the newest. `read_only` leaves even that.
2. A directory that a node uses is not touched.
3. Whatever is wrong becomes a line in `problems`; nothing raises but what is a bug.
"""

import enum
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from node import keystore
from node.durability import DATABASE
from node.keyfiles import KeyStoreError, SealedError
from protocol.bodies import Body
from protocol.commits import NOTHING, Dot, RecordKey
from protocol.delivery.outbox import Outbox
from protocol.delivery.standing import Delivery
from protocol.errors import RemoteProtocolError
from protocol.identity import NodeId, short_id
from protocol.records import ServiceRecord
from protocol.registry import Registry
from protocol.signing import Trust
from storage import (
    DatabaseLockedError,
    Loaded,
    Result,
    SqliteStore,
    StorageError,
    copy_store,
    open_store,
    whose,
)


class State(enum.Enum):
    """How a directory was found."""

    GOOD = "good"
    RECOVERED = "recovered"
    """Good, after what a crash had left in the -wal was taken in."""
    DAMAGED = "damaged"
    ABSENT = "absent"
    """There is no database; it may be that of a node which never came to write one."""
    IN_USE = "in_use"


@dataclass(slots=True, kw_only=True)
class Examination:
    """What was found in one directory."""

    directory: Path
    state: State = State.GOOD
    node: NodeId | None = None
    cluster: bytes | None = None
    keys: str = "absent"
    """`good`, `sealed` (encrypted, and no passphrase was given), `damaged` or `absent`."""
    incarnation: int = 0
    own: Dot = NOTHING
    """Of our own newest commit."""
    own_hash: bytes | None = None
    last: Dot = NOTHING
    """The highest that was ever signed or taken as ours."""
    owners: int = 0
    heads: Mapping[NodeId, Dot] = field(default_factory=dict)
    """How far it holds every owner, itself included."""
    deliveries: Sequence[Delivery] = ()
    """How far peers have come in our own commits, sorted by peer."""
    outbox: Outbox = field(default_factory=Outbox)
    """Our own commits that some of them may lack."""
    records: int = 0
    root: bytes | None = None
    own_records: Mapping[RecordKey, Body] = field(default_factory=dict)
    results: Sequence[Result] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    """Of every table."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the database and its -wal, as they were found."""
    free_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    strangers: int = 0
    """How many of the problems are branches of others, which peers are asked for at a start."""

    @property
    def sound(self) -> bool:
        """Whether a node can take it up again: nothing of its own is wrong."""
        return self.state in (State.GOOD, State.RECOVERED) or (
            self.state is State.DAMAGED and len(self.problems) == self.strangers
        )

    def damaged(self, problem: str) -> None:
        """Note what is wrong."""
        self.state = State.DAMAGED
        self.problems.append(problem)

    def services(self) -> Iterator[ServiceRecord]:
        """The instances registered with this node."""
        return (body for body in self.own_records.values() if isinstance(body, ServiceRecord))


def examine(
    directory: Path, *, passphrase: bytes | None = None, read_only: bool = False
) -> Examination:
    """Look at everything in a node's data directory; the node must not run."""
    found = Examination(directory=directory)
    if not directory.is_dir():
        found.state = State.ABSENT
        found.problems.append("there is no such directory")
        return found
    found.free_bytes = shutil.disk_usage(directory).free
    try:
        with keystore.lock(directory, looks_only=read_only):
            _look(found, passphrase, read_only=read_only)
    except (keystore.DirectoryInUseError, DatabaseLockedError) as error:
        found.state = State.IN_USE
        found.problems.append(str(error))
    except (StorageError, KeyStoreError) as error:
        found.damaged(str(error))
    return found


def _look(found: Examination, passphrase: bytes | None, *, read_only: bool) -> None:
    path = found.directory / DATABASE
    found.sizes = {name: _bytes_of(path.with_name(name)) for name in (DATABASE, f"{DATABASE}-wal")}
    owner = whose(path)
    if owner is None:
        found.state = State.ABSENT
        found.problems.append("there is no database, or nothing was ever written to it")
        return
    found.cluster, found.node = owner
    registry = Registry(Trust(found.cluster))
    _check_keys(found, registry, passphrase)
    with _opened(path, owner, read_only=read_only) as store:
        for problem in store.verify():
            found.damaged(f"{path}: {problem}")
        loaded, found.results, found.rows = store.load(), store.results(), store.rows()
    _check_branches(found, registry, loaded)
    if found.state is State.GOOD and found.sizes[f"{DATABASE}-wal"]:
        found.state = State.RECOVERED


@contextmanager
def _opened(path: Path, owner: tuple[bytes, NodeId], *, read_only: bool) -> Iterator[SqliteStore]:
    cluster, node = owner
    store = (
        copy_store(path, node=node) if read_only else open_store(path, cluster=cluster, node=node)
    )
    try:
        yield store
    finally:
        store.close()


def _check_keys(found: Examination, registry: Registry, passphrase: bytes | None) -> None:
    assert found.cluster is not None
    try:
        chain = keystore.examine(found.directory, found.cluster, passphrase)
    except SealedError:
        found.keys = "sealed"
        return
    except KeyStoreError as error:
        found.keys = "damaged"
        found.damaged(str(error))
        return
    if chain is None:
        found.damaged("the key files are missing: restore them from a backup")
    elif chain.node != found.node:
        found.keys = "damaged"
        found.damaged(
            f"the key files are those of node {short_id(chain.node)}, the database is not"
        )
    else:
        found.keys = "good"
        registry.learn(chain.packed())


def _check_branches(found: Examination, registry: Registry, loaded: Loaded) -> None:
    """Every signature and every root, as the core's own start checks them."""
    assert found.node is not None
    for stored in loaded.branches:
        try:
            registry.restore(stored)
        except RemoteProtocolError as error:
            ours = stored.owner == found.node
            branch = "our own branch" if ours else f"the branch of {short_id(stored.owner)}"
            found.damaged(f"{branch} does not verify: {error}")
            found.strangers += not ours
    found.incarnation, found.last = loaded.incarnation, loaded.last_dot
    found.owners = sum(1 for _ in registry.owners())
    found.records = sum(len(stored.records) for stored in loaded.branches)
    found.heads, found.root = registry.vector(), registry.root
    own = registry.branch(found.node)
    if own is not None and own.head is not None:
        found.own, found.own_hash, found.own_records = own.dot, own.head.hash, own.bodies
        found.deliveries = loaded.deliveries
        found.outbox.restore(loaded.outbox, loaded.outbox_floor, own.head)


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
