"""`python -m benchmarks.watchers`: measure and print.

Progress goes to standard error, the table to standard output. Exit codes: 0; 1 if a watcher was
woken for nothing or not at all; 2 if it could not be run; 130 after Ctrl-C. All processes are ended
and their data is removed in each case.
"""

import argparse
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import deployed
from benchmarks.cluster.fleet import BenchError
from benchmarks.measuring import MISSED, cut_short_by, end_on, say, scratch
from benchmarks.registrations.load import cpu_s
from benchmarks.registrations.sides import Side
from benchmarks.report import table
from node.cli.local_cluster import HOST, Child, ClusterError, end_all

from .figures import Found, figures, write_figures

WATCHED = "web"
FIRST_ADDRESS = 2
"""Watchers come from 127.0.0.2 and the addresses after it."""
PER_ADDRESS = 150
"""Of the 192 long polls, and 256 connections, that a node by default grants one address."""
ANSWER_S = 60.0
SETTLE_S = 1.0
FIRST_DEADLINES_S = 12.0
"""By then the deadlines that a new connection has (`HttpLimits.header_s`) have come and gone."""
STOP_GRACE_S = 15.0
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(slots=True)
class Clients:
    """One process of watchers."""

    process: subprocess.Popen[bytes]
    buffer: bytes = field(default=b"")

    @classmethod
    def start(cls, address: str, first: int, watched: dict[str, int]) -> "Clients":
        """Begin to open; `hear` tells when all wait."""
        counts = [f"{name}={count}" for name, count in watched.items()]
        places = [address, str(first), str(PER_ADDRESS)]
        command = [sys.executable, "-m", "benchmarks.watchers.client", *places]
        pipe = subprocess.PIPE
        return cls(subprocess.Popen([*command, *counts], stdin=pipe, stdout=pipe))

    def tell(self, line: str) -> None:
        """Give an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, object]:
        """The next line that it says.

        Raises:
            BenchError: none came in time.
        """
        assert self.process.stdout is not None
        number, deadline = self.process.stdout.fileno(), time.monotonic() + ANSWER_S
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([number], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(number, 1 << 20) if ready else b""
            if not data:
                raise BenchError("the watchers say nothing any more; see above")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        document = json.loads(line)
        assert isinstance(document, dict)
        return document

    def count(self) -> int:
        """How many answers came since this was asked last."""
        self.tell("count")
        answers = self.hear()["answers"]
        assert isinstance(answers, int)
        return answers

    def end(self) -> None:
        """All of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    arguments = _arguments(argv)
    end_on(signal.SIGTERM)
    found = Found()
    with cut_short_by(BenchError, ClusterError) as ending:
        _measure(arguments, found)
    if ending.code:
        return ending.code
    about = {
        "watchers": arguments.watchers, "of_the_service": arguments.watched,
        "other_services": arguments.services, "changes": arguments.changes,
        "per_address": PER_ADDRESS,
    }  # fmt: skip
    print(table(figures(found)))
    if arguments.json:
        write_figures(arguments.json, found, about)
        say(f"all figures: {arguments.json}")
    return MISSED if found.woken_others or found.spurious else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.watchers", description="Idle watchers.")
    parser.add_argument("--watchers", type=int, default=10_000, help="in all (10000)")
    parser.add_argument("--watched", type=int, default=1_000, help="of the one service (1000)")
    parser.add_argument("--services", type=int, default=90, help="that the others watch (90)")
    parser.add_argument("--changes", type=int, default=50, help="of the one service (50)")
    parser.add_argument("--idle", type=int, default=20, help="seconds of idling (20)")
    parser.add_argument(
        "--settle", type=float, default=FIRST_DEADLINES_S, help="seconds before idling (12)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")
    return parser.parse_args(argv)


