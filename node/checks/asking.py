"""One question to a service over HTTP: status, and the start of the body.

Rules this module keeps:

1. Every probe has a connection of its own, as a new caller would: a kept one stays good when the
   listener behind it is long gone, and a pool shared between probes is state that a cancelled one
   could leave broken.
2. Redirects are never followed and proxies from the environment never used: an answer is from the
   address that was asked, or it is none.
3. Every answer has a largest size and every wait an end; no exception of a library escapes.
4. What is sent is ASCII without a control character, whatever the URL holds.

An HTTP client library would do all this and much more: it was 4 MB of each node's memory, and took
longer to prepare one request than this takes for the whole probe.
"""

import ssl
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httptools
import trio
from trio.abc import Stream

from node.version import VERSION

from .reasons import reason_of

PROBE_BODY_MAX = 4 * 1024
"""Bytes of a probed service's answer that are read; the rest is not waited for."""
HEAD_BYTES_MAX = 64 * 1024
"""Of an answer's status line and headers, with any interim answers before it."""
PROBES_AT_ONCE_MAX = 256
"""A probe holds one socket; this many leave room for the node's own work."""
_READ_BYTES = 8 * 1024
_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/%:@!$&'()*+,;=~"
_QUERY_SAFE = _PATH_SAFE + "?"
_SWITCHING = 101

_TROUBLE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ValueError)
"""All that an address, the network and TLS can raise."""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What a probed service said: HTTP status and at most `PROBE_BODY_MAX` bytes."""

    status: int
    body: bytes


class ProbeFailed(Exception):  # noqa: N818 - reads as what happened
    """The service gave no usable answer; `reason` is a short sentence for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HttpProber:
    """Asks services for their health, under trio.

    At most `at_once_max` probes run at a time; the wait for a place counts against a probe's own
    time.
    """

    def __init__(self, *, at_once_max: int = PROBES_AT_ONCE_MAX) -> None:
        self._places = trio.CapacityLimiter(at_once_max)
        self._verifying: ssl.SSLContext | None = None

    async def get(self, url: str, timeout_s: float, *, method: str = "GET") -> ProbeAnswer:
        """Send one request without a body and read the start of the answer.

        Args:
            url: http or https; certificates are verified against the system's authorities.
            timeout_s: seconds for everything, from the name's look-up to the body's end.
            method: of HTTP.

        Raises:
            ProbeFailed: refused, too slow, no such name, bad certificate, malformed answer or URL.
        """
        try:
            with trio.fail_after(timeout_s):
                async with self._places:
                    return await self._ask(_target_of(url), method)
        except trio.TooSlowError:
            raise ProbeFailed(f"no answer within {timeout_s:g} s") from None
        except _TROUBLE as error:
            raise ProbeFailed(reason_of(error)) from None

    async def _ask(self, target: "_Target", method: str) -> ProbeAnswer:
        stream: Stream = await trio.open_tcp_stream(target.host, target.port)
        try:
            if target.secure:
                stream = trio.SSLStream(
                    stream, self._authorities(), server_hostname=target.host, https_compatible=True
                )
            await stream.send_all(_request(target, method))
            return await _receive(stream, bodiless=method == "HEAD")
        finally:
            await trio.aclose_forcefully(stream)

    def _authorities(self) -> ssl.SSLContext:
        if self._verifying is None:
            # Once, and only where it is needed: loading them takes longer than many probes.
            self._verifying = ssl.create_default_context()
        return self._verifying


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a URL leads, in ASCII."""

    secure: bool
    host: str
    """A name or an address, without brackets."""
    port: int
    authority: str
    """As the `Host` header has it."""
    path: str
    """With the query."""


def _target_of(url: str) -> _Target:
    # The standard library drops tabs and line ends from within a URL without a word.
    if not url.isprintable():
        raise ProbeFailed("the URL has characters that nobody can see")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ProbeFailed("the URL is not http:// or https://")
    usual = _PORTS[parts.scheme]
    name = parts.hostname
    host = name if name.isascii() else name.encode("idna").decode("ascii")
    port = usual if parts.port is None else parts.port
    shown = f"[{host}]" if ":" in host else host
    path = quote(parts.path, safe=_PATH_SAFE) or "/"
    query = f"?{quote(parts.query, safe=_QUERY_SAFE)}" if parts.query else ""
    authority = quote(shown, safe="[]:%") + ("" if port == usual else f":{port}")
    return _Target(parts.scheme == "https", host, port, authority, path + query)


def _request(target: _Target, method: str) -> bytes:
    return (
        f"{method} {target.path} HTTP/1.1\r\n"
        f"Host: {target.authority}\r\n"
        f"User-Agent: kith-check/{VERSION}\r\n"
        "Accept: */*\r\n"
        # Never compressed: 4 KiB must not unfold into gigabytes.
        "Accept-Encoding: identity\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii")


async def _receive(stream: Stream, *, bodiless: bool) -> ProbeAnswer:
    answer = _Answer(bodiless=bodiless)
    head_bytes = 0
    while not answer.complete:
        data = bytes(await stream.receive_some(_READ_BYTES))
        if not data:
            answer.end()
            break
        answer.feed(data)
        if not answer.headed:
            head_bytes += len(data)
            if head_bytes > HEAD_BYTES_MAX:
                raise ProbeFailed(f"malformed answer: its head exceeds {HEAD_BYTES_MAX} bytes")
    return ProbeAnswer(answer.status, bytes(answer.body[:PROBE_BODY_MAX]))


class _Answer:
    """An answer as it comes in; llhttp calls the `on_` methods back."""

    def __init__(self, *, bodiless: bool) -> None:
        self.status = 0
        self.body = bytearray()
        self.headed = False
        """Whether the last head was read whole, interim answers aside."""
        self.complete = False
        """Whether nothing more is to be read."""
        self._bodiless = bodiless
        self._framed = False
        """Whether the answer says where it ends."""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take in what came.

        Raises:
            ProbeFailed: it is no HTTP.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.complete = True  # to a protocol that nobody asked for: the status says enough
        except httptools.HttpParserError as error:
            if not self.complete:  # what follows a whole answer is nobody's business
                raise ProbeFailed(f"malformed answer: {error}") from None

    def end(self) -> None:
        """The other side has said all.

        Raises:
            ProbeFailed: it has not, by what it said before.
        """
        if not self.headed or self._framed:
            raise ProbeFailed("malformed answer: it ended too early")

    def on_message_begin(self) -> None:
        """An answer begins, perhaps after interim ones."""
        self._framed = False

    def on_header(self, name: bytes, _value: bytes) -> None:
        """One header."""
        self._framed = self._framed or name.lower() in {b"content-length", b"transfer-encoding"}

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.status = self._parser.get_status_code()
        self.headed = self.status >= 200 or self.status == _SWITCHING
        self.complete = self.complete or (self.headed and self._bodiless)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        room = PROBE_BODY_MAX - len(self.body)
        self.body += data[:room]
        self.complete = self.complete or len(self.body) >= PROBE_BODY_MAX

    def on_message_complete(self) -> None:
        """The answer is whole; an interim one is followed by another."""
        self.complete = self.complete or self.headed
