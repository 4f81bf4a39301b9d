"""Ten of a hundred lie: what honest nodes suffer, and how often the lot favours the liars.

Every seed of the profiles `byzantine` (membership `lan`: 5 of 8 observers certify) and
`byzantine-hostile` (11 of 16) is run and judged as `kith sim` does. Beside the verdicts stands what
the lot gave: *outvoted* is an honest node of whose observers so many lie that they certify among
themselves. As most liars of a profile lie about something else, each seed in which somebody is
outvoted can be run once more with ten liars who all slander: the worst that votes can do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import orjson

from chaos.checkers import Limits
from chaos.sim.identities import Identities
from chaos.sim.plan import Plan, Role
from chaos.sim.run import Run
from chaos.sim.swarm import draw
from chaos.sim.world import CLUSTER, MEMBERSHIP
from protocol.detector.rings import SharedOrders

from .flags import Flag, flags_of, toll_of
from .tables import DIGITS, Column, Row, per
from .trials import Kind

PROFILES = ("byzantine", "byzantine-hostile")


@dataclass(frozen=True, slots=True)
class ByzantineTrial:
    """One seed. `slander`: all liars slander, whatever the seed gave them to do."""

    profile: str
    seed: int
    slander: bool


@dataclass(frozen=True, slots=True)
class ByzantineResult:
    """Of one seed; pairs and seconds are of honest viewers and honest subjects."""

    error: str
    """If the run ended in an exception; then all else is empty."""
    verdicts: dict[str, str]
    """By `invariant checker`."""
    witnesses: dict[str, str]
    """Of those that are invalid."""
    most_liars: int
    """Among the observers of one honest node, at most."""
    outvoted: list[str]
    flags: int
    flagged_s: float
    longest_s: float
    dead_pairs: int
    outvoted_s: float
    """For how long outvoted nodes were held for away, by all viewers together."""
    outvoted_longest_s: float
    outvoted_dead: int


def perform(trial: ByzantineTrial) -> ByzantineResult:
    """Run and judge one seed."""
    plan = plan_of(trial)
    liars = liars_about(plan)
    majority = MEMBERSHIP[plan.membership]().majority
    outvoted = [f"n{number}" for number, count in liars.items() if count >= majority]
    run = Run(plan)
    try:
        run.play()
        result = run.judge(Limits())
    except Exception as error:  # what the core raises is a finding, and not the end of the others
        text = f"{type(error).__name__}: {error}"
        return ByzantineResult(
            text, {}, {}, max(liars.values()), outvoted, 0, 0.0, 0.0, 0, 0.0, 0.0, 0
        )
    honest = {node.name: None for node in run.honest}
    wrong = [
        flag
        for flag in flags_of(result.history)
        if flag.viewer in honest and flag.subject in honest
    ]
    toll, theirs = toll_of(wrong), toll_of(_about(wrong, outvoted))
    findings = {f"{one.invariant} {one.checker}": one for one in result.findings}
    return ByzantineResult(
        error="",
        verdicts={name: one.verdict.value for name, one in findings.items()},
        witnesses={name: one.witness for name, one in findings.items() if one.witness},
        most_liars=max(liars.values()),
        outvoted=outvoted,
        flags=toll.flags,
        flagged_s=toll.seconds,
        longest_s=toll.longest_s,
        dead_pairs=toll.dead,
        outvoted_s=theirs.seconds,
        outvoted_longest_s=theirs.longest_s,
        outvoted_dead=theirs.dead,
    )


def plan_of(trial: ByzantineTrial) -> Plan:
    """What the seed gives."""
    plan = draw(trial.seed, profile=trial.profile)
    if not trial.slander:
        return plan
    return replace(plan, villains=tuple((n, Role.SLANDERER) for n, _ in plan.villains))


def liars_about(plan: Plan) -> Mapping[int, int]:
    """Of each honest node, by number, how many of its observers are villains."""
    villains = {number: None for number, _ in plan.villains}
    observers = _observers(plan.nodes, MEMBERSHIP[plan.membership]().rings)
    return {
        number: sum(other in villains for other in observers[number])
        for number in range(plan.nodes)
        if number not in villains
    }


@cache
def _observers(nodes: int, rings: int) -> tuple[tuple[int, ...], ...]:
    identities = Identities(CLUSTER)
    ids = [identities.of(number)[1].node for number in range(nodes)]
    numbers = {node: number for number, node in enumerate(ids)}
    orders = SharedOrders.of(ids, rings)
    return tuple(tuple(numbers[other] for other in orders.observers(node)) for node in ids)


def outvoted_seeds(profile: str, seeds: Sequence[int]) -> list[int]:
    """The seeds in which somebody is outvoted; nothing is run."""
    found = []
    for seed in seeds:
        plan = draw(seed, profile=profile)
        if max(liars_about(plan).values()) >= MEMBERSHIP[plan.membership]().majority:
            found.append(seed)
    return found


def _about(flags: Sequence[Flag], subjects: Sequence[str]) -> list[Flag]:
    wanted = dict.fromkeys(subjects)
    return [flag for flag in flags if flag.subject in wanted]


def revive(written: bytes) -> ByzantineResult:
    """Read a result."""
    return ByzantineResult(**orjson.loads(written))


KIND = Kind("byzantine", perform, revive)

COLUMNS = (
    Column("profile", "profile"),
    Column("liars", "ten liars"),
    Column("seeds", "seeds", "d"),
    Column("raised", "raised", "d"),
    Column("changed", "record changed (P7)", "d"),
    Column("lost", "lost (P1)", "d"),
    Column("resurrected", "resurrected (P2)", "d"),
    Column("unbounded", "not bounded (P8)", "d"),
    Column("false_death", "P4 broken", "d"),
    Column("dead_seeds", "seeds with an honest node dead", "d"),
    Column("outvoted_seeds", "seeds with one outvoted", "d"),
    Column("outvoted_percent", "%", ".1f"),
    Column("flagged_s_seed", "honest pairs flagged, s a seed", ".2f"),
    Column("longest_s", "longest, s", ".1f"),
    Column("outvoted_s_viewer", "outvoted node away, s a viewer", ".1f"),
    Column("outvoted_longest_s", "longest, s", ".1f"),
)


LOT_COLUMNS = (
    Column("profile", "profile"),
    Column("draws", "seeds drawn, not run", ",d"),
    Column("outvoted_seeds", "with somebody outvoted", "d"),
    Column("outvoted_percent", "%", ".2f"),
)


def lot_rows(profiles: Sequence[str], draws: int) -> list[Row]:
    """How often somebody is outvoted, over more seeds than are run: 1 to `draws`."""
    rows: list[Row] = []
    for profile in profiles:
        found = len(outvoted_seeds(profile, range(1, draws + 1)))
        rows.append(
            {
                "profile": profile,
                "draws": draws,
                "outvoted_seeds": found,
                "outvoted_percent": per(100 * found, draws),
            }
        )
    return rows


def trials_of(profiles: Sequence[str], seeds: Sequence[int]) -> list[ByzantineTrial]:
    """As drawn, profile after profile."""
    return [ByzantineTrial(profile, seed, slander=False) for profile in profiles for seed in seeds]


def slander_of(profile: str, seeds: Sequence[int], most: int) -> list[ByzantineTrial]:
    """The first seeds in which somebody is outvoted, with liars who all slander."""
    chosen = outvoted_seeds(profile, seeds)[:most]
    return [ByzantineTrial(profile, seed, slander=True) for seed in chosen]


def rows_of(trials: Sequence[ByzantineTrial], results: Sequence[ByzantineResult]) -> list[Row]:
    """One row for each profile and kind of lie."""
    groups: dict[tuple[str, bool], list[ByzantineResult]] = {}
    for trial, result in zip(trials, results, strict=True):
        groups.setdefault((trial.profile, trial.slander), []).append(result)
    return [_row(profile, found, slander=slander) for (profile, slander), found in groups.items()]


def _row(profile: str, results: Sequence[ByzantineResult], *, slander: bool) -> Row:
    def broken(invariant: str) -> int:
        return sum(
            any(
                name.split()[0] == invariant and verdict == "invalid"
                for name, verdict in result.verdicts.items()
            )
            for result in results
        )

    outvoted = [result for result in results if result.outvoted]
    victims = sum(len(result.outvoted) for result in results)
    honest = draw(1, profile=profile).nodes - len(draw(1, profile=profile).villains)
    return {
        "profile": profile,
        "liars": "who all slander, somebody outvoted" if slander else "as drawn",
        "seeds": len(results),
        "raised": sum(bool(result.error) for result in results),
        "changed": broken("P7"),
        "lost": broken("P1"),
        "resurrected": broken("P2"),
        "unbounded": broken("P8"),
        "false_death": broken("P4"),
        "invalid_seeds": sum("invalid" in result.verdicts.values() for result in results),
        "dead_seeds": sum(result.dead_pairs > 0 for result in results),
        "outvoted_seeds": len(outvoted),
        "outvoted_percent": per(100 * len(outvoted), len(results)),
        "most_liars": max(result.most_liars for result in results),
        "flags": sum(result.flags for result in results),
        "flagged_s_seed": per(sum(result.flagged_s for result in results), len(results)),
        "longest_s": max(result.longest_s for result in results),
        "outvoted_nodes": victims,
        "outvoted_s_viewer": per(
            sum(result.outvoted_s for result in results), victims * (honest - 1)
        ),
        "outvoted_longest_s": round(
            max((result.outvoted_longest_s for result in outvoted), default=0.0), DIGITS
        ),
        "outvoted_dead": sum(result.outvoted_dead for result in results),
    }
