"""Cores that are broken on purpose, one rule each: what the checkers must catch.

A checker that lets its mutants through is worth nothing.

Rules this layer keeps:

1. A mutant breaks a rule that somebody could have forgotten; it never touches a checker.
2. After `mutated` everything is as it was, also if the run raised.
3. A mutant holds for the whole process: one at a time, and no other run beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from .agreement import AGREEMENT
from .core import CORE
from .delivery import DELIVERY
from .mending import MENDING
from .mutant import Mutant
from .rotation import ROTATION

MUTANTS: tuple[Mutant, ...] = (
    *CORE,
    *MENDING,
    *AGREEMENT,
    *ROTATION,
    *DELIVERY,
)
"""In the order of the invariants."""


class UnknownMutantError(ValueError):
    """There is no mutant of that name; nothing was broken."""

    def __init__(self, name: str) -> None:
        names = ", ".join(one.name for one in MUTANTS)
        super().__init__(f"there is no mutant {name}: choose one of {names}")
        self.name = name


def mutant_named(name: str) -> Mutant:
    """The mutant of that name.

    Raises:
        UnknownMutantError: there is none.
    """
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    raise UnknownMutantError(name)


@contextmanager
def mutated(name: str) -> Iterator[Mutant]:
    """Break the core of this process so, until the end of the block.

    Raises:
        UnknownMutantError: there is no such mutant; nothing was broken.
    """
    mutant = mutant_named(name)
    kept = [(patch, vars(patch.of)[patch.name]) for patch in mutant.patches]
    try:
        for patch, _ in kept:
            setattr(patch.of, patch.name, patch.instead)
        yield mutant
    finally:
        for patch, healthy in kept:
            setattr(patch.of, patch.name, healthy)


__all__ = ("MUTANTS", "Mutant", "UnknownMutantError", "mutant_named", "mutated")
