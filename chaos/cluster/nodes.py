"""One node that is a process of this machine: how it is started, frozen, bent and ended.

Rules this module keeps:

1. Only the process that was started here is signalled, and it is reaped.
2. `KITH_…` variables of the caller do not reach it: it joins no real cluster.
3. What bends its surroundings is there from its start or not at all; `prepared` says what is.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .client import Answer, Client, Dial, NoAnswerError, Shape
from .cluster import ClusterError, DiskFailure
from .equipment import Equipment
from .places import Place
from .processes import clean_environment, log_end

STOP_S = 15.0
"""A node drains for 4 s at most; then it closes its database."""
KILL_S = 10.0
CALL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a node is started."""

    root: Path
    """Of the build of Kith."""
    python: Path
    words: tuple[str, ...]
    """What `kith node` is told beyond name, directory and addresses."""

    def environ(self) -> dict[str, str]:
        """Ours, without what would configure a node, and with the way to this build first."""
        path = os.pathsep.join([str(self.root), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**clean_environment(), "PYTHONPATH": path}


class LocalMember:
    """A node of this machine; `chaos.cluster.cluster.Member` says what its methods do.

    Args:
        name: as the plan has it.
        index: its number in `place`.
        place: where it lives.
        launch: how it is started.
        directory: its data lies below, and its log.
        equipment: what was prepared to bend it.
    """

    def __init__(
        self,
        name: str,
        index: int,
        *,
        place: Place,
        launch: Launch,
        directory: Path,
        equipment: Equipment,
    ) -> None:
        self.name, self._index, self._place = name, index, place
        self.address, (self.http_port, self.gossip_port) = place.address(index), place.ports(index)
        self._launch, self._equipment = launch, equipment
        self.data_dir = directory / name
        self.log = directory / f"{name}.log"
        """Grows while it runs."""
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        # Whoever watches a node asks for its pid while a fault ends it.
        self._reaping = threading.Lock()

    @property
    def pid(self) -> int:
        """Of the node itself: whatever wraps it gives it its own place."""
        return self._process.pid if self._process and not self._has_ended() else 0

    @property
    def is_paused(self) -> bool:
        """Whether it was frozen, and neither resumed nor ended since."""
        return self._paused and bool(self.pid)

    def client(self, *, timeout_s: float = 2.0) -> Client:
        """A connection from where the node is."""
        return Client(self.http_port, host=self.address, timeout_s=timeout_s, dial=self._dial())

    def call(self, method: str, path: str, body: Shape | None = None) -> Answer:
        """One request on a connection of its own. Raises NoAnswerError."""
        with self.client(timeout_s=CALL_S) as client:
            return client.call(method, path, body)

    def inside(self, *words: str) -> list[str]:
        """The words that run a program where the node is."""
        return self._place.inside(self._index, words)

    def start(self) -> None:
        """Start it, with the data that it has."""
        if self.pid:
            raise ClusterError(f"node {self.name} runs already, as process {self.pid}")
        words = self._equipment.wrap(self.name, self.inside(*self._command()))
        environ: Mapping[str, str] = {
            **self._launch.environ(),
            **self._equipment.environ(self.name, self.data_dir),
        }
        self._paused = False
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env=environ, cwd=self._launch.root, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise ClusterError(f"node {self.name} cannot be started: {error}") from None

    def kill(self) -> None:
        """Kill -9, and reap; harmless if it does not run."""
        self._signal(signal.SIGKILL)
        self._await_end(KILL_S)

    def stop(self) -> None:
        """SIGTERM, and reap; kill -9, and an error, if it does not end."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        try:
            self._await_end(STOP_S)
        except ClusterError:
            self.kill()
            raise

    def pause(self) -> None:
        """SIGSTOP."""
        if not self.pid:
            raise ClusterError(f"node {self.name} does not run; what is to be paused must run")
        self._signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """SIGCONT; harmless if it was not paused."""
        self._signal(signal.SIGCONT)
        self._paused = False

    def limit(self, *, memory_bytes: int = 0, cpu_share: float = 0.0) -> None:
        """By its control group."""
        self._equipment.limit(self.name, memory_bytes=memory_bytes, cpu_share=cpu_share)

    def shift_clock(self, offset_s: float) -> None:
        """By the bytes that the library looks at."""
        self._equipment.shift_clock(self.name, offset_s)

    def fail_disk(self, how: DiskFailure | None) -> None:
        """By the byte that the library looks at."""
        self._equipment.fail_disk(self.name, how)

    def bend_names(self, lies: Mapping[str, str | None]) -> int:
        """By what the cluster's name server says to this address."""
        return self._equipment.bend_names(self.name, self.address, lies)

    def check_readiness(self) -> bool:
        """Whether it takes work. Raises ClusterError if it has ended, with the end of its log."""
        if not self.pid:
            raise ClusterError(f"node {self.name} ended{log_end(self.log)}")
        try:
            return self.call("GET", "/readyz").status == 200
        except NoAnswerError:
            return False

    def _command(self) -> list[str]:
        return [
            *(str(self._launch.python), "-m", "node.cli", "node"),
            *("--name", self.name, "--data-dir", str(self.data_dir)),
            *("--http", f"{self.address}:{self.http_port}"),
            *("--gossip", f"{self.address}:{self.gossip_port}"),
            *self._launch.words,
        ]

    def _dial(self) -> Dial:
        return self._place.dial(self._index)

    def _has_ended(self) -> bool:
        with self._reaping:
            return self._process is None or self._process.poll() is not None

    def _signal(self, number: int) -> None:
        if self._process is not None and not self._has_ended():
            # Popen does not signal a process that it has reaped, so no stranger gets it.
            self._process.send_signal(number)

    def _await_end(self, seconds: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ClusterError(
                f"node {self.name} did not end in {seconds:g} s{log_end(self.log)}"
            ) from None
        self._paused = False
