"""A ramp is climbed until a run is not valid."""

import pytest

from chaos.faults import FAULTS
from chaos.monkey.gradual import RAMPS, climb, scenarios_of, text_of_climb
from chaos.running.expectations import EXPECTATIONS
from chaos.running.record import RunRecord
from chaos.scenarios.reading import Vocabulary
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict
from tests.chaos.reports.situations import a_run

VOCABULARY = Vocabulary(FAULTS, EXPECTATIONS)
NAMES = ("a", "b", "c")


@pytest.mark.parametrize("name", RAMPS)
def test_each_rate_is_a_scenario_that_can_be_run(name: str) -> None:
    scenarios = scenarios_of(name, NAMES, VOCABULARY)

    assert len(scenarios) == len(RAMPS[name].rates) == len(RAMPS[name].tables)
    assert [len(one.steps) for one in scenarios] == [1] * len(scenarios)


@pytest.mark.parametrize(
    ("good", "verdict", "borne", "tried"),
    [
        (0, Verdict.INVALID, "", 1),
        (3, Verdict.INVALID, "20 %", 4),
        (2, Verdict.UNKNOWN, "10 %", 3),
        (9, Verdict.INVALID, "60 %", 7),
    ],
)
def test_it_stops_at_the_first_that_is_not_valid(
    good: int, verdict: Verdict, borne: str, tried: int
) -> None:
    ran: list[str] = []

    def run(scenario: Scenario) -> RunRecord:
        ran.append(scenario.name)
        return a_run(verdict=Verdict.VALID if len(ran) <= good else verdict)

    found = climb("loss", NAMES, VOCABULARY, run)

    assert (found.borne, len(found.runs), len(ran)) == (borne, tried, tried)
    lines = text_of_climb(found).splitlines()
    assert len(lines) == tried + 3
    assert lines[-1].strip() == (f"borne: {borne}" if borne else "not even the lowest was borne")
