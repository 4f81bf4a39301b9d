"""`kith watch`: what it prints, how it comes back, and how it ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Thread

import pytest

from node.cli.errors import CommandError
from node.cli.live import patience, watch
from node.cli.live.patience import PAUSE_MAX_S, Patience
from node.client import ApiClient, ApiRefused, ApiStrange, ApiUnreachable, ServerEvent
from tests.node.cli.conftest import Type
from tests.node.cli.fake_node import Answer, FakeNode, error, instance

WEB = "/v1/services/web"
REGISTERED = (
    b"id: x-1-1\nevent: registered\n"
    b'data: {"kind":"registered","at":"2026-11-21T11:55:00.274Z","service":"web","id":"web-1",'
    b'"node":"a","health":"passing","was":null,"address":"127.0.0.1","port":8000}\n\n'
)
CRITICAL = (
    b"id: x-1-2\nevent: health\n"
    b'data: {"kind":"health","at":"2026-11-21T11:55:01.000Z","service":"web","id":"web-1",'
    b'"node":"a","health":"critical","was":"passing","address":"::1","port":8000}\n\n'
)
MEMBER = (
    b"id: x-1-3\nevent: member\n"
    b'data: {"kind":"member","at":"2026-11-21T11:55:02.000Z","id":"bbbb","name":"b",'
    b'"status":"unreachable","was":"suspect","certified":true}\n\n'
)
HELLO = b": kith\nretry: 2000\nid: x-1-0\n\n"


def line(at: str, kind: str, what: str, state: str, *place: str) -> str:
    node = "".join(f"  {one:<12}" for one in place[:1])
    rest = "".join(f"  {one}" for one in place[1:])
    return f"11:55:{at:<6}  {kind:<10}  {what:<28}  {state:<30}{node}{rest}".rstrip()


LINES = [
    line("00.274", "registered", "web/web-1", "passing", "a", "127.0.0.1:8000"),
    line("01.000", "health", "web/web-1", "critical (was passing)", "a", "[::1]:8000"),
    line("02.000", "member", "b", "unreachable (was suspect)"),
]


class Streaming(ThreadingHTTPServer):
    """Answers each request for events with the next of these bodies, and closes."""

    daemon_threads = True

    def __init__(self, bodies: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies = bodies
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        node = self.server
        assert isinstance(node, Streaming)
        node.asked.append((self.path, self.headers.get("Last-Event-ID")))
        body = node.bodies.pop(0) if node.bodies else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def streaming(*bodies: bytes) -> Iterator[Streaming]:
    node = Streaming(list(bodies))
    thread = Thread(target=node.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield node
    finally:
        node.shutdown()
        thread.join()
        node.server_close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were asked for; none is made."""
    asked: list[float] = []
    monkeypatch.setattr(watch, "Patience", lambda: Patience(pause=asked.append, rng=Random(1)))
    return asked


def test_each_change_is_a_line(kith: Type) -> None:
    with streaming(HELLO + REGISTERED + CRITICAL + MEMBER) as node:
        typed = kith("watch", "--api", node.url, "--count", "3")

    assert typed.out.splitlines() == LINES
    assert (typed.code, typed.err) == (0, "")


def test_with_json_each_change_is_a_document_a_line(kith: Type) -> None:
    with streaming(HELLO + REGISTERED + CRITICAL) as node:
        typed = kith("watch", "--api", node.url, "--count", "2", "--json", "--kind", "health")
        ((path, _),) = node.asked

    first, second = map(json.loads, typed.out.splitlines())
    assert (first["event"], first["event_id"]) == ("registered", "x-1-1")
    assert (second["event"], second["event_id"]) == ("health", "x-1-2")
    assert path == "/v1/events?kind=health"


def test_a_stream_that_ends_is_taken_up_after_the_last_event(
    kith: Type, pauses: list[float]
) -> None:
    with streaming(HELLO + REGISTERED, b": still here\nid: x-1-7\n\n", MEMBER) as node:
        typed = kith("watch", "--api", node.url, "--count", "2")

    assert typed.out.splitlines() == [LINES[0], LINES[2]]
    assert [last for _, last in node.asked] == [None, "x-1-1", "x-1-7"]
    assert len(pauses) == 2
    assert "trying again" in typed.err


def test_since_is_where_the_first_stream_begins(kith: Type) -> None:
    with streaming(HELLO + MEMBER) as node:
        kith("watch", "--api", node.url, "--count", "1", "--since", "x-1-2")
        assert node.asked == [("/v1/events", "x-1-2")]


def test_what_is_lost_is_said(kith: Type) -> None:
    reset = b'id: y-2-0\nevent: reset\ndata: {"reason":"gone"}\n\n'
    with streaming(reset + MEMBER) as node:
        typed = kith("watch", "--api", node.url, "--count", "2")

    assert typed.out.splitlines() == [LINES[2]]
    assert "some changes are not known any more" in typed.err


