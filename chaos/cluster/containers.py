"""One node in a container: how it is started, frozen, bent and ended.

The container keeps its bounds: no capabilities, a file system that is read only. What is done to
its network is done by programs of this machine that enter it (`nsenter`).

Rules this module keeps:

1. Only the container that it was made for is touched.
2. What was frozen or limited can be undone: `undo` leaves it as it was found.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from . import engine
from .client import Answer, Client, NoAnswerError, Shape
from .cluster import ClusterError, DiskFailure, NoNetworkError
from .engine import Container
from .equipment import Equipment
from .names import Owner, owner
from .places import GOSSIP_PORT, HTTP_PORT
from .steps import POLL_S

STOP_S = 10
CALL_S = 5.0
_NODE_S = 10.0
_LOG_LINES = "8"


class ContainerMember:
    """A node in a container; `chaos.cluster.cluster.Member` says what its methods do.

    Args:
        name: as the plan has it.
        address: in the cluster's network; it stays.
        token: the secret of its HTTP API.
        directory: its log is written there.
        equipment: what was prepared to bend it; None: nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        address: str,
        token: str,
        directory: Path,
        equipment: Equipment | None = None,
    ) -> None:
        self.name, self.address, self._token = name, address, token
        self.gossip_port, self.http_port = GOSSIP_PORT, HTTP_PORT
        self.log = directory / f"{name}.log"
        """Written by `collect_log`."""
        self.data_dir = directory / name
        """The volume, where the engine keeps it; before there is one, a place that is empty."""
        self._equipment = equipment
        self._container: Container | None = None
        self._node: Owner | None = None
        self._paused = self._limited = self._ended = False

    @property
    def container(self) -> Container:
        """As it was when this was bound to it. Raises ClusterError if that was not yet."""
        if self._container is None:
            raise ClusterError(f"node {self.name} has no container: the cluster was not started")
        return self._container

    @property
    def pid(self) -> int:
        """Of the node below the container's init, as this machine sees it."""
        if self._container is None:
            return 0
        if self._node is None or not self._node.is_alive:
            found = engine.node_pid(self._init_pid())
            self._node = owner(found) if found else None
        return self._node.pid if self._node else 0

    @property
    def is_paused(self) -> bool:
        """Whether it was frozen, and neither resumed nor ended since."""
        return self._paused

    def bind(self, container: Container | None) -> None:
        """This is its container; None: it is gone."""
        self._container, self._node, self._paused = container, None, False
        if container is not None and container.data_dir is not None:
            self.data_dir = container.data_dir

    def client(self, *, timeout_s: float = 2.0) -> Client:
        """A connection over the bridge, which no link between nodes is part of."""
        return Client(HTTP_PORT, host=self.address, timeout_s=timeout_s, token=self._token)

    def call(self, method: str, path: str, body: Shape | None = None) -> Answer:
        """One request on a connection of its own. Raises NoAnswerError."""
        with self.client(timeout_s=CALL_S) as client:
            return client.call(method, path, body)

    def inside(self, *words: str) -> list[str]:
        """The words that run a program of this machine in the container's network."""
        init_pid = self._init_pid()
        if not init_pid:
            raise NoNetworkError(f"node {self.name} does not run; its container has no network")
        return ["nsenter", "--net", "--target", str(init_pid), *words]

    def start(self) -> None:
        """Start its container, and wait until the node is there, not until it is ready."""
        if self.pid:
            raise ClusterError(f"node {self.name} runs already, as process {self.pid}")
        self._give_data()
        engine.docker("start", self.container.id)
        self._paused = False
        end = time.perf_counter() + _NODE_S
        while self._is_beginning():
            if time.perf_counter() > end:
                raise ClusterError(
                    f"node {self.name}: its process is not to be seen; "
                    "containers must run on this very machine"
                )
            time.sleep(POLL_S)

    def kill(self) -> None:
        """Kill -9, and wait for the end; harmless if it does not run."""
        if self._init_pid():
            # The engine thaws whom it kills.
            engine.docker("kill", self.container.id)
            engine.docker("wait", self.container.id)
            self._ended = True
        self._paused = False

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self.resume()
        if not self._init_pid():
            return
        engine.docker("stop", "--time", str(STOP_S), self.container.id)
        self._ended = True

    def pause(self) -> None:
        """Freeze all its processes."""
        if not self.pid:
            raise ClusterError(f"node {self.name} does not run; what is to be paused must run")
        if not self._paused:
            engine.docker("pause", self.container.id)
            self._paused = True

    def resume(self) -> None:
        """Thaw them; harmless if they were not frozen."""
        if self._paused:
            engine.docker("unpause", self.container.id)
            self._paused = False

    def limit(self, *, memory_bytes: int = 0, cpu_share: float = 0.0) -> None:
        """Hold the container to this; 0: to what it was held before."""
        if memory_bytes < 0 or cpu_share < 0:
            raise ClusterError(
                f"node {self.name}: {memory_bytes} bytes, {cpu_share:g} of a processor; "
                "neither may be negative"
            )
        memory = memory_bytes or self.container.memory_bytes or _machine_bytes()
        cpus = cpu_share or self.container.cpus or float(os.cpu_count() or 1)
        engine.docker(
            "update", "--memory", str(memory), "--memory-swap", str(memory),
            "--cpus", f"{cpus:.3f}", self.container.id,
        )  # fmt: skip
        self._limited = bool(memory_bytes or cpu_share)

    def shift_clock(self, offset_s: float) -> None:
        """By the bytes that the library in the container looks at."""
        self._prepared().shift_clock(self.name, offset_s)

    def fail_disk(self, how: DiskFailure | None) -> None:
        """By the byte that the library in the container looks at."""
        self._prepared().fail_disk(self.name, how)

    def bend_names(self, lies: Mapping[str, str | None]) -> int:
        """By what the cluster's name server says to this address."""
        return self._prepared().bend_names(self.name, self.address, lies)

    def undo(self) -> None:
        """Thaw it, take its limits away, and start it if it was ended. Raises ClusterError."""
        self.resume()
        if self._limited:
            self.limit()
        if self._ended and not self._init_pid():
            self.start()

    def collect_log(self, *, since: str = "") -> None:
        """Write its log. Raises ClusterError."""
        if self._container is not None:
            engine.write_log(self._container.id, self.log, since=since)

    def check_readiness(self) -> bool:
        """Whether it takes work. Raises ClusterError if it has ended, with the end of its log."""
        try:
            return self.call("GET", "/readyz").status == 200
        except NoAnswerError:
            if self._init_pid():
                return False
        said = engine.docker("logs", "--tail", _LOG_LINES, self.container.id)
        raise ClusterError(
            f"node {self.name} ended" + "".join(f"\n    {line}" for line in said.splitlines())
        )

    def _is_beginning(self) -> bool:
        """Whether its container runs and its node does not yet."""
        return not self.pid and self._init_pid() != 0

    def _prepared(self) -> Equipment:
        if self._equipment is None:
            raise ClusterError(f"node {self.name}: its surroundings are not ours to bend")
        return self._equipment

    def _init_pid(self) -> int:
        (found,) = engine.inspect(self.container.id)
        return found.init_pid

    def _give_data(self) -> None:
        """Let all data be the node's, also what was copied there by somebody else."""
        place = self.container.data_dir
        if place is None or os.geteuid() != 0 or not place.is_dir():
            return
        for path in (place, *place.rglob("*")):
            if path.lstat().st_uid != engine.USER_ID:
                os.chown(path, engine.USER_ID, engine.USER_ID, follow_symlinks=False)


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
