"""Who the simulated nodes are: keys made from numbers, and agreements made by whoever asks first.

All nodes of a world live in one process, and many worlds follow each other there. A node's keys and
inception are functions of its number, a shared secret is one of two keys and the same from both
ends: each is computed once for all of them, like the rest of what they have in `memory`.

Rules this module keeps:

1. The keys and signatures are real ones; only repetition is spared.
2. Every table is bounded; what falls out is computed again.
"""

from functools import cache

from protocol import signing
from protocol.identity import INCEPTION, KeyChain, commitment, make_event, verify_chain
from protocol.shared.reading import Reading

from .memory import Memo, MemoVerifier, remembering

IDENTITIES_MAX = 20_000
AGREEMENTS_MAX = 500_000
"""Shared secrets kept: 10,000 nodes with 100 partners each, at about 250 bytes."""


class PooledSigner:
    """A real key pair whose agreements are computed by whichever end asks first."""

    __slots__ = ("_agreed", "_keys", "public_key")

    def __init__(
        self, keys: signing.KeyPair, agreed: Memo[tuple[bytes, bytes], bytes | None]
    ) -> None:
        self.public_key = keys.public_key
        self._keys = keys
        self._agreed = agreed

    def sign(self, message: bytes) -> bytes:
        """The detached signature of `message`."""
        return self._keys.sign(message)

    def agree(self, their_public_key: bytes) -> bytes | None:
        """The shared secret, or None where `their_public_key` is no usable key."""
        ours = self.public_key
        pair = (ours, their_public_key) if ours < their_public_key else (their_public_key, ours)
        return self._agreed.recall(pair, lambda: self._keys.agree(their_public_key))


class Identities:
    """The nodes of one cluster by number; all worlds of a process draw from one pool."""

    def __init__(self, cluster: bytes) -> None:
        self._pool = _pool_of(cluster)

    @property
    def verifier(self) -> MemoVerifier:
        """The verifier that all worlds share."""
        return self._pool.verifier

    @property
    def reading(self) -> Reading:
        """How all worlds read messages and records."""
        return self._pool.reading

    def of(self, number: int) -> tuple[PooledSigner, KeyChain]:
        """A node's keys and its chain of one event."""
        return self._pool.identity(number)

    def signer(self, number: int, epoch: int) -> PooledSigner:
        """The keys of a later epoch: each chain commits to those of the next."""
        return self._pool.signer(number, epoch)


class _Pool:
    def __init__(self, cluster: bytes) -> None:
        self.verifier = MemoVerifier()
        self.reading = remembering()
        self._cluster = cluster
        self._trust = signing.Trust(cluster, self.verifier)
        self._identities: Memo[int, tuple[PooledSigner, KeyChain]] = Memo(IDENTITIES_MAX)
        self._agreed: Memo[tuple[bytes, bytes], bytes | None] = Memo(AGREEMENTS_MAX)

    def identity(self, number: int) -> tuple[PooledSigner, KeyChain]:
        return self._identities.recall(number, lambda: self._make(number))

    def signer(self, number: int, epoch: int) -> PooledSigner:
        return PooledSigner(_key_pair(number, epoch), self._agreed)

    def _make(self, number: int) -> tuple[PooledSigner, KeyChain]:
        signer = self.signer(number, 0)
        event = make_event(
            INCEPTION,
            previous=None,
            key=signer,
            next_commitment=commitment(_key_pair(number, 1).public_key),
            cluster=self._cluster,
        )
        return signer, verify_chain([event.pack()], self._trust)


def _key_pair(number: int, epoch: int) -> signing.KeyPair:
    return signing.KeyPair(number.to_bytes(16, "big") + epoch.to_bytes(16, "big"))


@cache
def _pool_of(cluster: bytes) -> _Pool:
    return _Pool(cluster)
