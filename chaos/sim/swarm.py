"""What a seed draws: sizes, faults and parameters, each run another mix (swarm testing).

Leaving most kinds of fault out of most runs finds more than doing everything in every run, because
faults hide each other (Groce et al., "Swarm Testing", ISSTA 2012). Hence each seed draws which
kinds it uses at all, and then when, on whom, how much.

Rules this module keeps:

1. A plan depends on nothing but the arguments of `draw`.
2. All faults are healed by the end of the safety phase, but for the nodes that are lost for good;
   those are fewer than half.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from .plan import Fault, FaultKind, Plan, Role

NODES_MIN, NODES_MAX = 2, 10_000
SAFETY_MIN_S, SAFETY_MAX_S = 1.0, 86_400.0
QUIET_S = 2.0
"""Before the first fault."""

PROFILES: Mapping[str, str] = {
    "swarm": "3 to 24 nodes, a few kinds of faults drawn from all, clients all the time",
    "calm": "no faults but a little loss: what a healthy cluster does",
    "partitions": "splits, one-way cuts, rings, bridges, isolation, swizzling",
    "crashes": "crashes, restarts with old, wiped or unflushed disks, pauses, full disks",
    "network": "loss, delay, duplicates, reordering, replays, little bandwidth, clogging",
    "clocks": "clocks that jump and drift, slow nodes, hiccups",
    "joins": "all nodes start at once and join by seeds, while things go wrong",
    "byzantine": "100 nodes of which 10 lie, membership profile lan",
    "byzantine-hostile": "100 nodes of which 10 lie, membership profile hostile",
    "agreement": "splits, old disks, forks, rotations, thieves of keys, documents of many writers",
}

_PARTITIONS = (
    FaultKind.SPLIT, FaultKind.ONE_WAY, FaultKind.RING, FaultKind.BRIDGE, FaultKind.ISOLATE,
    FaultKind.SWIZZLE,
)  # fmt: skip
_CRASHES = (
    FaultKind.CRASH, FaultKind.WIPE, FaultKind.OLD_DISK, FaultKind.POWER_LOSS, FaultKind.STOP,
    FaultKind.PAUSE, FaultKind.DISK_SLOW, FaultKind.DISK_FULL, FaultKind.DISK_FAIL,
)  # fmt: skip
_NETWORK = (
    FaultKind.LOSS, FaultKind.DELAY, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.REPLAY,
    FaultKind.BANDWIDTH, FaultKind.CLOG,
)  # fmt: skip
_CLOCKS = (FaultKind.CLOCK_JUMP, FaultKind.CLOCK_DRIFT, FaultKind.SLOW, FaultKind.HICCUPS)
_KINDS = {
    "swarm": (*_PARTITIONS, *_CRASHES, *_NETWORK, *_CLOCKS),
    "calm": (),
    "partitions": _PARTITIONS,
    "crashes": _CRASHES,
    "network": _NETWORK,
    "clocks": _CLOCKS,
    "joins": (*_PARTITIONS, *_CRASHES, *_NETWORK),
    "byzantine": (FaultKind.LOSS,),
    "byzantine-hostile": (FaultKind.LOSS,),
    "agreement": (FaultKind.SPLIT, FaultKind.ISOLATE, FaultKind.OLD_DISK, FaultKind.CRASH),
}
_VILLAINS = 10
_LIARS = (
    Role.FORKER, Role.WITHHOLDER, Role.SLANDERER, Role.REPLAYER, Role.FLOODER, Role.FORGER
)  # fmt: skip
"""Whom the byzantine profiles draw from; a longer list would change what their seeds draw.

A tree liar has nothing to do there: their states are too small to be compared.
"""
_QUARRELLERS = (Role.FORKER, Role.FORKER, Role.WITHHOLDER)
"""Whom `agreement` draws from."""
_OLD_DISK_DOWN_S = 0.5
_ROTATIONS_MAX, _ROTATING_MAX = 2, 2
"""How often keys are replaced in a run of `agreement`, and of how many nodes at a time."""
_LARGE = ("byzantine", "byzantine-hostile")
_LENGTHS_S = ((20.0, 30.0, 45.0, 60.0), (6.0, 8.0))
"""Of the safety phase, and of that of large worlds, where a second costs a second."""
_LIVENESS_S = (30.0, 6.0)


class PlanError(ValueError):
    """A plan cannot be drawn so; nothing was."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field} {value} is not possible: {remedy}")
        self.field = field
        self.value = value
        self.remedy = remedy


