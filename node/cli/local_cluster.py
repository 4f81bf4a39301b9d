"""A cluster of real nodes on this machine, a process each: for `kith dev` and the demo.

Rules this module keeps:

1. Only children that were started here are ever signalled, and each is ended and reaped by `stop`:
   SIGTERM, a bounded wait, SIGKILL.
2. Children are in sessions of their own, so that Ctrl-C reaches the parent alone, which then ends
   them in order.
3. `KITH_…` variables of the caller do not reach them: a throw-away cluster joins no real one.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Self

from node.client import ApiClient, ApiError

HOST = "127.0.0.1"
NODES_MAX = 32
PORTS_APART = 10
BLOCKS_APART = 1_000
BLOCKS_TRIED = 20
FREE_PORTS = range(20_000, 32_000)
FREE_PORT_DRAWS = 1_000
SEEDS_MAX = 3
"""Each node is told so many others; gossip tells it the rest."""
LOG_LINES_SHOWN = 12
LOG_TAIL_BYTES = 16 * 1024
POLL_S = 0.1
ASK_TIMEOUT_S = 1.0
STOP_GRACE_S = 3.0
"""From SIGTERM to SIGKILL: with the reaping after it, less than the five seconds promised."""
REAP_TIMEOUT_S = 1.0
ROOT = Path(__file__).parents[2]
NODE_COMMAND = (sys.executable, "-m", "node.cli", "node")
SERVICE_COMMAND = (sys.executable, "-m", "node.cli.demo_service")


class ClusterError(Exception):
    """The cluster could not be started or did not become ready; call `stop` all the same."""


def _silent(_line: str) -> None:
    """Nobody wants to hear."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Fallen:
    """A child that ended without being told to by `stop`."""

    name: str
    exit_code: int
    """Negative: the signal that ended it."""
    last_lines: tuple[str, ...]
    """The end of its log; empty if it went to standard error."""

    def __str__(self) -> str:
        if self.exit_code < 0:
            how = f"was killed by {signal.Signals(-self.exit_code).name}"
        else:
            how = f"ended with exit code {self.exit_code}"
        return f"{self.name} {how}" + "".join(f"\n    {line}" for line in self.last_lines)


