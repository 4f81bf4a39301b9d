"""The chunked transfer coding (RFC 9112, section 7.1), read strictly and within limits.

llhttp does not tell where a message ended inside the bytes it was fed, and with pipelining that is
what matters most; hence this reader, which consumes exactly one body. It takes no bare LF, no sign
or space around a size, no more digits than a size can need.
"""

from .errors import malformed, too_large

SIZE_DIGITS_MAX = 8
LINE_BYTES_MAX = 128
"""One size line with its extension, which is ignored; nobody sends extensions."""
TRAILER_BYTES_MAX = 1_024
"""All trailers, which are checked for line ends and ignored."""
FRAMING_BYTES_MAX = 16 * 1_024
"""What the lines of all chunks may exceed `FRAMING_USUAL_BYTES` each and twice the data by: enough
for any sane client, and not for a megabyte of extensions that carry a few bytes."""
FRAMING_USUAL_BYTES = 16
_HEX = frozenset(b"0123456789abcdefABCDEF")


class ChunkedBody:
    """One chunked body as it comes in. Call `take` until it says that the body is complete."""

    def __init__(self, body_bytes_max: int) -> None:
        self.body = bytearray()
        self._body_bytes_max = body_bytes_max
        self._missing = 0
        """Bytes of the current chunk, with its CR LF, that are still to come."""
        self._in_trailer = False
        self._trailer_bytes = 0
        self._framing_bytes = 0

    def take(self, buffer: bytearray) -> bool:
        """Consume from the front of `buffer`; True once the whole body has been read.

        Raises:
            ApiError: 400 for bad framing, 413 as soon as a chunk would exceed the limit.
        """
        while True:
            if self._missing:
                if not self._take_data(buffer):
                    return False
                continue
            line = self._take_line(buffer)
            if line is None:
                return False
            if not self._in_trailer:
                self._begin_chunk(line)
            elif not line:
                return True

    def _take_data(self, buffer: bytearray) -> bool:
        data_missing = max(0, self._missing - 2)
        part = buffer[:data_missing]
        self.body += part
        del buffer[: len(part)]
        self._missing -= len(part)
        if self._missing > 2 or len(buffer) < 2:
            return False
        if buffer[:2] != b"\r\n":
            raise malformed("a chunk is longer than its size says", "transfer-encoding")
        del buffer[:2]
        self._missing = 0
        return True

    def _take_line(self, buffer: bytearray) -> bytes | None:
        most = TRAILER_BYTES_MAX - self._trailer_bytes if self._in_trailer else LINE_BYTES_MAX
        end = buffer.find(b"\n", 0, most + 2)
        if end < 0:
            if len(buffer) >= most + 2:
                raise too_large("transfer-encoding", "a line of the chunked framing is too long")
            return None
        line = bytes(buffer[: end + 1])
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
            raise malformed("lines of the chunked framing end with CR LF", "transfer-encoding")
        del buffer[: end + 1]
        if self._in_trailer:
            self._trailer_bytes += len(line)
        return line[:-2]

    def _begin_chunk(self, line: bytes) -> None:
        digits = line.partition(b";")[0]
        if not 0 < len(digits) <= SIZE_DIGITS_MAX or not _HEX.issuperset(digits):
            raise malformed("a chunk size is not a hexadecimal number", "transfer-encoding")
        size = int(digits, 16)
        excess = len(line) + 4 - FRAMING_USUAL_BYTES - 2 * size
        self._framing_bytes = max(0, self._framing_bytes + excess)
        if self._framing_bytes > FRAMING_BYTES_MAX:
            raise too_large("transfer-encoding", "the chunked framing is longer than the body")
        if len(self.body) + size > self._body_bytes_max:
            raise too_large("body", f"the body has more than {self._body_bytes_max} bytes")
        if size == 0:
            self._in_trailer = True
        else:
            self._missing = size + 2