@dataclass(slots=True)
class _Draw:
    rng: Random
    nodes: int
    safety_s: float

    def some(self, share_max: float = 0.5) -> tuple[int, ...]:
        """One node, or more, up to a share of all."""
        most = max(1, int(share_max * self.nodes))
        return tuple(sorted(self.rng.sample(range(self.nodes), self.rng.randint(1, most))))

    def groups(self, most: int) -> tuple[tuple[int, ...], ...]:
        """All nodes in two or more groups, none empty."""
        numbers = list(range(self.nodes))
        self.rng.shuffle(numbers)
        count = self.rng.randint(2, max(2, min(most, self.nodes)))
        cuts = sorted(self.rng.sample(range(1, self.nodes), count - 1))
        ends = [*cuts, self.nodes]
        starts = [0, *cuts]
        return tuple(tuple(sorted(numbers[a:b])) for a, b in zip(starts, ends, strict=True))

    def halves(self) -> tuple[tuple[int, ...], ...]:
        """All nodes in two groups of one size, or of sizes one apart."""
        numbers = list(range(self.nodes))
        self.rng.shuffle(numbers)
        half = self.nodes // 2
        return tuple(sorted(numbers[:half])), tuple(sorted(numbers[half:]))

    def quarrel(self, kind: FaultKind) -> list[Fault]:
        """What makes nodes disagree: a split, often even, or an old disk behind a cut."""
        fault = self.fault(kind)
        if kind is FaultKind.SPLIT and self.rng.random() < 0.5:
            return [replace(fault, groups=self.halves())]
        if kind is not FaultKind.OLD_DISK:
            return [fault]
        one = (self.rng.randrange(self.nodes),)
        back_s = fault.at_s + _OLD_DISK_DOWN_S
        old = replace(fault, nodes=one, until_s=back_s)
        alone = Fault(FaultKind.ISOLATE, fault.at_s, max(fault.until_s, back_s), one)
        return [old, alone]

    def span(self) -> tuple[float, float]:
        """From when to when something goes wrong."""
        at = self.rng.uniform(QUIET_S, max(QUIET_S, self.safety_s * 0.8))
        length = min(self.rng.expovariate(1 / 10.0) + 0.5, self.safety_s - at)
        return at, at + length

    def amount(self, kind: FaultKind) -> float:
        """How much of it."""
        low, high = _AMOUNTS[kind]
        return round(self.rng.uniform(low, high), 3)

    def fault(self, kind: FaultKind) -> Fault:
        """One fault of that kind."""
        at, until = self.span()
        groups: tuple[tuple[int, ...], ...] = ()
        nodes: tuple[int, ...] = ()
        if kind in (FaultKind.SPLIT, FaultKind.ONE_WAY):
            groups = self.groups(2 if kind is FaultKind.ONE_WAY else 4)
        elif kind not in _EVERYWHERE:
            nodes = self.some(0.3 if kind in _CRASHES else 0.5)
        amount = self.amount(kind) if kind in _AMOUNTS else 0.0
        if kind is FaultKind.OLD_DISK:
            amount = min(amount, at)
        return Fault(kind, at, until, nodes, groups, amount)


_EVERYWHERE = (
    FaultKind.RING, FaultKind.LOSS, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.REPLAY
)  # fmt: skip
_AMOUNTS = {
    FaultKind.LOSS: (0.02, 0.3),
    FaultKind.DELAY: (0.005, 0.3),
    FaultKind.DUPLICATE: (0.05, 0.5),
    FaultKind.REORDER: (0.05, 0.5),
    FaultKind.REPLAY: (0.05, 0.5),
    FaultKind.BANDWIDTH: (2_000.0, 50_000.0),
    FaultKind.OLD_DISK: (0.5, 30.0),
    FaultKind.HICCUPS: (0.1, 1.5),
    FaultKind.SLOW: (0.0005, 0.03),
    FaultKind.CLOCK_JUMP: (-7_200.0, 7_200.0),
    FaultKind.CLOCK_DRIFT: (-0.05, 0.05),
    FaultKind.DISK_SLOW: (0.01, 1.0),
}


