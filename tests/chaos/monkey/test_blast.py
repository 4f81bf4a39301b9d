"""One node fails at a time, and what others felt is counted."""

from chaos.faults import FAULTS
from chaos.monkey.blast import WAYS, blast, effect_of, text_of_effects
from chaos.running.expectations import EXPECTATIONS
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

    effects = blast(("a", "b"), VOCABULARY, run)

    assert ran == [(way, (node,)) for way in WAYS for node in ("a", "b")]
    assert [(one.way, (one.node,)) for one in effects] == ran
    assert len(text_of_effects(effects).splitlines()) == 1 + len(ran)


def test_what_others_felt_while_it_lasted_is_counted() -> None:
    record = a_run()
    record.spans = [Span("kill", "kill a", ("a",), 3.0, 13.0)]
    record.seen = [
        Seen(2.0, "b", "a", "unreachable"), Seen(4.5, "b", "a", "unreachable"),
        Seen(5.0, "c", "a", "suspect"), Seen(6.0, "c", "a", "unreachable"),
        Seen(9.0, "b", "a", "dead"), Seen(7.0, "a", "b", "unreachable"),
        Seen(20.0, "d", "a", "unreachable"),
    ]  # fmt: skip
    record.samples = [
        Sample(4.0, 1.0, "b", "lookup", "failed"), Sample(4.0, 1.0, "a", "lookup", "failed"),
        Sample(5.0, 1.0, "c", "update", "indefinite"), Sample(5.0, 1.0, "c", "update", "ok"),
        Sample(20.0, 1.0, "b", "lookup", "failed"),
    ]  # fmt: skip

    found = effect_of("a", "kill", record)

    assert (found.noticed_by, found.first_s, found.last_s) == (("b", "c"), 1.5, 3.0)
    assert (found.lookups_failed, found.writes_failed) == (1, 1)


def test_what_nobody_noticed_has_no_times() -> None:
    record = a_run()
    record.seen = []

    found = effect_of("d", "pause", record)

    assert (found.noticed_by, found.first_s, found.last_s) == ((), None, None)
    assert "nobody" in text_of_effects([found])
