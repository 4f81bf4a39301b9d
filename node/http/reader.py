"""Bytes in, whole requests out: one connection's input without any I/O.

Rules this module keeps:

1. How the bytes were cut into reads makes no difference to the requests that come out.
2. The buffer is bounded: one head, one body and one read beyond them.
3. After an `ApiError` the reader is of no more use: answer, then close.

A client that repeats itself (a lookup loop, a heartbeat) sends the same head again and again;
`parse_head` is pure, so the last head is kept and equal bytes are not parsed twice. One that asks
for another path each time sends the same headers, and those are not parsed twice either. Heads in
front of bodies differ in Content-Length; all connections share a table of them.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from .chunked import ChunkedBody
from .errors import ApiError, malformed, too_large
from .head import Head, check_line_ends, next_head, parse_head
from .limits import HttpLimits

Phase: TypeAlias = Literal["idle", "head", "body"]
_EMPTY_LINES_MAX = 2
"""Stray line ends before a request that are skipped (RFC 9112, section 2.2)."""


KEPT_MAX = 256
"""Heads in the table: as many lengths of bodies as clients usually have."""
KEPT_BYTES_MAX = 1_024
"""Bytes of each; so that the table holds at most 256 KiB, and about as much again parsed."""

Kept: TypeAlias = dict[bytes, Head]
"""Heads in front of bodies, as parsed before, by their bytes; for one set of limits."""
BodyMax: TypeAlias = Callable[[Head], int]
Incoming: TypeAlias = tuple[Head, bytes]
"""One complete request as it came over the wire: its head and its body."""


class RequestReader:
    """The input side of one connection.

    Args:
        limits: See `HttpLimits`.
        kept: Shared with the readers of other connections.
    """

    def __init__(self, limits: HttpLimits, kept: Kept | None = None) -> None:
        self._limits = limits
        self._kept: Kept = {} if kept is None else kept
        self._buffer = bytearray()
        self._scanned = 0
        self._empty_lines = 0
        self._head: Head | None = None
        self._chunks: ChunkedBody | None = None
        self._last_raw = b""
        self._last_head: Head | None = None
        self.continue_due = False
        """The client awaits `100 Continue`; whoever sends it sets this back."""

    @property
    def phase(self) -> Phase:
        """What the next bytes belong to."""
        if self._head is not None:
            return "body"
        return "head" if self._buffer else "idle"

    @property
    def waiting_bytes(self) -> int:
        """What was fed and not taken."""
        return len(self._buffer)

    @property
    def held_bytes(self) -> int:
        """What is kept of a request that is not complete."""
        return len(self._buffer) + (0 if self._chunks is None else len(self._chunks.body))

    def forget(self) -> None:
        """Keep nothing for a repetition: the next request is long in coming, and another."""
        self._last_raw, self._last_head = b"", None

    def feed(self, data: bytes) -> None:
        """Take in what was read. Call `take` until it has nothing more before feeding again."""
        self._buffer += data

    def take(self, body_max: BodyMax | None = None) -> Incoming | None:
        """Take the next complete request out, or None if more bytes are needed.

        Args:
            body_max: How large the body behind a head may be, asked only of those that exceed, or
                may exceed, `body_bytes_max`; None: never more than that.

        Raises:
            ApiError: 400 or 413; see rule 3.
        """
        if self._head is None:
            incoming = self._take_head(body_max)
            if incoming is not None or self._head is None:
                return incoming
        return self._take_body(self._head)

    def _take_head(self, body_max: BodyMax | None) -> Incoming | None:
        buffer = self._buffer
        if not buffer:
            return None
        while buffer.startswith(b"\r\n") and self._empty_lines < _EMPTY_LINES_MAX:
            del buffer[:2]
            self._empty_lines += 1
        end = buffer.find(b"\r\n\r\n", self._scanned) + 4
        if end < 4:
            self._check_incomplete()
            self._scanned = max(0, len(buffer) - 3)
            return None
        if end > self._limits.header_bytes_max:
            raise self._head_too_large()
        raw = bytes(buffer[:end])
        del buffer[:end]
        self._scanned = self._empty_lines = 0
        head = self._last_head
        if head is None or raw != self._last_raw:
            head = self._parse(raw)
        if not head.chunked and not head.body_bytes:
            return head, b""
        most = self._limits.body_bytes_max
        if head.chunked or head.body_bytes > most:
            most = self._body_bytes_max(head, body_max)
        self._head = head
        self._chunks = ChunkedBody(most) if head.chunked else None
        self.continue_due = head.expects_continue
        return None

    def _body_bytes_max(self, head: Head, body_max: BodyMax | None) -> int:
        most = self._limits.body_bytes_max if body_max is None else body_max(head)
        if head.body_bytes > most:
            raise too_large(
                "body", f"the body has {head.body_bytes} bytes; at most {most} are allowed"
            )
        return most

    def _parse(self, raw: bytes) -> Head:
        last, head = self._last_head, self._kept.get(raw)
        if head is None and last is not None:
            head = next_head(raw, last, self._last_raw, self._limits)
        if head is None:
            head = parse_head(raw, self._limits)
            if head.body_bytes and len(raw) <= KEPT_BYTES_MAX:
                if len(self._kept) >= KEPT_MAX:
                    self._kept.clear()
                self._kept[raw] = head
        self._last_raw, self._last_head = raw, head
        return head

    def _take_body(self, head: Head) -> Incoming | None:
        if self._chunks is not None:
            if not self._chunks.take(self._buffer):
                return None
            body = bytes(self._chunks.body)
        else:
            if len(self._buffer) < head.body_bytes:
                return None
            body = bytes(self._buffer[: head.body_bytes])
            del self._buffer[: head.body_bytes]
        self._head = self._chunks = None
        self.continue_due = False
        return head, body

    def _check_incomplete(self) -> None:
        """Refuse early what can no longer become a request, so that garbage need not time out."""
        buffer = self._buffer
        if len(buffer) > self._limits.header_bytes_max:
            raise self._head_too_large()
        if buffer and not 0x41 <= buffer[0] <= 0x5A and bytes(buffer) != b"\r":
            raise malformed("a request starts with a method in capital letters", "headers")
        # A CR at the end may be the first half of a line end.
        check_line_ends(bytes(buffer).removesuffix(b"\r"))

    def _head_too_large(self) -> ApiError:
        most = self._limits.header_bytes_max
        return too_large("headers", f"the headers have more than {most} bytes")
