"""What a real cluster is to those who run chaos on it, wherever its nodes run.

    processes     a process each on this machine's loopback          no links to cut
    namespaces    a process each in a network of its own             everything
    compose       a container each, by the project's docker-compose  most of it
    attach        a cluster that somebody else runs                  what its machine allows

Rules this module keeps:

1. Nodes go by name (`a`, `b`, …); a fault, a scenario and a report never see how they run.
2. What a kind cannot do it says before anything starts, with the reason (`why_not`); never later,
   never silently.
3. Who asks a node over HTTP does so beside all faults of links: no cut lies in between.
4. `close` leaves nothing behind, whatever happened before; it may be called again.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .client import Answer, Client, Shape

NODES_MIN, NODES_MAX = 1, 32
NAMES = tuple("abcdefghijklmnopqrstuvwxyz")
"""Of the first nodes; `n26` and so on follow."""


class ClusterError(Exception):
    """The cluster did not do what was asked: in a sentence, with the remedy where there is one.

    Call `close` all the same.
    """


class NoNetworkError(ClusterError):
    """Of a container that does not run: its network ended with it, and begins anew with it.

    Whatever was done to that network is gone; do it again when the node was started.
    """


class Ability(enum.Enum):
    """Something that can be done to a cluster, if it is of the right kind on the right machine."""

    PROCESSES = "processes"
    """End, freeze and start nodes."""
    DISKS = "disks"
    """Wipe a node's data, keep a copy of it, put the copy back."""
    LINKS = "links"
    """Cut and loosen what lies between any two nodes, each direction by itself."""
    DELAY = "delay"
    """Latency, jitter, duplicates and reordering on links."""
    BANDWIDTH = "bandwidth"
    SMALL_DISKS = "small-disks"
    """Data on file systems of a size, that can be filled up."""
    DISK_ERRORS = "disk-errors"
    """Writes and fsyncs that fail."""
    MEMORY = "memory"
    CPU = "cpu"
    CLOCKS = "clocks"
    """A wall clock of its own for each node; the monotonic one stays."""
    NAMES = "names"
    """Seeds told by host name, and a name server of our own that can lie or be silent."""
    HOSTILE = "hostile"
    """A node's keys in the hands of a program of ours."""
    VERSIONS = "versions"
    """Nodes of another build beside today's."""


class DiskFailure(enum.Enum):
    """How a disk fails."""

    WRITES = "writes"
    """Each write ends with EIO."""
    SYNCS = "syncs"
    """Each fsync ends with EIO; writes seem to work."""
    FULL = "full"
    """Each write ends with ENOSPC."""
    SLOW = "slow"
    """Each fsync takes a tenth of a second longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """What is to be made."""

    names: tuple[str, ...]
    """The nodes. Observable order everywhere."""
    needs: frozenset[Ability] = frozenset()
    """What will be done to it; it is prepared for these only."""
    late: tuple[str, ...] = ()
    """Nodes that a fault starts later; all others run when `start` returns."""
    zones: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By node: names of others, or `HOST:PORT` as it is. Without: the three that follow it."""
    disk_bytes: int = 0
    """Size of each node's file system, with SMALL_DISKS."""
    old: tuple[str, ...] = ()
    """Nodes of the build in `old_root`, with VERSIONS."""
    old_root: Path | None = None
    """A checkout of another version, ready to run."""
    options: tuple[str, ...] = ()
    """More words for each `kith node`."""

    def __post_init__(self) -> None:
        """Refuse a plan that none could follow. Raises ValueError, naming the field."""
        if not NODES_MIN <= len(self.names) <= NODES_MAX:
            raise ValueError(f"names: {len(self.names)} nodes; {NODES_MIN} to {NODES_MAX} can be")
        if len(dict.fromkeys(self.names)) < len(self.names):
            raise ValueError("names: one is there twice")
        for what, named in (
            ("late", self.late), ("zones", self.zones), ("seeds", self.seeds), ("old", self.old),
        ):  # fmt: skip
            for name in named:
                if name not in self.names:
                    raise ValueError(f"{what}: {name!r} is no node; nodes are {self.names}")
        if self.old and self.old_root is None:
            raise ValueError("old_root: where is the other build of the old nodes?")


