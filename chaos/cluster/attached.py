"""Clusters that somebody else runs: put under faults as far as they allow, left as they were found.

    make up                                      the project of this checkout, found by its labels;
                                                 KITH_CHAOS_PROJECT=NAME if there are several
    KITH_CHAOS_ATTACH=a=http://10.0.0.1:8400,…   nodes reached over HTTP only: nothing but looking

`KITH_TOKEN` is the secret of their HTTP API; that of containers is read from them.

Rules this module keeps:

1. Nothing is made and nothing is removed. What was frozen, limited or ended is undone by `close`.
2. The plan's nodes are those that are there, all of them: nobody else takes part unseen.
"""

import ipaddress
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from . import composed, engine, processes
from .client import Answer, Client, NoAnswerError, Shape
from .cluster import Ability, Cluster, ClusterError, ClusterPlan, DiskFailure, Member
from .containers import ContainerMember
from .engine import Container
from .names import owner_of
from .steps import attempt_all, check_abilities

ATTACH = "attach"
URLS_VARIABLE, PROJECT_VARIABLE = "KITH_CHAOS_ATTACH", "KITH_CHAOS_PROJECT"
CALL_S = 5.0
_ENTRYPOINT = "kith"
_NOT_PREPARED = frozenset(
    {Ability.CLOCKS, Ability.DISK_ERRORS, Ability.NAMES, Ability.SMALL_DISKS, Ability.VERSIONS}
)
LOOK_ONLY = (
    f"nodes that are known by {URLS_VARIABLE} are reached over HTTP only, which ends, cuts and "
    "bends nothing; attach to `make up` on this machine, or use --cluster namespaces"
)
TOO_LATE = (
    "a node gets this when it is started, and these run already; use --cluster compose, "
    "which starts its own"
)


def attached_names() -> tuple[str, ...]:
    """The nodes of the cluster that would be attached to. Raises ClusterError."""
    if urls := os.environ.get(URLS_VARIABLE):
        return tuple(_read_urls(urls))
    return tuple(_find_project())


def attach(plan: ClusterPlan, directory: Path) -> Cluster:
    """The cluster that is there; nothing of it is looked at yet. Raises ClusterError."""
    if urls := os.environ.get(URLS_VARIABLE):
        return UrlCluster(plan, directory, _read_urls(urls))
    return ProjectCluster(plan, directory)


class ProjectCluster:
    """A compose project that runs; `chaos.cluster.cluster.Cluster` says what its methods do."""

    def __init__(self, plan: ClusterPlan, directory: Path) -> None:
        self.kind, self.plan, self.directory = ATTACH, plan, directory.absolute()
        self.members: list[ContainerMember] = []
        self._since = ""

    def why_not(self, ability: Ability) -> str:
        """What keeps this machine from it."""
        if reason := engine.why_not():
            return reason
        if ability in composed.BY_ROOT and os.geteuid() != 0:
            return composed.NOT_ROOT
        if ability in composed.INSIDE and (reason := composed.why_not_inside(ability)):
            return reason
        return TOO_LATE if ability in _NOT_PREPARED else ""

    def start(self) -> None:
        """Find the project, and see that its nodes are the plan's and take work."""
        check_abilities(self)
        if reason := engine.why_not():
            raise ClusterError(f"--cluster {ATTACH}: {reason}")
        found = _find_project()
        _check_names(self.plan, found)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._since = datetime.now(UTC).isoformat()
        self.members = [_member(name, found[name], self.directory) for name in self.plan.names]
        for member in self.members:
            _check_ready(member)

    def close(self) -> None:
        """Write the logs since `start`; thaw, release and start what was not so when it began."""
        attempt_all(*(member.undo for member in self.members))
        attempt_all(*(lambda one=one: one.collect_log(since=self._since) for one in self.members))


class UrlMember:
    """A node of which only the URL is known; `Member` says what its methods would do."""

    def __init__(self, name: str, url: str, directory: Path) -> None:
        parts = urlsplit(url)
        self.name, self.address, self.http_port = name, parts.hostname or "", parts.port or 80
        self.gossip_port = 0
        """As it says itself; 0 before it was asked."""
        # On another machine, as far as one can tell, and not frozen by us.
        self.pid, self.is_paused = 0, False
        # Neither is ever there: the node's machine has it.
        self.data_dir, self.log = directory / name, directory / f"{name}.log"

    def client(self, *, timeout_s: float = 2.0) -> Client:
        """A connection for HTTP."""
        token = os.environ.get("KITH_TOKEN", "")
        return Client(self.http_port, host=self.address, timeout_s=timeout_s, token=token)

    def call(self, method: str, path: str, body: Shape | None = None) -> Answer:
        """One request on a connection of its own. Raises NoAnswerError."""
        with self.client(timeout_s=CALL_S) as client:
            return client.call(method, path, body)

    def look(self) -> None:
        """See that it is who it should be, and takes work. Raises ClusterError."""
        _check_ready(self)
        said = self.call("GET", "/v1/node").value
        if said.get("name") != self.name:
            raise ClusterError(
                f"{URLS_VARIABLE}: {self.address}:{self.http_port} is node {said.get('name')!r}, "
                f"not {self.name!r}"
            )
        port = str(said.get("address", "")).rpartition(":")[2]
        self.gossip_port = int(port) if port.isdecimal() else 0

    def inside(self, *words: str) -> list[str]:
        """Raises ClusterError."""
        raise _out_of_reach(self.name)

    def start(self) -> None:
        """Raises ClusterError."""
        raise _out_of_reach(self.name)

    kill = stop = pause = start

    def resume(self) -> None:
        """It was not paused."""

    def limit(self, *, memory_bytes: int = 0, cpu_share: float = 0.0) -> None:
        """Raises ClusterError, unless nothing is asked."""
        if memory_bytes or cpu_share:
            raise _out_of_reach(self.name)

    def shift_clock(self, offset_s: float) -> None:
        """Raises ClusterError, unless nothing is asked."""
        if offset_s:
            raise _out_of_reach(self.name)

    def fail_disk(self, how: DiskFailure | None) -> None:
        """Raises ClusterError, unless nothing is asked."""
        if how:
            raise _out_of_reach(self.name)

    def bend_names(self, lies: Mapping[str, str | None]) -> int:
        """Raises ClusterError, unless nothing is asked."""
        if lies:
            raise _out_of_reach(self.name)
        return 0


