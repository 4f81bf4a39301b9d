"""Clusters of containers: the project's own `docker-compose.yml`, under a name of their own.

What a plan asks beyond that file stands in a second one, written into the cluster's directory: more
nodes than five, seeds, zones, addresses that stay, small disks, libraries that bend clocks and
disks. Nodes do not start again by themselves, as elsewhere.

Rules this module keeps:

1. All that is made bears the project's name, and is removed by it.
2. A project that somebody else runs is never touched.
"""

import ipaddress
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import SystemRandom

from . import engine, hostnames, leftovers, small_disks, wires
from .client import Json, Shape
from .clocks import Clocks
from .cluster import Ability, ClusterError, ClusterPlan
from .commands import run
from .containers import ContainerMember
from .equipment import FOLDER, Equipment
from .failing_disks import FailingDisks
from .names import VARIABLE, new_name
from .places import GOSSIP_PORT
from .processes import ROOT, clean_environment
from .steps import attempt_all, check_abilities, seeds_of, start_first

COMPOSE = "compose"
NODES_MAX = 10
COMPOSE_FILE = ROOT / "docker-compose.yml"
SERVICES = ("a", "b", "c", "d", "e")
"""Those of that file that are nodes."""
PATTERN = SERVICES[1]
"""More nodes are made like this one, which publishes no port."""
SEEN_AS = Path("/chaos")
"""Where the libraries lie in a container."""
_UP_S = 180.0
_SUBNETS = ipaddress.ip_network("10.128.0.0/9")
_SUBNET_DRAWS = 100
_STARTS = 3
_LIBRARIES = frozenset({Ability.CLOCKS, Ability.DISK_ERRORS})
BY_ROOT = frozenset({
    Ability.LINKS, Ability.DELAY, Ability.BANDWIDTH, Ability.DISKS, Ability.HOSTILE,
    Ability.SMALL_DISKS, Ability.NAMES, *_LIBRARIES,
})  # fmt: skip
INSIDE: Mapping[Ability, Callable[[], str]] = {
    Ability.LINKS: wires.why_no_cuts,
    Ability.DELAY: wires.why_no_delay,
    Ability.BANDWIDTH: wires.why_no_bandwidth,
    Ability.HOSTILE: str,
}
"""What is done by programs that enter containers' networks, and what else each needs."""
NOT_ROOT = "not root, who alone may enter containers' networks and volumes; run it as root"
ONE_BUILD = (
    "all containers are of one image; use --cluster namespaces, which runs a checkout of the other "
    "build beside this one"
)


