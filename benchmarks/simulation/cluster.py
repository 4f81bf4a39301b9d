"""What `benchmarks.cluster` asks of real nodes, asked of simulated ones, to be put beside.

The questions, their order and their names are those of `benchmarks.cluster.measure`: join of all,
idle cost, updates, crashes and returns. There are two models.

links     every node on a machine of its own, links of a data centre (0.8 to 2 ms one way)
machine   all nodes on one machine: links of 0.03 to 0.1 ms, and every datagram takes `step_ms` of
          one of `cores` processors, for which all nodes stand in one queue; before a commit leaves
          its owner, `ack_ms` pass, in which a real node reads the request and writes to its disk

Rule this module keeps: what stands beside each other was counted in the same way. IP and UDP
headers are added to simulated bytes; streams are not, as an idle cluster has none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median

import orjson

from chaos.history import AWAY, Belief
from chaos.sim.disk import PERSIST_S
from chaos.sim.plan import Plan
from chaos.sim.world import World

from .tables import DIGITS, Column, Row, per, quantile
from .trials import Kind
from .worlds import STEP_S, Cluster, SharedMachine, pick

START_SPREAD_S = 1.0
SETTLE_S = 8.0
IDLE_S = 30.0
UPDATE_PAUSE_S = (0.2, 0.6)
KILL_PAUSE_S = 2.0
WITHIN_S = 60.0
IP_UDP_HEADERS = 28
"""Bytes of IPv4 and UDP for each datagram."""
LOOPBACK_S = (0.000_03, 0.000_1)
MODELS = ("links", "machine")
HERE = ("alive", "suspect")


@dataclass(frozen=True, slots=True)
class ClusterTrial:
    """One cluster that starts from nothing."""

    nodes: int
    model: str
    step_ms: float
    """Processor time of a datagram; 0 with `links`."""
    cores: int
    ack_ms: float
    """From a client's request until the commit is on disk; 0 with `links`: the usual disk."""
    seed: int
    updates: int
    kills: int


@dataclass(slots=True)
class ClusterResult:
    """Lists hold one value a measurement; names and units as in `benchmarks.cluster.measure`."""

    join_last_s: list[float] = field(default_factory=list)
    join_ready_s: list[float] = field(default_factory=list)
    update_ack_ms: list[float] = field(default_factory=list)
    update_half_ms: list[float] = field(default_factory=list)
    update_all_ms: list[float] = field(default_factory=list)
    detect_first_s: list[float] = field(default_factory=list)
    detect_all_s: list[float] = field(default_factory=list)
    return_s: list[float] = field(default_factory=list)
    idle_packets: list[float] = field(default_factory=list)
    idle_bytes: list[float] = field(default_factory=list)
    update_datagrams: list[float] = field(default_factory=list)
    """By a node, for one update; what the step of a real node is worked out from."""
    missed: int = 0


def perform(trial: ClusterTrial) -> ClusterResult:
    """Measure one cluster."""
    cluster = Cluster(_world(trial))
    found, rng = ClusterResult(), Random(f"{trial.seed}/cluster")
    _join(cluster, found, rng)
    cluster.run(SETTLE_S)
    _idle(cluster, found)
    for _ in range(trial.updates):
        cluster.run(rng.uniform(*UPDATE_PAUSE_S))
        _update(cluster, found, rng)
    for _ in range(trial.kills):
        cluster.run(KILL_PAUSE_S)
        _kill(cluster, found, rng)
    return found


def _world(trial: ClusterTrial) -> World:
    plan = Plan(
        seed=trial.seed,
        profile="cluster",
        nodes=trial.nodes,
        joined=False,
    )
    if trial.model == "links":
        return World(plan)
    near = replace(plan, latency_s=LOOPBACK_S)
    world = SharedMachine(near, cores=trial.cores, step_s=trial.step_ms / 1_000)
    for node in world.nodes:
        node.disk.slow_s = max(0.0, trial.ack_ms / 1_000 - PERSIST_S)
    return world


