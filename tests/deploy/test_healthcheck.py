"""The container's health check against a real socket."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.container import healthcheck

PROGRAM = healthcheck.__file__


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers `/healthz` with the status that its server holds."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.send_response(self.server.status if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    status = 200
    protocol = "HTTP/1.1"


@pytest.fixture
def server() -> Iterator[Server]:
    Answering.protocol_version = "HTTP/1.1"
    with Server(("127.0.0.1", 0), Answering) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def check(port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("KITH_HTTP", f"0.0.0.0:{port}")
    return healthcheck.main([])


def test_a_node_that_says_it_lives_is_healthy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(server.server_port, monkeypatch) == 0


def test_a_node_that_answers_otherwise_is_not(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = 503

    assert check(server.server_port, monkeypatch) == 1
    assert "503" in capsys.readouterr().out


def test_another_service_is_asked_at_its_own_port_and_path(server: Server) -> None:
    assert healthcheck.main([str(server.server_port), "/healthz"]) == 0
    assert healthcheck.main([str(server.server_port), "/other"]) == 1


def test_nobody_there_is_not_healthy_and_no_traceback(server: Server) -> None:
    port = server.server_port
    server.server_close()

    environ = {**os.environ, "KITH_HTTP": f"127.0.0.1:{port}"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(PROGRAM))],
        env=environ,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert "no answer" in done.stdout
    assert done.stderr == ""
