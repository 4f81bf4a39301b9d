"""Their side: `serf agent` processes, with the LAN profile unless told otherwise.

What differs from our side, and whom it favours:

1. An update is a user event of 300 bytes: not signed, not on disk, not kept. Ours is a signed
   record that is on disk before it is acknowledged. This favours Serf.
2. An agent's times are taken here, when its RPC stream delivers the event or when its log line is
   read (every 10 ms), since its log has whole seconds only. That adds up to a few ms to updates and
   up to 10 ms to detections. This favours us, against times of 0.2 s and of seconds.
3. Failures are read off the log, which is written at once, not off the event stream, which agents
   hold back for a second to coalesce. This favours Serf.
"""

import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import msgpack

from benchmarks.measuring import say
from benchmarks.report import machine
from node.cli.local_cluster import HOST

from .facts import parse_serf
from .fleet import BLOCK_PORTS, BenchError, Fleet, free_block
from .sides import SEEDS, Update

PROGRAM = "serf"
INSTALL = "on Debian: apt-get install serf"
PROFILES = ("lan", "local", "wan")
EVENT = "bench"
PAYLOAD_BYTES = 300
TIMEOUT_S = 10.0
READ_BYTES = 64 * 1024
MESSAGE_BYTES_MAX = 1024 * 1024
Message: TypeAlias = dict[bytes, object]
"""One part of an answer, as msgpack has it."""


def installed() -> bool:
    """Whether there is a `serf` to compare with."""
    return shutil.which(PROGRAM) is not None


def takes_part(wish: str) -> bool:
    """Whether there are agents to compare with, by the wish `auto` or `off`; if not, it is said."""
    if wish == "off":
        say("without Serf, as asked: nothing to compare with")
        return False
    if not installed():
        say(f"SKIPPED: Serf is not installed, so there is nothing to compare with; {INSTALL}")
        return False
    return True


class Rpc:
    """A connection to one agent, over which it is asked.

    Raises, as all its methods do:
        BenchError: the agent does not answer, has closed the connection, or refused something.
    """

    def __init__(self, port: int) -> None:
        self._unpacker = msgpack.Unpacker(raw=True, max_buffer_size=MESSAGE_BYTES_MAX)
        self._sequence = 0
        try:
            self.socket = socket.create_connection((HOST, port), TIMEOUT_S)
            self.ask("handshake", {"Version": 1})
        except OSError as error:
            raise BenchError(f"serf agent at port {port} does not answer: {error}") from None

    def ask(self, command: str, body: dict[str, object] | None = None, parts: int = 1) -> Message:
        """Ask, and wait for an answer of so many parts; the last of them."""
        self.send(command, body)
        answer: list[Message] = []
        while len(answer) < parts:
            answer += self.read()
        return answer[-1]

    def send(self, command: str, body: dict[str, object] | None = None) -> None:
        """Ask, and wait for nothing."""
        self._sequence += 1
        header = {"Command": command, "Seq": self._sequence}
        # The agent's library knows the old form of MessagePack only, without binary strings.
        packed = [msgpack.packb(part, use_bin_type=False) for part in (header, body) if part]
        self.socket.sendall(b"".join(packed))

    def read(self) -> list[Message]:
        """What has arrived; waits for bytes."""
        received = self.socket.recv(READ_BYTES)
        if not received:
            raise BenchError("serf closed the connection")
        self._unpacker.feed(received)
        messages = [message for message in self._unpacker if isinstance(message, dict)]
        for message in messages:
            if message.get(b"Error"):
                raise BenchError(f"serf refused: {message[b'Error']!r}")
        return messages

    def close(self) -> None:
        """Give the connection back."""
        self.socket.close()


class EventStream(Rpc):
    """A connection to one agent, which streams the user events named `EVENT`."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        try:
            self.ask("stream", {"Type": f"user:{EVENT}"})
        except OSError as error:
            raise BenchError(f"serf agent at port {port} does not answer: {error}") from None

    def send_event(self, payload: bytes) -> None:
        """Send a user event to the cluster; the answer comes with `received`."""
        self.send("event", {"Name": EVENT, "Payload": payload, "Coalesce": False})

    def received(self) -> list[bytes]:
        """Payloads of the events that have arrived; waits for bytes."""
        payloads = []
        for message in self.read():
            payload = message.get(b"Payload")
            if isinstance(payload, bytes):
                payloads.append(payload)
        return payloads


class SerfSide:
    """Agents on loopback; `words` are more arguments for single ones, by their index."""

    name = "serf"

    def __init__(
        self,
        nodes: int,
        directory: Path,
        profile: str = PROFILES[0],
        words: Mapping[int, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        first = free_block(nodes)
        self._profile = profile
        self._words = words
        self.ports = range(first, first + nodes)
        self.rpc_ports = [first + BLOCK_PORTS // 2 + i for i in range(nodes)]
        self._rpcs: list[EventStream] = []
        names = [f"n{i}" for i in range(nodes)]
        commands = [self._command(i) for i in range(nodes)]
        self.fleet = Fleet(names, commands, directory, parse_serf)

    @staticmethod
    def version() -> str:
        """Of the program, and of its package."""
        done = subprocess.run((PROGRAM, "version"), capture_output=True, text=True, check=True)
        told = done.stdout.splitlines()[0].strip()
        package = machine.package(PROGRAM)  # the program of 0.9 calls itself 0.8.2-dev
        return f"serf {told}" + (f" (Debian package {package})" if package else "")

    def connect(self) -> None:
        """Open a stream of events from each agent."""
        self._rpcs = [EventStream(port) for port in self.rpc_ports]

    def reconnect(self, index: int) -> None:
        """Open a stream from an agent that was started again."""
        self._rpcs[index].close()
        self._rpcs[index] = EventStream(self.rpc_ports[index])

    def update(self, index: int, number: int, within_s: float) -> Update:
        """Send a user event through one agent, and wait until all others have it."""
        payload = f"{number:08d}".encode().ljust(PAYLOAD_BYTES, b"x")
        waiting = {i: self._rpcs[i] for i in range(len(self._rpcs)) if i != index}
        awaited = len(waiting)
        arrivals: list[int] = []
        with selectors.DefaultSelector() as ready:
            for i, rpc in waiting.items():
                ready.register(rpc.socket, selectors.EVENT_READ, i)
            sent_ns = time.monotonic_ns()
            self._rpcs[index].send_event(payload)
            self._rpcs[index].received()
            acknowledged_ns = time.monotonic_ns()
            deadline = time.monotonic() + within_s
            while waiting and time.monotonic() < deadline:
                for key, _ in ready.select(0.1):
                    at_ns = time.monotonic_ns()
                    if payload in waiting[key.data].received():
                        arrivals.append(at_ns)
                        ready.unregister(waiting.pop(key.data).socket)
        self.fleet.read()
        return Update.of(sent_ns, acknowledged_ns, arrivals, awaited)

    def _command(self, index: int) -> list[str]:
        others = [i for i in range(len(self.ports)) if i != index][:SEEDS]
        seeds = [f"-retry-join={HOST}:{self.ports[i]}" for i in others]
        return [
            *(PROGRAM, "agent"),
            f"-node=n{index}",
            f"-bind={HOST}:{self.ports[index]}",
            f"-rpc-addr={HOST}:{self.rpc_ports[index]}",
            f"-profile={self._profile}",
            "-log-level=info",
            # Agents start together here; the default of 30 s would measure that alone.
            "-retry-interval=1s",
            *seeds,
            *self._words.get(index, ()),
        ]
