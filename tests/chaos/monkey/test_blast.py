"""One node fails at a time, and what others felt is counted."""

from chaos.faults import FAULTS
from chaos.monkey.blast import FAULT_S, WAYS, effect_of, effects, scenarios_of
from chaos.running.expectations import EXPECTATIONS
from chaos.running.judging import REAL
from chaos.running.record import RunRecord, Sample, Seen, Span
from chaos.scenarios.reading import Vocabulary
from chaos.scenarios.scenario import Scenario
from tests.chaos.reports.situations import a_run

VOCABULARY = Vocabulary(FAULTS, EXPECTATIONS)


def test_each_node_fails_once_in_each_way() -> None:
    ran: list[tuple[str, tuple[str, ...]]] = []

    def run(scenario: Scenario) -> RunRecord:
        (step,) = scenario.steps
        ran.append((step.kind.name, step.victims))
        return a_run()

    found = [one for one, _ in effects([*scenarios_of(("a", "b"), VOCABULARY)], run)]

    assert ran == [(way, (node,)) for way in WAYS for node in ("a", "b")]
    assert [(one.way, (one.node,)) for one in found] == ran


def test_some_nodes_may_fail_in_some_ways_and_long_enough_to_be_judged() -> None:
    found = list(scenarios_of(("a", "b", "c"), VOCABULARY, ("kill",), ("b",)))

    assert [(node, way) for node, way, _ in found] == [("b", "kill")]
    assert found[0][2].plan.names == ("a", "b", "c")
    assert max(REAL.split_detection_s, REAL.detection_base_s, REAL.detection_together_s) < FAULT_S


def test_what_others_felt_while_it_lasted_is_counted() -> None:
    record = a_run()
    record.nodes = ("a", "b", "c", "d")
    record.spans = [Span("kill", "kill a", ("a",), 3.0, 13.0)]
    record.seen = [
        Seen(2.0, "b", "a", "unreachable"), Seen(4.5, "b", "a", "unreachable"),
        Seen(5.0, "c", "a", "suspect"), Seen(6.0, "c", "a", "unreachable"),
        Seen(9.0, "b", "a", "dead"), Seen(7.0, "a", "b", "unreachable"),
        Seen(13.3, "b", "a", "alive"), Seen(13.1, "c", "a", "alive"),
        Seen(20.0, "d", "a", "unreachable"),
    ]  # fmt: skip
    record.samples = [
        Sample(4.0, 1.0, "b", "lookup", "failed"), Sample(4.0, 1.0, "a", "lookup", "failed"),
        Sample(5.0, 1.0, "c", "update", "indefinite"), Sample(5.0, 1.0, "c", "update", "ok"),
        Sample(20.0, 1.0, "b", "lookup", "failed"),
    ]  # fmt: skip

    found = effect_of("a", "kill", record)

    assert (found.noticed_s, found.blind) == ({"b": 1.5, "c": 3.0}, ("d",))
    assert (found.first_s, found.last_s, found.lasted_s) == (1.5, 3.0, 10.0)
    assert (found.itself, found.back_s) == (("b",), 0.3)
    assert (found.lookups_failed, found.writes_failed) == (1, 1)


def test_who_never_came_back_has_no_time_for_it() -> None:
    record = a_run()
    record.spans = [Span("kill", "kill a", ("a",), 3.0, 13.0)]
    record.seen = [
        Seen(4.0, "b", "a", "unreachable"), Seen(13.5, "b", "a", "alive"),
        Seen(13.9, "b", "a", "unreachable"),
    ]  # fmt: skip

    assert effect_of("a", "kill", record).back_s is None


def test_what_nobody_noticed_has_no_times() -> None:
    record = a_run()
    record.seen = []

    found = effect_of("d", "pause", record)

    assert (found.noticed_s, found.first_s, found.last_s, found.back_s) == ({}, None, None, None)
    assert found.blind == ("a", "b", "c", "e")
