"""HTTP as a client: the command asks a node, and a node probes the services it watches.

The only module that imports httpx. Rules it keeps:

1. No exception of httpx, h11 or ssl escapes; ours say what went wrong and who is to blame.
2. Redirects are never followed and proxies from the environment never used: an answer is from
   the address that was asked, or it is none.
3. Every answer has a largest size and every wait an end.

ApiError
├── ApiUnreachable    nobody answered in time; whether a change was made is not known
├── ApiRefused        the node said no, in the documented shape
└── ApiStrange        somebody answered, but not as a node would
"""

import errno
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import httpx
import orjson
import trio

from .checks.asking import ProbeAnswer, ProbeFailed
from .version import VERSION

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The peers of the largest cluster (10,000 members) are about 6 MB."""
PROBE_BODY_MAX = 4 * 1024
"""Bytes of a probed service's answer that are read; the rest is not waited for."""
PROBES_AT_ONCE_MAX = 256
"""A probe holds one socket; this many leave room for the node's own work."""
CAUSES_MAX = 16
"""How deep we look for the system's own error inside an exception."""

EVENT_BYTES_MAX = 256 * 1024
"""One server-sent event; a record has at most 8 KiB."""

_TROUBLE = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    OSError,
    ValueError,
)
"""All that httpx raises for what a server or an address can be."""


class ApiError(Exception):
    """Asking a node did not bring an answer that can be used."""


