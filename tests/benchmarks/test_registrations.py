"""The benchmark of registrations notices what was acknowledged and is not there."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from benchmarks.registrations import load
from benchmarks.registrations.load import Load, Measured, missing
from benchmarks.registrations.sides import Side
from benchmarks.registrations.summary import Found, figures
from benchmarks.report import Spread

KEYS = 10


def test_all_is_there_if_the_newest_stands_under_each_key() -> None:
    assert missing(range(15, 25), 25, KEYS) == set()
    assert missing(range(7), 7, KEYS) == set()


def test_an_older_one_under_a_key_and_a_key_that_is_gone_are_noticed() -> None:
    kept = [number for number in range(15, 25) if number not in {17, 20}]

    assert missing([*kept, 7], 25, KEYS) == {17, 20}
    assert missing([], 3, KEYS) == {0, 1, 2}


def stretch(per_s: float, p99_ms: float, lost: int) -> Measured:
    return Measured(
        per_s=per_s, p50_ms=1.0, p99_ms=p99_ms, worst_ms=20.0, cpu_us=100.0, requests=1_000,
        errors=0, lost=lost, load_before=0.0,
    )  # fmt: skip


def test_the_figures_are_ratios_of_rounds_and_a_single_loss_is_not_hidden_by_a_median() -> None:
    ours = [stretch(100.0, 9.0, 0), stretch(300.0, 5.0, 0), stretch(100.0, 8.0, 1)]
    theirs = [stretch(100.0, 5.0, 0), stretch(100.0, 5.0, 0), stretch(200.0, 5.0, 0)]

    found = {
        one.name: one
        for one in figures(
            Found({"kith": ours, "etcd": theirs}, [200.0, 300.0, 100.0]),
            {"versions": ["kith", "etcd 3"]},
        )
    }

    assert found["durable registrations"].ratio == Spread(1.0, 0.5, 3.0)
    assert found["durable registrations"].met is True
    assert found["durable registrations, beside gRPC"].ratio == Spread(1.0, 0.5, 1.0)
    assert found["durable registration, p99"].met is True
    assert found["registrations acknowledged and not there"].kith == Spread(1.0, 1.0, 1.0)
    assert found["registrations acknowledged and not there"].met is False


class Registry(http.server.ThreadingHTTPServer):
    """Holds the numbers that it answered, a few a second."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Registering)
        self.numbers: list[int] = []
        self.ending = threading.Event()


class Registering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        registry = cast(Registry, self.server)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # Who is cut off while it waits was not answered, and is not held.
        if registry.ending.wait(0.2):
            return
        registry.numbers.append(int(asked["number"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.skipif(not load.installed(), reason=f"needs {load.PROGRAM}; {load.INSTALL}")
def test_what_the_load_never_sent_is_not_taken_for_lost(registry: Registry) -> None:
    def numbers(_: str) -> Iterator[int]:
        registry.ending.set()
        return iter(registry.numbers)

    side = cast(Side, SimpleNamespace(
        name="registry", child=SimpleNamespace(pid=os.getpid()), path="/", coding="plain",
        address=f"127.0.0.1:{registry.server_port}", numbers=numbers,
        body='{"key":"%s%s","number":"%s%s%s%s"}',
    ))  # fmt: skip

    measured = Load(side).run(1, clients=3)

    assert registry.numbers
    assert (measured.errors, measured.lost) == (0, 0)
