"""Taking a node's disk up again at a start: whole, or refused, or made anew if that was asked for.

    open (every page, the -wal) ▶ load (every row) ▶ our own branch, by signature and root
       │ damaged                     │ damaged          │ does not verify
       └────────────── refused, in one line that names the remedy ──────────────┐
                       --rebuild: moved aside, made anew, read back from peers ◀┘

Rules this module keeps:

1. Nothing of ours is served from a page that is damaged. What peers own is verified by the core,
   which drops what does not come out and fetches it anew.
2. What is damaged is moved, never deleted.
3. No version is used twice: what `versions.reserved` allows outlives the database. If that is lost
   too, nothing is signed before a peer has shown what it holds of us (`Store.mark`).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from node.durability import DATABASE
from node.keystore import Identity
from protocol.commits import NOTHING
from protocol.errors import RemoteProtocolError
from protocol.registry import Registry
from protocol.signing import Trust
from storage import DatabaseDamagedError, Loaded, Reserve, SqliteStore, open_store, set_aside

_FORGOTTEN = f"what this node signed is lost ({DATABASE} and {Reserve.NAME} both)"


@dataclass(frozen=True, slots=True)
class Ground:
    """A disk that was taken up."""

    store: SqliteStore
    loaded: Loaded
    branch_lost: bool
    """Our versions are known, our branch is not: to sign without hearing of it would be a fork."""
    damage: str = ""
    """What was wrong, where it was made anew."""
    aside: Path | None = None
    """Where what was damaged lies now."""


def promise(directory: Path) -> None:
    """Say that nothing was signed yet. Before an identity is made: from then on it may be.

    Raises:
        StorageError: it cannot be written.
    """
    Reserve(directory / DATABASE).begin()


def take_up(
    directory: Path, identity: Identity, cluster: bytes, *, rebuild: bool, unsafe_no_sync: bool
) -> Ground:
    """Open and load the database of a node. Hold the directory's lock.

    Raises:
        CannotOpenError: one of its kinds; nothing was changed. Damage only without `rebuild`.
        StorageError: the disk refused.
    """
    path = directory / DATABASE

    def opened(*, anew: bool) -> Ground:
        store = open_store(
            path, cluster=cluster, node=identity.node, unsafe_no_sync=unsafe_no_sync, anew=anew
        )
        try:
            loaded = store.load()
            if loaded.forgotten and not identity.created and not loaded.must_hear:
                store.mark(_FORGOTTEN)
                loaded = replace(loaded, must_hear=_FORGOTTEN)
            lost = _is_branch_lost(identity, cluster, store.name, loaded)
            return Ground(store, loaded, lost)
        except BaseException:
            store.close()
            raise

    try:
        return opened(anew=False)
    except DatabaseDamagedError as error:
        if not rebuild:
            raise
        aside = set_aside(path, stamp=datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ"))
        made = opened(anew=True)
        return replace(made, damage=error.found, aside=aside)


def _is_branch_lost(identity: Identity, cluster: bytes, name: str, loaded: Loaded) -> bool:
    """Whether we signed and nothing of it is left; raises DatabaseDamagedError on a lie."""
    registry = Registry(Trust(cluster))
    registry.learn(identity.chain.packed())
    for stored in loaded.branches:
        if stored.owner == identity.node:
            try:
                registry.restore(stored)
            except RemoteProtocolError as error:
                raise DatabaseDamagedError(
                    name, f"our own branch does not verify: {error}"
                ) from error
    own = registry.branch(identity.node)
    return loaded.last_dot > NOTHING and (own is None or own.head is None)
