"""What a mutant is: a core with one rule broken, a plan that shows it, and who must catch it.

A mutant replaces a few functions for the time of a run. It names the checker that is meant to catch
it, and a small plan in which that one does and which the healthy core passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType

from chaos.checkers import Limits
from chaos.sim.plan import Fault, Plan

SEEDS_TRIED = 4
USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Patch:
    """One function of a class or module, and what stands in its place."""

    of: type | ModuleType
    name: str
    instead: object


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to break the core."""

    name: str
    what: str
    """The rule that is broken, in a line."""
    checker: str
    """The checker that is meant to catch it, by its module's name."""
    plan: Plan
    """A run that is meant to bring the harm about; the healthy core passes it."""
    patches: tuple[Patch, ...]
    limits: Limits = USUAL
    """Tighter where the harm is short and the healthy core does none of it in that plan."""

    def plans(self) -> Iterator[Plan]:
        """The plan with the seeds to try, one after the other: chance may spare a mutant once."""
        for seed in range(self.plan.seed, self.plan.seed + SEEDS_TRIED):
            yield replace(self.plan, seed=seed)


def small_plan(
    *faults: Fault,
    seed: int = 1,
    nodes: int = 4,
    safety_s: float = 14.0,
    operations_per_s: float = 8.0,
) -> Plan:
    """A plan that has nothing but what a mutant needs."""
    return Plan(
        seed=seed,
        profile="mutant",
        nodes=nodes,
        safety_s=safety_s,
        liveness_s=20.0,
        operations_per_s=operations_per_s,
        faults=faults,
    )
