"""Responses as bytes.

Rules this module keeps:

1. Whatever a handler puts into a header, it cannot end the header: CR, LF and NUL are refused.
2. Content-Length is always right, and absent exactly where RFC 9110, section 8.6, forbids it.
"""

from http import HTTPStatus

from .errors import Headers
from .later import StreamResponse
from .messages import Kept, Response

_HEADS_KEPT = 128
"""Distinct (status, content type) pairs whose first bytes are kept; a bound, not an estimate."""
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_OURS = frozenset(("content-length", "connection", "transfer-encoding", "content-type",
                   "x-request-id", "x-kith-node"))  # fmt: skip
_BODILESS = (204, 304)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Encoder:
    """Writes answers; what never changes is written once.

    Raises:
        ValueError: `node` cannot stand in a header.
    """

    def __init__(self, node: str) -> None:
        self._node = _line("X-Kith-Node", node)
        self._heads: dict[tuple[int, str], bytes] = {}

    def encode(
        self, response: Response, request_id: str, *, connection: str | None, with_body: bool
    ) -> bytes:
        """One answer, complete.

        Args:
            response: What to say.
            request_id: Checked before (printable ASCII).
            connection: The value of the Connection header, if it needs one.
            with_body: False for HEAD: the length is told, the body is not sent.

        Raises:
            ValueError: a header of the response is none; a bug of the handler.
        """
        kept = response.kept
        if kept is None or connection is not None:
            lines = self._lines(response, connection)
        else:
            lines = kept.lines or self._keep(response, kept)
        body = response.body if with_body and response.status not in _BODILESS else b""
        return b"%b%b\r\n\r\n%b" % (lines, request_id.encode("ascii"), body)

    def _keep(self, response: Response, kept: Kept) -> bytes:
        kept.lines = self._lines(response, None)
        return kept.lines

    def _lines(self, response: Response, connection: str | None) -> bytes:
        """Everything up to the value of X-Request-Id, which comes last: the rest can be kept."""
        status = response.status
        head = self._heads.get((status, response.content_type))
        if head is None:
            head = self._begin(status, response.content_type)
        length = b"" if status in _BODILESS else b"Content-Length: %d\r\n" % len(response.body)
        extra = _extra(response.headers) if response.headers else b""
        closing = b"" if connection is None else b"Connection: %b\r\n" % connection.encode()
        return b"%b%b%b%bX-Request-Id: " % (head, length, extra, closing)

    def encode_head(self, response: StreamResponse, request_id: str, *, chunked: bool) -> bytes:
        """The head of a stream, after which the connection closes.

        Args:
            response: What to say.
            request_id: Checked before (printable ASCII).
            chunked: False for HTTP/1.0, where the end of the connection ends the body.

        Raises:
            ValueError: a header of the response is none; a bug of the handler.
        """
        head = self._heads.get((response.status, response.content_type))
        if head is None:
            head = self._begin(response.status, response.content_type)
        coding = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        return b"%bX-Request-Id: %b\r\n%b%bConnection: close\r\n\r\n" % (
            head, request_id.encode("ascii"), _extra(response.headers), coding,
        )  # fmt: skip

    def _begin(self, status: int, content_type: str) -> bytes:
        phrase = HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {phrase}\r\n".encode() + self._node
        if status not in _BODILESS:
            head += _line("Content-Type", content_type)
        if len(self._heads) < _HEADS_KEPT:
            self._heads[status, content_type] = head
        return head


def _extra(headers: Headers) -> bytes:
    for name, _ in headers:
        if name.lower() in _OURS:
            raise ValueError(f"the server itself writes {name}")
    return b"".join(_line(name, value) for name, value in headers)


def _line(name: str, value: str) -> bytes:
    if not name or not _TOKEN.issuperset(name):
        raise ValueError(f"{name!r} is not a header name")
    if not value.isascii() or not (value.isprintable() or not value):
        raise ValueError(f"header {name} has the value {value!r}; printable ASCII is needed")
    return f"{name}: {value}\r\n".encode("ascii")
