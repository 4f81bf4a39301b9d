"""How a hostile program speaks to one honest node: as the member whose keys it has.

Rules this module keeps:

1. Every wait has an end; a stream is closed after its one answer.
2. What the other end says is not trusted to be well-formed.
"""

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from protocol import limits, signing
from protocol.branch import Branch
from protocol.commits import Dot, Manifest
from protocol.errors import RemoteProtocolError
from protocol.identity import KeyChain, NodeId, verify_chain
from protocol.wire import exchange
from protocol.wire.handshake import Credentials, Handshake, Role
from protocol.wire.messages import DatagramKind, Message, encode, seal

from .keys import HostileError, Stolen

TIMEOUT_S = 5.0
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Contact:
    """An honest node: where it is, who it is, and the key that we share with it."""

    address: tuple[str, int]
    node: NodeId
    mac_key: bytes
    stolen: Stolen

    def seal(self, kind: DatagramKind, body: bytes) -> bytes:
        """An authentic datagram from us to it, whatever the body is."""
        return seal(self.stolen.node, self.mac_key, kind, body)

    def datagram(self, message: Message) -> bytes:
        """A message to it."""
        return self.seal(*encode(message))

    def branch_of(self, owner: NodeId) -> Branch:
        """Its copy of an owner's branch. Raises HostileError."""
        wanted = exchange.FetchRequest(owner, Dot(0, 0), b"", b"", 0)
        try:
            frame = _talk(self.address, self.stolen, exchange.encode_request(wanted))[1]
            answer = exchange.decode_answer(frame)
            if not isinstance(answer, exchange.FetchAnswer) or answer.bundle is None:
                raise HostileError(f"{self.address[0]} shows nothing of an owner")
            branch = Branch(
                verify_chain(list(answer.bundle.key_events), self.stolen.trust), self.stolen.trust
            )
            content = answer.bundle.content
            if isinstance(content, exchange.Steps):
                branch.offer(content.commits)
            elif isinstance(content, Manifest):
                branch.adopt(content)
        except (OSError, RemoteProtocolError) as error:
            raise HostileError(f"{self.address[0]}: {error}") from None
        if branch.head is None:
            raise HostileError(f"{self.address[0]} shows too large a branch, or none")
        return branch


def meet(address: tuple[str, int], stolen: Stolen) -> Contact:
    """Learn who is at an address. Raises HostileError."""
    try:
        session_chain, _ = _talk(address, stolen, exchange.encode_request(exchange.CheckRequest()))
    except (OSError, RemoteProtocolError) as error:
        raise HostileError(f"{address[0]}:{address[1]}: {error}") from None
    theirs = session_chain.key_of(session_chain.epoch)
    secret = stolen.keys.agree(theirs) if theirs is not None else None
    if secret is None:
        raise HostileError(f"{address[0]}:{address[1]}: its key is of no use")
    return Contact(address, session_chain.node, signing.mac_key(secret, stolen.cluster), stolen)


def meet_all(addresses: Sequence[tuple[str, int]], stolen: Stolen) -> list[Contact]:
    """Those of them that answer. Raises HostileError if none does."""
    met: list[Contact] = []
    failed: list[str] = []
    for address in addresses:
        try:
            met.append(meet(address, stolen))
        except HostileError as error:
            failed.append(str(error))
    if not met:
        raise HostileError(f"nobody answers: {'; '.join(failed)}")
    return met


def _talk(address: tuple[str, int], stolen: Stolen, frame: bytes) -> tuple[KeyChain, bytes]:
    """An honest handshake, one request: whom it proved to be, and its answer."""
    ours = Credentials(stolen.chain, stolen.keys, stolen.cluster)
    handshake = Handshake(Role.CLIENT, ours, nonce=secrets.token_bytes(32))
    with socket.create_connection(address, TIMEOUT_S) as tcp:
        _send(tcp, handshake.hello)
        proof = handshake.receive_hello(_receive(tcp))
        session = handshake.receive_proof(_receive(tcp))
        _send(tcp, proof, frame)
        return session.chain, _receive(tcp)


def _send(tcp: socket.socket, *frames: bytes) -> None:
    tcp.sendall(b"".join(len(one).to_bytes(_LENGTH_BYTES, "big") + one for one in frames))


def _receive(tcp: socket.socket) -> bytes:
    length = int.from_bytes(_exactly(tcp, _LENGTH_BYTES), "big")
    if length > limits.FRAME_MAX:
        raise ConnectionError(f"a frame of {length} bytes")
    return _exactly(tcp, length)


def _exactly(tcp: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = tcp.recv(count - len(got))
        if not more:
            raise ConnectionError("it closed the stream")
        got += more
    return got
