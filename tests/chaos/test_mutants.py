"""Every broken core is caught by the checker that is meant to, and the healthy one passes."""

import pytest

from chaos.checkers import CHECKERS
from chaos.mutants import MUTANTS, Mutant, UnknownMutantError, mutant_named, mutated
from chaos.sim.plan import Plan
from chaos.sim.result import Result
from chaos.sim.run import run
from chaos.verdict import Finding, Verdict


def blamed(result: Result) -> dict[str, Finding]:
    return {one.checker: one for one in result.findings if one.verdict is Verdict.INVALID}


def first_that_blames_it(mutant: Mutant) -> tuple[Plan, Finding]:
    blamed_by: dict[str, None] = {}
    for plan in mutant.plans():
        with mutated(mutant.name):
            caught = blamed(run(plan, limits=mutant.limits))
        if mutant.checker in caught:
            return plan, caught[mutant.checker]
        blamed_by |= dict.fromkeys(caught)
    pytest.fail(f"{mutant.name}, {mutant.what}: blamed by {sorted(blamed_by) or 'nobody'}")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_checker_that_is_meant_catches_the_mutant_and_passes_the_healthy_core(
    mutant: Mutant,
) -> None:
    plan, finding = first_that_blames_it(mutant)
    healthy = run(plan, limits=mutant.limits)

    meant = next(one for one in healthy.findings if one.checker == mutant.checker)
    assert finding.witness
    assert blamed(healthy) == {}
    assert meant.verdict is Verdict.VALID


def test_every_checker_has_a_mutant_and_every_mutant_a_checker() -> None:
    checkers = {name for name, _ in CHECKERS}

    assert {mutant.checker for mutant in MUTANTS} == checkers


def test_no_two_mutants_share_a_name() -> None:
    names = [mutant.name for mutant in MUTANTS]

    assert sorted(set(names)) == sorted(names)


def test_the_core_is_whole_again_after_a_mutant_even_if_the_run_raised() -> None:
    def functions() -> list[object]:
        return [vars(patch.of)[patch.name] for one in MUTANTS for patch in one.patches]

    def broken_off(name: str) -> None:
        with mutated(name):
            assert functions() != before
            raise ZeroDivisionError

    before = functions()
    for mutant in MUTANTS:
        with pytest.raises(ZeroDivisionError):
            broken_off(mutant.name)

    assert functions() == before


def test_an_unknown_mutant_is_refused_by_name() -> None:
    with pytest.raises(UnknownMutantError, match=r"no mutant nosuch: choose one of acknowledge"):
        mutant_named("nosuch")
