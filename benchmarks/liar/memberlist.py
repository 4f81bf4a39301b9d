"""What a member of Serf says, as bytes: the messages of HashiCorp's memberlist.

    datagram   type, then a map in MessagePack (the old form, without binary strings)
    dead       type 5: Incarnation, Node, From. Whoever hears it takes the node for dead, if the
               incarnation is not older than the one it knows
    suspect    type 3: the same fields. The node has some seconds to say that it lives
    push-pull  type 6, over TCP: a header, and each member as the sender knows it

With a keyring a datagram is version 1, nonce, AES-256-GCM; a stream's message is type 10, length,
the same, with the five bytes before it as further data. Read in memberlist 0.2.2 (net.go, state.go,
security.go), which Debian builds Serf 0.9.4 with. A checksum (type 12) is sent to those that
understand it and asked of nobody; nothing is compressed if the agent was told so.

Rules this module keeps:

1. It asks one agent only, its own, for what that agent knows.
2. Every wait has an end, and no answer is longer than a limit.
"""

import secrets
import socket
from collections.abc import Mapping

import msgpack
from nacl import bindings, exceptions

from benchmarks.cluster.fleet import BenchError
from node.cli.local_cluster import HOST

SUSPECT, DEAD, PUSH_PULL, SEALED = 3, 5, 6, 10
INCARNATION_MAX = 2**32 - 1
KEY_BYTES = 32
TIMEOUT_S = 5.0
STATE_BYTES_MAX = 1024 * 1024
_VERSION = b"\x01"
_NONCE_BYTES = 12
_LENGTH_BYTES = 4


def accusation(kind: int, node: str, incarnation: int, author: str) -> bytes:
    """A message of type `DEAD` or `SUSPECT`, in the author's name."""
    fields = {"Incarnation": incarnation, "Node": node, "From": author}
    return bytes((kind,)) + _pack(fields)


def seal(key: bytes, message: bytes, further: bytes = b"") -> bytes:
    """A message as members with that key send it."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + bindings.crypto_aead_aes256gcm_encrypt(message, further, nonce, key)


def unseal(key: bytes, sealed: bytes, further: bytes = b"") -> bytes:
    """What `seal` was given.

    Raises:
        BenchError: it was sealed with another key, or changed.
    """
    nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return bindings.crypto_aead_aes256gcm_decrypt(rest, further, nonce, key)
    except (exceptions.CryptoError, ValueError) as error:
        raise BenchError(f"serf's answer cannot be unsealed: {error}") from None


def incarnations(state: bytes) -> dict[str, int]:
    """Each member's incarnation, as a push-pull message tells it.

    Raises:
        BenchError: it is no such message.
    """
    unpacker = msgpack.Unpacker(raw=True, max_buffer_size=STATE_BYTES_MAX)
    unpacker.feed(state[1:])
    if state[:1] != bytes((PUSH_PULL,)):
        raise BenchError(f"serf's agent answers {state[:1]!r} to a push-pull")
    try:
        header = unpacker.unpack()
        members = [unpacker.unpack() for _ in range(int(header[b"Nodes"]))]
        return {one[b"Name"].decode(): int(one[b"Incarnation"]) for one in members}
    except (msgpack.UnpackException, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"serf's agent answers nonsense to a push-pull: {error!r}") from None


def ask_incarnations(port: int, key: bytes | None) -> dict[str, int]:
    """What the agent at a port knows of all members.

    Raises:
        BenchError: it does not answer, or not as it should.
    """
    fields = {"Nodes": 0, "UserStateLen": 0, "Join": False}
    message = bytes((PUSH_PULL,)) + _pack(fields)
    if key is not None:
        length = len(message) + len(_VERSION) + _NONCE_BYTES + bindings.crypto_aead_aes256gcm_ABYTES
        head = bytes((SEALED,)) + length.to_bytes(_LENGTH_BYTES, "big")
        message = head + seal(key, message, head)
    try:
        with socket.create_connection((HOST, port), TIMEOUT_S) as tcp:
            tcp.sendall(message)
            answer = _all(tcp)
    except OSError as error:
        raise BenchError(f"serf's agent at port {port} does not answer: {error}") from None
    if key is not None:
        head = answer[: 1 + _LENGTH_BYTES]
        answer = unseal(key, answer[len(head) :], head)
    return incarnations(answer)


def _all(tcp: socket.socket) -> bytes:
    got = b""
    while (more := tcp.recv(65_536)) and len(got) < STATE_BYTES_MAX:
        got += more
    return got


def _pack(fields: Mapping[str, object]) -> bytes:
    packed: bytes = msgpack.packb(fields, use_bin_type=False)
    return packed