class UrlCluster:
    """Nodes known by URL; `chaos.cluster.cluster.Cluster` says what its methods do."""

    def __init__(self, plan: ClusterPlan, directory: Path, urls: Mapping[str, str]) -> None:
        self.kind, self.plan, self.directory = ATTACH, plan, directory.absolute()
        self._urls = urls
        known = (name for name in plan.names if name in urls)
        self.members = [UrlMember(name, urls[name], self.directory) for name in known]

    def why_not(self, ability: Ability) -> str:
        """Nothing can be done to it, whatever `ability` is."""
        return LOOK_ONLY

    def start(self) -> None:
        """See that the nodes are the plan's, and take work."""
        check_abilities(self)
        _check_names(self.plan, self._urls)
        for member in self.members:
            member.look()

    def close(self) -> None:
        """Nothing was changed."""


def _out_of_reach(name: str) -> ClusterError:
    return ClusterError(f"node {name}: {LOOK_ONLY}")


def _read_urls(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, _, url = word.partition("=")
        try:
            parts = urlsplit(url)
            is_whole = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_whole = False
        if not name or not is_whole or name in found:
            raise ClusterError(
                f"{URLS_VARIABLE}: {word!r}; write NAME=http://HOST:PORT, each name once, "
                "with commas between"
            )
        found[name] = url
    return found


def _find_project() -> dict[str, Container]:
    """The nodes of the one project of this checkout that runs, by name. Raises ClusterError."""
    wanted = os.environ.get(PROJECT_VARIABLE)
    label = (
        f"{engine.PROJECT_LABEL}={wanted}"
        if wanted
        else f"{engine.DIRECTORY_LABEL}={processes.ROOT}"
    )
    projects: dict[str, dict[str, Container]] = {}
    for one in engine.containers(f"label={label}"):
        # Those that chaos made itself, perhaps in another process, are nobody's to attach to.
        is_node = bool(one.entrypoint) and Path(one.entrypoint[0]).name == _ENTRYPOINT
        if is_node and owner_of(one.project) is None:
            projects.setdefault(one.project, {})[one.service] = one
    if len(projects) > 1:
        raise ClusterError(
            f"--cluster {ATTACH}: several projects run: {', '.join(sorted(projects))}; "
            f"say which by {PROJECT_VARIABLE}=NAME"
        )
    for nodes in projects.values():
        return nodes
    raise ClusterError(
        f"--cluster {ATTACH}: no cluster of {wanted or processes.ROOT} runs here; "
        f"start one with `make up`, or say where the nodes are by {URLS_VARIABLE}=a=http://…"
    )


def _check_names(plan: ClusterPlan, found: Mapping[str, object]) -> None:
    if set(plan.names) != set(found):
        raise ClusterError(
            f"--cluster {ATTACH}: the nodes there are {', '.join(sorted(found))}, "
            f"not {', '.join(plan.names)}; choose a scenario for these"
        )
    if plan.late:
        raise ClusterError(
            f"--cluster {ATTACH}: {', '.join(plan.late)} should start late, and all run already"
        )


def _check_ready(member: Member) -> None:
    try:
        if (status := member.call("GET", "/readyz").status) == 200:
            return
        why = f"it answers {status}"
    except NoAnswerError as error:
        why = str(error)
    raise ClusterError(f"--cluster {ATTACH}: node {member.name} takes no work: {why}")


def _member(name: str, container: Container, directory: Path) -> ContainerMember:
    if not container.addresses:
        raise ClusterError(f"--cluster {ATTACH}: node {name} does not run; `make up` starts it")
    member = ContainerMember(
        name,
        address=str(ipaddress.ip_address(container.addresses[0])),
        token=os.environ.get("KITH_TOKEN") or container.environ.get("KITH_TOKEN", ""),
        directory=directory,
    )
    member.bind(container)
    return member
