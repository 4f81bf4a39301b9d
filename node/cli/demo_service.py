"""A small real HTTP service to register and look up: `/` says hello, `/health` that it lives.

`python -m node.cli.demo_service --port 8000` runs it alone. It knows nothing of Kith: whoever
starts it registers it.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from .errors import GOOD, INTERRUPTED, UNKNOWN

HOST = "127.0.0.1"
REQUEST_TIMEOUT_S = 10.0


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for two paths."""

    server_version = "kith-demo"
    timeout: ClassVar[float | None] = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer with a small JSON document."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the document."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        answers = {
            "/": {"hello": "from the demo service", "pid": os.getpid()},
            "/health": {"status": "ok"},
        }
        path = self.path.partition("?")[0]
        body = json.dumps(answers.get(path, {"error": "try / or /health"})).encode() + b"\n"
        self.send_response(200 if path in answers else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Ends without waiting for connections that are still open."""

    daemon_threads = True
    block_on_close = False


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="demo_service", description="A small HTTP service.")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (8000)")
    port: int = parser.parse_args(argv).port
    try:
        server = Server((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        print(f"demo service: cannot listen on {HOST}:{port}: {error}", file=sys.stderr)
        return UNKNOWN
    with server:
        print(f"demo service: http://{HOST}:{server.server_address[1]}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return INTERRUPTED
    return GOOD


if __name__ == "__main__":
    sys.exit(main())
