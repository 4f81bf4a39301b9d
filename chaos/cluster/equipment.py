"""What is prepared to bend the surroundings of nodes on this machine: as much as the plan needs.

Rules this module keeps:

1. Nothing is prepared that the plan does not need, so a plain run is one of plain nodes.
2. Whatever was not prepared is refused by name.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from .clocks import Clocks
from .cluster import Ability, ClusterError, ClusterPlan, DiskFailure
from .failing_disks import FailingDisks
from .hostnames import HostNames
from .limits import Limits
from .names import VARIABLE
from .small_disks import SmallDisks

FOLDER = "equipment"
_PROC = Path("/proc")


class Equipment:
    """For all nodes of a cluster, each called by name. Its methods raise ClusterError.

    Args:
        plan: of the cluster.
        directory: of the cluster; nodes' data lies in folders of their names.
        name: of the cluster on this machine.
        seen_as: where containers see the libraries; their engine limits them. Without, nodes are
            processes of this machine.
    """

    def __init__(
        self, plan: ClusterPlan, directory: Path, name: str, *, seen_as: Path | None = None
    ) -> None:
        self._plan, self._directory, self._name = plan, directory, name
        self._folder, self._seen_as = directory / FOLDER, seen_as
        self._limits: Limits | None = None
        self._small: SmallDisks | None = None
        self._clocks: Clocks | None = None
        self._failing: FailingDisks | None = None
        self._names: HostNames | None = None

    def open(self) -> None:
        """Prepare what the plan needs."""
        needs = self._plan.needs
        if needs & {Ability.MEMORY, Ability.CPU} and self._seen_as is None:
            self._limits = Limits(self._name)
            self._limits.open(self._plan.names)
        if Ability.SMALL_DISKS in needs:
            self._small = SmallDisks(self._name, self._plan.disk_bytes)
            for node in self._plan.names:
                self._small.add(self._directory / node)
        if Ability.CLOCKS in needs:
            self._clocks = Clocks(self._folder, seen_as=self._seen_as)
            self._clocks.open(self._plan.names)
        if Ability.DISK_ERRORS in needs:
            self._failing = FailingDisks(self._folder, seen_as=self._seen_as)
            self._failing.open(self._plan.names)

    def prepare_names(self, address: str) -> None:
        """Prepare for a name server at that address, if the plan needs one."""
        if Ability.NAMES in self._plan.needs:
            self._names = HostNames(self._name, self._folder)
            self._names.prepare(address)

    def serve_names(self, beside: Sequence[str], address: str, nodes: Mapping[str, str]) -> None:
        """Start the name server, as `HostNames.serve` has it, if one was prepared."""
        if self._names is not None:
            self._names.serve(beside, address, nodes)

    def close(self) -> None:
        """Remove it; the nodes have ended. Harmless when repeated."""
        failed: list[ClusterError] = []
        for part in (self._names, self._limits, self._small):
            try:
                if part is not None:
                    part.close()
            except ClusterError as error:
                failed.append(error)
        shutil.rmtree(self._folder, ignore_errors=True)
        if failed:
            raise failed[0]

    def environ(self, node: str, data_dir: Path) -> dict[str, str]:
        """What a node is run with."""
        # Containers are found by their project.
        found = {} if self._seen_as else {VARIABLE: self._name}
        if self._clocks:
            found.update(self._clocks.environ(node))
        if self._failing:
            seen = data_dir if self._seen_as else data_dir.resolve()
            found.update(self._failing.environ(node, seen))
        if libraries := self._libraries():
            found["LD_PRELOAD"] = ":".join(map(str, libraries))
        return found

    def wrap(self, node: str, words: Sequence[str]) -> list[str]:
        """The words that run a node; the program takes their place."""
        wrapped = self._names.wrap(words) if self._names else list(words)
        return self._limits.wrap(node, wrapped) if self._limits else wrapped

    def check(self, node: str, pid: int) -> None:
        """See that a node that runs has what it was started with."""
        check_loaded(node, pid, self._libraries())

    def limit(self, node: str, *, memory_bytes: int, cpu_share: float) -> None:
        """As `Member.limit` has it."""
        if self._limits is None:
            raise not_prepared(node, Ability.MEMORY if memory_bytes else Ability.CPU)
        self._limits.limit(node, memory_bytes=memory_bytes, cpu_share=cpu_share)

    def shift_clock(self, node: str, offset_s: float) -> None:
        """As `Member.shift_clock` has it."""
        if self._clocks is None:
            raise not_prepared(node, Ability.CLOCKS)
        self._clocks.shift(node, offset_s)

    def fail_disk(self, node: str, how: DiskFailure | None) -> None:
        """As `Member.fail_disk` has it."""
        if self._failing is None:
            raise not_prepared(node, Ability.DISK_ERRORS)
        self._failing.fail(node, how)

    def bend_names(self, node: str, address: str, lies: Mapping[str, str | None]) -> int:
        """As `Member.bend_names` has it, for the node of that address."""
        if self._names is None:
            raise not_prepared(node, Ability.NAMES)
        return self._names.bend(address, lies)

    def _libraries(self) -> list[Path]:
        return [part.library for part in (self._clocks, self._failing) if part is not None]


def not_prepared(node: str, ability: Ability) -> ClusterError:
    """Of something that the plan did not name."""
    return ClusterError(f"node {node}: nothing was prepared for {ability.value}; plan: needs")


def check_loaded(node: str, pid: int, libraries: Sequence[Path]) -> None:
    """See that a process runs with these libraries. Raises ClusterError."""
    if not libraries:
        return
    try:
        maps = (_PROC / str(pid) / "maps").read_text("utf-8", "replace")
    except OSError as error:
        raise ClusterError(f"node {node}: process {pid} cannot be looked at: {error}") from None
    for library in libraries:
        if library.name not in maps:
            raise ClusterError(
                f"node {node} runs without {library.name}; its log says why the loader refused it"
            )
