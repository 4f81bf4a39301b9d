"""How much one HTTP client, and all of them together, may ask of the server.

Every limit is refused with an answer that names it; none is silently adapted.
"""

from dataclasses import dataclass, fields

_MAY_BE_NONE = ("requests_per_s", "loopback_is_limited")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Bounds in bytes, counts and seconds.

    Raises:
        ValueError: a limit is not positive.
    """

    connections_max: int = 1_000
    """Open connections in all. Each costs a file descriptor, a task, one answer and
    `2 * header_bytes_max + body_bytes_max + output_bytes_max` bytes at worst, so that 1,000 of the
    worst kind stay under 200 MB. One more is answered 503 `overloaded`. How many a node admits is
    in its configuration and follows from its open files, see `capacity`."""

    requests_per_s: float = 10_000.0
    """Requests a second of one client (as above) in the long run; more are answered 429
    `rate_limited`. 0: no limit. Half of what one core answers: a client that asks without pause
    leaves the other half to everybody else, and nobody who does anything with the answers comes
    near it."""

    requests_burst: int = 20_000
    """Requests of one client at once, after a while of few: two seconds' worth."""

    loopback_is_limited: bool = False
    """Whether `requests_per_s` holds for this machine, too. All its programs share one address,
    they could take the CPU without us, and agents of other registries do not limit them either."""

    held_bytes_max: int = 64 * 1024 * 1024
    """Bytes of requests that are not complete and of answers that are not taken, in all. Beyond,
    the connections that hold most, of the client that holds most, are closed."""

    incomplete_s: float = 2.0
    """Seconds after which an incomplete request no longer protects its connection from being closed
    for another one when all are taken and none is idle; a lost packet is sent again sooner."""

    connections_per_client_max: int = 256
    """Open connections from one address, or from one /64 in IPv6, where a customer is given that
    many addresses. Many confused clients are needed to shut out the rest."""

    refusals_max: int = 64
    """Connections beyond the limit that are being told so at one moment; any more are closed
    without a word, because telling costs a file descriptor each."""

    header_bytes_max: int = 16 * 1024
    """Bytes of the request line and all headers, with the empty line after them."""

    header_count_max: int = 64
    """Header fields in one request; browsers send about 20."""

    url_bytes_max: int = 8 * 1024
    """Bytes of the request target; RFC 9112, section 3, asks for at least 8,000."""

    query_count_max: int = 64
    """Parameters in one query string."""

    body_bytes_max: int = 64 * 1024
    """Bytes of a request body after removing the chunked framing: eight records of full size.
    A route may allow more, and then bounds how many of those it works on at once; while they come
    in, `held_bytes_max` holds for them as for all."""

    header_s: float = 10.0
    """Seconds from a request's first byte (on a new connection: from accepting it) to the end of
    its headers. Too slow is 408."""

    body_s: float = 10.0
    """Seconds from the end of the headers to the end of the body. Too slow is 408."""

    idle_s: float = 75.0
    """Seconds that a connection may stay open between two requests; longer than the 60 s after
    which common proxies drop theirs, so that they close first and never send into a closing one."""

    write_s: float = 10.0
    """Seconds for an answer to be taken by the client's kernel; a slower reader is cut off."""

    linger_s: float = 1.0
    """Seconds for which we read and discard after a final answer, so that a client still sending
    gets to read that answer instead of a reset (RFC 9112, section 9.6)."""

    stream_bytes_max: int = 64 * 1024
    """Bytes of an endless answer that wait in the node for a client to read, and about as many in
    the kernel; a client further behind is cut off. Some 200 events, a second of a busy cluster."""

    parked_bytes_max: int = 16 * 1024
    """Bytes of further requests that a client may send while it waits for an answer that comes
    later; more ends the connection."""

    burst_max: int = 32
    """Pipelined requests served before other connections get their turn."""

    output_bytes_max: int = 64 * 1024
    """Bytes of answers gathered in one burst before they are written."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 or field.name in _MAY_BE_NONE):
                raise ValueError(f"{field.name} is {value}; it must be positive")
