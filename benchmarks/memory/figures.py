"""What was read from /proc, as figures beside those of the peers, with the goals."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.cluster.usage import Usage
from benchmarks.report import Goal, Measurement, PeerValues, measure

START_S = Goal("<=", 0.5, "kith")
IDLE_MB = Goal("<=", 60.0, "kith")
LOADED_MB = Goal("<=", 90.0, "kith")
INSTANCE_KB = Goal("<=", 3.0, "kith")
GOAL_AT = 10_000
"""Instances: what is held against `LOADED_MB`; fewer, as with `--quick`, are not."""
NEARLY = 0.95
DEPLOYED_NOTE = "RSS, 3 nodes, as deployed: PYTHONOPTIMIZE=2"


@dataclass(slots=True)
class Found:
    """All that was measured in one run."""

    own: int
    """Instances that the first node owned in the end, and keys that etcd had."""
    start_s: list[float] = field(default_factory=list)
    idle: list[Usage] = field(default_factory=list)
    plain: list[Usage] = field(default_factory=list)
    """Idle, of a node that keeps what Python keeps for those who develop."""
    owning: list[Usage] = field(default_factory=list)
    holding: dict[int, list[Usage]] = field(default_factory=dict)
    """By instances of others: of a node that found them on its disk, and of one that was sent
    them."""
    answered: dict[int, list[Usage]] = field(default_factory=dict)
    """… once each service had been asked for."""
    serf: list[Usage] = field(default_factory=list)
    serf_version: str = ""
    etcd: list[Usage] = field(default_factory=list)
    etcd_owning: list[Usage] = field(default_factory=list)
    etcd_version: str = ""


def figures(found: Found) -> list[Measurement]:
    """In the shape of all benchmarks."""
    serf = PeerValues("serf", found.serf_version, _rss(found.serf)) if found.serf else None
    etcd = PeerValues("etcd", found.etcd_version, _rss(found.etcd)) if found.etcd else None
    laden = (
        PeerValues("etcd", found.etcd_version, _rss(found.etcd_owning))
        if found.etcd_owning
        else None
    )
    idle = _rss(found.idle)
    goal = LOADED_MB if found.own >= NEARLY * GOAL_AT else None
    rows = [
        measure("processor time to be ready", "s", found.start_s, goal=START_S),
        measure("memory, idle", "MB", idle, peer=serf, goal=IDLE_MB, note=DEPLOYED_NOTE),
        measure("memory, idle, with asserts and docstrings", "MB", _rss(found.plain), note="RSS"),
        measure("memory, idle, beside etcd", "MB", idle, peer=etcd, note="RSS"),
        measure(
            "memory, idle, shared pages divided", "MB",
            [one.pss_bytes / 1e6 for one in found.idle], note="PSS",
        ),
        measure(
            f"memory with {found.own} instances of its own", "MB", _rss(found.owning), peer=laden,
            goal=goal, note="RSS; registered one by one; etcd has as many keys",
        ),
    ]  # fmt: skip
    for count, usages in found.holding.items():
        goal = LOADED_MB if count == GOAL_AT else None
        each = [(mb - min(idle)) * 1e3 / count for mb in _rss(usages)]
        rows += [
            measure(f"memory with {count} instances of others", "MB", _rss(usages), goal=goal),
            measure(f"… for each of {count}", "kB", each, goal=INSTANCE_KB, note="above idle"),
            measure(f"… with all answers for {count} kept", "MB", _rss(found.answered[count])),
        ]
    return rows


def _rss(usages: Sequence[Usage]) -> list[float]:
    return [one.rss_bytes / 1e6 for one in usages]