def names_of(count: int) -> tuple[str, ...]:
    """`a`, `b`, … of so many nodes."""
    more = (f"n{number}" for number in range(len(NAMES), count))
    return (*NAMES[:count], *more)


class Member(Protocol):
    """One node of a cluster. Its methods raise ClusterError."""

    @property
    def name(self) -> str:
        """As the plan has it."""

    @property
    def address(self) -> str:
        """The IP address by which the other nodes know it."""

    @property
    def gossip_port(self) -> int:
        """UDP and TCP."""

    @property
    def http_port(self) -> int:
        """Of its HTTP API."""

    @property
    def pid(self) -> int:
        """Of the node's own process, on this machine; 0 while it does not run."""

    @property
    def is_paused(self) -> bool:
        """Whether it was frozen and not yet resumed."""

    @property
    def data_dir(self) -> Path:
        """Its keys and its database, as this machine sees them."""

    @property
    def log(self) -> Path:
        """All it said, one JSON document a line; written by `Cluster.close` at the latest."""

    def client(self, *, timeout_s: float = 2.0) -> Client:
        """A connection for HTTP, opened when first used. Close it."""

    def call(self, method: str, path: str, body: Shape | None = None) -> Answer:
        """One request on a connection of its own. Raises NoAnswerError."""

    def inside(self, *words: str) -> list[str]:
        """The words that run a program of this machine in the node's network.

        Raises NoNetworkError while the node has none.
        """

    def start(self) -> None:
        """Start it, and do not wait until it is ready."""

    def kill(self) -> None:
        """Kill -9, and wait for the end."""

    def stop(self) -> None:
        """SIGTERM, and wait for the end: it says that it stops."""

    def pause(self) -> None:
        """SIGSTOP."""

    def resume(self) -> None:
        """SIGCONT; harmless if it was not paused."""

    def limit(self, *, memory_bytes: int = 0, cpu_share: float = 0.0) -> None:
        """Hold it to so much memory and so much of one processor from now on; 0: no limit."""

    def shift_clock(self, offset_s: float) -> None:
        """Let its wall clock be so much off from now on; 0: right. The monotonic one stays."""

    def fail_disk(self, how: DiskFailure | None) -> None:
        """Let all that it writes to its data fail so from now on; None: no more."""

    def bend_names(self, lies: Mapping[str, str | None]) -> int:
        """Let host names of nodes be answered so from now on when this node looks them up.

        Args:
            lies: an address, "" (there is no such name) or None (no answer at all), by the node
                whose name it is; `*` stands for all others. Empty: the truth.

        Returns:
            How many of its questions met a lie since it was last called.
        """


class Cluster(Protocol):
    """Some nodes, made, started and ended together. Its methods raise ClusterError."""

    @property
    def kind(self) -> str:
        """As `--cluster` names it."""

    @property
    def plan(self) -> ClusterPlan:
        """What it was made from."""

    @property
    def directory(self) -> Path:
        """Where logs lie, and whatever else is made for it; the caller's, never removed here."""

    @property
    def members(self) -> Sequence[Member]:
        """In the order of the plan's names."""

    def why_not(self, ability: Ability) -> str:
        """What keeps it from that, in a sentence; empty if nothing does. Nothing is changed."""

    def start(self) -> None:
        """Make all that the plan needs, start all nodes but the late ones, await their readiness.

        Raises ClusterError, after which `close` must still be called.
        """

    def close(self) -> None:
        """Collect the logs, end all nodes, remove all that was made.

        Raises ClusterError if something is left, with its name; all that could be removed is.
        """


def member_named(cluster: Cluster, name: str) -> Member:
    """Raises ClusterError for one that is not there."""
    for member in cluster.members:
        if member.name == name:
            return member
    raise ClusterError(f"{name!r} is no node of this cluster; nodes are {cluster.plan.names}")
