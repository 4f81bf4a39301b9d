"""A small HTTP node for tests: real sockets, the documented shapes, nothing behind them.

`FakeNode` serves from a thread of the test. Run as a program it takes the flags of `kith node`, is
ready at once, and counts its seeds as members.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

Document: TypeAlias = "dict[str, object]"

A_ID = "a" * 8 + "k4sjq2wzv6xn3m5b7c" * 2 + "dfghijkl"
B_ID = "b" * 8 + "k4sjq2wzv6xn3m5b7c" * 2 + "dfghijkl"
B2_ID = "b" * 10 + "k4sjq2wzv6xn3m5b7c" * 2 + "dfghij"


def peer(name: str, ident: str, port: int, status: str = "alive") -> Document:
    return {
        "id": ident,
        "name": name,
        "address": f"127.0.0.1:{port + 1}",
        "api_address": f"127.0.0.1:{port}",
        "metrics_port": port,
        "node_type": "backend",
        "is_load_balancer": False,
        "capabilities": ["service"],
        "zone": "z1",
        "version": "0.1.0",
        "status": status,
        "certified": status == "unreachable",
        "incarnation": 1,
        "rtt_ms": 0.4,
        "last_updated": "2026-01-02T03:04:05.678Z",
    }


def instance(ident: str, health: str = "passing", owner: str = A_ID, node: str = "a") -> Document:
    output = "200 OK" if health == "passing" else "connection refused"
    check = {"id": "http", "type": "http", "status": health, "output": output}
    return {
        "id": ident,
        "address": "127.0.0.1",
        "port": 8000,
        "tags": ["v2", "blue"],
        "metadata": {"team": "core"},
        "version": "1.4",
        "weight": 100,
        "zone": "z1",
        "health": health,
        "checks": [{**check, "last_checked": "2026-01-02T03:04:05.678Z"}],
        "owner": owner,
        "node": node,
        "signed_by": owner,
        "disputed": False,
        "last_updated": "2026-01-02T03:04:05.678Z",
    }


def error(code: str, message: str, field: str | None = None, **more: object) -> Document:
    shape = {"code": code, "message": message, "field": field, "definite": True}
    return {"error": {**shape, "request_id": "r-1", **more}}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: object
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say: a document, or raw bytes for what no node would say."""

    status: int
    document: object = None
    raw: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


class FakeNode(ThreadingHTTPServer):
    """Serves `answers` by method and path, 404 for the rest, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, str], Answer] = {
            ("GET", "/v1/node"): Answer(
                200,
                {
                    **peer("a", A_ID, 8400),
                    "root": "9f86d081884c7d65",
                    "members": {"alive": 2},
                    "partition": "none",
                },
            ),
            ("GET", "/v1/peers"): Answer(
                200, {"peers": [peer("b", B_ID, 8410), peer("a", A_ID, 8400)]}
            ),
            ("GET", "/v1/services"): Answer(
                200, {"services": {"web": {"instances": 2, "passing": 1, "tags": ["v2"]}}}
            ),
            ("GET", "/v1/services/web"): Answer(
                200,
                {
                    "service": "web",
                    "index": "7",
                    "instances": [instance("web-8000"), instance("web-2", "critical", B_ID, "b")],
                },
            ),
            ("GET", "/v1/services/none"): Answer(
                200, {"service": "none", "index": "7", "instances": []}
            ),
            ("GET", "/readyz"): Answer(200, {"status": "ready", "components": {"storage": "ok"}}),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that has gone is nothing to print."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        node = self.server
        assert isinstance(node, FakeNode)
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else None
        query = tuple(parse_qsl(parts.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        node.asked.append(Asked(self.command, parts.path, query, body, headers))
        answer = node.answers.get((self.command, parts.path))
        if answer is None:
            answer = Answer(404, error("not_found", f"nothing at {parts.path}"))
        content = answer.raw if answer.raw is not None else json.dumps(answer.document).encode()
        self.send_response(answer.status)
        own = {"X-Kith-Node": A_ID, "X-Kith-Partition": "none", **dict(answer.headers)}
        for name, value in own.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - names http.server calls

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited name
        """Silent: tests print what they need."""


@contextmanager
def running() -> Iterator[FakeNode]:
    with FakeNode() as node:
        thread = Thread(target=node.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield node
        finally:
            node.shutdown()
            thread.join(timeout=5)


def main() -> int:
    parser = argparse.ArgumentParser()
    for flag in ("--name", "--data-dir", "--gossip", "--http"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--seed", action="append", default=[])
    parser.add_argument("--broken", action="store_true")
    arguments = parser.parse_args()
    if arguments.broken:
        sys.stderr.write("the disk is on fire\n")
        return 3
    with FakeNode(int(arguments.http.rpartition(":")[2])) as node:
        peers = [peer(f"p{i}", A_ID, 8400) for i in range(len(arguments.seed) + 1)]
        node.answers["GET", "/v1/peers"] = Answer(200, {"peers": peers})
        node.answers["POST", "/v1/services"] = Answer(201, {"name": "demo", "id": "demo-1"})
        node.answers["GET", "/v1/services/demo"] = Answer(200, {"instances": [instance("demo-1")]})
        sys.stderr.write("serving\n")
        node.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
