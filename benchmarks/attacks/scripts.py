"""The attacks: each a bounded number of connections that misbehave until it is cancelled.

Connections come from 127.0.1.1 and upwards, so many from each address as a node admits. What
becomes of each is noted: refused with a status, ended, or still open.
"""

import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio

PER_ADDRESS = 250
"""Connections from one address; a node admits 256."""
CONNECTIONS_AT_ONCE = 100
"""Being opened at one moment, so that the listener's queue does not overflow."""
AGAIN_S = 1.0
"""Before a slot whose connection was ended opens the next one."""
PAGE = b"GET /v1/services/web HTTP/1.1\r\nHost: k\r\n\r\n"
POST = b"POST /v1/services HTTP/1.1\r\nHost: k\r\nContent-Type: application/json\r\n"
_ASKED_MAX = 4_000
"""Requests whose answers one connection does not read."""


@dataclass(slots=True)
class Outcome:
    """What became of the connections."""

    opened: int = 0
    ended: int = 0
    """By the node, with or without a word."""
    refused: int = 0
    """Could not even connect, or were reset at once."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Of the last words of those that were ended; 0: none."""

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "opened": self.opened,
            "ended": self.ended,
            "refused": self.refused,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }


class Wire:
    """One hostile connection."""

    def __init__(self, opened: trio.socket.SocketType) -> None:
        self.socket = opened

    async def send(self, data: bytes) -> None:
        """Send all, however long it takes. Raises OSError once the node has closed."""
        while data:
            data = data[await self.socket.send(data) :]

    async def last_words(self) -> int:
        """Read to the end; the status of the last answer, 0 if there was none."""
        tail = b""
        status = 0
        while True:
            try:
                data = await self.socket.recv(65_536)
            except OSError:
                return status
            if not data:
                return status
            tail = (tail + data)[-70_000:]
            at = tail.rfind(b"HTTP/1.1 ")
            if at >= 0 and tail[at + 9 : at + 12].isdigit():
                status = int(tail[at + 9 : at + 12])


Behaviour = Callable[[Wire], Awaitable[None]]


async def trickle_head(wire: Wire) -> None:
    """A byte of a header each second."""
    await wire.send(b"GET /healthz HTTP/1.1\r\nHost: k\r\nX: ")
    while True:
        await trio.sleep(1)
        await wire.send(b"a")


async def trickle_body(wire: Wire) -> None:
    """A byte of a body each second."""
    await wire.send(POST + b"Content-Length: 60000\r\n\r\n{")
    while True:
        await trio.sleep(1)
        await wire.send(b" ")


async def be_silent(wire: Wire) -> None:
    """Nothing at all."""
    await trio.sleep_forever()


async def ask_once(wire: Wire) -> None:
    """One request, then nothing."""
    await wire.send(b"GET /healthz HTTP/1.1\r\nHost: k\r\n\r\n")
    await trio.sleep_forever()


async def half_close(wire: Wire) -> None:
    """Half a request, and an end of what is sent, but not of the connection."""
    await wire.send(b"GET /healthz HTTP/1.1\r\nHost:")
    wire.socket.shutdown(socket.SHUT_WR)
    await trio.sleep_forever()


async def send_garbage(wire: Wire) -> None:
    """A good request, and what is none behind it."""
    await wire.send(PAGE + bytes(range(256)) * 64)
    await trio.sleep_forever()


async def send_headers(wire: Wire) -> None:
    """Headers without end."""
    await wire.send(b"GET /healthz HTTP/1.1\r\nHost: k\r\n")
    while True:
        await wire.send(b"X-Filler: " + b"a" * 1_000 + b"\r\n")


async def send_huge_chunk(wire: Wire) -> None:
    """A chunk of two gigabytes."""
    await wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n")
    while True:
        await wire.send(b" " * 16_384)


async def send_extension(wire: Wire) -> None:
    """A chunk whose extension has no end."""
    await wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n1;a=")
    while True:
        await wire.send(b"b" * 64)


