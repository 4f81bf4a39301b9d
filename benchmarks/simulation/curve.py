"""How long one update takes to reach everybody, and what it costs, by the size of the cluster.

All nodes know each other. A service is registered with a node drawn by lot; the time runs from the
client's request until a node has verified the commit and holds it. One update is under way at a
time. Datagrams and bytes are those that nodes send only because there is something new (pushes,
adverts, wants), counted until it is quiet again; what they send while idle is not among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

import orjson

from chaos.sim.plan import Plan

from .tables import DIGITS, Column, Row, per, quantile
from .trials import Kind
from .worlds import Cluster, pick

WARM_S = 3.0
IDLE_S = 2.0
"""Counted before the first update."""
WITHIN_S = 30.0
QUIET_S = 1.0
"""After the last arrival: adverts follow a push after 0.1 s, and are answered at once."""
PAUSE_S = (0.0, 0.5)
SHARES = (("half", 0.5), ("most", 0.99), ("all", 1.0))


@dataclass(frozen=True, slots=True)
class CurveTrial:
    """So many updates, one after the other, in one cluster."""

    nodes: int
    loss: float
    seed: int
    updates: int


@dataclass(frozen=True, slots=True)
class CurveResult:
    """Lists hold one value for each update; times are None where it was not there in time."""

    half_s: list[float | None]
    most_s: list[float | None]
    all_s: list[float | None]
    datagrams: list[float]
    """By each node, for one update."""
    bytes: list[float]
    requests: list[float]
    """Streams of all kinds by each node while the update was under way."""
    idle_datagrams: float
    """By each node and second, before the first update."""


def perform(trial: CurveTrial) -> CurveResult:
    """Measure one cluster."""
    plan = Plan(seed=trial.seed, profile="curve", nodes=trial.nodes, loss=trial.loss)
    cluster = Cluster.joined(plan)
    rng = Random(f"{trial.seed}/updates")
    cluster.run(WARM_S)
    before = cluster.meter.sent
    cluster.run(IDLE_S)
    idle = cluster.meter.sent.since(before).datagrams / IDLE_S
    updates = []
    for _ in range(trial.updates):
        cluster.run(rng.uniform(*PAUSE_S))
        owner = pick(rng, cluster.world.nodes)
        updates.append(cluster.update(owner, within_s=WITHIN_S, quiet_s=QUIET_S))
    times = {
        name: [_rounded(update.time_s(share, trial.nodes - 1)) for update in updates]
        for name, share in SHARES
    }
    return CurveResult(
        half_s=times["half"],
        most_s=times["most"],
        all_s=times["all"],
        datagrams=[_each(update.sent.spreading, trial) for update in updates],
        bytes=[_each(update.sent.spreading_bytes, trial) for update in updates],
        requests=[_each(update.sent.requests, trial) for update in updates],
        idle_datagrams=_each(idle, trial),
    )


def revive(written: bytes) -> CurveResult:
    """Read a result."""
    return CurveResult(**orjson.loads(written))


KIND = Kind("curve", perform, revive)

COLUMNS = (
    Column("nodes", "nodes", ",d"),
    Column("loss_percent", "loss, %", ".0f"),
    Column("updates", "updates", "d"),
    Column("half_ms", "50 %, ms", ".1f"),
    Column("most_ms", "99 %, ms", ".1f"),
    Column("all_ms", "100 %, ms", ".1f"),
    Column("all_worst_ms", "100 %, worst, ms", ".1f"),
    Column("missed", "missed", "d"),
    Column("datagrams", "datagrams a node", ".1f"),
    Column("bytes", "bytes a node", ",.0f"),
    Column("idle_datagrams", "idle datagrams a node and s", ".1f"),
)


def trials_of(
    sizes: Sequence[int],
    losses: Sequence[float],
    seeds: Sequence[int],
    updates: int,
    *,
    lossy_nodes_max: int,
) -> list[CurveTrial]:
    """The small ones first. Clusters above `lossy_nodes_max` are measured without loss only.

    Where datagrams are lost, members check each other all the time, and everybody hears of it.
    """
    return [
        CurveTrial(nodes, loss, seed, updates)
        for nodes in sizes
        for loss in losses
        if not loss or nodes <= lossy_nodes_max
        for seed in seeds
    ]


def rows_of(trials: Sequence[CurveTrial], results: Sequence[CurveResult]) -> list[Row]:
    """One row for each size and loss, over all seeds."""
    groups: dict[tuple[int, float], list[CurveResult]] = {}
    for trial, result in zip(trials, results, strict=True):
        groups.setdefault((trial.nodes, trial.loss), []).append(result)
    return [_row(nodes, loss, found) for (nodes, loss), found in groups.items()]


def _row(nodes: int, loss: float, results: Sequence[CurveResult]) -> Row:
    halves, mosts, everywhere = (
        [1_000 * time for times in lists for time in times if time is not None]
        for lists in (
            [result.half_s for result in results],
            [result.most_s for result in results],
            [result.all_s for result in results],
        )
    )
    updates = sum(len(result.all_s) for result in results)
    return {
        "nodes": nodes,
        "loss_percent": round(100 * loss, DIGITS),
        "updates": updates,
        "half_ms": quantile(halves, 0.5),
        "most_ms": quantile(mosts, 0.5),
        "all_ms": quantile(everywhere, 0.5),
        "all_best_ms": quantile(everywhere, 0.0),
        "all_worst_ms": quantile(everywhere, 1.0),
        "missed": updates - len(everywhere),
        "datagrams": _middle([one for result in results for one in result.datagrams]),
        "bytes": _middle([one for result in results for one in result.bytes]),
        "idle_datagrams": _middle([result.idle_datagrams for result in results]),
        "requests": _middle([one for result in results for one in result.requests]),
    }


def _middle(values: Sequence[float]) -> float | None:
    return round(median(values), DIGITS) if values else None


def _each(total: float, trial: CurveTrial) -> float:
    return per(total, trial.nodes) or 0.0


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, DIGITS)
