"""For each kind of fault that the monkey knows: a table of it, drawn.

Rules this module keeps:

1. A table puts at most `most` nodes out of action.
2. Numbers are round, so that a file made of them reads well.
"""

from collections.abc import Callable, Mapping
from random import Random

from chaos.faults.fault import Value

Drawn = dict[str, Value]
Draws = Callable[[Random, tuple[str, ...], int], Drawn]


def _some(rng: Random, names: tuple[str, ...], most: int) -> list[Value]:
    count = rng.randint(1, max(1, min(most, len(names) - 1)))
    picked = rng.sample(names, count)
    return [name for name in names if name in picked]


def _nodes(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    return {"nodes": _some(rng, names, most)}


def _groups(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    # The smaller side is out of action, so it is the one that is bounded.
    smaller = _some(rng, names, min(most, len(names) // 2))
    return {"groups": [[name for name in names if name not in smaller], smaller]}


def _one_way(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    senders = _some(rng, names, most)
    return {"from": senders, "to": [name for name in names if name not in senders]}


def _ring(_rng: Random, _names: tuple[str, ...], _most: int) -> Drawn:
    return {}


def _flap(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    times: Drawn = {"down": _seconds(rng, 1, 4), "up": _seconds(rng, 1, 4)}
    return {**_groups(rng, names, most), **times}


def _swizzle(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    return {**_nodes(rng, names, most), "every": _seconds(rng, 1, 3)}


def _loss(rng: Random, _names: tuple[str, ...], _most: int) -> Drawn:
    return {"share": rng.choice((0.02, 0.05, 0.1, 0.2, 0.3))}


def _delay(rng: Random, _names: tuple[str, ...], _most: int) -> Drawn:
    latency_ms = rng.choice((5, 20, 50, 100))
    return {"latency": f"{latency_ms}ms", "jitter": f"{max(1, latency_ms // 5)}ms"}


def _storm(rng: Random, _names: tuple[str, ...], most: int) -> Drawn:
    return {"every": _seconds(rng, 3, 5), "down": _seconds(rng, 2, 4), "most": most}


def _cpu(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    return {**_nodes(rng, names, most), "share": rng.choice((0.1, 0.2, 0.3))}


def _skew(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    offset = rng.choice(("2s", "1m", "10m", "1h"))
    return {**_nodes(rng, names, most), "offset": offset, "behind": rng.random() < 0.5}


def _bandwidth(rng: Random, names: tuple[str, ...], most: int) -> Drawn:
    return {**_nodes(rng, names, most), "rate": rng.choice(("256kbit", "512kbit", "2mbit"))}


def _seconds(rng: Random, low: int, high: int) -> str:
    return f"{rng.randint(low, high)}s"


TABLES: Mapping[str, Draws] = {
    "partition": _groups, "one-way": _one_way, "ring-partition": _ring, "isolate": _nodes,
    "flap": _flap, "swizzle": _swizzle, "loss": _loss, "delay": _delay, "kill": _nodes,
    "stop": _nodes, "pause": _nodes, "restart": _nodes, "crash-storm": _storm, "wipe": _nodes,
    "old-snapshot": _nodes, "disk-full": _nodes, "memory-pressure": _nodes,
    "cpu-starvation": _cpu, "clock-skew": _skew, "bandwidth": _bandwidth,
}  # fmt: skip
"""By kind. Other kinds are never drawn, and that is said."""
