"""The handshake of `protocol.wire.handshake` over frames, from either end.

Neither function has a deadline of its own: the caller sets one around it.
"""

import secrets
from dataclasses import dataclass

import trio

from protocol.errors import RemoteProtocolError
from protocol.identity import NodeId
from protocol.wire.handshake import (
    HELLO_BYTES_MAX,
    NONCE_BYTES,
    PROOF_BYTES_MAX,
    Credentials,
    Handshake,
    Role,
    Session,
    refusal,
)

from .frames import FrameStream


@dataclass(frozen=True, slots=True)
class Opened:
    """The client's end: who answered, and our proof, to be sent in front of the first request."""

    session: Session
    proof: bytes


async def open_session(frames: FrameStream, ours: Credentials, expected: NodeId | None) -> Opened:
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
    proof = handshake.receive_hello(await _receive(frames, HELLO_BYTES_MAX))
    session = handshake.receive_proof(await _receive(frames, PROOF_BYTES_MAX))
    return Opened(session, proof)


async def accept_session(frames: FrameStream, ours: Credentials) -> Session:
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
    await frames.send(handshake.hello, proof)
    return handshake.receive_proof(await _receive(frames, PROOF_BYTES_MAX))


async def _receive(frames: FrameStream, most: int) -> bytes:
    frame = await frames.receive(most=most)
    if frame is None:
        raise trio.BrokenResourceError("the stream ended in the handshake")
    return frame