def test_a_node_that_does_not_answer_at_the_beginning_is_an_error(kith: Type) -> None:
    typed = kith("watch", "--api", "http://127.0.0.1:9", "--timeout", "1s")
    assert typed.code == 2
    assert "no node answers" in typed.err


def test_a_refusal_is_an_error(kith: Type, fake: FakeNode) -> None:
    fake.answers["GET", "/v1/events"] = Answer(401, error("unauthenticated", "no token"))
    typed = kith("watch", "--api", fake.url)
    assert typed.code == 1
    assert "no token" in typed.err


def test_a_service_is_a_table_that_comes_anew_with_each_change(kith: Type, fake: FakeNode) -> None:
    found = {"service": "web", "index": "x-1-5", "instances": [instance("web-1")]}
    fake.answers["GET", WEB] = Answer(200, found)
    typed = kith("watch", "web", "--api", fake.url, "--count", "1")

    assert typed.code == 0
    assert typed.out.splitlines()[0] == "web: 1 instances"
    assert "web-1" in typed.out
    assert [one.query for one in fake.asked] == [()]


def test_a_service_as_json_is_one_document_a_line(kith: Type, fake: FakeNode) -> None:
    found = {"service": "web", "index": "x-1-5", "instances": [instance("web-1")]}
    fake.answers["GET", WEB] = Answer(200, found)
    typed = kith("watch", "web", "--api", fake.url, "--count", "1", "--json")
    assert json.loads(typed.out) == found


def test_the_next_poll_has_the_index_and_waits_for_half_of_the_time_out(
    kith: Type, fake: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"service": "web", "index": "x-1-5", "instances": []}
    fake.answers["GET", WEB] = Answer(200, found)

    def stop_at_the_third(client: ApiClient, *words: str, **more: object) -> object:
        if len(fake.asked) == 3:
            raise KeyboardInterrupt
        return call(client, *words, **more)  # type: ignore[arg-type]

    call = ApiClient.call
    monkeypatch.setattr(ApiClient, "call", stop_at_the_third)
    typed = kith("watch", "web", "--api", fake.url, "--timeout", "4s")

    assert (typed.code, typed.err) == (0, "kith: ended\n"), "Ctrl-C is how it ends well"
    assert typed.out.count("web: 0 instances") == 1
    poll = (("index", "x-1-5"), ("wait", "2000ms"))
    assert [one.query for one in fake.asked] == [(), poll, poll]


@pytest.mark.parametrize("words", [("--kind", "health"), ("--since", "x")])
def test_what_chooses_events_means_nothing_to_a_service(kith: Type, words: tuple[str, str]) -> None:
    typed = kith("watch", "web", *words)
    assert typed.code == 64


@pytest.mark.parametrize("words", [("--kind", "birthday"), ("--count", "0"), ("--count", "x")])
def test_wrong_usage_is_said(kith: Type, words: tuple[str, str]) -> None:
    assert kith("watch", *words).code == 64


def test_pauses_grow_to_a_bound_and_begin_anew_after_success() -> None:
    paused: list[float] = []
    one = Patience(pause=paused.append, rng=Random(1))
    one.succeeded()
    for _ in range(12):
        one.failed(ApiUnreachable("http://x", "gone"))
    one.succeeded()
    one.failed(None)

    assert all(0.25 <= pause <= PAUSE_MAX_S for pause in paused)
    assert paused[10] > PAUSE_MAX_S / 2
    assert paused[12] <= 0.5


def test_what_stays_is_not_tried_again() -> None:
    one = Patience(pause=lambda _: None)
    one.succeeded()
    one.failed(ApiRefused(503, {"code": "shutting_down", "message": "ends"}))
    with pytest.raises(CommandError):
        one.failed(ApiRefused(400, {"code": "invalid_field", "message": "no"}))
    assert patience.PAUSE_FIRST_S < PAUSE_MAX_S


def test_events_are_read_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    body = HELLO + REGISTERED + "data: ü\u2028\ndata: two\n\n".encode() + b"data: half"
    with streaming(body) as node, ApiClient(node.url, None, 5.0) as client:
        whole = list(client.follow("/v1/events", silence_s=5.0))
        blocks = list(client._blocks(bytes([byte]) for byte in body))

    assert [one.kind for one in whole] == ["", "registered", ""]
    assert whole[0] == ServerEvent("x-1-0", "", "")
    assert whole[2] == ServerEvent("", "", "ü\u2028\ntwo")
    assert len(blocks) == 3


def test_an_event_without_an_end_is_refused() -> None:
    with ApiClient("http://127.0.0.1:9", None, 5.0) as client, pytest.raises(ApiStrange):
        list(client._blocks(iter([b"x" * 200_000] * 3)))
