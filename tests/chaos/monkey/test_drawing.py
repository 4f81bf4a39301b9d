"""The monkey stays within its limits, and draws the same for the same seed."""

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.cluster.cluster import Ability, names_of
from chaos.faults import FAULTS
from chaos.faults.fault import Value
from chaos.monkey.drawing import draw
from chaos.monkey.limits import Limits
from chaos.monkey.tables import TABLES
from chaos.monkey.writing import text_of
from chaos.running.expectations import EXPECTATIONS
from chaos.scenarios.reading import Vocabulary, read
from chaos.scenarios.scenario import Scenario
from tests.chaos.reports.strategies import ANY

VOCABULARY = Vocabulary(FAULTS, EXPECTATIONS)
CUTS = ("partition", "one-way", "ring-partition", "isolate", "flap", "swizzle", "loss", "delay")
MOST = 100.0


def able(_ability: Ability) -> str:
    return ""


def only_processes(ability: Ability) -> str:
    return "" if ability is Ability.PROCESSES else "there are no links"


def drawn(seed: int, limits: Limits, nodes: int = 7) -> Scenario:
    return draw(names_of(nodes), seed, limits, VOCABULARY, able).scenario


def ends_s(scenario: Scenario) -> list[tuple[float, float]]:
    return [
        (step.at_s, scenario.faults_s if step.for_s is None else step.at_s + step.for_s)
        for step in scenario.steps
    ]


@ANY
@given(seed=st.integers(0, 10**9), down=st.integers(1, 3), together=st.integers(1, 4),
       for_s=st.floats(40.0, 400.0), calm_s=st.floats(1.0, 9.0))  # fmt: skip
def test_no_draw_leaves_the_limits(
    seed: int, down: int, together: int, for_s: float, calm_s: float
) -> None:
    limits = Limits(most_down=down, together=together, for_s=for_s, calm_s=calm_s)

    scenario = drawn(seed, limits)

    spans = ends_s(scenario)
    assert spans
    assert all(end_s - begin_s <= limits.heal_within_s for begin_s, end_s in spans)
    assert max(end_s for _, end_s in spans) <= limits.for_s
    for at_s, _ in spans:
        now = [s for s, (b, e) in zip(scenario.steps, spans, strict=True) if b <= at_s < e]
        victims = [name for step in now for name in step.victims]
        assert len(victims) <= down
        assert len(victims) == len(dict.fromkeys(victims))
        assert sum(step.kind.name in CUTS for step in now) <= 1


@ANY
@given(seed=st.integers(0, 10**6))
def test_between_bouts_nothing_is_wrong(seed: int) -> None:
    spans = ends_s(drawn(seed, Limits(for_s=200.0, calm_s=4.0)))
    free_s = 0.0

    for begin_s in sorted(dict.fromkeys(begin_s for begin_s, _ in spans)):
        assert begin_s >= free_s + 4.0
        free_s = max(end_s for at_s, end_s in spans if at_s == begin_s)


@ANY
@given(seed=st.integers(0, 10**6))
def test_nobody_else_is_hit_beside_a_storm_that_draws_its_own_victims(seed: int) -> None:
    scenario = drawn(seed, Limits(for_s=200.0, together=4, most_down=3))

    for storm in scenario.steps:
        if storm.kind.name == "crash-storm":
            beside = [one for one in scenario.steps if one.at_s == storm.at_s and one is not storm]
            assert [one.victims for one in beside if one.victims] == []


def test_the_same_seed_draws_the_same_file_and_another_another() -> None:
    limits = Limits()

    assert drawn(1, limits).source == drawn(1, limits).source != drawn(2, limits).source


def test_what_was_drawn_can_be_read_again_from_its_file() -> None:
    scenario = drawn(5, Limits(most_down=2))

    again = read(scenario.name, scenario.source, VOCABULARY)

    assert [(s.at_s, s.for_s, s.kind.name, s.table) for s in again.steps] == [
        (s.at_s, s.for_s, s.kind.name, s.table) for s in scenario.steps
    ]


def test_only_what_the_cluster_can_do_is_drawn_and_the_rest_is_said() -> None:
    found = draw(names_of(5), 3, Limits(for_s=400.0), VOCABULARY, only_processes)

    assert {step.kind.name for step in found.scenario.steps} <= {
        "kill", "stop", "pause", "restart", "crash-storm",
    }  # fmt: skip
    assert found.left_out["partition"] == "there are no links"
    assert found.left_out["start"] == "the monkey does not know how to draw it"


def test_weights_choose() -> None:
    weights = dict.fromkeys(TABLES, 0.0) | {"pause": 1.0}

    scenario = drawn(1, Limits(weights=weights))

    assert {step.kind.name for step in scenario.steps} == {"pause"}


def test_every_kind_that_can_be_drawn_is_drawn_by_some_seed() -> None:
    limits = Limits(for_s=900.0, most_down=2)

    kinds = {step.kind.name for seed in range(20) for step in drawn(seed, limits).steps}

    assert sorted(kinds) == sorted(TABLES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"most_down": 0.0}, "most_down: 0"),
        ({"calm_s": 0.0}, "calm_s: 0 s"),
        ({"for_s": 3.0}, "for_s: 3 s; calm and one fault take 20 s"),
        ({"heal_within_s": math.inf}, "heal_within_s: inf s"),
    ],
)
def test_limits_that_leave_nothing_are_refused(change: dict[str, float], said: str) -> None:
    values = {"most_down": 1.0, "calm_s": 5.0, "for_s": MOST, "heal_within_s": 15.0} | change

    with pytest.raises(ValueError, match=said):
        Limits(most_down=int(values["most_down"]), calm_s=values["calm_s"],
               for_s=values["for_s"], heal_within_s=values["heal_within_s"])  # fmt: skip


def test_one_node_must_be_left() -> None:
    with pytest.raises(ValueError, match="most_down: 3 of 3 nodes; one must be left"):
        drawn(1, Limits(most_down=3), nodes=3)


VALUES: st.SearchStrategy[Value] = st.recursive(
    st.text() | st.integers(-(2**60), 2**60) | st.booleans() | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@ANY
@given(document=st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_what_is_written_is_read_back(document: dict[str, Value]) -> None:
    assert tomllib.loads(text_of(document)) == document
