"""Bytes to requests: framing, limits, and every shape that smuggles requests."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.http import head as heads
from node.http.errors import ApiError
from node.http.limits import HttpLimits
from node.http.messages import Query
from node.http.reader import KEPT_BYTES_MAX, KEPT_MAX, Incoming, Kept, RequestReader

from . import speaking

LIMITS = HttpLimits()
STREAM = (
    b"GET /a?x=1 HTTP/1.1\r\nHost: k\r\n\r\n"
    b"POST /b HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\nhello"
    b"\r\nPUT /c HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    b"GET /a?x=1 HTTP/1.1\r\nHost: k\r\n\r\n"
)


def requests_in(*pieces: bytes, limits: HttpLimits = LIMITS) -> list[Incoming]:
    reader, found = RequestReader(limits), []
    for piece in pieces:
        reader.feed(piece)
        while (incoming := reader.take()) is not None:
            found.append(incoming)
    return found


def refusal_of(*pieces: bytes, limits: HttpLimits = LIMITS) -> tuple[str, str | None]:
    with pytest.raises(ApiError) as caught:
        requests_in(*pieces, limits=limits)
    return caught.value.code, caught.value.field


def with_headers(*lines: bytes, body: bytes = b"", line: bytes = b"POST /b HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: k", *lines]) + b"\r\n\r\n" + body


def test_requests_come_out_whole_and_in_order() -> None:
    found = requests_in(STREAM)

    assert [(head.method, head.path, body) for head, body in found] == [
        ("GET", "/a", b""),
        ("POST", "/b", b"hello"),
        ("PUT", "/c", b"abc0123456789"),
        ("GET", "/a", b""),
    ]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_how_the_bytes_are_cut_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]

    assert requests_in(*pieces) == requests_in(STREAM)


def test_byte_by_byte_is_the_same_too() -> None:
    assert requests_in(*(bytes([byte]) for byte in STREAM)) == requests_in(STREAM)


SMUGGLING = {
    "both lengths": with_headers(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    "both lengths, other order": with_headers(b"Transfer-Encoding: chunked", b"Content-Length: 3"),
    "differing lengths": with_headers(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"),
    "repeated length": with_headers(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "length as a list": with_headers(b"Content-Length: 3, 3", body=b"abc"),
    "signed length": with_headers(b"Content-Length: +3", body=b"abc"),
    "negative length": with_headers(b"Content-Length: -3", body=b"abc"),
    "hexadecimal length": with_headers(b"Content-Length: 0x3", body=b"abc"),
    "length with an underscore": with_headers(b"Content-Length: 1_0", body=b"abc"),
    "empty length": with_headers(b"Content-Length: "),
    "huge length": with_headers(b"Content-Length: 99999999999999999999999999"),
    "unknown coding": with_headers(b"Transfer-Encoding: gzip"),
    "two codings": with_headers(b"Transfer-Encoding: gzip, chunked"),
    "chunked not last": with_headers(b"Transfer-Encoding: chunked, identity"),
    "coding twice": with_headers(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "almost chunked": with_headers(b"Transfer-Encoding: xchunked"),
    "quoted chunked": with_headers(b'Transfer-Encoding: "chunked"'),
    "chunked with vertical tab": with_headers(b"Transfer-Encoding: \x0bchunked"),
    "coding in HTTP/1.0": with_headers(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
    "space before colon": with_headers(b"Content-Length : 3", body=b"abc"),
    "folded header": with_headers(b"X: a", b" b"),
    "folded with tab": with_headers(b"Transfer-Encoding:", b"\tchunked"),
    "leading space": with_headers(b" Content-Length: 3", body=b"abc"),
    "no colon": with_headers(b"Nonsense"),
    "empty name": with_headers(b": x"),
    "name with a space": with_headers(b"Foo Bar: x"),
    "bare LF ends a header": with_headers(b"X: a\nContent-Length: 3", body=b"abc"),
    "bare CR inside a header": with_headers(b"X: a\rContent-Length: 3", body=b"abc"),
    "bare LF ends the headers": b"GET / HTTP/1.1\nHost: k\n\n",
    "NUL in a value": with_headers(b"X: a\0b"),
    "DEL in a value": with_headers(b"X: a\x7fb"),
    "NUL in a name": with_headers(b"X\0: a"),
    "two spaces": with_headers(line=b"GET  / HTTP/1.1"),
    "tab as separator": with_headers(line=b"GET\t/\tHTTP/1.1"),
    "space in the target": with_headers(line=b"GET /a b HTTP/1.1"),
    "space after version": with_headers(line=b"GET / HTTP/1.1 "),
    "no version": with_headers(line=b"GET /"),
    "version 0.9": with_headers(line=b"GET / HTTP/0.9"),
    "version 1.2": with_headers(line=b"GET / HTTP/1.2"),
    "version 2.0": with_headers(line=b"GET / HTTP/2.0"),
    "other protocol": with_headers(line=b"OPTIONS / RTSP/1.0"),
    "lower-case method": with_headers(line=b"get / HTTP/1.1"),
    "unknown method": with_headers(line=b"FOO / HTTP/1.1"),
    "beyond ASCII in the target": with_headers(line=b"GET /\xff HTTP/1.1"),
    "fragment": with_headers(line=b"GET /a#b HTTP/1.1"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": with_headers(b"Host: other"),
    "host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "two authorizations": with_headers(b"Authorization: a", b"Authorization: b"),
    "unknown expectation": with_headers(b"Expect: 200-maybe"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_what_two_readers_could_read_twice_is_refused(raw: bytes) -> None:
    assert refusal_of(raw)[0] in ("malformed_body", "invalid_field")


@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_it_is_refused_byte_by_byte_too(raw: bytes) -> None:
    assert refusal_of(*(bytes([b]) for b in raw))[0] in ("malformed_body", "invalid_field")


@pytest.mark.parametrize(
    "raw",
    [
        b"A: b\n\r\n",
        b"A: b\rc\r\n",
        b"A:\r\n c\r\n",
        b"A:\r\n\tc\r\n",
        b"A: \1\r\n",
        b"A: \x7f\r\n",
    ],
)
def test_line_ends_are_judged_without_llhttp_too(raw: bytes) -> None:
    # Which of these llhttp lets through differs from release to release.
    with pytest.raises(ApiError):
        heads.check_line_ends(raw)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "3", "transfer-encoding": "chunked"},
        {"transfer-encoding": "gzip, chunked"},
        {"content-length": "3, 3"},
        {"content-length": "+3"},
        {"content-length": "\u0663"},
    ],
)
def test_framing_is_judged_without_llhttp_too(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError):
        heads._framing(headers, 1)


CHUNKED = with_headers(b"Transfer-Encoding: chunked")
BAD_CHUNKS = {
    "empty size": b"\r\nabc\r\n0\r\n\r\n",
    "signed size": b"+3\r\nabc\r\n0\r\n\r\n",
    "size with prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size with underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "space before size": b" 3\r\nabc\r\n0\r\n\r\n",
    "space after size": b"3 \r\nabc\r\n0\r\n\r\n",
    "too many digits": b"000000003\r\nabc\r\n0\r\n\r\n",
    "bare LF after size": b"3\nabc\r\n0\r\n\r\n",
    "bare CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "data longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "other bytes after data": b"3\r\nabcXX0\r\n\r\n",
    "bare LF after data": b"3\r\nabc\n0\r\n\r\n",
    "bare LF in the trailer": b"0\r\nA: b\n\r\n",
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunked_framing_is_refused(chunks: bytes) -> None:
    assert refusal_of(CHUNKED + chunks) == ("malformed_body", "transfer-encoding")
    assert refusal_of(CHUNKED, *(bytes([b]) for b in chunks))[0] == "malformed_body"


def test_a_body_is_read_at_its_limit_and_refused_beyond_it_before_it_is_read() -> None:
    limits = HttpLimits(body_bytes_max=100)

    assert requests_in(with_headers(b"Content-Length: 100", body=b"x" * 100), limits=limits)
    refused = refusal_of(with_headers(b"Content-Length: 101"), limits=limits)
    assert refused == ("too_large", "body")


def test_a_chunked_body_is_counted_as_it_comes() -> None:
    limits = HttpLimits(body_bytes_max=100)
    half = b"32\r\n" + b"x" * 50 + b"\r\n"

    ((_, body),) = requests_in(CHUNKED + half * 2 + b"0\r\n\r\n", limits=limits)
    assert len(body) == 100
    # The size line alone is enough to refuse: no data follows it here.
    assert refusal_of(CHUNKED + half * 2 + b"1\r\n", limits=limits) == ("too_large", "body")


def test_a_route_may_take_larger_bodies_however_they_are_framed() -> None:
    asked: list[str] = []

    def body_max(head: heads.Head) -> int:
        asked.append(head.path)
        return 20

    limits = HttpLimits(body_bytes_max=10)
    raws = [
        b"POST /small HTTP/1.1\r\nHost: k\r\nContent-Length: 10\r\n\r\n" + b"x" * 10,
        b"POST /large HTTP/1.1\r\nHost: k\r\nContent-Length: 20\r\n\r\n" + b"x" * 20,
        b"POST /chunked HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n"
        + b"x" * 20 + b"\r\n0\r\n\r\n",
    ]  # fmt: skip
    for raw in raws * 2:
        reader = RequestReader(limits)
        reader.feed(raw)
        taken = reader.take(body_max) or reader.take(body_max)
        assert taken is not None
        assert len(taken[1]) == (10 if b"small" in raw else 20)
    assert asked == ["/large", "/chunked"] * 2, "the usual body asks nobody"

    reader = RequestReader(limits)
    reader.feed(raws[1].replace(b"20", b"21"))
    with pytest.raises(ApiError) as refusal:
        reader.take(body_max)
    assert "at most 20" in refusal.value.message


def test_heads_in_front_of_bodies_are_kept_for_all_connections_and_bounded() -> None:
    def taken(raw: bytes, kept: Kept) -> Incoming:
        reader = RequestReader(LIMITS, kept)
        reader.feed(raw)
        found = reader.take() or reader.take()
        assert found is not None
        return found

    def post(count: int, *headers: str) -> bytes:
        return speaking.request("POST", "/x", *headers, body=b"x" * count)

    kept: Kept = {}
    first, again, other = (taken(post(count), kept) for count in (7, 7, 8))
    assert first == again == taken(post(7), {})
    assert again[0] is first[0]
    assert (other[0].body_bytes, other[1]) == (8, b"x" * 8)

    taken(speaking.request("GET", "/x"), kept)
    taken(post(7, "X-Long: " + "y" * KEPT_BYTES_MAX), kept)
    assert len(kept) == 2
    for count in range(1, KEPT_MAX + 50):
        taken(post(count), kept)
        assert len(kept) <= KEPT_MAX


def test_chunk_lines_and_trailers_have_limits() -> None:
    assert refusal_of(CHUNKED + b"3;" + b"e" * 200)[0] == "too_large"
    assert refusal_of(CHUNKED + b"0\r\n" + b"A: b\r\n" * 200)[0] == "too_large"


def test_headers_are_read_at_their_limit_and_refused_beyond_it() -> None:
    raw = with_headers(b"X: abc", line=b"GET / HTTP/1.1")
    most, less = HttpLimits(header_bytes_max=len(raw)), HttpLimits(header_bytes_max=len(raw) - 1)

    assert requests_in(raw, limits=most)
    assert refusal_of(raw, limits=less) == ("too_large", "headers")
    assert refusal_of(raw[:-1] + b"x", limits=less) == ("too_large", "headers")


def test_headers_are_counted() -> None:
    limits = HttpLimits(header_count_max=3)

    assert requests_in(with_headers(b"A: 1", b"B: 2"), limits=limits)
    refused = refusal_of(with_headers(b"A: 1", b"B: 2", b"C: 3"), limits=limits)
    assert refused == ("too_large", "headers")


def test_the_url_has_a_limit() -> None:
    limits = HttpLimits(url_bytes_max=10)

    assert requests_in(with_headers(line=b"GET /123456789 HTTP/1.1"), limits=limits)
    refused = refusal_of(with_headers(line=b"GET /1234567890 HTTP/1.1"), limits=limits)
    assert refused == ("too_large", "path")


def test_garbage_is_refused_without_waiting_for_a_line_end() -> None:
    assert refusal_of(b"\x00") == ("malformed_body", "headers")


@given(data=st.binary(max_size=400), prefix=st.sampled_from([b"", STREAM[:36], CHUNKED, b"GET /"]))
def test_no_bytes_make_the_reader_raise_anything_but_a_refusal(data: bytes, prefix: bytes) -> None:
    with suppress(ApiError):
        requests_in(prefix + data)


@given(
    text=st.text(alphabet="GETPOS /HTTP1.\r\n:abc0%?&Content-Length: Transfer-Encoding: chunked")
)
def test_nor_do_bytes_that_look_like_http(text: str) -> None:
    with suppress(ApiError):
        requests_in(b"POST / HTTP/1.1\r\nHost: k\r\n" + text.encode() + b"\r\n\r\n")


def test_http_1_0_closes_unless_asked_to_keep() -> None:
    ((plain, _),) = requests_in(b"GET / HTTP/1.0\r\n\r\n")
    ((kept, _),) = requests_in(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    ((closed, _),) = requests_in(with_headers(b"Connection: close"))

    assert (plain.keep_alive, kept.keep_alive, closed.keep_alive) == (False, True, False)


def test_an_upgrade_is_ignored() -> None:
    raw = with_headers(b"Upgrade: h2c", b"Connection: Upgrade", line=b"GET /a HTTP/1.1")

    assert [head.path for head, _ in requests_in(raw + raw)] == ["/a", "/a"]


PATHS = {
    b"/a%62c": "/abc",
    b"/v1/services:batch": "/v1/services:batch",
    b"/b%C3%A4r": "/bär",
    b"/a/": "/a/",
    b"/.well-known/x": "/.well-known/x",
    b"http://kith:1/a": "/a",
    b"http://kith": "/",
    b"http://kith?x=/y": "/",
    b"/a?b=/../c//": "/a",
}


@pytest.mark.parametrize(("target", "path"), PATHS.items())
def test_a_path_has_one_spelling(target: bytes, path: str) -> None:
    ((head, _),) = requests_in(with_headers(line=b"GET " + target + b" HTTP/1.1"))

    assert head.path == path


@pytest.mark.parametrize(
    "target",
    [b"/../a", b"/a/..", b"/a/./b", b"//a", b"/a//b", b"/%2e%2e/a", b"/a/%2E", b"/a%2fb", b"/a%5Cb",
     b"/..%2f", b"/a\\b", b"/%", b"/%4", b"/%zz", b"/%00", b"/%0d%0a", b"/%ff", b"/%c0%af",
     b"ftp://a/b", b"/a?%00=1", b"/a?b=%ff", b"/a?" + b"b&" * 64],
)  # fmt: skip
def test_a_target_that_could_mean_something_else_is_refused(target: bytes) -> None:
    refused = refusal_of(with_headers(line=b"GET " + target + b" HTTP/1.1"))

    assert refused[0] in ("invalid_field", "malformed_body")


def test_a_query_is_decoded_once_and_keeps_its_order() -> None:
    ((head, _),) = requests_in(with_headers(line=b"GET /?b=1+2&a=%2520&b=&c HTTP/1.1"))

    assert head.query.pairs == (("b", "1 2"), ("a", "%20"), ("b", ""), ("c", ""))


def test_headers_are_lower_case_and_lists_are_joined() -> None:
    ((head, _),) = requests_in(with_headers(b"ACCEPT: a", b"accept:b \t"))

    assert head.headers == {"host": "k", "accept": "a, b"}


_LINES = st.one_of(
    st.sampled_from(
        [b"GET /v1/services/web HTTP/1.1", b"GET /v1/services/db?tag=a&limit=2 HTTP/1.1",
         b"GET /a/../b HTTP/1.1", b"GET //a HTTP/1.1", b"GET /a%2Fb HTTP/1.1", b"GET /a?b HTTP/1.0",
         b"GET /.a HTTP/1.1", b"GET /a/ HTTP/1.1", b"GET / HTTP/1.1", b"HEAD /a HTTP/1.1",
         b"GET  /a HTTP/1.1", b"GET /a  HTTP/1.1", b"GET /a HTTP/1.1 ", b"GET /a HTTP/2.0",
         b"GET http://k/a HTTP/1.1", b"GET * HTTP/1.1", b"POST /a HTTP/1.1", b"get /a HTTP/1.1",
         b"GET /a\tb HTTP/1.1", b"GET /a\rb HTTP/1.1", b"GET /a\nb: c HTTP/1.1", b"GET /a",
         b"GET /" + b"a" * 100 + b" HTTP/1.1", b"GET /a?" + b"&" * 9 + b" HTTP/1.1"]
    ),
    st.from_regex(rb"\AGET /[a-z./%?&=+#\x7f-\xff ]{0,12} HTTP/1\.1\Z"),
)  # fmt: skip
_RESTS = st.sampled_from(
    [b"Host: k\r\n\r\n", b"Host: k\r\nAccept: */*\r\n\r\n", b"Host: k\r\nX-Request-Id: a\r\n\r\n",
     b"Host: k\r\nContent-Length: 1\r\n\r\nx", b"Host: k\r\nConnection: close\r\n\r\n",
     b"Host: k\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"\r\n"]
)  # fmt: skip


_TIGHT = HttpLimits(url_bytes_max=64, query_count_max=8)


def told(*raws: bytes) -> tuple[list[Incoming], str]:
    """What one connection reads, and why it is closed, if it is."""
    reader, found = RequestReader(_TIGHT), list[Incoming]()
    try:
        for raw in raws:
            reader.feed(raw)
            while (incoming := reader.take()) is not None:
                found.append(incoming)
    except ApiError as error:
        return found, f"{error.code} {error.field} {error.message}"
    return found, ""


@given(pieces=st.lists(st.tuples(_LINES, _RESTS), min_size=2, max_size=6))
def test_what_came_before_on_the_connection_changes_nothing(
    pieces: list[tuple[bytes, bytes]],
) -> None:
    raws = [line + b"\r\n" + rest for line, rest in pieces]
    alone, refusal = list[Incoming](), ""
    for raw in raws:
        found, refusal = told(raw)
        alone += found
        if refusal:
            break

    assert told(*raws) == (alone, refusal)


@pytest.mark.parametrize("before", [b"GET /a HTTP/1.0", b"HEAD /a HTTP/1.1", b"GET /a?b HTTP/1.1"])
@pytest.mark.parametrize(
    "line",
    [b"GET /b HTTP/1.1", b"GET /b?c=d HTTP/1.1", b"GET /b HTTP/1.0", b"HEAD /b HTTP/1.1",
     b"GET /" + b"a" * 64 + b" HTTP/1.1", b"GET /?" + b"&" * 9 + b" HTTP/1.1",
     b"GET /a?" + b"&" * 9 + b" HTTP/1.1"],
)  # fmt: skip
def test_nor_where_all_headers_are_the_same(before: bytes, line: bytes) -> None:
    rest = b"\r\nHost: k\r\nConnection: keep-alive\r\n\r\n"
    bare = b"\r\nHost: k\r\n\r\n"
    for end in (rest, bare):
        (first, _), (second, refusal) = told(before + end), told(line + end)
        assert told(before + end, line + end) == (first + second, refusal)


def test_an_equal_rest_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = RequestReader(LIMITS)
    reader.feed(b"GET /a HTTP/1.1\r\nHost: k\r\n\r\n")
    first = reader.take()
    monkeypatch.setattr("node.http.reader.parse_head", None)
    reader.feed(b"GET /b/c?x=1 HTTP/1.1\r\nHost: k\r\n\r\n")
    second = reader.take()

    assert first is not None
    assert second is not None
    assert second[0] == first[0]._replace(path="/b/c", query=Query((("x", "1"),)))


def test_framing_that_outweighs_the_body_is_refused_and_small_chunks_are_not() -> None:
    padded = (b"1;" + b"x" * 100 + b"\r\na\r\n") * 1_000

    [(_, body)] = requests_in(CHUNKED + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n")
    assert body == b"a" * 20_000
    assert refusal_of(CHUNKED + padded) == ("too_large", "transfer-encoding")
