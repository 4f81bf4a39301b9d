"""Scenario files: those that come with Kith can be run, and what is wrong is said by its place."""

import pytest

from chaos.cluster.cluster import Ability
from chaos.faults import FAULTS
from chaos.running.expectations import EXPECTATIONS
from chaos.scenarios.reading import (
    UnreadableScenarioError,
    Vocabulary,
    load,
    named_scenarios,
    read,
)

KNOWN = Vocabulary(FAULTS, EXPECTATIONS)
GOOD = """
title = "Cut"
about = "Two and one."
[cluster]
nodes = 3
[time]
faults = "8s"
[[fault]]
kind = "partition"
at = "1s"
for = "3s"
groups = [["a", "b"], ["c"]]
[[expect]]
kind = "healed"
within = "5s"
"""
WRONG = (
    ('nodes = 3', 'nodes = 0', "[cluster]: nodes: 0 is out of bounds"),
    ('nodes = 3', 'nodes = 3\nsize = 1', "[cluster]: size: there is no such field"),
    ('nodes = 3', 'nodes = 3\nlate = ["z"]', "[cluster]: late: 'z' is no node"),
    ('faults = "8s"', 'faults = 8', "[time]: faults: 8 is no duration"),
    ('faults = "8s"', '', "[time]: faults: it is missing"),
    ('at = "1s"', 'at = "9s"', "fault 1: at: 9 s is after the faults"),
    ('for = "3s"', 'for = "9s"', "fault 1: for: it ends at 10 s"),
    ('"partition"', '"partitoin"', "fault 1: kind: there is no fault 'partitoin'; did you mean"),
    ('["c"]]', '["x"]]', "fault 1: groups: 'x' is no node"),
    ('"healed"', '"heeled"', "expect 1: kind: there is no expectation 'heeled'; did you mean"),
    ('within = "5s"', 'within = "5"', "expect 1: within: '5' is no duration"),
    ('title = "Cut"', '', "title: it is missing"),
    ('title = "Cut"', 'title = "Cut"\ntitel = "x"', "is no TOML"),
    ('title = "Cut"', 'title = "Cut"\nquik = true', "quik: there is no such field"),
    ('nodes = 3', 'nodes = [', "this is no TOML"),
)  # fmt: skip


@pytest.mark.parametrize("name", named_scenarios())
def test_what_comes_with_kith_can_be_read(name: str) -> None:
    scenario = load(name, KNOWN)

    assert scenario.name == name
    assert scenario.steps
    assert scenario.expectations
    assert len(scenario.title) < 100


def test_a_scenario_says_what_it_needs() -> None:
    scenario = read("cut", GOOD, KNOWN)

    assert scenario.plan.names == ("a", "b", "c")
    assert scenario.plan.needs == {Ability.LINKS}
    (step,) = scenario.steps
    assert (step.at_s, step.for_s, step.victims) == (1.0, 3.0, ("c",))


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG)
def test_what_is_wrong_is_refused_by_its_place(right: str, wrong: str, said: str) -> None:
    if said == "is no TOML":
        wrong = wrong.replace("titel", "title")

    with pytest.raises(UnreadableScenarioError, match=r"^cut") as caught:
        read("cut", GOOD.replace(right, wrong, 1), KNOWN)

    assert said in str(caught.value)


def test_a_name_that_nobody_knows_leads_to_one_that_is_known() -> None:
    with pytest.raises(UnreadableScenarioError, match="did you mean split-even"):
        load("splt-even", KNOWN)
