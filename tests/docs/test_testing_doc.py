"""TESTING.md names what the simulator prints and takes: profiles, checkers, latencies, options."""

import argparse

from chaos.checkers import CHECKERS
from chaos.cli import options
from chaos.cli.tracefile import LINES_MAX_DEFAULT
from chaos.sim.run import WARM_S, run
from chaos.sim.swarm import PROFILES, draw

from . import pages

PAGE = pages.DOCS / "TESTING.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_profiles_are_those_that_are_drawn() -> None:
    table = pages.table(PAGE, "profile", "what it draws")
    named = [name.strip("`") for name in table.column("profile")]
    assert dict(zip(named, table.column("what it draws"), strict=True)) == dict(PROFILES)


def test_the_checkers_are_those_that_judge_with_their_invariants() -> None:
    table = pages.table(PAGE, "invariant", "checker", "what must hold")
    named = [name.strip("`") for name in table.column("checker")]
    judged = run(draw(1, profile="calm", nodes=3, safety_s=1.0)).findings
    assert named == [name for name, _ in CHECKERS]
    assert [*zip(table.column("invariant"), named, strict=True)] == [
        (found.invariant, found.checker) for found in judged
    ]


def test_every_latency_and_count_is_explained() -> None:
    result = run(draw(1, profile="calm", nodes=3, safety_s=1.0))
    printed = [*result.latencies, *(name for name in result.counts if "refused_" not in name)]
    assert [name for name in printed if f"`{name}`" not in TEXT] == []


def test_every_option_of_the_command_is_named() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    options.add_arguments(parser)
    flags = [action.option_strings[0] for action in parser._actions]
    assert len(flags) > 10
    assert [flag for flag in flags if flag not in TEXT] == []


def test_the_stated_bounds_are_those_of_the_code() -> None:
    assert WARM_S == 6
    assert "in the first six seconds" in TEXT
    assert LINES_MAX_DEFAULT == 1_000_000
    assert "`--trace-lines-max` lines (a million)" in TEXT
    assert options.RUN_MAX_DEFAULT == "30m"
    assert "`--run-max` of real time (30 minutes)" in TEXT


def test_every_path_that_is_named_exists() -> None:
    words = TEXT.replace("`", " ").replace(",", " ").replace("(", " ").split()
    paths = [word.rstrip(".:)") for word in words if word.startswith(("chaos/", "tests/chaos"))]
    assert len(paths) > 10
    assert [path for path in paths if not (pages.ROOT / path).exists()] == []