class ComposeCluster:
    """A container for each node; `chaos.cluster.cluster.Cluster` says what its methods do.

    Raises:
        ClusterError: more nodes than are made of containers.
    """

    def __init__(self, plan: ClusterPlan, directory: Path) -> None:
        if len(plan.names) > NODES_MAX:
            raise ClusterError(
                f"--cluster compose: {len(plan.names)} nodes; {NODES_MAX} at most, "
                "more by --cluster namespaces"
            )
        self.kind, self.plan, self.directory = COMPOSE, plan, directory.absolute()
        self.project = new_name()
        self._token = os.environ.get("KITH_TOKEN") or secrets.token_hex(16)
        self._subnet = _free_subnet(())
        self._equipment = Equipment(plan, self.directory, self.project, seen_as=SEEN_AS)
        self.members = self._make_members()

    def why_not(self, ability: Ability) -> str:
        """What keeps this machine from it."""
        if reason := why_no_containers():
            return reason
        if ability in BY_ROOT and os.geteuid() != 0:
            return NOT_ROOT
        if ability in INSIDE and (reason := why_not_inside(ability)):
            return reason
        if ability is Ability.VERSIONS:
            return ONE_BUILD
        if ability in _REASONS and (reason := _REASONS[ability]()):
            return reason
        return ""

    def start(self) -> None:
        """Make the project, start the nodes, wait until they take work."""
        check_abilities(self)
        if reason := why_no_containers():
            raise ClusterError(f"--cluster {COMPOSE}: {reason}")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._equipment.open()
        self._create()
        self._equipment.serve_names([], self._gateway, self._addresses())
        found = {one.service: one for one in engine.containers(self._filter())}
        for member in self.members:
            member.bind(found[member.name])
        start_first(self.members, self.plan, self._equipment)

    def close(self) -> None:
        """Collect the logs, and remove all that bears the project's name."""
        attempt_all(
            *(member.collect_log for member in self.members),
            lambda: leftovers.end_processes(self.project),
            self._remove,
            self._equipment.close,
            lambda: leftovers.check_none(self.project),
        )

    def _make_members(self) -> list[ContainerMember]:
        return [
            ContainerMember(
                name, address=self._address(index), token=self._token,
                directory=self.directory, equipment=self._equipment,
            )
            for index, name in enumerate(self.plan.names)
        ]  # fmt: skip

    def _address(self, index: int) -> str:
        # The first is the bridge's own.
        return str(self._subnet.network_address + index + 2)

    @property
    def _gateway(self) -> str:
        """The bridge's own address, which is this machine's."""
        return str(self._subnet.network_address + 1)

    def _addresses(self) -> dict[str, str]:
        return {member.name: member.address for member in self.members}

    def _filter(self) -> str:
        return f"label={engine.PROJECT_LABEL}={self.project}"

    def _create(self) -> None:
        """Make network, volumes and containers; in another subnet if this one is taken."""
        for left in reversed(range(_STARTS)):
            second = self.directory / "compose.json"
            self._equipment.prepare_names(self._gateway)
            second.write_text(json.dumps(self._second_file(), indent=1), "utf-8")
            try:
                self._compose("-f", str(second), "up", "--no-start", "--no-build")
            except ClusterError as error:
                if "overlaps" not in str(error) or not left:
                    raise
                self._subnet = _free_subnet((self._subnet,))
                self.members = self._make_members()
            else:
                return

    def _compose(self, *words: str) -> None:
        environ = {
            **clean_environment(),
            "KITH_TOKEN": self._token,
            "KITH_IMAGE": engine.image(),
            "KITH_PORT": "0",
            "KITH_CLUSTER": self.project,
            "COMPOSE_PARALLEL_LIMIT": str(NODES_MAX),
            VARIABLE: self.project,
        }
        first = [*engine.compose(), "-p", self.project, "-f", str(COMPOSE_FILE)]
        run([*first, *words, *self.plan.names], timeout_s=_UP_S, env=environ, cwd=ROOT)

    def _remove(self) -> None:
        if not shutil.which("docker"):
            return
        leftovers.remove_project(self.project)
        for member in self.members:
            member.bind(None)

    def _second_file(self) -> Shape:
        small = Ability.SMALL_DISKS in self.plan.needs
        extra = [name for name in self.plan.names if name not in SERVICES]
        services: Shape = {
            name: self._service(name, self._address(index), on_disk=small)
            for index, name in enumerate(self.plan.names)
        }
        volumes: Shape = {name: {} for name in extra}
        subnet: Shape = {"subnet": str(self._subnet)}
        networks: Shape = {"kith": {"ipam": {"config": [subnet]}}}
        return {"services": services, "networks": networks, "volumes": volumes}

    def _service(self, name: str, address: str, *, on_disk: bool) -> Shape:
        environ: Shape = {
            "KITH_NAME": name,
            "KITH_SEED": ",".join(self._seed(one) for one in seeds_of(self.plan, name)),
            **self._equipment.environ(name, Path(engine.DATA)),
        }
        if zone := self.plan.zones.get(name):
            environ["KITH_ZONE"] = zone
        # In the long form: Compose 1.29 takes a volume of one letter for a Windows drive otherwise.
        volumes: list[Json] = [
            {"type": "bind", "source": str(self.directory / name), "target": engine.DATA}
            if on_disk
            else {"type": "volume", "source": name, "target": engine.DATA}
        ]
        if self.plan.needs & _LIBRARIES:
            folder = str(self.directory / FOLDER)
            volumes.append(
                {"type": "bind", "source": folder, "target": str(SEEN_AS), "read_only": True}
            )
        if Ability.NAMES in self.plan.needs:
            ours = str(self.directory / FOLDER / hostnames.RESOLV_CONF.name)
            seen = str(hostnames.RESOLV_CONF)
            volumes.append({"type": "bind", "source": ours, "target": seen, "read_only": True})
        command: list[Json] = ["node", *self.plan.options]
        service: Shape = {
            "hostname": name,
            "restart": "no",
            "command": command,
            "environment": environ,
            "volumes": volumes,
            "networks": {"kith": {"ipv4_address": address}},
            "logging": {"driver": "json-file", "options": {"max-size": "200m", "max-file": "1"}},
        }
        if name not in SERVICES:
            service["extends"] = {"file": str(COMPOSE_FILE), "service": PATTERN}
        return service

    def _seed(self, seed: str) -> str:
        if seed not in self.plan.names:
            return seed
        # Without a name server of ours the engine's own knows containers by their services.
        by_name = Ability.NAMES in self.plan.needs
        return f"{hostnames.host_name(seed) if by_name else seed}:{GOSSIP_PORT}"