def draw(
    seed: int, *, profile: str = "swarm", nodes: int | None = None, safety_s: float | None = None
) -> Plan:
    """The plan of a seed.

    Raises:
        PlanError: an argument is out of its range.
    """
    if profile not in PROFILES:
        raise PlanError("profile", profile, f"choose one of {', '.join(PROFILES)}")
    if nodes is not None and not NODES_MIN <= nodes <= NODES_MAX:
        raise PlanError("nodes", nodes, f"give {NODES_MIN} to {NODES_MAX}")
    if safety_s is not None and not SAFETY_MIN_S <= safety_s <= SAFETY_MAX_S:
        raise PlanError("for", f"{safety_s:g}s", f"give {SAFETY_MIN_S:g} s to {SAFETY_MAX_S:g} s")
    rng = Random(f"{seed}/{profile}/plan")
    size = nodes if nodes is not None else _size(rng, profile)
    length = safety_s if safety_s is not None else rng.choice(_LENGTHS_S[profile in _LARGE])
    draws = _Draw(rng, size, length)
    faults = _faults(draws, profile)
    villains = _villains(draws, profile)
    if profile == "agreement":
        # Drawn apart, so that all else that a seed draws is what it always was.
        apart = _Draw(Random(f"{seed}/{profile}/rotations"), size, length)
        rotations, villains = _rotations(apart, villains)
        faults = tuple(sorted((*faults, *rotations), key=lambda fault: fault.at_s))
    spared = {number for number, _ in villains}
    faults = tuple(f for f in faults if not (villains and spared.intersection(f.nodes)))
    return Plan(
        seed=seed,
        profile=profile,
        nodes=size,
        membership="hostile" if profile == "byzantine-hostile" else "lan",
        joined=profile != "joins",
        safety_s=length,
        liveness_s=_LIVENESS_S[profile in _LARGE],
        loss=rng.choice((0.0, 0.0, 0.01, 0.05, 0.1)),
        clients=rng.randint(1, 8),
        operations_per_s=rng.choice((1.0, 4.0, 10.0)),
        villains=villains,
        faults=faults,
        lost=_lost(draws, profile),
        edits_per_s=rng.choice((0.5, 1.0, 3.0)) if profile == "agreement" else 0.0,
    )


def _size(rng: Random, profile: str) -> int:
    if profile in _LARGE:
        return 100
    if profile == "agreement":
        return rng.choice((2, 3, 4, 4, 5, 6, 6, 8, 8, 10))
    return rng.choice((3, 3, 4, 5, 5, 7, 8, 8, 10, 12, 16, 24))


def _faults(draws: _Draw, profile: str) -> tuple[Fault, ...]:
    kinds = _KINDS[profile]
    if not kinds:
        return ()
    rng = draws.rng
    chosen = rng.sample(kinds, rng.randint(1, min(6, len(kinds))))
    count = rng.randint(1, max(2, int(draws.safety_s / 5)))
    if profile == "agreement":
        drawn = [fault for _ in range(count) for fault in draws.quarrel(rng.choice(chosen))]
    else:
        drawn = [draws.fault(rng.choice(chosen)) for _ in range(count)]
    return tuple(sorted(drawn, key=lambda fault: fault.at_s))


def _villains(draws: _Draw, profile: str) -> tuple[tuple[int, Role], ...]:
    if profile == "agreement":
        return _quarrellers(draws)
    if not profile.startswith("byzantine"):
        return ()
    # The seeds of the cluster are honest here; eclipses by lying seeds are a matter of their own.
    count = max(1, min(_VILLAINS, (draws.nodes - 3) // 9))
    numbers = sorted(draws.rng.sample(range(3, draws.nodes), count))
    return tuple((number, draws.rng.choice(_LIARS)) for number in numbers)


def _quarrellers(draws: _Draw) -> tuple[tuple[int, Role], ...]:
    if draws.nodes < 5 or draws.rng.random() < 0.4:
        return ()
    numbers = draws.rng.sample(range(3, draws.nodes), 2 if draws.nodes >= 8 else 1)
    return tuple((number, draws.rng.choice(_QUARRELLERS)) for number in sorted(numbers))


def _rotations(
    draws: _Draw, villains: tuple[tuple[int, Role], ...]
) -> tuple[list[Fault], tuple[tuple[int, Role], ...]]:
    """Keys that are replaced, and perhaps a thief of the first of them among the villains."""
    rng = draws.rng
    if rng.random() < 0.4:
        return [], villains
    liars = {number for number, _ in villains}
    if draws.nodes >= 5 and rng.random() < 0.6:
        thief = rng.choice([n for n in range(3, draws.nodes) if n not in liars])
        kept = villains if 3 * (len(villains) + 1) < draws.nodes else villains[1:]
        villains = tuple(sorted((*kept, (thief, Role.THIEF)), key=lambda villain: villain[0]))
        liars = {number for number, _ in villains}
    honest = [number for number in range(draws.nodes) if number not in liars]
    rotations = []
    for _ in range(rng.randint(1, _ROTATIONS_MAX)):
        at_s, until_s = draws.span()
        nodes = rng.sample(honest, rng.randint(1, min(_ROTATING_MAX, len(honest))))
        rotations.append(Fault(FaultKind.ROTATE, at_s, until_s, tuple(sorted(nodes))))
    return rotations, villains


def _lost(draws: _Draw, profile: str) -> tuple[int, ...]:
    if profile in ("calm", "byzantine", "byzantine-hostile", "agreement") or draws.nodes < 3:
        return ()
    most = (draws.nodes - 1) // 3
    count = draws.rng.randint(0, most)
    return tuple(sorted(draws.rng.sample(range(draws.nodes), count)))
