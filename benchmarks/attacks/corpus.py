"""Requests that two HTTP parsers could read in two ways (request smuggling).

Each one hides a second request, the canary, behind a framing that is wrong or that only some
parsers understand. A server is safe if it never answers the canary: it must refuse the first
request and close, or take the canary for what it is, a part of the first one.
"""

from dataclasses import dataclass

MARK = "canary-7f3a"
"""Its request id; an answer that echoes it answers the canary."""
CANARY = f"GET /v1/node HTTP/1.1\r\nHost: k\r\nX-Request-Id: {MARK}\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Trick:
    """One try."""

    name: str
    data: bytes
    is_refused: bool = True
    """Whether the request is wrong by itself; else its answer may be any, but be the only one."""


def _post(*headers: str, body: bytes = CANARY, line: str = "POST /v1/services HTTP/1.1") -> bytes:
    lines = [line, "Host: k", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _get(line: str, *headers: str, host: str = "Host: k") -> bytes:
    lines = [line, *([host] if host else []), *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + CANARY


_CHUNKED = "Transfer-Encoding: chunked"
_LENGTH = f"Content-Length: {len(CANARY)}"
_HIDDEN = b"0\r\n\r\n" + CANARY


def _lengths() -> list[Trick]:
    values = {
        "with a plus": "+5", "negative": "-1", "hexadecimal": "0x10", "with an underscore": "1_0",
        "empty": "", "a list": "5, 5", "a list of two": "5, 6", "a fraction": "5.0",
        "a word": "abc",
        "with a space inside": "1 0", "beyond 64 bits": "18446744073709551617",
        "of twenty zeros": "0" * 20, "with a NUL": "5\0", "in other digits": "\xb2",
        "with a vertical tab": "\x0b5", "with an exponent": "1e1",
    }  # fmt: skip
    alone = [
        Trick(f"Content-Length {name}", _post(f"Content-Length: {value}"))
        for name, value in values.items()
    ]
    return [
        *alone,
        Trick("two Content-Lengths that differ", _post("Content-Length: 0", _LENGTH)),
        Trick("two Content-Lengths that agree", _post(_LENGTH, _LENGTH)),
        Trick("Content-Length in two cases", _post("Content-Length: 0", "content-length: 5")),
        Trick("a Content-Length that covers it", _post(_LENGTH), is_refused=False),
        Trick("… in a GET", _get("GET /healthz HTTP/1.1", _LENGTH), is_refused=False),
        Trick("… in a HEAD", _get("HEAD /healthz HTTP/1.1", _LENGTH), is_refused=False),
        Trick("… in a DELETE", _get("DELETE /v1/services/a/b HTTP/1.1", _LENGTH), is_refused=False),
    ]


def _codings() -> list[Trick]:
    values = {
        "xchunked": "xchunked", "chunked, identity": "chunked, identity", "identity": "identity",
        "identity, chunked": "identity, chunked", "gzip, chunked": "gzip, chunked",
        "chunked twice": "chunked, chunked", "a quoted one": '"chunked"',
        "with a parameter": "chunked;a=b", "with a comma": ",chunked",
        "with a comma after": "chunked,", "with a NUL": "chunked\0",
        "with a vertical tab": "\x0bchunked", "with a form feed": "chunked\x0c",
        "with a bare CR": "chu\rnked", "with a bare LF": "chunked\nX: y",
        "of Latin-1": "chunked\xa0",
        "nothing": "", "cow": "cow",
    }  # fmt: skip
    obfuscated = {
        "a space before the colon": "Transfer-Encoding : chunked",
        "a tab before the colon": "Transfer-Encoding\t: chunked",
        "a space before the name": " Transfer-Encoding: chunked",
        "a folded value": "Transfer-Encoding:\r\n chunked",
        "a fold with a tab": "Transfer-Encoding:\r\n\tchunked",
        "a fold in another header": "X: a\r\n Transfer-Encoding: chunked",
        "a NUL in the name": "Transfer\0-Encoding: chunked",
        "a bare CR before it": "X: a\rTransfer-Encoding: chunked",
        "a bare LF before it": "X: a\nTransfer-Encoding: chunked",
        "an underscore": "Transfer_Encoding: chunked\r\nTransfer-Encoding: x",
        "no colon": "Transfer-Encoding chunked",
        "an empty name": ": chunked",
        "a name in brackets": "Transfer-Encoding(): chunked",
    }
    return [
        Trick("CL.TE", _post(f"Content-Length: {len(_HIDDEN)}", _CHUNKED, body=_HIDDEN)),
        Trick("TE.CL", _post(_CHUNKED, "Content-Length: 4", body=b"5c\r\n" + CANARY)),
        Trick("CL.0", _post("Content-Length: 0", _CHUNKED, body=_HIDDEN)),
        *(
            Trick(f"TE.TE {name}", _post(_CHUNKED, f"Transfer-Encoding: {value}", body=_HIDDEN))
            for name, value in values.items()
        ),
        *(
            Trick(f"Transfer-Encoding {name}", _post(f"Transfer-Encoding: {value}", body=_HIDDEN))
            for name, value in values.items()
        ),
        *(
            Trick(f"Transfer-Encoding with {name}", _post(header, _LENGTH, body=_HIDDEN))
            for name, header in obfuscated.items()
        ),
        Trick(
            "chunked in HTTP/1.0",
            _post(_CHUNKED, body=_HIDDEN, line="POST /v1/services HTTP/1.0"),
        ),
    ]


def _chunks() -> list[Trick]:
    size = f"{len(CANARY):x}".encode()
    framings = {
        "0x before the size": b"0x" + size + b"\r\n" + CANARY + b"\r\n",
        "a plus before the size": b"+" + size + b"\r\n" + CANARY + b"\r\n",
        "a minus before the size": b"-1\r\n",
        "a space before the size": b" " + size + b"\r\n" + CANARY + b"\r\n",
        "a space after the size": size + b" \r\n" + CANARY + b"\r\n",
        "a tab after the size": size + b"\t\r\n" + CANARY + b"\r\n",
        "an underscore in the size": b"1_0\r\n",
        "a size beyond 32 bits": b"1" + b"0" * 8 + b"\r\n",
        "a size beyond 64 bits": b"1" + b"0" * 16 + b"\r\n",
        "leading zeros without end": b"0" * 40 + size + b"\r\n" + CANARY + b"\r\n",
        "a huge size": b"7fffffff\r\n",
        "no size": b"\r\n" + CANARY,
        "no size but an extension": b";a=b\r\n" + CANARY,
        "a size that ends by LF": size + b"\n" + CANARY + b"\r\n",
        "a size that ends by CR": size + b"\r" + CANARY + b"\r\n",
        "a LF in an extension": size + b";\n" + CANARY + b"\r\n",
        "a CR in an extension": size + b";a\rb\r\n" + CANARY + b"\r\n",
        "a NUL in an extension": size + b";\0\r\n" + CANARY + b"\r\n",
        "data that ends by LF": b"1\r\na\n0\r\n\r\n",
        "data that is longer than its size": b"1\r\nab\r\n0\r\n\r\n",
        "data that is shorter than its size": b"3\r\na\r\n0\r\n\r\n",
        "data without an end": b"1\r\na0\r\n\r\n",
        "a last chunk that ends by LF": b"0\n\n",
        "a last chunk whose trailer ends by LF": b"0\r\nX: y\n\r\n",
        "a trailer with a NUL": b"0\r\nX: \0\r\n\r\n",
        "a size of Latin-1 digits": b"\xb2\r\nab\r\n0\r\n\r\n",
    }
    return [
        *(
            Trick(f"chunks with {name}", _post(_CHUNKED, body=body + b"0\r\n\r\n" + CANARY))
            for name, body in framings.items()
        ),
        Trick(
            "a chunk that covers it",
            _post(_CHUNKED, body=size + b"\r\n" + CANARY + b"\r\n0\r\n\r\n"),
            is_refused=False,
        ),
        Trick(
            "an extension that covers it",
            _post(_CHUNKED, body=b"1;" + b"GET /v1/node HTTP/1.1" + b"\r\na\r\n0\r\n\r\n"),
            is_refused=False,
        ),
        Trick(
            "a trailer that covers it",
            _post(_CHUNKED, body=b"0\r\n" + CANARY),
            is_refused=False,
        ),
    ]


def _lines() -> list[Trick]:
    firsts = {
        "no target": "GET HTTP/1.1", "two spaces": "GET  /healthz HTTP/1.1",
        "a tab": "GET\t/healthz HTTP/1.1", "a space after": "GET /healthz HTTP/1.1 ",
        "a space in the target": "GET /healthz /x HTTP/1.1", "HTTP/0.9": "GET /healthz",
        "HTTP/1.2": "GET /healthz HTTP/1.2", "HTTP/2.0": "GET /healthz HTTP/2.0",
        "HTTP/1.01": "GET /healthz HTTP/1.01", "http in small letters": "GET /healthz http/1.1",
        "a method in small letters": "get /healthz HTTP/1.1",
        "an unknown method": "HACK /healthz HTTP/1.1",
        "a NUL": "GET /\0healthz HTTP/1.1", "a bare CR": "GET /healthz\r HTTP/1.1",
        "Latin-1": "GET /h\xe4 HTTP/1.1", "a fragment": "GET /healthz#x HTTP/1.1",
        "no slash": "GET healthz HTTP/1.1", "an unknown scheme": "GET ftp://k/healthz HTTP/1.1",
        "PRI": "PRI * HTTP/2.0", "CONNECT": "CONNECT k:80 HTTP/1.1",
    }  # fmt: skip
    covered = {
        "another authority": "GET http://evil/healthz HTTP/1.1",
        "no path": "GET http://evil HTTP/1.1",
        "a query for a path": "GET http://evil?/healthz HTTP/1.1",
        "user information": "GET http://a@b/healthz HTTP/1.1",
        "no authority": "GET http:///healthz HTTP/1.1",
        "two slashes": "GET //evil/healthz HTTP/1.1",
        "dots": "GET /a/../healthz HTTP/1.1",
        "encoded dots": "GET /a/%2e%2e/healthz HTTP/1.1",
        "an encoded slash": "GET /a%2fb HTTP/1.1",
        "an encoded NUL": "GET /healthz%00 HTTP/1.1",
        "an encoded line end": "GET /healthz%0d%0aX:%20y HTTP/1.1",
        "a backslash": "GET /\\evil HTTP/1.1",
    }
    return [
        *(Trick(f"a first line with {name}", _get(line)) for name, line in firsts.items()),
        *(
            Trick(f"a target with {name}", _get(line, _LENGTH), is_refused=False)
            for name, line in covered.items()
        ),
    ]


def _headers() -> list[Trick]:
    hosts = {
        "no Host": "", "two Hosts": "Host: k\r\nHost: evil", "a Host with a space": "Host: a b",
        "a Host with a path": "Host: k/x", "a Host with a user": "Host: a@k",
        "a Host that is folded": "Host: k\r\n evil", "a Host with a list": "Host: k, evil",
    }  # fmt: skip
    lines = {
        "a NUL in a value": "X: a\0b", "a bare LF": "X: a\nY: b", "a bare CR": "X: a\rY: b",
        "a control character": "X: a\x01b", "a line without a colon": "X",
        "a space before a colon": "X : a", "a folded line": "X: a\r\n b",
        "a line that begins with a space": " X: a", "a Latin-1 name": "X\xe4: a",
        "an unknown expectation": "Expect: 200-ok", "DEL": "X: a\x7fb",
    }  # fmt: skip
    return [
        *(Trick(name, _get("GET /healthz HTTP/1.1", host=host)) for name, host in hosts.items()),
        *(
            Trick(f"headers with {name}", _get("GET /healthz HTTP/1.1", line))
            for name, line in lines.items()
        ),
        Trick(
            "headers that end by LF LF",
            b"GET /healthz HTTP/1.1\nHost: k\n\n" + CANARY,
        ),
        Trick(
            "headers that end by CR CR",
            b"GET /healthz HTTP/1.1\rHost: k\r\r" + CANARY,
        ),
        Trick(
            "an upgrade with a body that is it",
            _get("GET /healthz HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c", _LENGTH),
            is_refused=False,
        ),
    ]


CORPUS: tuple[Trick, ...] = (*_lengths(), *_codings(), *_chunks(), *_lines(), *_headers())
