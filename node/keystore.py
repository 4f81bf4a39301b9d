"""The node's private keys on disk: who this node is, for as long as the files live.

`identity.key` holds the current Ed25519 seed and the key events that lead to it; `identity.next`
holds the key that the newest event committed to. The next key has a file of its own so that it can
be kept elsewhere: whoever steals the current key cannot rotate, its owner can. A rotation makes the
key after it in `identity.after`, which lives only until the rotation is over.

    rotate     write identity.after ─▶ replace identity.key ─▶ identity.after becomes identity.next
                 undone by a start ◀─┤ counts from here; a start finishes it

What a file is made of: `keyfiles`.

Rules this module keeps:

1. A key file is made whole or not at all: a temporary file, fsync, rename, fsync of the directory.
2. `identity.next` is written first. If it stands alone, the node never ran: it is finished.
3. A file that is damaged, open to others, or of another cluster is refused and left as it is.
4. A rotation that was cut short is finished or undone by the next start or the next rotation.
5. Hold `lock` while a node runs: one node to a directory.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nacl.utils

from protocol import identity, signing
from protocol.errors import BadKeyEventError, MalformedError

from .keyfiles import (
    AFTER,
    CURRENT,
    KEY_FILE,
    NEXT,
    NEXT_FILE,
    SEED_BYTES,
    Entropy,
    KeyStoreError,
    Vault,
    damaged,
    make_durable_directory,
    unusable,
)

LOCK_FILE = "lock"


class DirectoryInUseError(KeyStoreError):
    """Another node holds the data directory. Nothing was changed; `pid` is that node's, or 0."""

    def __init__(self, path: Path, pid: int) -> None:
        who = f"the process {pid}" if pid else "another process"
        super().__init__(path, f"{who} uses this directory", "end it, or give another --data-dir")
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is. `created`: made just now, so that nobody has heard of it yet."""

    keys: signing.KeyPair
    chain: identity.KeyChain
    created: bool

    @property
    def node(self) -> identity.NodeId:
        """The node id."""
        return self.chain.node


@contextmanager
def lock(data_dir: Path, *, looks_only: bool = False) -> Iterator[None]:
    """Hold the directory for this process; made, mode 0700, if it is missing.

    The kernel lets go when the process ends, however it ends; the lock file stays. Who `looks_only`
    makes nothing and writes nothing: where there is no lock file, no node runs that knows of it.

    Raises:
        DirectoryInUseError: another process holds it.
        KeyStoreError: the directory cannot be made, written or locked.
    """
    path = data_dir / LOCK_FILE
    if looks_only and not path.exists():
        yield
        return
    try:
        if looks_only:
            held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            make_durable_directory(data_dir)
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(path, error) from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUseError(data_dir, _pid_in(held)) from None
        except OSError as error:
            raise unusable(path, error) from None
        if not looks_only:
            os.ftruncate(held, 0)
            os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(held)


def load_or_create(
    data_dir: Path,
    cluster: bytes,
    passphrase: bytes | None,
    *,
    entropy: Entropy = nacl.utils.random,
) -> Identity:
    """This node's identity, made if there is none. Call it while holding `lock`.

    With a passphrase, files not yet encrypted are encrypted. A chain that ends in a revocation
    loads too: the caller asks `chain.revoked`.

    Raises:
        KeyStoreError: a file is damaged, open to others, of another cluster, does not fit the
            other file, or does not open with this passphrase.
    """
    vault = Vault(data_dir, cluster, passphrase, entropy)
    current = vault.read(CURRENT)
    if current is None:
        return _created(vault, vault.read(NEXT))
    seed, events = current
    keys, chain = _judged(vault.path(CURRENT), seed, events, cluster)
    _next_key(vault, chain)
    vault.seal_what_is_open()
    return Identity(keys, chain, created=False)


def examine(data_dir: Path, cluster: bytes, passphrase: bytes | None) -> identity.KeyChain | None:
    """The key events of the node whose directory it is, or None if there are none; writes nothing.

    Raises:
        SealedError: the files are encrypted, and `passphrase` is None.
        KeyStoreError: as `load_or_create`.
    """
    vault = Vault(data_dir, cluster, passphrase, nacl.utils.random)
    current, after, following = (vault.read(role) for role in (CURRENT, AFTER, NEXT))
    if current is None:
        return None
    _, chain = _judged(vault.path(CURRENT), *current, cluster)
    seeds = [found[0] for found in (after, following) if found is not None]
    if seeds and not chain.revoked and not any(_is_promised(seed, chain) for seed in seeds):
        raise KeyStoreError(
            vault.path(NEXT),
            f"it is not the next key of {KEY_FILE}",
            "restore both files from one backup",
        )
    return chain


def rotate(
    data_dir: Path,
    cluster: bytes,
    passphrase: bytes | None,
    *,
    entropy: Entropy = nacl.utils.random,
) -> Identity:
    """Make the next key the current one, and a new next key; the identity as it is from now on.

    Call it while holding `lock`.

    Raises:
        KeyStoreError: the next key is not there, or a file cannot be used; nothing was changed.
    """
    vault, chain, keys = _succession(data_dir, cluster, passphrase, entropy)
    if len(chain.events) >= identity.KEY_EVENTS_MAX - 1:
        raise KeyStoreError(
            vault.path(CURRENT),
            f"it holds {len(chain.events)} key events, and the last may only be a revocation",
            "start a new node in another --data-dir, and revoke this one",
        )
    after = entropy(SEED_BYTES)
    promised = identity.commitment(signing.KeyPair(after).public_key)
    vault.write(AFTER, after, [])
    chain = _continue(vault, chain, keys, identity.ROTATION, promised)
    vault.become_next()
    return Identity(keys, chain, created=False)


def revoke(
    data_dir: Path,
    cluster: bytes,
    passphrase: bytes | None,
    *,
    entropy: Entropy = nacl.utils.random,
) -> Identity:
    """End the identity for good: the chain that is returned ends in a revocation.

    Call it while holding `lock`. From then on a node does not start with these files.

    Raises:
        KeyStoreError: the next key is not there, or a file cannot be used; nothing was changed.
    """
    vault, chain, keys = _succession(data_dir, cluster, passphrase, entropy)
    chain = _continue(vault, chain, keys, identity.REVOCATION, identity.NO_NEXT_KEY)
    return Identity(keys, chain, created=False)


def holds_next(data_dir: Path) -> bool:
    """Whether the next key lies in the directory, so that a rotation is possible."""
    return (data_dir / NEXT_FILE).exists()


def _succession(
    data_dir: Path, cluster: bytes, passphrase: bytes | None, entropy: Entropy
) -> tuple[Vault, identity.KeyChain, signing.KeyPair]:
    """What a rotation or revocation begins with: the files, the chain, and the next key."""
    vault = Vault(data_dir, cluster, passphrase, entropy)
    current = vault.read(CURRENT)
    if current is None:
        raise KeyStoreError(vault.path(CURRENT), "it is missing", "restore it from a backup")
    _, chain = _judged(vault.path(CURRENT), *current, cluster)
    if chain.revoked:
        raise KeyStoreError(
            vault.path(CURRENT), "the identity was revoked", "start anew in another --data-dir"
        )
    seed = _next_key(vault, chain)
    if seed is None:
        raise KeyStoreError(
            vault.path(NEXT),
            "it is missing, and no other key can follow",
            "put it back from where it is kept, with mode 0600, and ask again",
        )
    return vault, chain, signing.KeyPair(seed)


def _continue(
    vault: Vault, chain: identity.KeyChain, keys: signing.KeyPair, kind: int, promised: bytes
) -> identity.KeyChain:
    event = identity.make_event(
        kind,
        previous=chain.events[-1],
        key=keys,
        next_commitment=promised,
        cluster=vault.cluster,
    )
    longer = identity.continued(chain, event, signing.Trust(vault.cluster))
    vault.write(CURRENT, keys.seed, longer.packed())
    return longer


def _next_key(vault: Vault, chain: identity.KeyChain) -> bytes | None:
    """The seed of the next key, if it is there; ends a rotation that was cut short."""
    after, following = vault.read(AFTER), vault.read(NEXT)
    if after is not None and _is_promised(after[0], chain):
        vault.become_next()
        return after[0]
    if following is not None and not _is_promised(following[0], chain) and not chain.revoked:
        raise KeyStoreError(
            vault.path(NEXT),
            f"it is not the next key of {KEY_FILE}",
            "restore both files from one backup",
        )
    if after is not None:
        vault.drop_after()
    return following[0] if following is not None else None


def _is_promised(seed: bytes, chain: identity.KeyChain) -> bool:
    promised = identity.commitment(signing.KeyPair(seed).public_key)
    return chain.events[-1].next_commitment == promised


def _created(vault: Vault, following: tuple[bytes, list[bytes]] | None) -> Identity:
    if following is None:
        following = vault.entropy(SEED_BYTES), []
        vault.write(NEXT, *following)
    elif vault.holds_a_database():
        raise KeyStoreError(
            vault.path(CURRENT),
            f"it is missing, while {NEXT_FILE} and a database are there",
            "restore it from a backup, or start with an empty --data-dir as a new node",
        )
    promised = identity.commitment(signing.KeyPair(following[0]).public_key)
    keys = signing.KeyPair(vault.entropy(SEED_BYTES))
    event = identity.make_event(
        identity.INCEPTION,
        previous=None,
        key=keys,
        next_commitment=promised,
        cluster=vault.cluster,
    )
    chain = identity.verify_chain([event.pack()], signing.Trust(vault.cluster))
    vault.write(CURRENT, keys.seed, chain.packed())
    vault.seal_what_is_open()
    return Identity(keys, chain, created=True)


def _judged(
    path: Path, seed: bytes, events: list[bytes], cluster: bytes
) -> tuple[signing.KeyPair, identity.KeyChain]:
    try:
        chain = identity.verify_chain(events, signing.Trust(cluster))
    except (BadKeyEventError, MalformedError) as error:
        raise damaged(path, f"its key events are wrong ({error})") from None
    keys = signing.KeyPair(seed)
    if chain.events[-1].public_key != keys.public_key:
        raise damaged(path, "its key is not the one of its newest key event")
    return keys, chain


def _pid_in(held: int) -> int:
    word = os.pread(held, 32, 0).decode("ascii", "replace").strip()
    return int(word) if word.isdigit() else 0