class ApiUnreachable(ApiError):  # noqa: N818 - reads as what happened
    """Nobody answered at `url` in time. A change may have been made: look, then repeat."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no node answers at {url}: {reason}")
        self.url = url
        self.reason = reason


class ApiRefused(ApiError):  # noqa: N818 - reads as what happened
    """The node refused. If `definite`, nothing was changed; else look before repeating."""

    def __init__(self, status: int, error: Mapping[str, Json]) -> None:
        self.status = status
        self.code = _text(error, "code") or "unknown"
        self.message = _text(error, "message") or "no reason given"
        self.field = _text(error, "field")
        self.definite = error.get("definite") is True
        self.request_id = _text(error, "request_id")
        self.owner_address = _text(error, "owner_address")
        """Whom to ask instead, with code `not_owner`; else empty."""
        super().__init__(f"{status} {self.code}: {self.message}")


class ApiStrange(ApiError):  # noqa: N818 - reads as what happened
    """What answered at `url` does not speak as a node does: probably another program."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"the answer of {url} is not a kith node's: {reason}")
        self.url = url
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reply:
    """A node's answer: HTTP status, decoded JSON (None if empty), headers with lower-case names."""

    status: int
    value: Json
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event; without a kind and data it only says up to where one has come."""

    id: str
    """Empty where it has none."""
    kind: str
    data: str


def _text(document: Mapping[str, Json], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


class ApiClient:
    """Asks one node over HTTP; a context manager that keeps one connection.

    Args:
        base_url: of the node, such as `http://127.0.0.1:8400`.
        token: sent as `Authorization: Bearer …`, or None.
        timeout_s: seconds for one whole call.

    Raises:
        ValueError: `base_url` is not an http or https URL.
    """

    def __init__(self, base_url: str, token: str | None, timeout_s: float) -> None:
        headers = {"User-Agent": f"kith/{VERSION}", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        try:
            parsed = httpx.URL(self._url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{base_url!r} is not a URL: {error}") from None
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ValueError(f"{base_url!r} is not an http:// or https:// URL")
        # Loading the system's certificates takes longer than a whole call over plain HTTP.
        tls = (
            ssl.create_default_context()
            if parsed.scheme == "https"
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        self._http = httpx.Client(
            headers=headers, timeout=timeout_s, verify=tls, trust_env=False, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    @property
    def url(self) -> str:
        """The node that is asked."""
        return self._url

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
    ) -> Reply:
        """Send one request and read the answer.

        Args:
            method: of HTTP.
            path: below the base URL, already quoted, starting with `/`.
            query: names and values, not yet quoted.
            body: JSON to send; None sends no body.
            headers: besides those that every request has.
            accept: statuses of 400 and above that are answers here, not refusals.

        Raises:
            ApiUnreachable: no answer in time.
            ApiRefused: a documented error.
            ApiStrange: anything else than JSON in the documented shapes.
        """
        content = None if body is None else orjson.dumps(body)
        told = {} if content is None else {"Content-Type": "application/json"}
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._http.stream(
                method,
                self._url + path,
                params=list(query) or None,
                content=content,
                headers={**told, **(headers or {})},
            ) as response:
                raw = self._read(response.iter_bytes(), deadline)
        except httpx.TimeoutException:
            raise ApiUnreachable(self._url, f"no answer within {self._timeout_s:g} s") from None
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            raise ApiStrange(self._url, str(error) or type(error).__name__) from None
        except _TROUBLE as error:
            raise ApiUnreachable(self._url, _reason(error)) from None
        return self._understood(response, raw, accept)

    @property
    def timeout_s(self) -> float:
        """Seconds for one whole call."""
        return self._timeout_s

    def follow(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        last_id: str | None = None,
        silence_s: float,
    ) -> Iterator[ServerEvent]:
        """Read a stream of server-sent events until the node ends it.

        Args:
            path: As for `call`.
            query: As for `call`.
            last_id: The id of the last event that is known.
            silence_s: Seconds without a byte after which the node counts as gone.

        Raises:
            ApiUnreachable, ApiRefused, ApiStrange: as `call`; also in the middle of the stream.
        """
        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        timeout = httpx.Timeout(self._timeout_s, read=silence_s)
        try:
            with self._http.stream(
                "GET",
                self._url + path,
                params=list(query) or None,
                headers=headers,
                timeout=timeout,
            ) as response:
                if response.status_code != 200:
                    raw = self._read(response.iter_bytes(), time.monotonic() + self._timeout_s)
                    self._understood(response, raw, ())
                    raise ApiStrange(self._url, f"status {response.status_code}, and no events")
                for block in self._blocks(response.iter_bytes()):
                    yield _event(block)
        except httpx.TimeoutException:
            raise ApiUnreachable(self._url, f"no sign of life for {silence_s:g} s") from None
        except httpx.DecodingError as error:
            raise ApiStrange(self._url, str(error) or type(error).__name__) from None
        except _TROUBLE as error:
            raise ApiUnreachable(self._url, _reason(error)) from None

    def _blocks(self, chunks: Iterator[bytes]) -> Iterator[str]:
        rest = b""
        for chunk in chunks:
            *blocks, rest = (rest + chunk).split(b"\n\n")
            if len(rest) > EVENT_BYTES_MAX:
                raise ApiStrange(self._url, f"an event is longer than {EVENT_BYTES_MAX} bytes")
            for block in blocks:
                yield block.decode(errors="replace")

    def _read(self, chunks: Iterator[bytes], deadline: float) -> bytes:
        raw = bytearray()
        for chunk in chunks:
            raw += chunk
            if len(raw) > ANSWER_BYTES_MAX:
                raise ApiStrange(self._url, f"it is longer than {ANSWER_BYTES_MAX} bytes")
            if time.monotonic() > deadline:
                reason = f"the answer did not end within {self._timeout_s:g} s"
                raise ApiUnreachable(self._url, reason)
        return bytes(raw)

    def _understood(self, response: httpx.Response, raw: bytes, accept: Sequence[int]) -> Reply:
        status = response.status_code
        if not 200 <= status < 300 and not 400 <= status < 600:
            target = response.headers.get("location", "")
            reason = f"status {status}" + (f", a redirect to {target}" if target else "")
            raise ApiStrange(self._url, reason)
        try:
            value: Json = orjson.loads(raw) if raw else None
        except orjson.JSONDecodeError:
            raise ApiStrange(self._url, f"status {status}, and not JSON") from None
        if status >= 400 and status not in accept:
            error = value.get("error") if isinstance(value, dict) else None
            if not isinstance(error, dict):
                raise ApiStrange(self._url, f"status {status} without an error document")
            raise ApiRefused(status, error)
        return Reply(status, value, dict(response.headers))


class HttpProber:
    """Asks services for their health, under trio.

    Each probe opens a connection of its own, as a new caller would: a kept one stays good when the
    listener behind it is long gone, and a pool shared between probes is state that a cancelled
    one could leave broken. At most `at_once_max` run at a time; the wait for a place counts
    against a probe's own time.
    """

    def __init__(self, *, at_once_max: int = PROBES_AT_ONCE_MAX) -> None:
        self._places = trio.CapacityLimiter(at_once_max)
        self._plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._verifying: ssl.SSLContext | None = None

    async def ready(self) -> None:
        """Nothing has to be prepared."""
        await trio.lowlevel.checkpoint()

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
                    return await self._ask(url, method)
        except trio.TooSlowError:
            raise ProbeFailed(f"no answer within {timeout_s:g} s") from None
        except _TROUBLE as error:
            raise ProbeFailed(_reason(error)) from None

    async def _ask(self, url: str, method: str) -> ProbeAnswer:
        headers = {
            "User-Agent": f"kith-check/{VERSION}",
            "Accept": "*/*",
            # Never compressed: 4 KiB must not unfold into gigabytes.
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        request = httpx.Request(method, url, headers=headers)
        if request.url.scheme not in {"http", "https"} or not request.url.host:
            raise httpx.UnsupportedProtocol("the URL is not http:// or https://")
        tls = self._authorities() if request.url.scheme == "https" else self._plain
        body = bytearray()
        async with httpx.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            try:
                # Leaving the loop would leave httpx's nested generators to the garbage collector;
                # cancelling the next read ends them in order.
                with trio.CancelScope() as enough:
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) >= PROBE_BODY_MAX:
                            enough.cancel()
            finally:
                await response.aclose()
        return ProbeAnswer(response.status_code, bytes(body[:PROBE_BODY_MAX]))

    def _authorities(self) -> ssl.SSLContext:
        if self._verifying is None:
            self._verifying = ssl.create_default_context()
        return self._verifying


def _reason(error: BaseException) -> str:
    """A short sentence for whatever went wrong, from the deepest cause that says more."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {getattr(cause, 'verify_message', cause)}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {getattr(cause, 'reason', None) or cause}"
        if isinstance(cause, socket.gaierror):
            return f"the name cannot be resolved: {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno is not None:
            return _system_reason(cause)
    if isinstance(error, httpx.RemoteProtocolError):
        return f"malformed answer: {error}"
    return str(error) or type(error).__name__


def _system_reason(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "connection refused"
    if error.errno == errno.ECONNRESET:
        return "connection reset"
    return (error.strerror or str(error)).lower()


def _causes(error: BaseException) -> list[BaseException]:
    """`error`, what it was raised from, and the attempts that trio lists below a failed connect."""
    found = [error]
    for current in found:
        below = [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]
        for cause in below:
            known = any(cause is one for one in found)
            if isinstance(cause, BaseException) and not known and len(found) < CAUSES_MAX:
                found.append(cause)
    return found


def _event(block: str) -> ServerEvent:
    """A block of lines as the standard of server-sent events reads it."""
    fields = {"id": "", "event": ""}
    data: list[str] = []
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name in fields:
            fields[name] = value
    return ServerEvent(fields["id"], fields["event"] if data else "", "\n".join(data))
