"""Signatures and message authentication, each bound to one purpose and one cluster.

Everything signed is `domain ‖ 0x00 ‖ cluster id ‖ payload`: what was signed for one purpose or one
cluster is worthless in another (domain separation). Signatures are Ed25519 (RFC 8032) by PyNaCl.

Datagrams between two members carry a MAC instead (BLAKE2b keyed, RFC 7693) under a key that the
two identities agree by X25519 (RFC 7748) from their Ed25519 keys; signing each would cost 20 times
more, and nobody needs to prove a heartbeat to a third party.
"""

import enum
import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol

from nacl import bindings
from nacl.exceptions import CryptoError

SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32
CLUSTER_ID_BYTES = 32
MAC_BYTES = 16


class Domain(enum.Enum):
    """What a signature is for. Never reuse a value."""

    KEY_EVENT = b"kith/key-event/1"
    COMMIT = b"kith/commit/1"
    VOTES = b"kith/votes/1"
    ACK = b"kith/ack/1"
    HANDSHAKE = b"kith/handshake/1"
    RECEIPT = b"kith/receipt/1"


class Signer(Protocol):
    """Somebody who holds a private key. The core never sees the key itself."""

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The detached Ed25519 signature of `message`, 64 bytes."""
        ...

    def agree(self, their_public_key: bytes) -> bytes | None:
        """The X25519 secret shared with the holder of that Ed25519 key, or None if it is no key."""
        ...


class KeyPair:
    """An Ed25519 key pair in memory, made from a seed of 32 bytes."""

    __slots__ = ("_agreement", "_secret", "public_key", "seed")

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self.public_key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self._agreement = bindings.crypto_sign_ed25519_sk_to_curve25519(self._secret)

    def sign(self, message: bytes) -> bytes:
        """The detached signature of `message`."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def agree(self, their_public_key: bytes) -> bytes | None:
        """The shared secret, or None where `their_public_key` is not a point of full order."""
        try:
            point = bindings.crypto_sign_ed25519_pk_to_curve25519(their_public_key)
            return bindings.crypto_scalarmult(self._agreement, point)
        except (CryptoError, ValueError, TypeError):
            return None


def cluster_id(name: str) -> bytes:
    """The id of the cluster called `name`: part of everything its nodes sign."""
    return hashlib.blake2b(
        name.encode(), digest_size=CLUSTER_ID_BYTES, person=b"kith/cluster"
    ).digest()


def sign(signer: Signer, domain: Domain, cluster: bytes, payload: bytes) -> bytes:
    """Sign `payload` for one purpose in one cluster."""
    return signer.sign(b"".join((domain.value, b"\0", cluster, payload)))


def verify(
    public_key: bytes, domain: Domain, cluster: bytes, payload: bytes, signature: bytes
) -> bool:
    """Whether `signature` is that key's word on `payload`. Never raises."""
    if len(signature) != SIGNATURE_BYTES or len(public_key) != PUBLIC_KEY_BYTES:
        return False
    signed = b"".join((signature, domain.value, b"\0", cluster, payload))
    try:
        bindings.crypto_sign_open(signed, public_key)
    except CryptoError:
        return False
    return True


class Verifier(Protocol):
    """Somebody who judges signatures, as `verify` does.

    That is a pure function of its arguments. So whoever drives many nodes in one process, all of
    which judge the same signatures, may remember the answers and still be exact.
    """

    def verify(
        self, public_key: bytes, domain: Domain, cluster: bytes, payload: bytes, signature: bytes
    ) -> bool:
        """Whether `signature` is that key's word on `payload`. Never raises."""
        ...


class Ed25519:
    """Judges each signature anew, in about 53 µs."""

    __slots__ = ()

    def verify(
        self, public_key: bytes, domain: Domain, cluster: bytes, payload: bytes, signature: bytes
    ) -> bool:
        """See `verify`."""
        return verify(public_key, domain, cluster, payload, signature)


ED25519 = Ed25519()
"""The verifier of every real node."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What counts as signed here: in which cluster, and who judges."""

    cluster: bytes
    """Its id, 32 bytes."""
    verifier: Verifier = ED25519

    def verify(self, public_key: bytes, domain: Domain, payload: bytes, signature: bytes) -> bool:
        """Whether `signature` is that key's word on `payload` in this cluster. Never raises."""
        return self.verifier.verify(public_key, domain, self.cluster, payload, signature)


def mac_key(shared_secret: bytes, cluster: bytes) -> bytes:
    """The key under which two members authenticate their datagrams to each other."""
    return hashlib.blake2b(
        cluster, key=shared_secret, digest_size=32, person=b"kith/mac-key"
    ).digest()


def mac(key: bytes, message: bytes) -> bytes:
    """The authenticator of one datagram, 16 bytes."""
    return hashlib.blake2b(message, key=key, digest_size=MAC_BYTES).digest()


def same(ours: bytes, theirs: bytes) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(ours, theirs)
