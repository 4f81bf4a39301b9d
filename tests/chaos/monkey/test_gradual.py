"""A ramp is climbed until a run is not valid."""

import re

import pytest

from chaos.faults import FAULTS
from chaos.monkey.gradual import RAMPS, figures_of, rates_of, scenarios_of, shown, steps
from chaos.running.expectations import EXPECTATIONS
from chaos.running.record import Coverage, RunRecord, Sample, Seen, Span
from chaos.scenarios.reading import Vocabulary
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict
from tests.chaos.reports.situations import a_run

VOCABULARY = Vocabulary(FAULTS, EXPECTATIONS)
NAMES = ("a", "b", "c")


@pytest.mark.parametrize("name", RAMPS)
def test_each_rate_is_a_scenario_that_can_be_run(name: str) -> None:
    scenarios = scenarios_of(name, NAMES, VOCABULARY)

    assert len(scenarios) == len(RAMPS[name].rates)
    assert [len(one.steps) for one in scenarios] == [1] * len(scenarios)
    assert rates_of(name, RAMPS[name].example)
    assert "updates-lost" in [one.kind for one in scenarios[0].expectations]


def test_rates_may_be_others() -> None:
    (one, other) = scenarios_of("loss", NAMES, VOCABULARY, rates_of("loss", "5%, 12.5 %"))

    assert [step.table["share"] for step in (*one.steps, *other.steps)] == [0.05, 0.125]
    assert (other.title, shown("12.5%"), shown("200ms")) == (
        "12.5 % of packets lost", "12.5 %", "200 ms"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("loss", "5", "'5': a share is a number and %, such as 30%; write 5%,25%,45%"),
        ("loss", "1..2%", "'1..2%': a share"),
        ("loss", "", "'': a share"),
        ("delay", "5%", "'5%': a duration is a number and a unit"),
        ("crashes", "2s,,3s", "'': a duration"),
        ("loss", ",".join(["5%"] * 31), "31 rates; 30 can be"),
    ],
)
def test_what_is_no_rate_is_refused(name: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        rates_of(name, text)


def test_what_the_fault_refuses_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match=r"'100%': .*share"):
        scenarios_of("loss", NAMES, VOCABULARY, ("5%", "100%"))


@pytest.mark.parametrize(
    ("good", "verdict", "tried"),
    [
        (0, Verdict.INVALID, 1), (3, Verdict.INVALID, 4), (2, Verdict.UNKNOWN, 3),
        (99, Verdict.INVALID, 10),
    ],
)  # fmt: skip
def test_it_stops_at_the_first_that_is_not_valid(good: int, verdict: Verdict, tried: int) -> None:
    ran: list[str] = []

    def run(scenario: Scenario) -> RunRecord:
        ran.append(scenario.name)
        return a_run(verdict=Verdict.VALID if len(ran) <= good else verdict)

    rates = RAMPS["loss"].rates
    found = [step for step, _ in steps(rates, scenarios_of("loss", NAMES, VOCABULARY), run)]

    assert len(found) == len(ran) == tried
    assert [one.rate for one in found] == [shown(rate) for rate in rates[:tried]]


def test_a_step_is_shown_by_what_happened_while_its_fault_lasted() -> None:
    record = a_run()
    record.spans = [Span("loss", "loss share=0.5", (), 3.0, 23.0)]
    record.coverage = [
        Coverage(1.0, "a", (9.0, 9.0), 2), Coverage(5.0, "a", (0.01, 0.02), 2),
        Coverage(6.0, "a", (0.01, 0.04), 2), Coverage(7.0, "a", (0.01,), 2),
        Coverage(25.0, "a", (9.0, 9.0), 2),
    ]  # fmt: skip
    record.seen = [
        Seen(1.0, "c", "a", "unreachable"), Seen(5.0, "b", "a", "suspect"),
        Seen(6.0, "b", "a", "unreachable"), Seen(7.0, "b", "a", "dead"),
        Seen(9.5, "b", "a", "alive"), Seen(12.0, "b", "c", "unreachable"),
        Seen(12.5, "b", "c", "alive"), Seen(24.0, "b", "c", "unreachable"),
    ]  # fmt: skip
    record.samples = [
        Sample(4.0, 1.0, "b", "update", "failed"), Sample(4.0, 1.0, "b", "lookup", "failed"),
        Sample(1.0, 1.0, "b", "update", "failed"),
    ]  # fmt: skip
    record.figures = {"lookups_failed_count": 1, "healed_s": 0.5, "lookups_count": 9}

    assert figures_of(record) == {
        "updates_count": 3, "updates_short_count": 1, "coverage_p50_s": 0.02,
        "coverage_p99_s": 0.04, "gone_count": 2, "gone_longest_s": 3.5,
        "lookups_failed_count": 1, "healed_s": 0.5, "writes_undone_count": 1,
    }  # fmt: skip


def test_who_stays_gone_is_so_to_the_end() -> None:
    record = a_run()
    record.spans = [Span("loss", "loss share=0.5", (), 3.0, 23.0)]
    record.samples, record.said = [], []
    record.seen = [Seen(20.0, "b", "a", "unreachable"), Seen(30.0, "c", "a", "alive")]

    assert figures_of(record)["gone_longest_s"] == 10.0


def test_what_was_not_measured_is_left_out() -> None:
    record = a_run()
    record.coverage, record.seen, record.figures = [], [], {}

    assert figures_of(record).keys() == set()
