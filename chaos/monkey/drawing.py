"""The monkey: a scenario drawn by a seed, bout after bout of faults with calm between.

    calm ── bout: one fault or two ── calm ── bout ── … ── all over at for_s

Rules this module keeps:

1. The same seed, names, limits and abilities give the same file, byte for byte.
2. Never more than `most_down` nodes are out of action at once; within a bout no node is hit twice
   and at most one fault touches links.
3. What is drawn is written as a file and read back: it can be kept, replayed, and cut down by hand.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from chaos.cluster.cluster import Ability
from chaos.faults.fault import FaultKind, Value
from chaos.scenarios.reading import STEPS_MAX, Vocabulary, read
from chaos.scenarios.scenario import Scenario

from .limits import Limits
from .tables import TABLES
from .writing import text_of

LEAST_S = 2
"""No fault is shorter, or nobody would notice it."""
STORM = "crash-storm"
_LINKS = frozenset({Ability.LINKS, Ability.DELAY, Ability.BANDWIDTH})


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawn scenario; `source` of it is the file."""

    scenario: Scenario
    left_out: Mapping[str, str]
    """Kinds that could not be drawn, with why."""


@dataclass(frozen=True, slots=True)
class _Bout:
    tables: list[dict[str, Value]]
    lasts_s: int


def draw(
    names: tuple[str, ...],
    seed: int,
    limits: Limits,
    vocabulary: Vocabulary,
    why_not: Callable[[Ability], str],
) -> Drawn:
    """Draw a scenario.

    Args:
        names: of the nodes.
        seed: the same draws the same.
        limits: within which it stays.
        vocabulary: the kinds of faults and expectations there are.
        why_not: what keeps the cluster from an ability, as `Cluster.why_not`.

    Raises:
        ValueError: no kind of fault is left to draw from, or too many nodes may be down.
    """
    if limits.most_down >= len(names):
        raise ValueError(f"most_down: {limits.most_down} of {len(names)} nodes; one must be left")
    kinds, left_out = _possible(vocabulary.faults, names, limits, why_not)
    if not kinds:
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise ValueError(f"there is no fault to draw: {told}")
    rng = Random(f"{seed}/monkey")
    faults: list[dict[str, Value]] = []
    at_s = math.ceil(limits.calm_s)
    while len(faults) + limits.together <= STEPS_MAX:
        room_s = min(int(limits.heal_within_s), int(limits.for_s - at_s))
        if room_s < LEAST_S:
            break
        bout = _bout(rng, kinds, names, limits, at_s, room_s)
        faults += bout.tables
        at_s += bout.lasts_s + math.ceil(limits.calm_s)
    text = text_of(_document(names, seed, limits, faults))
    return Drawn(read(f"monkey-{seed}", text, vocabulary), left_out)


def _bout(
    rng: Random, kinds: Mapping[str, FaultKind], names: tuple[str, ...], limits: Limits,
    at_s: int, room_s: int,
) -> _Bout:  # fmt: skip
    lasts_s = rng.randint(LEAST_S, room_s)
    tables: list[dict[str, Value]] = []
    hit: list[str] = []
    touched = False
    for _ in range(rng.randint(1, limits.together)):
        left = tuple(name for name in names if name not in hit)
        room = limits.most_down - len(hit)
        # A storm draws its victims itself, so it is the only one of its bout that hits nodes.
        choice = [
            name
            for name, kind in kinds.items()
            if not (touched and kind.needs & _LINKS) and not (hit and name == STORM)
        ]
        if room < 1 or len(left) < 2 or not choice:
            break
        weights = [limits.weights.get(name, 1.0) for name in choice]
        kind = kinds[rng.choices(choice, weights)[0]]
        table = TABLES[kind.name](rng, names, room)
        victims = kind.victims(table, names)
        if len(victims) > room or any(name in hit for name in victims):
            continue
        hit += victims
        touched = touched or bool(kind.needs & _LINKS)
        tables.append({"kind": kind.name, "at": f"{at_s}s", "for": f"{lasts_s}s", **table})
        if kind.name == STORM:
            break
    return _Bout(tables, lasts_s)


def _possible(
    known: Mapping[str, FaultKind], names: tuple[str, ...], limits: Limits,
    why_not: Callable[[Ability], str],
) -> tuple[dict[str, FaultKind], dict[str, str]]:  # fmt: skip
    kinds: dict[str, FaultKind] = {}
    left_out: dict[str, str] = {}
    for name, kind in known.items():
        reasons = [why_not(need) for need in sorted(kind.needs, key=lambda need: need.value)]
        reason = next((one for one in reasons if one), "")
        if name not in TABLES:
            left_out[name] = "the monkey does not know how to draw it"
        elif limits.weights.get(name, 1.0) == 0:
            left_out[name] = "its weight is 0"
        elif reason:
            left_out[name] = reason
        elif name == "ring-partition" and len(names) < 4:
            left_out[name] = "a ring that cuts anything has four nodes or more"
        else:
            kinds[name] = kind
    return kinds, left_out


def _document(
    names: tuple[str, ...], seed: int, limits: Limits, faults: list[dict[str, Value]]
) -> dict[str, Value]:
    about = (
        f"Drawn by seed {seed}: at most {limits.most_down} nodes out of action at once, no fault "
        f"longer than {limits.heal_within_s:g} s, {limits.calm_s:g} s of calm between."
    )
    return {
        "title": f"What the monkey drew with seed {seed}",
        "about": about,
        "cluster": {"names": list(names)},
        "time": {"faults": f"{round(limits.for_s * 1000)}ms", "steady_within": "60s"},
        "fault": [*faults],
        "expect": [{"kind": "updates-lost", "most": 0}],
    }
