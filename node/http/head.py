"""The request line and headers: llhttp reads them, we refuse what two readers could read twice.

Request smuggling needs two parsers that disagree on where a request ends. So everything that RFC
9112 lets a lenient recipient repair is an error here: bare LF or CR, folded lines, a space before
the colon, both lengths, repeated lengths, unknown transfer codings, a missing or doubled Host.

Rules this module keeps:

1. `parse_head` is a pure function of the bytes of one head; equal bytes are the same request.
2. Whatever is refused closes the connection, for its framing can no longer be trusted.
3. `next_head` is `parse_head`, sooner: it vouches only for request lines that need no judgement, in
   front of headers that were judged before, byte by byte the same. All else is parsed in full.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import httptools

from .errors import invalid_field, malformed, too_large
from .limits import HttpLimits
from .messages import EMPTY_QUERY, Query
from .target import parse_target

_CONTROLS_ALLOWED = bytes([9, 10, 13, *range(0x20, 0x7F), *range(0x80, 0x100)])
_LISTS_NEVER = frozenset(
    ("host", "content-length", "transfer-encoding", "content-type", "authorization", "x-request-id",
     "expect", "if-none-match", "last-event-id")
)  # fmt: skip
"""Headers with one value: two of them are refused instead of joined."""

_HOST_NEVER = frozenset("/\\@,?# \t")

_PLAIN_LINE = re.compile(
    rb"GET (?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+(?:\?[A-Za-z0-9._~=&-]*)? HTTP/1\.1\r\n"
)
"""Request lines that mean one thing only: no escape, no empty, `.` or `..` segment. Each byte can
be matched in one way, so that a long line takes no longer than its length."""
_AFTER_URL = len(b" HTTP/1.1\r\n")


class Head(NamedTuple):
    """Everything of a request that comes before its body.

    A named tuple, since one is made for each request: a frozen dataclass takes thrice as long.
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    keep_alive: bool
    """Whether the client wants the connection kept."""
    minor_version: int
    """0 or 1, of HTTP/1."""
    body_bytes: int
    """From Content-Length; 0 when chunked."""
    chunked: bool
    expects_continue: bool
    """The client waits for 100 Continue before it sends the body."""


