"""Frames on a byte stream: 4 bytes of length, big-endian, then the payload.

Rules this module keeps:

1. A longer frame than allowed is refused when it is announced; nothing is set aside for a frame
   before its bytes arrive, so a peer pays for the memory that it takes.
2. A stream whose framing broke cannot be used again: `FrameError` means close it.
"""

import trio

from protocol.limits import FRAME_MAX

from .errors import FrameError

HEADER_BYTES = 4
_CHUNK_BYTES = 64 * 1024


class FrameStream:
    """Frames over any trio stream. One task reads, one task writes."""

    __slots__ = ("_buffer", "stream")

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    @property
    def clean(self) -> bool:
        """Whether no byte of a further frame has been read."""
        return not self._buffer

    async def send(self, *payloads: bytes) -> None:
        """Send frames together, so that small ones share a packet.

        Raises:
            ValueError: a payload is longer than `FRAME_MAX`; nothing was sent.
            trio.BrokenResourceError: the stream broke.
        """
        parts: list[bytes] = []
        for payload in payloads:
            if len(payload) > FRAME_MAX:
                raise ValueError(f"a frame of {len(payload)} bytes is longer than {FRAME_MAX}")
            parts += (len(payload).to_bytes(HEADER_BYTES, "big"), payload)
        await self.stream.send_all(b"".join(parts))

    async def receive(self, *, most: int = FRAME_MAX) -> bytes | None:
        """The next frame, or None where the other end finished properly.

        Raises:
            FrameError: `oversized` beyond `most` bytes, `malformed` if cut short.
            trio.BrokenResourceError: the stream broke.
        """
        if not await self.begin():
            return None
        while len(self._buffer) < HEADER_BYTES:
            await self._more()
        length = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
        if length > most:
            raise FrameError("oversized", f"a frame of {length} bytes is longer than {most}")
        end = HEADER_BYTES + length
        while len(self._buffer) < end:
            await self._more()
        payload = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        return payload

    async def begin(self) -> bool:
        """Wait for the first byte of a frame; False where the other end finished properly."""
        if not self._buffer:
            self._buffer += await self.stream.receive_some(_CHUNK_BYTES)
        return bool(self._buffer)

    async def _more(self) -> None:
        got = await self.stream.receive_some(_CHUNK_BYTES)
        if not got:
            raise FrameError("malformed", "the stream ended within a frame")
        self._buffer += got
