"""Members that stand still for a while and go on: Lifeguard's protocol.

Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More Accurate Failure Detection"
(DSN workshops 2018) asks two questions of 128 members, C of which are anomalous at the same time.

threshold   all C stand still once, for D: how soon is that seen, and who else is blamed?
interval    all C stand still for D, then go on for I, again and again for two minutes: who is
            blamed that was healthy?

As theirs: 128 members, both experiments, C up to 32, false positives counted about healthy members
at healthy members and at all. Unlike theirs: time and links are simulated, with
0.8 to 2 ms one way; nothing competes for a processor, so that a member is anomalous only if it is
paused; a paused member does nothing at all, where theirs blocks as it sends and after it receives.
In both what reaches it meanwhile waits and is handled afterwards; here up to 2,000 datagrams.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import orjson

from chaos.sim.node import SimNode
from chaos.sim.plan import Plan

from .flags import Flag, Toll, flags_of, seen_after, toll_of
from .tables import DIGITS, Column, Row, per, quantile
from .trials import Kind
from .worlds import Cluster

MEMBERS = 128
WARM_S = 10.0
REPEAT_FOR_S = 120.0
AFTER_S = 20.0
"""Longer than the 15 s after which who is held for unreachable is held for dead."""


@dataclass(frozen=True, slots=True)
class PausesTrial:
    """One cluster; seconds between pauses of 0: one pause only."""

    nodes: int
    paused: int
    """C."""
    pause_s: float
    """D."""
    between_s: float
    """I."""
    loss: float
    seed: int


@dataclass(frozen=True, slots=True)
class PausesResult:
    """Of one cluster: false flags of healthy members and of all, and how the paused were seen."""

    pairs: int
    """Of healthy members."""
    flags: int
    flagged_pairs: int
    flagged_s: float
    longest_s: float
    dead_pairs: int
    flags_at_all: int
    flagged_pairs_at_all: int
    flagged_s_at_all: float
    dead_pairs_at_all: int
    first_s: list[float]
    """Of each paused member that anybody noticed: from the first pause to the first to notice."""
    everywhere_s: list[float]
    """Of each that every healthy member noticed: to the last to notice."""
    dead_paused: int
    """Pairs of a healthy member that held a paused one for dead."""


def perform(trial: PausesTrial) -> PausesResult:
    """Measure one cluster."""
    plan = Plan(seed=trial.seed, profile="pauses", nodes=trial.nodes, loss=trial.loss)
    cluster = Cluster.joined(plan)
    rng = Random(f"{trial.seed}/pauses")
    paused = rng.sample(cluster.world.nodes, trial.paused)
    cluster.run(WARM_S + rng.random())
    begun_s = cluster.now
    _pause(cluster, paused, trial.pause_s)
    while trial.between_s and cluster.now < begun_s + REPEAT_FOR_S:
        cluster.run(trial.between_s)
        _pause(cluster, paused, trial.pause_s)
    cluster.run(AFTER_S)
    history = cluster.world.history
    history.end_s = cluster.now
    return judged(flags_of(history), history.nodes, [node.name for node in paused], begun_s)


def _pause(cluster: Cluster, nodes: Iterable[SimNode], seconds: float) -> None:
    members = list(nodes)
    for node in members:
        node.pause()
    cluster.run(seconds)
    for node in members:
        node.resume()


def judged(
    flags: Sequence[Flag], nodes: Sequence[str], paused: Sequence[str], begun_s: float
) -> PausesResult:
    """Tell flags about healthy members from those about members that stood still."""
    troubled = dict.fromkeys(paused)
    healthy = [name for name in nodes if name not in troubled]
    about_healthy = [flag for flag in flags if flag.subject not in troubled]
    by_healthy = toll_of(flag for flag in about_healthy if flag.viewer not in troubled)
    by_all = toll_of(about_healthy)
    about_paused: Toll = toll_of(
        flag for flag in flags if flag.subject in troubled and flag.viewer not in troubled
    )
    first, everywhere = [], []
    for name in paused:
        seen = seen_after(flags, name, begun_s, healthy)
        if seen:
            first.append(min(seen.values()))
        if len(seen) == len(healthy):
            everywhere.append(max(seen.values()))
    return PausesResult(
        pairs=len(healthy) * (len(healthy) - 1),
        flags=by_healthy.flags,
        flagged_pairs=by_healthy.pairs,
        flagged_s=by_healthy.seconds,
        longest_s=by_healthy.longest_s,
        dead_pairs=by_healthy.dead,
        flags_at_all=by_all.flags,
        flagged_pairs_at_all=by_all.pairs,
        flagged_s_at_all=by_all.seconds,
        dead_pairs_at_all=by_all.dead,
        first_s=first,
        everywhere_s=everywhere,
        dead_paused=about_paused.dead,
    )


def revive(written: bytes) -> PausesResult:
    """Read a result."""
    return PausesResult(**orjson.loads(written))


KIND = Kind("pauses", perform, revive)

COLUMNS = (
    Column("experiment", "experiment"),
    Column("paused", "C", "d"),
    Column("pause_s", "D, s", ".3f"),
    Column("between_s", "I, s", ".3f"),
    Column("runs", "runs", "d"),
    Column("flags", "FP at healthy: flags", ",d"),
    Column("flagged_pairs", "pairs", ",d"),
    Column("flagged_s", "s", ",.1f"),
    Column("longest_s", "longest, s", ".2f"),
    Column("dead_pairs", "dead", "d"),
    Column("flags_at_all", "FP at all: flags", ",d"),
    Column("flagged_s_at_all", "s", ",.1f"),
    Column("dead_pairs_at_all", "dead", "d"),
    Column("seen_percent", "paused ones noticed, %", ".0f"),
    Column("first_median_s", "by the first, s", ".2f"),
    Column("everywhere_median_s", "by all, s", ".2f"),
    Column("everywhere_worst_s", "worst, s", ".2f"),
)


def trials_of(
    counts: Sequence[int],
    pauses_s: Sequence[float],
    betweens_s: Sequence[float],
    seeds: Sequence[int],
    *,
    nodes: int,
    loss: float,
) -> list[PausesTrial]:
    """The threshold experiment is where nothing follows the first pause (`between_s` is 0)."""
    return [
        PausesTrial(nodes, count, pause_s, between_s, loss, seed)
        for between_s in betweens_s
        for count in counts
        for pause_s in pauses_s
        for seed in seeds
    ]


def rows_of(trials: Sequence[PausesTrial], results: Sequence[PausesResult]) -> list[Row]:
    """One row for each C, D and I, over all seeds."""
    groups: dict[tuple[float, int, float], list[PausesResult]] = {}
    for trial, result in zip(trials, results, strict=True):
        key = trial.between_s, trial.paused, trial.pause_s
        groups.setdefault(key, []).append(result)
    return [_row(*key, found) for key, found in groups.items()]


def _row(between_s: float, paused: int, pause_s: float, results: Sequence[PausesResult]) -> Row:
    first = [seconds for result in results for seconds in result.first_s]
    everywhere = [seconds for result in results for seconds in result.everywhere_s]
    return {
        "experiment": "interval" if between_s else "threshold",
        "paused": paused,
        "pause_s": pause_s,
        "between_s": between_s or None,
        "runs": len(results),
        "pairs": sum(result.pairs for result in results),
        "flags": sum(result.flags for result in results),
        "flagged_pairs": sum(result.flagged_pairs for result in results),
        "flagged_s": round(sum(result.flagged_s for result in results), DIGITS),
        "longest_s": max(result.longest_s for result in results),
        "dead_pairs": sum(result.dead_pairs for result in results),
        "flags_at_all": sum(result.flags_at_all for result in results),
        "flagged_pairs_at_all": sum(result.flagged_pairs_at_all for result in results),
        "flagged_s_at_all": round(sum(result.flagged_s_at_all for result in results), DIGITS),
        "dead_pairs_at_all": sum(result.dead_pairs_at_all for result in results),
        "seen_percent": per(100 * len(first), paused * len(results)),
        "first_median_s": quantile(first, 0.5),
        "everywhere_percent": per(100 * len(everywhere), paused * len(results)),
        "everywhere_median_s": quantile(everywhere, 0.5),
        "everywhere_99_s": quantile(everywhere, 0.99),
        "everywhere_worst_s": quantile(everywhere, 1.0),
        "dead_paused": sum(result.dead_paused for result in results),
    }
