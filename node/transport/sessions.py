"""The handshake of `protocol.wire.handshake` over frames, from either end.

Neither function has a deadline of its own: the caller sets one around it. Both ask what is known of
the other's keys: whoever shows a chain that ends before the one that we know holds a key that was
replaced, and is refused before anything is served or asked.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from protocol.errors import RefusedError, RemoteProtocolError
from protocol.identity import Address, KeyChain, NodeId
from protocol.wire.handshake import (
    HELLO_BYTES_MAX,
    NONCE_BYTES,
    PROOF_BYTES_MAX,
    Credentials,
    Handshake,
    ReplacedError,
    Role,
    Session,
    refusal,
)

from .frames import FrameStream


@dataclass(frozen=True, slots=True)
class KeyLore:
    """What this node knows of the keys of others, and how it learns more; plain calls."""

    newer: Callable[[KeyChain], KeyChain | None]
    """The chain that we hold of the same owner, if that one ends before it."""
    met: Callable[[Sequence[bytes], Address], bool]
    """Somebody showed these key events, its own or newer ones of ours; False: not to be served."""


NO_LORE = KeyLore(lambda _chain: None, lambda _events, _source: True)
"""Of a node that knows nobody's keys, so that none are old."""
NOWHERE = Address("", 0)


@dataclass(frozen=True, slots=True)
class Opened:
    """The client's end: who answered, and our proof, to be sent in front of the first request."""

    session: Session
    proof: bytes


async def open_session(
    frames: FrameStream,
    ours: Credentials,
    expected: NodeId | None,
    *,
    to: Address = NOWHERE,
    lore: KeyLore = NO_LORE,
) -> Opened:
    """Prove ourselves to whom we connected to; one round trip.

    Raises:
        RemoteProtocolError: the other end is not accepted, or does not accept us.
        FrameError: its frames are too long or cut short.
        trio.BrokenResourceError: the stream ended.
    """
    handshake = Handshake(
        Role.CLIENT, ours, nonce=secrets.token_bytes(NONCE_BYTES), expected=expected
    )
    await frames.send(handshake.hello)
    try:
        proof = handshake.receive_hello(await _receive(frames, HELLO_BYTES_MAX))
    except ReplacedError as error:
        lore.met(error.key_events, to)
        raise
    session = handshake.receive_proof(await _receive(frames, PROOF_BYTES_MAX))
    _greet(session, to, lore)
    return Opened(session, proof)


async def accept_session(
    frames: FrameStream, ours: Credentials, *, source: Address = NOWHERE, lore: KeyLore = NO_LORE
) -> Session:
    """Prove ourselves to whoever connected to us; says nothing before a HELLO was accepted.

    Raises:
        RemoteProtocolError: the other end is not accepted; it was told the code.
        FrameError: its frames are too long or cut short.
        trio.BrokenResourceError: the stream ended.
    """
    handshake = Handshake(Role.SERVER, ours, nonce=secrets.token_bytes(NONCE_BYTES))
    hello = await _receive(frames, HELLO_BYTES_MAX)
    try:
        proof = handshake.receive_hello(hello)
    except RemoteProtocolError as error:
        await frames.send(refusal(error.code))
        raise
    newer = lore.newer(handshake.claimed) if handshake.claimed is not None else None
    if newer is not None:
        await frames.send(refusal("stale", newer))
        raise RefusedError("stale", "the peer's key was replaced or revoked")
    await frames.send(handshake.hello, proof)
    session = handshake.receive_proof(await _receive(frames, PROOF_BYTES_MAX))
    _greet(session, source, lore)
    return session


def _greet(session: Session, source: Address, lore: KeyLore) -> None:
    if not lore.met(session.chain.packed(), source):
        raise RefusedError("stale", "another chain of key events stands for that peer")


async def _receive(frames: FrameStream, most: int) -> bytes:
    frame = await frames.receive(most=most)
    if frame is None:
        raise trio.BrokenResourceError("the stream ended in the handshake")
    return frame