def why_no_containers() -> str:
    """What keeps this machine from having such clusters; empty if nothing does."""
    if reason := engine.why_not():
        return reason
    if not engine.compose():
        return "no docker-compose; on Debian: apt-get install docker-compose"
    if not COMPOSE_FILE.is_file():
        return f"no {COMPOSE_FILE}; run it from a checkout of Kith"
    return engine.why_no_image()


def why_not_inside(ability: Ability) -> str:
    """What keeps programs of this machine from doing that in containers' networks."""
    if not shutil.which("nsenter"):
        return (
            "no nsenter, which enters containers' networks; on Debian: apt-get install util-linux"
        )
    return INSIDE[ability]()


def _why_no_library() -> str:
    """Whether a library of this machine can be loaded in the image, which has a libc of its own."""
    if reason := Clocks.why_not():
        return reason
    with tempfile.TemporaryDirectory() as place:
        made = Clocks(Path(place), seen_as=SEEN_AS)
        made.open(["trial"])
        Path(place).chmod(0o755)
        look = f"import sys; sys.exit({made.library.name!r} not in open('/proc/self/maps').read())"
        try:
            engine.docker(
                "run", "--rm", "--network", "none", "--volume", f"{place}:{SEEN_AS}:ro",
                "--env", f"LD_PRELOAD={made.library}", "--entrypoint", "/opt/kith/bin/python",
                engine.image(), "-c", look,
            )  # fmt: skip
        except ClusterError:
            return (
                f"image {engine.image()} has another libc than this machine, so it does not load "
                "libraries of this one; make the image of this machine's distribution"
            )
    return ""


_REASONS: dict[Ability, Callable[[], str]] = {
    Ability.SMALL_DISKS: small_disks.why_not,
    Ability.CLOCKS: _why_no_library,
    Ability.DISK_ERRORS: lambda: FailingDisks.why_not() or _why_no_library(),
}


def _free_subnet(refused: Sequence[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """A small network that this machine has no way to; drawn by lot, as others draw, too."""
    rng, taken = SystemRandom(), [*_routes(), *refused]
    for _ in range(_SUBNET_DRAWS):
        first = int(_SUBNETS.network_address) + 256 * rng.randrange(_SUBNETS.num_addresses // 256)
        drawn = ipaddress.IPv4Network((first, 24))
        if not any(drawn.overlaps(one) for one in taken):
            return drawn
    raise ClusterError(f"--cluster {COMPOSE}: no free network in {_SUBNETS}; remove unused ones")


def _routes() -> list[ipaddress.IPv4Network]:
    if not shutil.which("ip"):
        return []
    found = [line.split()[0] for line in run(["ip", "-4", "route"]).splitlines() if line.strip()]
    return [ipaddress.IPv4Network(word) for word in found if word[0].isdecimal()]
