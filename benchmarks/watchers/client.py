"""The watchers: raw sockets and one epoll loop, so that the client costs less than the node.

`python -m benchmarks.watchers.client ADDRESS FIRST PER_ADDRESS SERVICE=COUNT …` opens that many
long polls, each on a connection of its own, from 127.0.0.FIRST and the addresses after it. It is
told what to do by lines on standard input, and answers each with a line of JSON:

    expect N   each watcher will be shown `"weight":N`; answers when all were, with the time of each
    count      how many answers came since the last `count`

Times are of CLOCK_MONOTONIC, which all processes of one machine share. Every watcher that is
answered polls again at once.
"""

import json
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Iterator

WAIT = "10m"
BATCH = 64
"""Connections opened before their first answers are read: less than a backlog."""
READ_BYTES = 256 * 1024


class Watcher:
    """One connection that polls one service."""

    __slots__ = ("buffer", "path", "sock")

    def __init__(self, sock: socket.socket, path: str) -> None:
        self.sock = sock
        self.path = path
        self.buffer = b""

    def ask(self, index: str = "") -> None:
        """Ask now, or wait for another answer than that of `index`."""
        path = f"{self.path}?index={index}&wait={WAIT}" if index else self.path
        self.sock.send(f"GET {path} HTTP/1.1\r\nHost: kith\r\n\r\n".encode())

    def read(self) -> bytes:
        """One answer with its head, or nothing as long as it is not complete."""
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise EOFError(f"closed by the node; {self.buffer[:200]!r}")
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return b""
        length = int(field(self.buffer[:end], b"Content-Length"))
        if len(self.buffer) < end + 4 + length:
            return b""
        answer, self.buffer = self.buffer, b""
        if not answer.startswith(b"HTTP/1.1 200"):
            raise EOFError(f"refused: {answer[:400]!r}")
        return answer


def field(head: bytes, name: bytes) -> bytes:
    """The value of a header."""
    at = head.index(b"\r\n" + name + b": ") + len(name) + 4
    return head[at : head.find(b"\r\n", at) if head.find(b"\r\n", at) >= 0 else len(head)]


def index_of(answer: bytes) -> str:
    """What to poll with next."""
    return field(answer, b"X-Kith-Index").decode()


class Client:
    """All watchers of this process."""

    def __init__(self, address: tuple[str, int], first: int, per_address: int) -> None:
        self._address = address
        self._first = first
        self._per_address = per_address
        self._epoll = select.epoll()
        self._watchers: dict[int, Watcher] = {}
        self._marker = b""
        self._times: list[float] = []
        self._answers = 0

    def open(self, services: list[str]) -> None:
        """One watcher for each, all of which wait when this returns."""
        for at in range(0, len(services), BATCH):
            batch = [self._connect(at + n, one) for n, one in enumerate(services[at : at + BATCH])]
            for watcher in batch:
                watcher.ask()
            for watcher in batch:
                while not (answer := watcher.read()):
                    pass
                watcher.ask(index_of(answer))
                watcher.sock.settimeout(0.0)
                self._epoll.register(watcher.sock.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Obey until standard input ends."""
        commands = sys.stdin.fileno()
        os.set_blocking(commands, False)
        self._epoll.register(commands, select.EPOLLIN)
        while True:
            for number, _ in self._epoll.poll():
                if number != commands:
                    self._take(self._watchers[number])
                elif not self._obey(os.read(commands, 4_096).decode()):
                    return

    def _connect(self, number: int, service: str) -> Watcher:
        source = f"127.0.0.{self._first + number // self._per_address}"
        sock = socket.create_connection(self._address, source_address=(source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        watcher = self._watchers[sock.fileno()] = Watcher(sock, f"/v1/services/{service}")
        return watcher

    def _take(self, watcher: Watcher) -> None:
        answer = watcher.read()
        if not answer:
            return
        now = time.monotonic()
        self._answers += 1
        watcher.ask(index_of(answer))
        if self._marker and self._marker in answer:
            self._times.append(now)
            if len(self._times) == len(self._watchers):
                self._say({"times": self._times})
                self._times, self._marker = [], b""

    def _obey(self, text: str) -> bool:
        for line in text.splitlines():
            word, _, number = line.partition(" ")
            if word == "expect":
                self._marker = b'"weight":%d,' % int(number)
                self._times = []
                self._say({"expecting": int(number)})
            else:
                self._say({"answers": self._answers})
                self._answers = 0
        return bool(text)

    def _say(self, document: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def _services(words: list[str]) -> Iterator[str]:
    for word in words:
        name, _, count = word.partition("=")
        yield from [name] * int(count)


def main() -> int:
    """Open all, say so, and obey."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, _, port = sys.argv[1].partition(":")
    client = Client((host, int(port)), int(sys.argv[2]), int(sys.argv[3]))
    services = list(_services(sys.argv[4:]))
    client.open(services)
    print(json.dumps({"open": len(services)}), flush=True)
    client.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
