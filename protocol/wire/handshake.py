"""Two nodes prove to each other who they are, at the start of a TCP stream.

    client ──HELLO──▶ server          versions, cluster, key chain, nonce, whom it expects
    client ◀──HELLO, PROOF── server
    client ──PROOF──▶ server          and its first request right behind it: one round trip

A PROOF signs `role ‖ both nonces ‖ both node ids ‖ hash of both HELLOs`, client's first: the nonces
make it fresh, the role byte and the ids keep it from being turned around, and the hash covers the
version ranges, so nobody between can talk two nodes down to an older version. (This is the
authentication of SIGMA-style exchanges, Krawczyk 2003, section 5, without the key agreement.)

Rules this module keeps:

1. It does no I/O and draws no randomness: the nonce is an argument and must never be used twice.
2. A peer's bytes can make it raise `RemoteProtocolError` and nothing else; cheap checks come first.
3. It says who opened the stream, not who writes later: what follows is neither encrypted nor
   authenticated by it, which is the transport's task. Everything that matters is signed anyway.
4. It accepts any valid chain, also one older than what the registry knows. Whoever drives it
   compares `claimed` with the chain that it holds before it proves itself, and `Session.chain`
   after; whom it refuses as `stale` it shows the newer events.
"""

import enum
import hashlib
from dataclasses import dataclass
from typing import get_args

from protocol import signing
from protocol.errors import LocalProtocolError, MalformedError, RefusalCode, RefusedError
from protocol.identity import KEY_EVENTS_MAX, NODE_ID_BYTES, KeyChain, NodeId, verify_chain
from protocol.signing import CLUSTER_ID_BYTES, SIGNATURE_BYTES, Domain, Signer, Trust

from . import codec

VERSION_MIN, VERSION_MAX = 1, 1
"""The protocol versions that this code speaks on a stream."""

NONCE_BYTES = 32
HELLO_BYTES_MAX = 384 * 1024
"""A HELLO with a chain of `KEY_EVENTS_MAX` events (about 250 bytes each) fits."""
PROOF_BYTES_MAX = 128
"""Also the most that a REFUSAL takes."""

_REFUSAL, _FORMAT = 0, 1
_KEY_EVENT_BYTES_MAX = 384
_VERSION_LIMIT = 65_535
_CODES: tuple[RefusalCode, ...] = get_args(RefusalCode)