class _Collector:
    """What llhttp calls back."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


def check_line_ends(raw: bytes) -> None:
    """Refuse what a lenient reader would take for a line end, or for a continued line.

    Raises:
        ApiError: 400 `malformed_body`.
    """
    pairs = raw.count(b"\r\n")
    if raw.count(b"\n") != pairs or raw.count(b"\r") != pairs:
        raise malformed("lines end with CR LF; a bare CR or LF is refused", "headers")
    if b"\r\n " in raw or b"\r\n\t" in raw:
        raise malformed("folded header lines are refused; write each header on one line", "headers")
    if raw.translate(None, _CONTROLS_ALLOWED):
        raise malformed("control characters are refused in headers", "headers")


def parse_head(raw: bytes, limits: HttpLimits) -> Head:
    """Read one head, from the method to the empty line.

    Raises:
        ApiError: 400 or 413; the connection must be closed after answering it.
    """
    check_line_ends(raw)
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        # Upgrades are ignored, as RFC 9110, section 7.8, allows: the request is served as it is.
        pass
    except httptools.HttpParserError as error:
        raise malformed(f"the request is not HTTP/1.1: {error}", "headers") from None
    if not collector.complete:
        raise malformed("the request is not HTTP/1.1: the headers do not end", "headers")
    if len(collector.url) > limits.url_bytes_max:
        most = limits.url_bytes_max
        raise too_large(
            "path", f"the URL has {len(collector.url)} bytes; at most {most} are allowed"
        )
    method, minor_version = _check_request_line(raw, parser.get_method(), collector.url)
    headers = _gather(collector.headers, limits.header_count_max)
    _check_host(headers, minor_version)
    body_bytes, chunked = _framing(headers, minor_version)
    path, query = parse_target(
        collector.url.decode("ascii"), query_count_max=limits.query_count_max
    )
    keep_alive = _keeps_alive(headers, minor_version)
    expects = minor_version == 1 and _expects_continue(headers)
    return Head(
        method, path, query, headers, keep_alive, minor_version, body_bytes, chunked, expects
    )


def next_head(raw: bytes, last: Head, last_raw: bytes, limits: HttpLimits) -> Head | None:
    """What `parse_head` would say, if it can be said from the head before; else None.

    The parser carries nothing over the end of a request line but method and version. So where those
    are the same and all that follows is, too, what follows means the same.

    Args:
        raw: One head, complete.
        last: What another head was parsed to.
        last_raw: That head.
        limits: See `parse_head`; the same.

    Raises:
        ApiError: as `parse_head`.
    """
    line = _PLAIN_LINE.match(raw)
    if line is None or last.method != "GET" or last.minor_version != 1:
        return None
    if raw[line.end() :] != last_raw[last_raw.index(b"\n") + 1 :]:
        return None
    url = raw[4 : line.end() - _AFTER_URL]
    if len(url) > limits.url_bytes_max:
        return None
    path, query = url.decode("ascii"), EMPTY_QUERY
    if "?" in path:
        path, query = parse_target(path, query_count_max=limits.query_count_max)
    return Head("GET", path, query, *last[3:])


def _check_request_line(raw: bytes, method: bytes, url: bytes) -> tuple[str, int]:
    # llhttp also takes two spaces, RTSP, HTTP/0.9 and HTTP/2.0; we know two request lines only.
    line = raw[: raw.index(b"\r\n")]
    start = method + b" " + url
    if not url.isascii() or line not in (start + b" HTTP/1.1", start + b" HTTP/1.0"):
        raise malformed("the first line must be: METHOD /path HTTP/1.1", "headers")
    return method.decode("ascii"), line[-1] - ord("0")


def _gather(pairs: list[tuple[bytes, bytes]], count_max: int) -> dict[str, str]:
    if len(pairs) > count_max:
        raise too_large("headers", f"{len(pairs)} headers; at most {count_max} are allowed")
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1").strip(" \t")
        if name in headers:
            if name in _LISTS_NEVER:
                raise invalid_field(name, f"header {name} is given twice; send it once")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _check_host(headers: dict[str, str], minor_version: int) -> None:
    host = headers.get("host")
    if host is None:
        if minor_version == 1:
            raise invalid_field("host", "HTTP/1.1 needs a Host header (RFC 9112, section 3.2)")
    elif not _HOST_NEVER.isdisjoint(host):
        raise invalid_field("host", f"Host {host[:64]!r} is not a host with an optional port")


def _framing(headers: dict[str, str], minor_version: int) -> tuple[int, bool]:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise invalid_field(
                "content-length", "Content-Length and Transfer-Encoding exclude each other"
            )
        if minor_version == 0 or coding.lower() != "chunked":
            raise invalid_field(
                "transfer-encoding",
                f"transfer coding {coding[:64]!r} is unknown; send chunked or none",
            )
        return 0, True
    if length is None:
        return 0, False
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise invalid_field("content-length", f"Content-Length {length[:64]!r} is not a number")
    return int(length), False


def _keeps_alive(headers: dict[str, str], minor_version: int) -> bool:
    # llhttp forgets its own answer to this as soon as the message is complete.
    asked = headers.get("connection")
    if asked is None:
        return minor_version == 1
    options = [option.strip(" \t") for option in asked.lower().split(",")]
    return "close" not in options and (minor_version == 1 or "keep-alive" in options)


def _expects_continue(headers: dict[str, str]) -> bool:
    expected = headers.get("expect")
    if expected is None:
        return False
    if expected.lower() != "100-continue":
        raise invalid_field(
            "expect", f"expectation {expected[:64]!r} is unknown; only 100-continue is met"
        )
    return True


def is_sane_request_id(text: str) -> bool:
    """Whether a caller's request id may be echoed and logged: 1–128 printable ASCII characters."""
    return 0 < len(text) <= 128 and text.isascii() and text.isprintable()


def request_id_of(head: Head) -> str | None:
    """The caller's own request id, if it sent a sane one."""
    text = head.headers.get("x-request-id")
    return text if text is not None and is_sane_request_id(text) else None
