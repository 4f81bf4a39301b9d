"""CHAOS.md names what there is: faults, expectations, kinds of clusters, the runbook's headings."""

from chaos.cluster.kinds import KINDS
from chaos.faults import FAULTS
from chaos.reports import results
from chaos.reports.advice import RUNBOOK, advice_on
from chaos.running.expectations import EXPECTATIONS
from tests.chaos.reports.situations import a_bare_run, a_broken_run

from . import pages
from .test_pages import anchors

PAGE = pages.DOCS / "CHAOS.md"


def test_the_faults_and_expectations_that_are_named_exist_with_these_fields() -> None:
    for kinds, titles in (
        (FAULTS, ("fault", "what it does", "fields", "needs")),
        (EXPECTATIONS, ("expectation", "what is expected", "fields")),
    ):
        table = pages.table(PAGE, *titles)
        named = [cell.strip("`") for cell in table.column(titles[0])]
        assert len(named) > 8
        assert [name for name in named if name not in kinds] == []
        for name, fields in zip(named, table.column("fields"), strict=True):
            shown = [field for field in kinds[name].fields if f"`{field}`: " not in fields]
            assert shown == [], name


def test_the_kinds_of_clusters_are_those_there_are() -> None:
    table = pages.table(PAGE, "kind", "what it is")
    assert [name.strip("`") for name in table.column("kind")] == list(KINDS)


def test_advice_leads_to_headings_of_the_runbook() -> None:
    advice = advice_on([a_broken_run(), a_bare_run()])
    assert (pages.ROOT / RUNBOOK) == PAGE
    assert len(advice) > 4
    assert [one.runbook for one in advice if one.runbook not in anchors(PAGE)] == []


def test_the_page_has_a_place_for_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert results.with_results(text, []).count(results.BEGIN) == 1