def _join(cluster: Cluster, found: ClusterResult, rng: Random) -> None:
    starts = sorted(rng.random() * START_SPREAD_S for _ in cluster.world.nodes)
    for node, at_s in zip(cluster.world.nodes, starts, strict=True):
        cluster.world.timeline.at(at_s, node.start)
    cluster.run(starts[-1])
    if not _until(cluster, lambda: _all_see_all(cluster)):
        found.missed += 1
    # A simulated process is up as soon as it is started.
    took_s = round(_last_word_s(cluster, 0.0) - starts[-1], DIGITS)
    found.join_last_s.append(took_s)
    found.join_ready_s.append(took_s)


def _idle(cluster: Cluster, found: ClusterResult) -> None:
    before, nodes = cluster.meter.sent, len(cluster.world.nodes)
    cluster.run(IDLE_S)
    sent = cluster.meter.sent.since(before)
    octets = sent.bytes + IP_UDP_HEADERS * sent.datagrams
    found.idle_packets.append(round(sent.datagrams / nodes / IDLE_S, DIGITS))
    found.idle_bytes.append(round(octets / nodes / IDLE_S, DIGITS))


def _update(cluster: Cluster, found: ClusterResult, rng: Random) -> None:
    nodes = cluster.world.nodes
    update = cluster.update(pick(rng, nodes), within_s=WITHIN_S, quiet_s=1.0)
    half_s, all_s = (update.time_s(share, len(nodes) - 1) for share in (0.5, 1.0))
    if half_s is None or all_s is None:
        found.missed += 1
        return
    found.update_ack_ms.append(round(1_000 * update.acknowledged_s, DIGITS))
    found.update_half_ms.append(round(1_000 * half_s, DIGITS))
    found.update_all_ms.append(round(1_000 * all_s, DIGITS))
    found.update_datagrams.append(round(update.sent.spreading / len(nodes), DIGITS))


def _kill(cluster: Cluster, found: ClusterResult, rng: Random) -> None:
    world = cluster.world
    cluster.run(rng.random())
    victim = pick(rng, world.nodes)
    killed_s = cluster.now
    victim.crash()
    first = len(world.history.beliefs)

    def gone() -> dict[str, float]:
        seen: dict[str, float] = {}
        for one in world.history.beliefs[first:]:
            if one.subject == victim.name and one.belief in AWAY:
                seen.setdefault(one.node, one.at_s - killed_s)
        return seen

    if _until(cluster, lambda: len(gone()) == len(world.nodes) - 1):
        found.detect_first_s.append(round(min(gone().values()), DIGITS))
        found.detect_all_s.append(round(max(gone().values()), DIGITS))
    else:
        found.missed += 1
    started_s = cluster.now
    victim.start()
    if _until(cluster, lambda: _all_see_all(cluster)):
        found.return_s.append(round(_last_word_s(cluster, started_s) - started_s, DIGITS))
    else:
        found.missed += 1


def _until(cluster: Cluster, done: Callable[[], bool]) -> bool:
    """Let time pass until it is so, or for `WITHIN_S`."""
    end_s = cluster.now + WITHIN_S
    while not done() and cluster.now < end_s:
        cluster.run(STEP_S)
    return done()


def _all_see_all(cluster: Cluster) -> bool:
    nodes = cluster.world.nodes
    for node in nodes:
        membership = node.peer.membership
        if len(membership.members()) < len(nodes):
            return False
        for other in nodes:
            status = membership.status(other.id)
            if other is not node and (status is None or status.value not in HERE):
                return False
    return True


def _last_word_s(cluster: Cluster, since_s: float) -> float:
    """When anybody last took anybody for alive."""
    told = [
        one.at_s
        for one in cluster.world.history.beliefs
        if one.belief is Belief.ALIVE and one.at_s >= since_s
    ]
    return max(told, default=cluster.now)


def revive(written: bytes) -> ClusterResult:
    """Read a result."""
    return ClusterResult(**orjson.loads(written))


KIND = Kind("cluster", perform, revive)

