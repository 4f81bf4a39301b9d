"""The HTTP client against real sockets that say what they were told to say."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from node.client import (
    ANSWER_BYTES_MAX,
    ApiClient,
    ApiRefused,
    ApiStrange,
    ApiUnreachable,
    Reply,
)
from node.version import VERSION

from .cli.fake_node import Answer, error, running


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def saying(*answer: bytes) -> Iterator[str]:
    """A server that answers one request with these bytes and closes; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                for part in answer:
                    try:
                        connection.sendall(part)
                    except OSError:
                        return

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=5)


def unused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_call_sends_token_query_and_body_and_brings_the_answer_back() -> None:
    with running() as fake:
        fake.answers["POST", "/v1/x"] = Answer(201, {"id": 1})

        with ApiClient(fake.url, "secret", 5) as api:
            reply = api.call("POST", "/v1/x", query=[("tag", "a b"), ("tag", "ü")], body={"k": [1]})

        assert (reply.status, reply.value) == (201, {"id": 1})
        assert reply.headers["x-kith-partition"] == "none"
        (asked,) = fake.asked
        assert asked.query == (("tag", "a b"), ("tag", "ü"))
        assert asked.body == {"k": [1]}
        assert asked.headers["authorization"] == "Bearer secret"
        assert asked.headers["user-agent"] == f"kith/{VERSION}"


def test_a_documented_error_is_a_refusal_with_its_fields() -> None:
    with running() as fake, ApiClient(fake.url, None, 5) as api:
        document = error("not_owner", "it is another's", "id", owner_address="127.0.0.1:8410")
        fake.answers["DELETE", "/v1/x"] = Answer(403, document)

        with pytest.raises(ApiRefused) as caught:
            api.call("DELETE", "/v1/x")

    refused = caught.value
    assert (refused.status, refused.code, refused.message) == (403, "not_owner", "it is another's")
    assert (refused.field, refused.definite, refused.request_id) == ("id", True, "r-1")
    assert refused.owner_address == "127.0.0.1:8410"


def test_a_status_that_the_caller_expects_is_no_refusal() -> None:
    with running() as fake, ApiClient(fake.url, None, 5) as api:
        fake.answers["GET", "/readyz"] = Answer(503, {"ready": False})
        assert api.call("GET", "/readyz", accept=[503]).status == 503


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b"<html>"),
        http("200 OK", b"\xff\xfe"),
        http("404 Not Found", b"{}"),
        http("500 Oh", b'{"error": "text"}'),
        http("302 Found", b"", "Location: http://elsewhere.invalid/"),
        http("200 OK", b"not gzip", "Content-Encoding: gzip"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"",
    ],
)
def test_an_answer_that_no_node_gives_is_called_strange(answer: bytes) -> None:
    with saying(answer) as url, ApiClient(url, None, 5) as api, pytest.raises(ApiStrange):
        api.call("GET", "/v1/node")


def test_an_answer_without_end_is_given_up() -> None:
    chunk = b" " * 1024 * 1024
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    chunks = [chunk] * (ANSWER_BYTES_MAX // len(chunk) + 8)
    with (
        saying(head, *chunks) as url,
        ApiClient(url, None, 30) as api,
        pytest.raises(ApiStrange, match="longer than"),
    ):
        api.call("GET", "/v1/node")


def test_nobody_there_is_unreachable_with_the_reason() -> None:
    url = unused_url()
    with (
        ApiClient(url, None, 5) as api,
        pytest.raises(ApiUnreachable, match="connection refused") as caught,
    ):
        api.call("GET", "/v1/node")
    assert caught.value.url == url


def test_silence_is_unreachable_after_the_timeout() -> None:
    # The listener's queue takes the connection; nobody ever answers.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            ApiClient(url, None, 0.05) as api,
            pytest.raises(ApiUnreachable, match=r"no answer within 0\.05 s"),
        ):
            api.call("GET", "/v1/node")


def test_a_proxy_from_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", unused_url())
    with running() as fake, ApiClient(fake.url, None, 5) as api:
        assert api.call("GET", "/v1/node").status == 200


@pytest.mark.parametrize("url", ["ftp://x", "http://", "nonsense", "http://[::1", "http://a:b"])
def test_what_is_no_http_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        ApiClient(url, None, 5)


def test_a_reply_is_a_plain_value() -> None:
    assert Reply(204, None, {}) == Reply(204, None, {})
