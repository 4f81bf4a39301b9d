"""What was found, in the shape of all benchmarks.

The spread is of all single measurements, but for quantiles, which are of a block each. Ratios are
of the medians of a block: blocks of the two sides took turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import TypeAlias

from benchmarks.report import (
    Curve,
    Goal,
    Measurement,
    PeerValues,
    Way,
    curve,
    measure,
    quantile,
    write,
)

from .measure import Findings

SUITE = "cluster"
Blocks: TypeAlias = Mapping[str, Sequence[Findings]]
"""By side, in the order of their turns."""
KILLED = "from kill -9 until the last of the others takes it for gone"
TOLD = "from asking for it until the last of the others has it; ours is signed and on disk by then"
SHARE = 0.99
MEASURED = [one.name for one in fields(Findings) if one.name not in ("false_alarms", "missed")]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of the cluster."""

    field: str
    """Of `Findings`."""
    name: str
    unit: str
    note: str = ""
    goal: Goal | None = None
    way: Way = "kith / peer"
    share: float | None = None
    """The quantile of each block, instead of all measurements."""


FASTER = Goal(">=", 8.0, "ratio")
LINES = (
    Line("update_all_ms", "an update on all others, p50", "ms", TOLD, FASTER, "peer / kith"),
    Line("update_all_ms", "an update on all others, p99", "ms", TOLD, None, "peer / kith", SHARE),
    Line("update_half_ms", "an update on half of the others", "ms", TOLD, None, "peer / kith"),
    Line("update_ack_ms", "an update acknowledged to the caller", "ms"),
    Line("detect_all_s", "a killed node noticed by all", "s", KILLED, FASTER, "peer / kith"),
    Line("detect_first_s", "a killed node noticed by the first", "s", "", None, "peer / kith"),
    Line("return_s", "a node started again: all see all", "s"),
    Line(
        "idle_bytes",
        "idle traffic of a node",
        "B/s",
        "IP bytes that arrive, counted by the kernel",
        Goal("<=", 1.0, "ratio"),
    ),
    Line("idle_packets", "idle packets of a node", "1/s"),
    Line("idle_cpu_ms", "idle processor time of a node", "ms/s", "", Goal("<=", 4.0, "ratio")),
    Line("rss_mb", "resident memory of a node", "MB", "a shared page counts in each process"),
    Line("pss_mb", "memory of a node, shared pages divided", "MB", "PSS: sums of it are true"),
    Line(
        "join_first_s",
        "join burst: all started at once, until all see all",
        "s",
        "from the start of the first process; the start of the programs themselves is in it",
    ),
    Line(
        "join_ready_s",
        "join burst, from the last one's process being up",
        "s",
        "without the start of the programs",
    ),
)


def write_figures(
    path: Path,
    blocks: Blocks,
    sizes: Mapping[int, Blocks],
    about: Mapping[str, Sequence[str]],
    nodes: int,
) -> None:
    """Write the figures, the curve, and every single measurement."""
    curves = [update_curve({**sizes, nodes: blocks})]
    raw = {name: [asdict(one) for one in each] for name, each in blocks.items()}
    medians = {name: medians_of(Findings.joined(each)) for name, each in blocks.items()}
    told = {**about, "medians": medians, "blocks": raw}
    write(path, SUITE, figures(blocks, about), curves=curves, about=told)


def medians_of(found: Findings) -> dict[str, float]:
    """By the names of `Findings`, as `benchmarks.simulation cluster --real` reads them."""
    lists = {name: values for name, values in asdict(found).items() if name in MEASURED}
    return {name: median(values) for name, values in lists.items() if values}


def figures(blocks: Blocks, about: Mapping[str, Sequence[str]]) -> list[Measurement]:
    """Every line of which we have something."""
    versions = about.get("versions", [])
    version = versions[1] if len(versions) > 1 else ""
    lines = [_figure(blocks, line, version) for line in LINES]
    return [one for one in lines if one is not None] + _failures(blocks, version)


def _figure(blocks: Blocks, line: Line, version: str) -> Measurement | None:
    ours, theirs = (
        [list(getattr(block, line.field)) for block in blocks.get(side, ())]
        for side in ("kith", "serf")
    )
    values = _values(ours, line.share)
    if not values:
        return None
    others = _values(theirs, line.share)
    pairs = [
        (_middle(our, line.share), _middle(their, line.share))
        for our, their in zip(ours, theirs, strict=False)
        if our and their
    ]
    ratios = [
        their / our if line.way == "peer / kith" else our / their
        for our, their in pairs
        if our and their
    ]
    return measure(
        line.name,
        line.unit,
        values,
        peer=PeerValues("Serf", version, others) if others else None,
        way=line.way,
        ratios=ratios,
        goal=line.goal,
        note=line.note,
    )


def _values(blocks: Sequence[Sequence[float]], share: float | None) -> list[float]:
    if share is None:
        return [one for block in blocks for one in block]
    return [_middle(block, share) for block in blocks if block]


def _middle(values: Sequence[float], share: float | None) -> float:
    if share is None:
        return median(values)
    return quantile(values, share)


def _failures(blocks: Blocks, version: str) -> list[Measurement]:
    found = []
    for name, count in (
        ("false alarms: a live one taken for gone", _alarms),
        ("not within its bound", _missed),
    ):
        ours, theirs = ([count(one) for one in blocks.get(side, ())] for side in ("kith", "serf"))
        if ours:
            # A sum: the median of blocks would hide a single one.
            peer = PeerValues("Serf", version, [sum(theirs)]) if theirs else None
            goal = Goal("<=", 0.0, "kith")
            found.append(measure(name, "", [sum(ours)], peer=peer, ratios=(), goal=goal))
    return found


def _alarms(block: Findings) -> float:
    return float(block.false_alarms)


def _missed(block: Findings) -> float:
    return float(len(block.missed))


def update_curve(sizes: Mapping[int, Blocks]) -> Curve:
    """The time of an update by the number of nodes."""
    series: dict[str, dict[float, list[float]]] = {}
    for nodes, blocks in sizes.items():
        for name, each in blocks.items():
            times = [median(one.update_all_ms) for one in each if one.update_all_ms]
            if times:
                series.setdefault(_LABELS[name], {})[nodes] = times
    axes = ("nodes, a process each", "ms, median of a block")
    return curve("update-by-nodes", "An update is on all other nodes", axes, series)


_LABELS = {"kith": "Kith", "serf": "Serf"}
