"""How soon a crash is seen, and how often a healthy member is taken for gone, by datagrams lost.

All nodes know each other. First nothing goes wrong but the loss, for `WATCH_S`; then one node,
drawn by lot, crashes for good. Detection is the time from the crash until a viewer holds the victim
for unreachable: one value for each viewer. Every other flag is false, before the crash and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import orjson

from chaos.sim.plan import Plan

from .flags import Flag, flags_of, seen_after, toll_of
from .tables import DIGITS, Column, Row, per, quantile
from .trials import Kind
from .worlds import Cluster, pick

WARM_S = 5.0
WATCH_S = 60.0
AFTER_S = 30.0
"""Longer than the 15 s after which who is held for unreachable is held for dead."""


@dataclass(frozen=True, slots=True)
class LossTrial:
    """One cluster, one crash."""

    nodes: int
    loss: float
    seed: int


@dataclass(frozen=True, slots=True)
class LossResult:
    """Of one cluster. Pairs are of viewer and subject, both healthy."""

    seen_s: list[float]
    """Of each viewer that noticed."""
    unseen: int
    flags: int
    flagged_pairs: int
    flagged_s: float
    longest_s: float
    dead_pairs: int
    pair_s: float
    """For how long healthy pairs were watched, together."""
    datagrams_node_s: float
    """Sent by a node and second before the crash."""
    bytes_node_s: float


def perform(trial: LossTrial) -> LossResult:
    """Measure one cluster."""
    plan = Plan(seed=trial.seed, profile="loss", nodes=trial.nodes, loss=trial.loss)
    cluster = Cluster.joined(plan)
    world, rng = cluster.world, Random(f"{trial.seed}/crash")
    cluster.run(WARM_S)
    before = cluster.meter.sent
    cluster.run(WATCH_S)
    sent = cluster.meter.sent.since(before)
    cluster.run(rng.random())
    victim = pick(rng, world.nodes)
    victim.crash()
    crashed_s = cluster.now
    cluster.run(AFTER_S)
    world.history.end_s = cluster.now
    viewers = [node.name for node in world.live()]
    flags = flags_of(world.history)
    seen = seen_after(flags, victim.name, crashed_s, viewers)
    wrong = toll_of(false_flags(flags, victim.name, crashed_s))
    survivors = len(viewers)
    return LossResult(
        seen_s=list(seen.values()),
        unseen=survivors - len(seen),
        flags=wrong.flags,
        flagged_pairs=wrong.pairs,
        flagged_s=wrong.seconds,
        longest_s=wrong.longest_s,
        dead_pairs=wrong.dead,
        pair_s=round(survivors * (survivors - 1) * cluster.now + 2 * survivors * crashed_s, DIGITS),
        datagrams_node_s=per(sent.datagrams, WATCH_S * trial.nodes) or 0.0,
        bytes_node_s=per(sent.bytes, WATCH_S * trial.nodes) or 0.0,
    )


def false_flags(flags: Sequence[Flag], victim: str, crashed_s: float) -> list[Flag]:
    """Flags about who was up; what touches the victim counts until the crash."""
    found = []
    for flag in flags:
        if victim not in (flag.viewer, flag.subject):
            found.append(flag)
        elif flag.begin_s < crashed_s:
            end_s = min(flag.end_s, crashed_s)
            found.append(Flag(flag.viewer, flag.subject, flag.begin_s, end_s, dead=False))
    return found


def revive(written: bytes) -> LossResult:
    """Read a result."""
    return LossResult(**orjson.loads(written))


KIND = Kind("loss", perform, revive)

COLUMNS = (
    Column("nodes", "nodes", "d"),
    Column("loss_percent", "loss, %", ".0f"),
    Column("crashes", "crashes", "d"),
    Column("seen_median_s", "seen, median, s", ".2f"),
    Column("seen_99_s", "99 %, s", ".2f"),
    Column("seen_worst_s", "worst, s", ".2f"),
    Column("unseen", "not seen", "d"),
    Column("flags", "false flags", ",d"),
    Column("flagged_pairs_percent", "pairs ever flagged, %", ".2f"),
    Column("flagged_ppm", "time flagged, s a million", ".1f"),
    Column("longest_s", "longest, s", ".2f"),
    Column("dead_pairs", "false dead", "d"),
    Column("datagrams_node_s", "datagrams a node and s", ".1f"),
)


def trials_of(
    sizes: Sequence[int], losses: Sequence[float], seeds: Sequence[int]
) -> list[LossTrial]:
    """All seeds of one loss after each other."""
    return [LossTrial(nodes, loss, seed) for nodes in sizes for loss in losses for seed in seeds]


def rows_of(trials: Sequence[LossTrial], results: Sequence[LossResult]) -> list[Row]:
    """One row for each size and loss, over all seeds."""
    groups: dict[tuple[int, float], list[LossResult]] = {}
    for trial, result in zip(trials, results, strict=True):
        groups.setdefault((trial.nodes, trial.loss), []).append(result)
    return [_row(nodes, loss, found) for (nodes, loss), found in groups.items()]


def _row(nodes: int, loss: float, results: Sequence[LossResult]) -> Row:
    seen = [seconds for result in results for seconds in result.seen_s]
    flagged_s = sum(result.flagged_s for result in results)
    pairs = nodes * (nodes - 1) * len(results)
    return {
        "nodes": nodes,
        "loss_percent": round(100 * loss, DIGITS),
        "crashes": len(results),
        "seen_median_s": quantile(seen, 0.5),
        "seen_99_s": quantile(seen, 0.99),
        "seen_worst_s": quantile(seen, 1.0),
        "unseen": sum(result.unseen for result in results),
        "flags": sum(result.flags for result in results),
        "flagged_pairs_percent": per(100 * sum(result.flagged_pairs for result in results), pairs),
        "flagged_s": round(flagged_s, DIGITS),
        "flagged_ppm": per(1e6 * flagged_s, sum(result.pair_s for result in results)),
        "longest_s": max(result.longest_s for result in results),
        "dead_pairs": sum(result.dead_pairs for result in results),
        "datagrams_node_s": per(sum(r.datagrams_node_s for r in results), len(results)),
        "bytes_node_s": per(sum(r.bytes_node_s for r in results), len(results)),
    }