class Child:
    """One process with its log; starts, ends, and is reaped."""

    def __init__(self, name: str, command: Sequence[str], log: Path | None) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output goes to the log, or to our standard error without one.

        Raises:
            ClusterError: the program cannot be started.
        """
        environ = {key: value for key, value in os.environ.items() if not key.startswith("KITH_")}
        environ["PYTHONPATH"] = os.pathsep.join(
            [str(ROOT), *filter(None, [environ.get("PYTHONPATH")])]
        )
        environ["PYTHONUNBUFFERED"] = "1"
        target = sys.stderr.fileno() if self.log is None else _open_for_append(self.log)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=target,
                env=environ,
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterError(f"{self.name} cannot be started: {error}") from None
        finally:
            if self.log is not None:
                os.close(target)

    @property
    def pid(self) -> int:
        """Of the running process, or 0."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    @property
    def fallen(self) -> Fallen | None:
        """How it ended, if it was started and has ended."""
        code = self._process.poll() if self._process else None
        return None if code is None else Fallen(self.name, code, self.last_lines())

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._process is not None:
            # Popen does not signal a process that it has reaped, so no stranger gets it.
            self._process.send_signal(number)

    def ended_by(self, deadline: float) -> bool:
        """Wait for its end until `deadline` on the monotonic clock."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_lines(self) -> tuple[str, ...]:
        """The end of the log."""
        if self.log is None or not self.log.exists():
            return ()
        with self.log.open("rb") as file:
            file.seek(max(self.log.stat().st_size - LOG_TAIL_BYTES, 0))
            lines = file.read(LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
        return tuple(line for line in lines if line.strip())[-LOG_LINES_SHOWN:]


def end_all(children: Sequence[Child], grace_s: float = STOP_GRACE_S) -> None:
    """SIGTERM to all, wait `grace_s` seconds together, SIGKILL to the rest, reap."""
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    late = [child for child in children if not child.ended_by(deadline)]
    for child in late:
        child.send(signal.SIGKILL)
    deadline = time.monotonic() + REAP_TIMEOUT_S
    for child in late:
        child.ended_by(deadline)


class LocalCluster:
    """Nodes `a`, `b`, `c` … on loopback, and perhaps services; a context manager that stops all.

    Args:
        nodes: how many, 1 to 32.
        http_port: of the first node; its gossip port is the next one, the second node's ports are
            ten higher. If any is taken, the block a thousand higher is tried, and so on. 0: any
            free ports.
        verbose: logs go to standard error instead of files.
        command: what starts one node, before its flags.
        options: more flags for every node.

    Raises:
        ClusterError: no free ports.
        ValueError: `nodes` is out of bounds.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        http_port: int = 8400,
        verbose: bool = False,
        command: Sequence[str] = NODE_COMMAND,
        options: Sequence[str] = (),
    ) -> None:
        if not 1 <= nodes <= NODES_MAX:
            raise ValueError(f"nodes must be 1 to {NODES_MAX}, not {nodes}")
        self._ports = choose_ports(nodes, http_port)
        self._verbose = verbose
        self._command = tuple(command)
        self._options = tuple(options)
        self.directory = Path(tempfile.mkdtemp(prefix="kith-dev-"))
        """Data and logs; removed by `stop`."""
        self._nodes = [
            Child(name_of(index), self._node_command(index), self._log(name_of(index)))
            for index in range(nodes)
        ]
        self._services: list[Child] = []
        self._told: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __len__(self) -> int:
        return len(self._nodes)

    def start(self) -> None:
        """Start every node; `wait_ready` tells when they know each other.

        Raises:
            ClusterError: a program cannot be started.
        """
        for index in range(len(self._nodes)):
            self.start_node(index)

    def start_node(self, index: int) -> None:
        """Start one node, also again after it ended: with the same ports and data.

        Raises:
            ClusterError: it cannot be started, or runs already.
        """
        child = self._nodes[index]
        if child.pid:
            raise ClusterError(f"node {child.name} runs already")
        self._told = [told for told in self._told if told is not child]
        child.start()

    def start_service(self, name: str, port: int = 0) -> int:
        """Start a demo service on `port` (0: a free one) and return its port; it is not registered.

        Raises:
            ClusterError: it cannot be started.
        """
        port = port or free_ports(1)[0]
        child = Child(name, [*SERVICE_COMMAND, "--port", str(port)], self._log(name))
        child.start()
        self._services.append(child)
        return port

    def stop_service(self, name: str) -> None:
        """End the demo services of this name."""
        ending = [child for child in self._services if child.name == name]
        self._services = [child for child in self._services if child.name != name]
        end_all(ending)

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to one node."""
        self._nodes[index].send(number)

    def wait_ended(self, index: int, timeout_s: float) -> bool:
        """Whether a node ends within `timeout_s` seconds."""
        return self._nodes[index].ended_by(time.monotonic() + timeout_s)

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """End all within `grace_s` + 1 seconds and remove the data; harmless when repeated."""
        end_all([*self._services, *self._nodes], grace_s)
        self._services = []
        rmtree(self.directory, ignore_errors=True)

    def api_url(self, index: int) -> str:
        """Of a node's HTTP API."""
        return f"http://{HOST}:{self._ports[index][0]}"

    def gossip_address(self, index: int) -> str:
        """Where a node's peers reach it, as HOST:PORT."""
        return f"{HOST}:{self._ports[index][1]}"

    def node_name(self, index: int) -> str:
        """What the node is called."""
        return self._nodes[index].name

    def pid(self, index: int) -> int:
        """Of a node's process, or 0 if it does not run."""
        return self._nodes[index].pid

    def log_path(self, index: int) -> Path | None:
        """The node's log, or None if it goes to standard error."""
        return self._nodes[index].log

    def newly_fallen(self) -> list[Fallen]:
        """Children that ended since the last call; each is told once."""
        news = []
        for child in [*self._nodes, *self._services]:
            fallen = child.fallen
            if fallen is not None and not any(child is told for told in self._told):
                self._told.append(child)
                news.append(fallen)
        return news

    def wait_ready(
        self,
        timeout_s: float = 30.0,
        *,
        say: Callable[[str], None] = _silent,
        cancelled: Callable[[], bool] = _never,
    ) -> bool:
        """Wait until every node is ready and sees all the others alive.

        Args:
            timeout_s: seconds for all of them together.
            say: takes a line for each node that gets there.
            cancelled: asked about ten times a second; true ends the wait.

        Returns:
            False if cancelled.

        Raises:
            ClusterError: a node ended, or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        waiting = list(range(len(self._nodes)))
        while waiting:
            for index in tuple(waiting):
                if cancelled():
                    return False
                if self._is_ready(index):
                    waiting.remove(index)
                    done = len(self._nodes) - len(waiting)
                    say(f"node {self.node_name(index)} is ready ({done} of {len(self._nodes)})")
            if waiting:
                self._check_progress(waiting[0], deadline)
                time.sleep(POLL_S)
        return True

    def _check_progress(self, index: int, deadline: float) -> None:
        for child in self._nodes:
            if child.fallen is not None:
                raise ClusterError(f"node {child.fallen}")
        if time.monotonic() > deadline:
            child = self._nodes[index]
            lines = "".join(f"\n    {line}" for line in child.last_lines())
            raise ClusterError(f"node {child.name} did not become ready in time{lines}")

    def _is_ready(self, index: int) -> bool:
        try:
            with ApiClient(self.api_url(index), None, ASK_TIMEOUT_S) as api:
                api.call("GET", "/readyz")
                found = api.call("GET", "/v1/peers", query=[("status", "alive")]).value
        except ApiError:
            return False
        peers = found.get("peers") if isinstance(found, dict) else None
        return isinstance(peers, list) and len(peers) >= len(self._nodes)

    def _node_command(self, index: int) -> list[str]:
        others = [i for i in range(len(self._ports)) if i != index][:SEEDS_MAX]
        seeds = [word for other in others for word in ("--seed", self.gossip_address(other))]
        name = name_of(index)
        return [
            *self._command,
            *("--name", name),
            *("--data-dir", str(self.directory / name)),
            *("--http", self.api_url(index).removeprefix("http://")),
            *("--gossip", self.gossip_address(index)),
            *seeds,
            *self._options,
        ]

    def _log(self, name: str) -> Path | None:
        return None if self._verbose else self.directory / f"{name}.log"


def name_of(index: int) -> str:
    """`a` to `z`, then `n26`, `n27` and so on."""
    return chr(ord("a") + index) if index < 26 else f"n{index}"


def choose_ports(nodes: int, http_port: int) -> list[tuple[int, int]]:
    """HTTP and gossip port of each node: the first block that is free.

    Raises:
        ClusterError: none of the blocks tried is free.
    """
    if http_port == 0:
        ports = free_ports(2 * nodes)
        return list(zip(ports[::2], ports[1::2], strict=True))
    for block in range(BLOCKS_TRIED):
        first = http_port + block * BLOCKS_APART
        pairs = [(first + PORTS_APART * i, first + PORTS_APART * i + 1) for i in range(nodes)]
        if pairs[-1][1] < 65_536 and all(is_free(port) for pair in pairs for port in pair):
            return pairs
    raise ClusterError(f"no {2 * nodes} free ports from {http_port} on; try another --http-port")


def is_free(port: int) -> bool:
    """Whether both TCP and UDP can be bound on loopback now."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As servers do: connections that are only fading away do not occupy the port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


def free_ports(count: int) -> list[int]:
    """So many different ports that are free now, drawn by lot.

    Below the range from which systems give ports to outgoing connections: there, a node's port
    could be taken by the very connection that asks whether the node listens yet.

    Raises:
        ClusterError: too few are free.
    """
    found: list[int] = []
    for _ in range(FREE_PORT_DRAWS):
        port = FREE_PORTS.start + secrets.randbelow(len(FREE_PORTS))
        if port not in found and is_free(port):
            found.append(port)
        if len(found) >= count:
            return found
    raise ClusterError(f"no {count} free ports from {FREE_PORTS.start} to {FREE_PORTS.stop}")


def _open_for_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
