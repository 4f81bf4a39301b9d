"""Clusters of processes of this machine: on its loopback, or each node in a network of its own.

Rules this module keeps:

1. Whatever is begun can be ended: what is to be removed has its name before it is made.
2. At the end it is looked whether anything bears that name still.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from . import hostnames, leftovers, limits, namespaces, small_disks, wires
from .clocks import Clocks
from .cluster import Ability, ClusterPlan
from .equipment import Equipment
from .failing_disks import FailingDisks
from .names import new_name
from .nodes import Launch, LocalMember
from .places import Apart, Loopback, Place
from .processes import ROOT
from .steps import attempt_all, check_abilities, seeds_of, start_first

PROCESSES, NAMESPACES = "processes", "namespaces"
NO_LINKS = (
    "nodes on loopback share one address, so no link of theirs can be told from another; "
    "use --cluster namespaces, as root"
)
NO_NAMES = "nodes on loopback share this machine's name service; use --cluster namespaces, as root"
_OF_LINKS = frozenset({Ability.LINKS, Ability.DELAY, Ability.BANDWIDTH})
_REASONS: dict[Ability, Callable[[], str]] = {
    Ability.LINKS: wires.why_no_cuts,
    Ability.DELAY: wires.why_no_delay,
    Ability.BANDWIDTH: wires.why_no_bandwidth,
    Ability.NAMES: hostnames.why_not,
    Ability.SMALL_DISKS: small_disks.why_not,
    Ability.DISK_ERRORS: FailingDisks.why_not,
    Ability.MEMORY: limits.why_not,
    Ability.CPU: limits.why_not,
    Ability.CLOCKS: Clocks.why_not,
}


class LocalCluster:
    """A process for each node; `chaos.cluster.cluster.Cluster` says what its methods do.

    Args:
        kind: `processes` or `namespaces`.
        plan: what is to be made.
        directory: for data, logs and what else there is.
    """

    def __init__(self, kind: str, plan: ClusterPlan, directory: Path) -> None:
        self.kind, self.plan, self.directory = kind, plan, directory.absolute()
        self._name = new_name()
        count = len(plan.names)
        self._place: Place = Loopback(count) if kind == PROCESSES else Apart(count, self._name)
        self._equipment = Equipment(plan, self.directory, self._name)
        self.members = [self._member(index) for index in range(count)]

    def why_not(self, ability: Ability) -> str:
        """What keeps this machine from it."""
        if self.kind == NAMESPACES and (reason := namespaces.why_not_cached()):
            return reason
        if self.kind == PROCESSES and ability in _OF_LINKS:
            return NO_LINKS
        if self.kind == PROCESSES and ability is Ability.NAMES:
            return NO_NAMES
        if ability is Ability.VERSIONS:
            return _why_no_build(self.plan.old_root)
        return _REASONS[ability]() if ability in _REASONS else ""

    def start(self) -> None:
        """Make the place, start the nodes, wait until they take work."""
        check_abilities(self)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._place.open()
        self._equipment.open()
        self._serve_names()
        start_first(self.members, self.plan, self._equipment)

    def close(self) -> None:
        """Kill the nodes, and remove all that bears this cluster's name."""
        attempt_all(
            *(member.kill for member in self.members),
            lambda: leftovers.end_processes(self._name),
            self._place.close,
            self._equipment.close,
            lambda: leftovers.check_none(self._name),
        )

    def _serve_names(self) -> None:
        if Ability.NAMES in self.plan.needs:
            beside, address = self._place.beside()
            self._equipment.prepare_names(address)
            nodes = {member.name: member.address for member in self.members}
            self._equipment.serve_names(beside, address, nodes)

    def _member(self, index: int) -> LocalMember:
        name = self.plan.names[index]
        return LocalMember(
            name,
            index,
            place=self._place,
            launch=self._launch(index),
            directory=self.directory,
            equipment=self._equipment,
        )

    def _launch(self, index: int) -> Launch:
        name, plan = self.plan.names[index], self.plan
        words = (*self._seed_words(index), *self._zone_words(name), *plan.options)
        if name not in plan.old or plan.old_root is None:
            return Launch(root=ROOT, python=Path(sys.executable), words=words)
        root = plan.old_root.absolute()
        own = root / ".venv" / "bin" / "python"
        python = own if own.exists() else Path(sys.executable)
        return Launch(root=root, python=python, words=words)

    def _zone_words(self, name: str) -> list[str]:
        zone = self.plan.zones.get(name)
        return ["--zone", zone] if zone else []

    def _seed_words(self, index: int) -> list[str]:
        seeds = seeds_of(self.plan, self.plan.names[index])
        return [word for seed in seeds for word in ("--seed", self._gossip_address(seed))]

    def _gossip_address(self, seed: str) -> str:
        if seed not in self.plan.names:
            return seed
        index = self.plan.names.index(seed)
        is_by_name = Ability.NAMES in self.plan.needs
        host = hostnames.host_name(seed) if is_by_name else self._place.address(index)
        return f"{host}:{self._place.ports(index)[1]}"


def _why_no_build(root: Path | None) -> str:
    if root is None or (root / "node" / "cli" / "__init__.py").is_file():
        return ""
    return f"old_root: {root} is no checkout of Kith; git worktree add {root} VERSION makes one"