class Role(enum.Enum):
    """Which end of the stream one is; the value is the role byte of the proof."""

    CLIENT = b"C"
    SERVER = b"S"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are, in which cluster: `signer` holds the key of the newest event of `chain`."""

    chain: KeyChain
    signer: Signer
    cluster: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """A peer that has proved its identity, and the protocol version to speak with it."""

    node: NodeId
    chain: KeyChain
    version: int


@dataclass(frozen=True, slots=True)
class _Hello:
    nonce: bytes
    expected: bytes
    session: Session


class Handshake:
    """Our side of one handshake: send `hello`, then `receive_hello`, then `receive_proof`.

    Args:
        role: which end of the stream we are.
        ours: our identity.
        nonce: 32 fresh random bytes, never used before.
        expected: the only node that we want at the other end, or None for any.
    """

    __slots__ = ("_expected", "_nonce", "_ours", "_role", "_theirs", "_transcript", "hello")

    def __init__(
        self, role: Role, ours: Credentials, *, nonce: bytes, expected: NodeId | None = None
    ) -> None:
        if len(nonce) != NONCE_BYTES:
            raise LocalProtocolError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        self._role = role
        self._ours = ours
        self._nonce = nonce
        self._expected = expected
        self._theirs: _Hello | None = None
        self._transcript = b""
        versions = (VERSION_MIN, VERSION_MAX)
        rest = (ours.cluster, ours.chain.packed(), nonce, expected or b"")
        self.hello = codec.pack([_FORMAT, *versions, *rest])

    def receive_hello(self, hello: bytes) -> bytes:
        """Judge the peer's HELLO; our PROOF is the answer.

        Raises:
            RemoteProtocolError: not to be talked to; close the stream, a `refusal` may tell why.
        """
        theirs = self._judge(hello)
        hellos = self._in_order(self.hello, hello)
        self._transcript = hashlib.blake2b(
            b"".join(hashlib.blake2b(one, digest_size=32).digest() for one in hellos),
            digest_size=32,
        ).digest()
        self._theirs = theirs
        payload = self._payload(self._role, theirs)
        signature = signing.sign(self._ours.signer, Domain.HANDSHAKE, self._ours.cluster, payload)
        return codec.pack([_FORMAT, signature])

    @property
    def claimed(self) -> KeyChain | None:
        """The key events in the peer's HELLO, whether or not it holds the key of the newest."""
        return self._theirs.session.chain if self._theirs is not None else None

    def receive_proof(self, proof: bytes) -> Session:
        """Judge the peer's PROOF. Only the session that this returns may be believed.

        Raises:
            RemoteProtocolError: the peer does not hold the key it claims; close the stream.
            LocalProtocolError: called before `receive_hello` accepted a HELLO.
        """
        theirs = self._theirs
        if theirs is None:
            raise LocalProtocolError("a proof is judged after the hello, not before")
        reader = _open(proof, "proof")
        signature = reader.fixed("signature", SIGNATURE_BYTES)
        reader.end()
        their_role = Role.SERVER if self._role is Role.CLIENT else Role.CLIENT
        chain = theirs.session.chain
        key = chain.key_of(chain.epoch) or b""
        payload = self._payload(their_role, theirs)
        if not signing.verify(key, Domain.HANDSHAKE, self._ours.cluster, payload, signature):
            raise RefusedError("bad_signature", "the proof is not signed with the key of the hello")
        return theirs.session

    def _judge(self, data: bytes) -> _Hello:
        reader = _open(data, "hello")
        low = reader.integer("version_min", high=_VERSION_LIMIT)
        high = reader.integer("version_max", low=low, high=_VERSION_LIMIT)
        cluster = reader.fixed("cluster", CLUSTER_ID_BYTES)
        events = reader.raws("key_events", most=KEY_EVENTS_MAX, each=_KEY_EVENT_BYTES_MAX)
        nonce = reader.fixed("nonce", NONCE_BYTES)
        expected = reader.raw("expected", most=NODE_ID_BYTES)
        reader.end()
        if cluster != self._ours.cluster:
            raise RefusedError("wrong_cluster", "the peer belongs to another cluster")
        version = min(high, VERSION_MAX)
        if version < max(low, VERSION_MIN):
            raise RefusedError(
                "unknown_version", f"the peer speaks {low}..{high}, we {VERSION_MIN}..{VERSION_MAX}"
            )
        if expected and expected != self._ours.chain.node:
            raise RefusedError("foreign", "the peer wanted another node at this address")
        if nonce == self._nonce:
            raise RefusedError("replayed", "our own nonce came back")
        chain = self._judge_chain(events)
        return _Hello(nonce, expected, Session(chain.node, chain, version))

    def _judge_chain(self, events: list[bytes]) -> KeyChain:
        chain = verify_chain(events, Trust(self._ours.cluster))
        if chain.node == self._ours.chain.node:
            raise RefusedError("replayed", "the peer claims our own id: this is our own address")
        if self._expected is not None and chain.node != self._expected:
            raise RefusedError("foreign", "another node than expected answers at this address")
        if chain.revoked:
            raise RefusedError("bad_signature", "the peer's identity was revoked by its owner")
        return chain

    def _payload(self, role: Role, theirs: _Hello) -> bytes:
        nonces = self._in_order(self._nonce, theirs.nonce)
        ids = self._in_order(self._ours.chain.node, theirs.session.node)
        return b"".join((role.value, *nonces, *ids, self._transcript))

    def _in_order(self, ours: bytes, theirs: bytes) -> tuple[bytes, bytes]:
        return (ours, theirs) if self._role is Role.CLIENT else (theirs, ours)


def refusal(code: RefusalCode, newer: KeyChain | None = None) -> bytes:
    """What to send in the place of a HELLO before closing, so that an honest peer learns why.

    `newer`: the key events by which its own key was replaced, which prove themselves.
    """
    return codec.pack([_REFUSAL, code, newer.packed() if newer is not None else []])


class ReplacedError(RefusedError):
    """The peer refuses us, and shows the key events by which our key was replaced: not yet judged.

    State is unchanged; whoever drives the handshake hands them to the machine, which judges them.
    """

    def __init__(self, key_events: list[bytes]) -> None:
        super().__init__("stale", "the peer refuses us: our key was replaced or revoked")
        self.key_events = key_events


def _open(data: bytes, what: str) -> codec.Reader:
    """Start to read a message of the handshake, unless it is a refusal.

    Raises:
        RefusedError: the peer refuses us, with its code; or a format from another time.
        MalformedError: neither.
    """
    reader = codec.read(data, what)
    form = reader.integer("format", high=_VERSION_LIMIT)
    if form == _REFUSAL:
        text = reader.text("code", most=32)
        events = reader.raws("key_events", most=KEY_EVENTS_MAX, each=_KEY_EVENT_BYTES_MAX)
        reader.end()
        if events:
            raise ReplacedError(events)
        for code in _CODES:
            if code == text:
                raise RefusedError(code, f"the peer refuses us: {code}")
        raise MalformedError(f"{what}.code", "not a code of this protocol")
    if form != _FORMAT:
        raise RefusedError("unknown_version", f"{what}.format: {form} where {_FORMAT} is known")
    return reader
