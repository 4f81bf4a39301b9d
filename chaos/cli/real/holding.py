"""`kith chaos partition` and `heal`: a partition that is held while one looks.

Rules this module keeps:

1. What was cut stays cut after this command has ended; `heal` finds it by its chain alone.
"""

from random import Random

from chaos.cli.errors import UNKNOWN, VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import show
from chaos.cluster.attached import ATTACH, attached_names
from chaos.cluster.cluster import Ability, Cluster, ClusterError, ClusterPlan
from chaos.cluster.kinds import make_cluster
from chaos.faults.fault import FaultError, Stage
from chaos.faults.links import Effect, LinkTable, between
from chaos.running.journal import Journal, RunClock

from .options import RUNS, groups_of
from .telling import Lines


def partition(kind: str, words: list[str], *, as_json: bool) -> int:
    """Cut, and leave it so; the exit code. Raises CommandError."""
    cluster = _attached(kind)
    names = [member.name for member in cluster.members]
    groups = groups_of(words, names)
    stage = _stage(cluster)
    try:
        LinkTable.of(stage).put("held", Effect(between(groups)))
    except (FaultError, ClusterError) as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    document: dict[str, Json] = {"partition": [list(group) for group in groups]}
    sides = " | ".join(" ".join(group) for group in groups)
    show(json_text(document) if as_json else f"cut apart: {sides}\nend it: kith chaos heal")
    return VALID


def heal(kind: str, *, as_json: bool) -> int:
    """End whatever was cut or loosened; the exit code. Raises CommandError."""
    cluster = _attached(kind)
    try:
        LinkTable.of(_stage(cluster)).clear()
    except (FaultError, ClusterError) as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    names = [member.name for member in cluster.members]
    document: dict[str, Json] = {"healed": list(names)}
    show(json_text(document) if as_json else f"healed: {' '.join(names)} reach each other")
    return VALID


def _attached(kind: str) -> Cluster:
    try:
        names = attached_names() if kind == ATTACH else ("a",)
        cluster = make_cluster(kind, ClusterPlan(names=names), RUNS)
        if kind != ATTACH:
            raise CommandError(
                f"a cluster of {kind} lives as long as its run",
                hint="hold a partition on one that runs: make up, then --cluster attach",
            )
        cluster.start()
    except ClusterError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    if reason := cluster.why_not(Ability.LINKS):
        raise CommandError(f"links of this cluster cannot be cut: {reason}", exit_code=UNKNOWN)
    return cluster


def _stage(cluster: Cluster) -> Stage:
    return Stage(cluster, Journal(RunClock(), Lines().say), Random(0))
