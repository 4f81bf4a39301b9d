"""Runs trials over seeds, in one process or two, and adds their figures up.

The order of the results depends on nothing but what was asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from protocol.detector.config import MembershipConfig

from .figures import Figures, measure
from .scenario import Scenario, Timeline
from .swim import SwimWorld
from .world import World

PROTOCOLS = ("kith", "swim")
SWIM_HOLD_S = 30.0
"""SWIM takes longer to see and to heal, so it is given longer."""
SWIM_SETTLE_S = 40.0
HOLD_S = 14.0
SETTLE_S = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table. `hold_s` is how long a fault lasts; None is the protocol's own."""

    protocol: str
    nodes: int
    scenario: Scenario
    loss: float
    config: MembershipConfig
    hold_s: float | None = None

    def timeline(self) -> Timeline:
        """When what happens."""
        swim = self.protocol == "swim"
        hold_s = self.hold_s or (SWIM_HOLD_S if swim else HOLD_S)
        settle_s = SWIM_SETTLE_S if swim else SETTLE_S
        return self.scenario.timeline(hold_s=hold_s, settle_s=settle_s)


def run(case: Case, seed: int) -> Figures:
    """One trial from its begin to its end."""
    timeline = case.timeline()
    if case.protocol == "swim":
        control = SwimWorld(case.nodes, seed=seed, loss=case.loss)
        case.scenario.stage(control, timeline)
        control.run(timeline.end_s)
        return measure(control, case.scenario, timeline)
    world = World(case.nodes, seed=seed, loss=case.loss, config=case.config)
    case.scenario.stage(world, timeline)
    world.run(timeline.end_s)
    return measure(world, case.scenario, timeline)


def judge(
    cases: Sequence[Case], seeds: Sequence[int], *, jobs: int, done: Callable[[], None]
) -> Iterator[tuple[Case, Figures]]:
    """All cases on all seeds, each case as soon as it and those before are through.

    Args:
        cases: what to try.
        seeds: the same for every case.
        jobs: how many processes; with one, everything runs in this one.
        done: called after each trial.
    """
    trials = [(case, seed) for case in cases for seed in seeds]
    if jobs == 1:
        yield from _collect(cases, len(seeds), (run(*trial) for trial in trials), done)
        return
    with ProcessPoolExecutor(jobs) as pool:
        results = pool.map(run, *zip(*trials, strict=True))
        yield from _collect(cases, len(seeds), results, done)


def _collect(
    cases: Sequence[Case], seeds: int, results: Iterator[Figures], done: Callable[[], None]
) -> Iterator[tuple[Case, Figures]]:
    for case in cases:
        total = Figures()
        for _ in range(seeds):
            total.add(next(results))
            done()
        yield case, total
