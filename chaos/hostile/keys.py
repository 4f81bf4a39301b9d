"""The private key of a member, read from its data directory.

    identity.key = payload ‖ BLAKE2b-256(payload)
    payload      = [magic, format, role, cluster id, sealing, content]
    content      = [format, role, cluster id, seed, key events], if it is not sealed

Rules this module keeps:

1. It reads one file, and changes nothing.
2. What cannot be used is refused with the file's name and the reason.
"""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from protocol.errors import RemoteProtocolError
from protocol.identity import KEY_EVENTS_MAX, KeyChain, NodeId, verify_chain
from protocol.signing import CLUSTER_ID_BYTES, KeyPair, Trust
from protocol.wire import codec

KEY_FILE = "identity.key"
FILE_MAX = 1024 * 1024
_MAGIC = b"kith-key"
_FORMAT = 1
_CHECKSUM_BYTES = 32
_SEED_BYTES = 32
_PERSON = b"kith/key-file"


class HostileError(Exception):
    """A hostile program cannot do what it is for, in a sentence."""


@dataclass(frozen=True, slots=True)
class Stolen:
    """Who we pretend to be, and can prove to be."""

    keys: KeyPair
    chain: KeyChain
    cluster: bytes

    @property
    def node(self) -> NodeId:
        """The node id."""
        return self.chain.node

    @property
    def trust(self) -> Trust:
        """What signatures of this cluster are checked by."""
        return Trust(self.cluster)


def read_keys(data_dir: Path) -> Stolen:
    """The keys of the node whose directory it is. Raises HostileError."""
    path = data_dir / KEY_FILE
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        raise HostileError(f"{path}: {error.strerror}; has the node run?") from None
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if blake2b(payload, digest_size=_CHECKSUM_BYTES, person=_PERSON).digest() != checksum:
        raise HostileError(f"{path}: it is no key file, or damaged")
    try:
        return _read(path, payload)
    except RemoteProtocolError as error:
        raise HostileError(f"{path}: {error}") from None


def _read(path: Path, payload: bytes) -> Stolen:
    outer = codec.read(payload, "key file")
    outer.fixed("magic", len(_MAGIC))
    outer.integer("format", low=_FORMAT, high=_FORMAT)
    outer.integer("role", high=0)
    cluster = outer.fixed("cluster", CLUSTER_ID_BYTES)
    if outer.array("sealing", most=4).integer("kind") != 0:
        raise HostileError(f"{path}: it is sealed by a passphrase; run nodes without one")
    inner = codec.read(outer.raw("content", most=FILE_MAX), "key file content")
    inner.integer("format", low=_FORMAT, high=_FORMAT)
    inner.integer("role", high=0)
    inner.fixed("cluster", CLUSTER_ID_BYTES)
    keys = KeyPair(inner.fixed("seed", _SEED_BYTES))
    events = inner.raws("events", most=KEY_EVENTS_MAX, each=FILE_MAX)
    return Stolen(keys, verify_chain(events, Trust(cluster)), cluster)