FIGURES = (
    ("join_ready_s", "join of all, from the last one's process up", "s"),
    ("update_ack_ms", "update acknowledged to the caller", "ms"),
    ("update_half_ms", "update on half of the others", "ms"),
    ("update_all_ms", "update on all others", "ms"),
    ("detect_first_s", "kill noticed by the first", "s"),
    ("detect_all_s", "kill noticed by all", "s"),
    ("return_s", "started again, all see all", "s"),
    ("idle_packets", "idle packets, node and second", "/s"),
    ("idle_bytes", "idle IP bytes, node and second", "B/s"),
)

COLUMNS = (
    Column("nodes", "nodes", "d"),
    Column("title", "median of"),
    Column("unit", "unit"),
    Column("real", "real", ".2f"),
    Column("links", "simulated, own machines", ".2f"),
    Column("machine", "simulated, one machine", ".2f"),
    Column("links_ratio", "real / own machines", ".2f"),
    Column("machine_ratio", "real / one machine", ".2f"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the `machine` model stands for."""

    step_ms: float
    cores: int
    ack_ms: float


def trials_of(
    sizes: Sequence[int], seeds: Sequence[int], machine: Machine, *, updates: int, kills: int
) -> list[ClusterTrial]:
    """Both models for every size and seed."""
    return [
        ClusterTrial(
            nodes,
            model,
            machine.step_ms if model == "machine" else 0.0,
            machine.cores if model == "machine" else 0,
            machine.ack_ms if model == "machine" else 0.0,
            seed,
            updates,
            kills,
        )
        for nodes in sizes
        for model in MODELS
        for seed in seeds
    ]


def rows_of(
    trials: Sequence[ClusterTrial],
    results: Sequence[ClusterResult],
    real: Mapping[int, Mapping[str, float]],
) -> list[Row]:
    """One row for each size and figure; `real` holds medians by size and name."""
    rows: list[Row] = []
    for nodes in dict.fromkeys(trial.nodes for trial in trials):
        for name, title, unit in FIGURES:
            row: Row = {"nodes": nodes, "figure": name, "title": title, "unit": unit}
            measured = real.get(nodes, {}).get(name)
            row["real"] = measured
            for model in MODELS:
                values = [
                    value
                    for trial, result in zip(trials, results, strict=True)
                    if (trial.nodes, trial.model) == (nodes, model)
                    for value in _values(result, name)
                ]
                middle = round(median(values), DIGITS) if values else None
                row |= {
                    model: middle,
                    f"{model}_least": quantile(values, 0.0),
                    f"{model}_most": quantile(values, 1.0),
                    f"{model}_count": len(values),
                    f"{model}_ratio": per(measured, middle) if measured and middle else None,
                }
            rows.append(row)
    return rows


def _values(result: ClusterResult, name: str) -> list[float]:
    found: list[float] = getattr(result, name)
    return found


class RealError(Exception):
    """Real figures that cannot be read; the message says which."""


def real_of(files: Sequence[Path], figures: Sequence[str]) -> dict[int, dict[str, float]]:
    """Real medians by size and name.

    Args:
        files: documents that `python -m benchmarks.cluster --json` wrote.
        figures: single ones, `32:update_all_ms=27.5`; they go before those of the files.

    Raises:
        RealError: one of them cannot be read so.
    """
    found: dict[int, dict[str, float]] = {}
    for path in files:
        try:
            document = orjson.loads(path.read_bytes())
            given = dict(word.split("=", 1) for word in document["about"]["arguments"])
            given_medians = document["about"]["medians"]["kith"]
            medians = {name: float(value) for name, value in given_medians.items()}
            found.setdefault(int(given["nodes"]), {}).update(medians)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise RealError(f"{path}: not a document of benchmarks.cluster ({error!r})") from None
    names = dict.fromkeys(name for name, _, _ in FIGURES)
    for text in figures:
        size, _, rest = text.partition(":")
        name, _, value = rest.partition("=")
        if name not in names:
            raise RealError(f"{text}: no figure {name!r}; there are {', '.join(names)}")
        try:
            found.setdefault(int(size), {})[name] = float(value)
        except ValueError:
            raise RealError(f"{text}: give NODES:FIGURE=VALUE") from None
    return found