async def send_trailers(wire: Wire) -> None:
    """Trailers without end."""
    await wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n")
    while True:
        await wire.send(b"X-Filler: aaaaaaaaaaaaaaaa\r\n")


async def send_small_chunks(wire: Wire) -> None:
    """A body of chunks of one byte, each with the longest extension: much framing, no content."""
    await wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await wire.send((b"1;" + b"a" * 100 + b"\r\n \r\n") * 50)


async def read_nothing(wire: Wire) -> None:
    """Requests whose answers are never read."""
    for _ in range(_ASKED_MAX):
        await wire.send(PAGE)
    while True:
        await trio.sleep(1)
        await wire.send(b"\r")


@dataclass(frozen=True, slots=True)
class Attack:
    """How many connections do what."""

    what: str
    behaviour: Behaviour
    connections: int
    at_gossip: bool = False
    listens: bool = True
    """Whether it reads what it is told; else it sees no status, and an end only by sending."""


ATTACKS: Mapping[str, Attack] = {
    "slow-headers": Attack("500 clients send a byte of a header a second", trickle_head, 500),
    "slow-bodies": Attack("500 clients send a byte of a body a second", trickle_body, 500),
    "idle": Attack("5,000 connections ask once and stay", ask_once, 5_000),
    "crowd": Attack("600 connections ask once and stay", ask_once, 600),
    "silent": Attack("5,000 connections say nothing", be_silent, 5_000),
    "half-closed": Attack("500 clients end in the middle of a request", half_close, 500),
    "garbage": Attack("4 clients send garbage behind a request", send_garbage, 4),
    "endless-headers": Attack("4 clients send headers without end", send_headers, 4),
    "huge-chunks": Attack("4 clients announce 2 GiB", send_huge_chunk, 4),
    "endless-extensions": Attack("4 clients send chunk extensions without end", send_extension, 4),
    "endless-trailers": Attack("4 clients send trailers without end", send_trailers, 4),
    "small-chunks": Attack("4 clients send chunks of one byte", send_small_chunks, 4),
    "unread-answers": Attack("40 clients ask and never read", read_nothing, 40, listens=False),
    "handshakes": Attack("200 silent clients of the gossip port", be_silent, 200, at_gossip=True),
}  # fmt: skip


def raise_files(most: int) -> bool:
    """Make sure that so many files may be open; False if that is forbidden."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < most:
        return False
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return True


async def launch(
    attack: Attack,
    address: tuple[str, int],
    outcome: Outcome,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Open all connections, report, and misbehave until cancelled; opens anew what was ended."""
    gate = trio.CapacityLimiter(CONNECTIONS_AT_ONCE)
    async with trio.open_nursery() as nursery:
        seats = []
        for number in range(attack.connections):
            seats.append(trio.Event())
            host = f"127.0.1.{1 + number // PER_ADDRESS}"
            nursery.start_soon(_misbehave, attack, address, host, gate, outcome, seats[-1])
        for seat in seats:
            await seat.wait()
        task_status.started()


async def _misbehave(
    attack: Attack,
    address: tuple[str, int],
    host: str,
    gate: trio.CapacityLimiter,
    outcome: Outcome,
    seated: trio.Event,
) -> None:
    while True:
        with trio.socket.socket() as opened:
            try:
                async with gate:
                    await opened.bind((host, 0))
                    await opened.connect(address)
            except OSError:
                outcome.refused += 1
            else:
                outcome.opened += 1
                seated.set()
                outcome.statuses[await _until_ended(attack, Wire(opened))] += 1
                outcome.ended += 1
        seated.set()
        await trio.sleep(AGAIN_S)


async def _until_ended(attack: Attack, wire: Wire) -> int:
    """Misbehave until the node ends the connection; its last words."""
    status = 0
    async with trio.open_nursery() as nursery:

        async def misbehave() -> None:
            try:
                await attack.behaviour(wire)
            except OSError:
                if not attack.listens:
                    nursery.cancel_scope.cancel()

        nursery.start_soon(misbehave)
        if attack.listens:
            status = await wire.last_words()
            nursery.cancel_scope.cancel()
    return status
