"""Clusters of processes of this machine: on its loopback, or each node in a network of its own.

Rules this module keeps:

1. Whatever is begun can be ended: what is to be removed has its name before it is made.
2. At the end it is looked whether anything bears that name still.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import clocks, failing_disks, leftovers, limits, namespaces, small_disks, wires
from .cluster import Ability, ClusterPlan
from .equipment import Equipment
from .names import new_name
from .nodes import Launch, LocalMember
from .places import Apart, Loopback, Place
from .processes import ROOT
from .steps import attempt_all, await_readiness, check_abilities, seeds_of

PROCESSES, NAMESPACES = "processes", "namespaces"
NO_LINKS = (
    "nodes on loopback share one address, so no link of theirs can be told from another; "
    "use --cluster namespaces, as root"
)
_OF_LINKS = frozenset({Ability.LINKS, Ability.DELAY, Ability.BANDWIDTH})
_REASONS: dict[Ability, Callable[[], str]] = {
    Ability.LINKS: wires.why_no_cuts,
    Ability.DELAY: wires.why_no_delay,
    Ability.BANDWIDTH: wires.why_no_bandwidth,
    Ability.SMALL_DISKS: small_disks.why_not,
    Ability.DISK_ERRORS: failing_disks.why_not,
    Ability.MEMORY: limits.why_not,
    Ability.CPU: limits.why_not,
    Ability.CLOCKS: clocks.why_not,
}


class LocalCluster:
    """A process for each node; `chaos.cluster.cluster.Cluster` says what its methods do.

    Args:
        kind: `processes` or `namespaces`.
        plan: what is to be made.
        directory: for data, logs and what else there is.
    """

    def __init__(self, kind: str, plan: ClusterPlan, directory: Path) -> None:
        self._kind, self._plan, self._directory = kind, plan, directory.absolute()
        self._name = new_name()
        count = len(plan.names)
        self._place: Place = Loopback(count) if kind == PROCESSES else Apart(count, self._name)
        self._equipment = Equipment(plan, self._directory, self._name)
        self._members = [self._member(index) for index in range(count)]

    @property
    def kind(self) -> str:
        """`processes` or `namespaces`."""
        return self._kind

    @property
    def plan(self) -> ClusterPlan:
        """What it was made from."""
        return self._plan

    @property
    def directory(self) -> Path:
        """Of data and logs."""
        return self._directory

    @property
    def members(self) -> Sequence[LocalMember]:
        """In the order of the plan's names."""
        return tuple(self._members)

    def why_not(self, ability: Ability) -> str:
        """What keeps this machine from it."""
        if self._kind == NAMESPACES and (reason := namespaces.why_not_cached()):
            return reason
        if self._kind == PROCESSES and ability in _OF_LINKS:
            return NO_LINKS
        if ability is Ability.VERSIONS:
            return _why_no_build(self._plan.old_root)
        return _REASONS[ability]() if ability in _REASONS else ""

    def start(self) -> None:
        """Make the place, start the nodes, wait until they take work."""
        check_abilities(self._kind, self._plan, self.why_not)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._place.open()
        self._equipment.open()
        first = [member for member in self._members if member.name not in self._plan.late]
        for member in first:
            member.start()
        await_readiness(first)
        for member in first:
            self._equipment.check(member.name, member.pid)

    def close(self) -> None:
        """Kill the nodes, and remove all that bears this cluster's name."""
        attempt_all(
            *(member.kill for member in self._members),
            lambda: leftovers.end_processes(self._name),
            self._place.close,
            self._equipment.close,
            lambda: leftovers.check_none(self._name),
        )

    def _member(self, index: int) -> LocalMember:
        name = self._plan.names[index]
        return LocalMember(
            name,
            index,
            place=self._place,
            launch=self._launch(index),
            directory=self._directory,
            equipment=self._equipment,
        )

    def _launch(self, index: int) -> Launch:
        name, plan = self._plan.names[index], self._plan
        words = (*self._seed_words(index), *self._zone_words(name), *plan.options)
        if name not in plan.old or plan.old_root is None:
            return Launch(root=ROOT, python=Path(sys.executable), words=words)
        root = plan.old_root.absolute()
        own = root / ".venv" / "bin" / "python"
        python = own if own.exists() else Path(sys.executable)
        return Launch(root=root, python=python, words=words)

    def _zone_words(self, name: str) -> list[str]:
        zone = self._plan.zones.get(name)
        return ["--zone", zone] if zone else []

    def _seed_words(self, index: int) -> list[str]:
        seeds = seeds_of(self._plan, self._plan.names[index])
        return [word for seed in seeds for word in ("--seed", self._gossip_address(seed))]

    def _gossip_address(self, seed: str) -> str:
        if seed not in self._plan.names:
            return seed
        index = self._plan.names.index(seed)
        return f"{self._place.address(index)}:{self._place.ports(index)[1]}"


def _why_no_build(root: Path | None) -> str:
    if root is None or (root / "node" / "cli" / "__init__.py").is_file():
        return ""
    return f"old_root: {root} is no checkout of Kith; git worktree add {root} VERSION makes one"
