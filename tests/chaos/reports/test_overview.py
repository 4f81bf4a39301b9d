"""Many runs together: the overview page, the table in the documentation, and the advice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.reports import document, overview, page, results
from chaos.reports.advice import advice_on
from chaos.reports.runs import Run, by_scenario, failures_of, runs_in
from chaos.running.record import RunRecord
from chaos.verdict import Verdict

from .situations import a_bare_run, a_broken_run, a_run
from .strategies import ANY, RECORDS
from .test_page import read


def some_runs() -> list[Run]:
    records = [a_run(seed=1), a_broken_run(seed=2), a_run(seed=3), a_bare_run()]
    return [Run(one, f"{place}/report.html") for place, one in enumerate(records)]


def test_runs_are_read_from_their_directories(tmp_path: Path) -> None:
    for name, record in (("2-b", a_broken_run()), ("1-a", a_run())):
        (tmp_path / name).mkdir()
        document.save(record, tmp_path / name / document.RECORD)
    page.write(a_run(), tmp_path / "1-a")
    (tmp_path / "3-c").mkdir()
    (tmp_path / "4-d").mkdir()
    (tmp_path / "4-d" / document.RECORD).write_text('{"format": 7}')

    runs, refused = runs_in(tmp_path)

    assert [(one.record.seed, one.page) for one in runs] == [(1, "1-a/report.html"), (2, "")]
    assert [one.record.samples for one in runs] == [[], []]
    assert len(refused) == 1
    assert "4-d/record.json: 7 is not 1" in refused[0]


def test_a_scenario_is_counted_over_all_its_runs() -> None:
    bare, split = by_scenario(some_runs())

    assert (bare.name, split.name) == ("disk-full", "split-majority")
    assert [split.count(verdict) for verdict in Verdict] == [2, 1, 0]
    assert split.total("updates_lost_count") == 1
    assert bare.total("updates_lost_count") is None
    healed, noticed = split.spread("healed_s"), split.noticed()
    assert healed is not None
    assert noticed is not None
    assert (healed.median, healed.most, healed.count) == (0.63, 9.0, 3)
    assert noticed.most == 1.43


def test_what_failed_is_counted_with_its_scenarios() -> None:
    failures = failures_of(some_runs())

    assert [(what, len(runs)) for what, runs in failures.items()] == [
        ("P1 (set_full)", 1),
        ("expected: steady within 5 s of healing", 1),
    ]


def test_the_overview_shows_all_of_it_and_leads_to_the_runs() -> None:
    reader = read(overview.page_of(some_runs(), ["x/record.json: this is no JSON"]))
    links = [attributes.get("href") for name, attributes in reader.elements if name == "a"]

    assert "4 runs of 2 scenarios" in reader.text
    assert "2 valid, 1 invalid, 1 unknown" in reader.text
    assert "0.630 s / 9 s" in reader.text
    assert "x/record.json: this is no JSON" in reader.text
    assert "split-majority: invalid with seed 2" in reader.text
    assert links.count("1/report.html") == 3
    assert "script" not in [name for name, _ in reader.elements]


@ANY
@given(records=st.lists(RECORDS, max_size=3))
def test_no_records_break_the_overview(records: list[RunRecord]) -> None:
    runs = [Run(one, one.title) for one in records]

    read(overview.page_of(runs))
    table = results.table_of(by_scenario(runs))

    assert len(dict.fromkeys(line.count("|") for line in table.splitlines())) == 1


def test_the_table_stands_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "CHAOS.md"
    file.write_text(f"# Before\n\n{results.BEGIN}\nold\n{results.END}\n\nAfter.\n")

    results.write(some_runs(), file)
    once = file.read_text()
    results.write(some_runs(), file)

    assert file.read_text() == once
    assert once.startswith(f"# Before\n\n{results.BEGIN}\n\n| scenario | runs |")
    assert once.endswith(f" |\n\n{results.END}\n\nAfter.\n")
    assert "old" not in once
    assert (
        "| split-majority | 3 | 2 | 1.43 s | 1.43 s | 0.630 s | 9 s | 3 | 1 | 2026-11-27 |" in once
    )


@pytest.mark.parametrize("text", ["", results.BEGIN, f"{results.END}{results.BEGIN}"])
def test_a_page_without_markers_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "page.md"
    file.write_text(text)

    with pytest.raises(results.NoMarkersError, match=r"page\.md: write <!-- chaos"):
        results.write(some_runs(), file)

    assert file.read_text() == text


def test_advice_names_the_gravest_first_with_its_cases() -> None:
    advice = advice_on([one.record for one in some_runs()])

    assert advice[0].what == "Acknowledged updates were lost"
    assert advice[0].cases == ("split-majority (seed 2): 1",)
    assert [one.runbook for one in advice] == [
        "updates-are-lost", "updates-are-lost", "healing-takes-long", "healing-takes-long",
        "lookups-fail", "a-run-proves-nothing", "it-fails-now-and-then",
    ]  # fmt: skip
    assert advice_on([a_run()]) == []
