"""Real nodes as processes on loopback, started and ended from outside.

Rules this module keeps:

1. Only processes that were started here are signalled, and each is reaped.
2. `KITH_…` variables of the caller do not reach them: they join no real cluster.
3. Nothing waits for a fixed time: what is to come is looked for until a deadline.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Self

from .client import HOST, Answer, Client, NoAnswerError

NODE_COMMAND = (sys.executable, "-m", "node.cli", "node")
ROOT = Path(__file__).parents[2]
READY_S = 60.0
END_S = 10.0
POLL_S = 0.02
FREE_PORTS = range(20_000, 32_000)
"""Below those that outgoing connections are given, so that none of them takes a node's port."""
_DRAWS = 1_000
_LOG_LINES = 8
_LOG_TAIL_BYTES = 16 * 1024


class ProcessError(Exception):
    """A node did not start, become ready or end as it should; with the end of its log."""


class NodeProcess:
    """One node: its directory, its ports, and the process while there is one.

    Args:
        name: of the node; its directory under `directory` bears it, and its log.
        ports: HTTP and gossip.
        seeds: gossip ports of others.
        options: more words for `kith node`.
        wrapper: words that run the command in their own way, such as `strace -f`.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        ports: tuple[int, int],
        *,
        seeds: Sequence[int] = (),
        options: Sequence[str] = (),
        wrapper: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.data_dir = directory / name
        self.log = directory / f"{name}.log"
        self.port, self.gossip_port = ports
        self._command = [
            *wrapper, *NODE_COMMAND,
            *("--name", name, "--data-dir", str(self.data_dir)),
            *("--http", f"{HOST}:{self.port}", "--gossip", f"{HOST}:{self.gossip_port}"),
            *(word for seed in seeds for word in ("--seed", f"{HOST}:{seed}")),
            *options,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process, or 0."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self) -> None:
        """Start it; its output goes to its log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment(), start_new_session=True,
            )  # fmt: skip

    def wait_ready(self) -> float:
        """Wait until it takes work; the seconds that took.

        Raises:
            ProcessError: it ended, or did not get there in time.
        """
        return wait_until(self._is_ready, READY_S, f"node {self.name} is ready", self)

    def send_kill(self) -> None:
        """Kill -9, and do not wait for the end: `kill` does."""
        if self._process is not None:
            self._process.kill()

    def kill(self) -> None:
        """Kill -9, and reap."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, and reap.

        Raises:
            ProcessError: it does not end.
        """
        self._end(signal.SIGTERM)

    def call(self, method: str, path: str) -> Answer:
        """One request without a body. Raises NoAnswerError."""
        with Client(self.port) as client:
            return client.call(method, path)

    def log_end(self) -> str:
        """The last lines of its log."""
        return log_end(self.log)

    def _is_ready(self) -> bool:
        if not self.pid:
            raise ProcessError(f"node {self.name} ended{self.log_end()}")
        try:
            return self.call("GET", "/readyz").status == 200
        except NoAnswerError:
            return False

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ProcessError(f"node {self.name} did not end{self.log_end()}") from None


class Nodes:
    """So many nodes that know each other, each in a directory below `directory`; ended by `close`.

    Raises:
        ProcessError: no free ports.
    """

    def __init__(self, count: int, directory: Path, *, options: Sequence[str] = ()) -> None:
        ports = free_ports(2 * count)
        pairs = list(zip(ports[::2], ports[1::2], strict=True))
        self.all = [
            NodeProcess(
                chr(ord("a") + index), directory, pair, options=options,
                seeds=[gossip for other, (_, gossip) in enumerate(pairs) if other != index],
            )
            for index, pair in enumerate(pairs)
        ]  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what still runs."""
        for node in self.all:
            node.kill()

    def agree(self) -> bool:
        """Whether all hold the same root and see each other alive."""
        try:
            roots = {str(node.call("GET", "/v1/root").value.get("root")) for node in self.all}
            names = {node.name for node in self.all}
            return len(roots) == 1 and all(names <= alive(node) for node in self.all)
        except NoAnswerError:
            return False


def alive(node: NodeProcess) -> set[str]:
    """The names of the members that a node sees alive. Raises NoAnswerError."""
    peers = node.call("GET", "/v1/peers").rows("peers")
    return {str(peer["name"]) for peer in peers if peer.get("status") == "alive"}


def wait_until(
    holds: Callable[[], bool], seconds: float, what: str, node: NodeProcess | None = None
) -> float:
    """Look until it holds; the seconds that took.

    Raises:
        ProcessError: it did not within `seconds`.
    """
    start = time.perf_counter()
    while not holds():
        if time.perf_counter() - start > seconds:
            raise ProcessError(f"not within {seconds:g} s: {what}{node.log_end() if node else ''}")
        time.sleep(POLL_S)
    return time.perf_counter() - start


def log_end(log: Path) -> str:
    """The last lines of a log, each on a line of its own."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - _LOG_TAIL_BYTES, 0))
        lines = file.read(_LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    return "".join(f"\n    {line}" for line in lines[-_LOG_LINES:])


def clean_environment() -> dict[str, str]:
    """Ours without what would configure a node, and with the way to its code."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KITH_")}
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def free_ports(count: int) -> list[int]:
    """So many different ports that are free now.

    Raises:
        ProcessError: too few are free.
    """
    rng, found = SystemRandom(), list[int]()
    for _ in range(_DRAWS):
        port = rng.choice(FREE_PORTS)
        if port not in found and _is_free(port):
            found.append(port)
        if len(found) >= count:
            return found
    raise ProcessError(f"no {count} free ports")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True
