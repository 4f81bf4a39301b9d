"""A demo service in a container of its own, which registers itself as a new user's would.

Serves what `node.cli.demo_service` serves, on every address of the container; runs `kith register`
until a node takes it (`KITH_API` and `KITH_TOKEN` say which and how), and `kith deregister` when
the container is stopped. Every wait is bounded; if nobody takes the registration it ends with 1 and
the container is started again.
"""

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

from node.advertise import default_route
from node.cli.demo_service import Handler, Server

EVERYWHERE = "0.0.0.0"  # noqa: S104 - the container's network is the boundary
REGISTER_WITHIN_S = 60.0
RETRY_S = 0.5
COMMAND_TIMEOUT_S = 10.0
DEREGISTER_TIMEOUT_S = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="A demo service that registers itself.")
    parser.add_argument("--name", default="web", help="of the service (web)")
    parser.add_argument("--port", type=int, default=8000, help="(8000)")
    arguments = parser.parse_args(argv)
    name: str = arguments.name
    port: int = arguments.port
    stop = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    address = default_route(EVERYWHERE)
    if address is None:
        print("demo service: this container has no network", file=sys.stderr)
        return 1
    with Server((EVERYWHERE, port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"demo service: http://{address}:{port}/", flush=True)
        if not _register(name, address, port, stop):
            return 0 if stop.is_set() else 1
        stop.wait()
        _kith(DEREGISTER_TIMEOUT_S, "deregister", name, f"{name}-{port}")
        server.shutdown()
    return 0


def _register(name: str, address: str, port: int, stop: threading.Event) -> bool:
    """Until a node takes it, or we are told to stop, or the time is over."""
    check = f"http://{address}:{port}/health"
    deadline = time.monotonic() + REGISTER_WITHIN_S
    while not stop.is_set() and time.monotonic() < deadline:
        words = ("register", name, "--port", str(port), "--address", address, "--check", check)
        if _kith(COMMAND_TIMEOUT_S, *words, "--interval", "2s", "--check-timeout", "1s"):
            return True
        stop.wait(RETRY_S)
    return False


def _kith(timeout_s: float, *words: str) -> bool:
    """Run the `kith` command; whether it succeeded. It says itself what went wrong."""
    try:
        return subprocess.run(("kith", *words), timeout=timeout_s, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"demo service: {error}", file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(main())