def _measure(arguments: argparse.Namespace, found: Found) -> None:
    with scratch() as directory:
        node = _node(directory)
        clients: list[Clients] = []
        try:
            node.child.start()
            node.wait_ready()
            _register(node, arguments.services)
            found.idle_cpu_before = _idle(node, arguments.idle)
            found.memory_before_mb = _memory_mb(node)
            say(f"{found.memory_before_mb:.1f} MB without watchers")
            others = arguments.watchers - arguments.watched
            spread = {f"other-{n}": 0 for n in range(arguments.services)}
            for number in range(others):
                spread[f"other-{number % arguments.services}"] += 1
            first = FIRST_ADDRESS
            for watched in ({WATCHED: arguments.watched}, spread):
                clients.append(Clients.start(node.address, first, watched))
                first += -(-sum(watched.values()) // PER_ADDRESS)
                say(f"{clients[-1].hear()['open']} watchers wait")
            found.idle_cpu_with = _idle(node, arguments.idle, arguments.settle)
            found.memory_with_mb = _memory_mb(node)
            found.per_watcher_kb = (
                (found.memory_with_mb - found.memory_before_mb) * 1_000 / arguments.watchers
            )
            say(f"{found.memory_with_mb:.1f} MB with {arguments.watchers} watchers")
            _change(node, clients[0], clients[1], arguments.changes, found)
            found.memory_after_mb = _memory_mb(node)
            found.spurious = int(_metric(node, "kith_watchers_spurious_total"))
        finally:
            for one in clients:
                one.end()
            end_all([node.child], STOP_GRACE_S)


def _node(directory: Path) -> Side:
    """One node with its defaults, its API open on loopback."""
    address, gossip = f"{HOST}:{_free_port()}", f"{HOST}:{_free_port()}"
    words = ["--name", "bench", "--data-dir", str(directory / "kith"), "--http", address]
    command = [*deployed.NODE, *words, "--gossip", gossip]
    child = Child("kith", command, directory / "kith.log")
    return Side("kith", child, address, "/readyz", "", "", "", lambda _address: iter(()))


def _free_port() -> int:
    """One that nobody has, of TCP and of UDP; another may take it before the node does."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind((HOST, 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind((HOST, port))
            except OSError:
                continue
            return port


def _register(node: Side, services: int) -> None:
    for name in [WATCHED, *(f"other-{number}" for number in range(services))]:
        _post(node, {"name": name, "port": 8_000})


def _post(node: Side, body: dict[str, object]) -> None:
    """A registration that is new, or changes something."""
    status, text = _ask(node, "POST", "/v1/services", json.dumps(body))
    if status not in (200, 201):
        raise BenchError(f"a registration is answered {status}: {text[:200]!r}")


def _ask(node: Side, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    host, _, port = node.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_S)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _change(node: Side, mine: Clients, others: Clients, changes: int, found: Found) -> None:
    others.count()
    mine.count()
    began_s = _cpu_s(node)
    for number in range(1, changes + 1):
        mine.tell(f"expect {number}")
        mine.hear()
        sent = time.monotonic()
        _post(node, {"name": WATCHED, "port": 8_000, "weight": number})
        acknowledged = time.monotonic()
        times = mine.hear()["times"]
        assert isinstance(times, list)
        found.add(sent, acknowledged, [float(one) for one in times])
        if number % 10 == 0:
            say(f"{number} changes; the last was with all after {found.all_ms[-1]:.1f} ms")
    spent_s = _cpu_s(node) - began_s
    time.sleep(SETTLE_S)
    found.cpu_us = spent_s * 1_000_000 / max(1, len(found.each_ms))
    found.answers, found.woken_others = mine.count(), others.count()


def _idle(node: Side, seconds: int, settle_s: float = SETTLE_S) -> float:
    """Processor time that the node takes while nothing is asked, in ms a second."""
    time.sleep(settle_s)
    before = _cpu_s(node)
    time.sleep(seconds)
    return (_cpu_s(node) - before) * 1_000 / seconds


def _pid(node: Side) -> int:
    if not node.child.pid:
        raise BenchError(f"the node has ended: {node.child.fallen}")
    return node.child.pid


def _cpu_s(node: Side) -> float:
    return cpu_s(_pid(node))


def _memory_mb(node: Side) -> float:
    pages = int(Path(f"/proc/{_pid(node)}/statm").read_text(encoding="ascii").split()[1])
    return pages * PAGE_KB * 1_024 / 1_000_000


def _metric(node: Side, name: str) -> float:
    lines = _ask(node, "GET", "/telemetry")[1].splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))


if __name__ == "__main__":
    sys.exit(main())
