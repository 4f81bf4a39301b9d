"""A climb, or a blast, as one page of HTML in the style of a run's page.

Rules this module keeps:

1. The same as in `chaos.reports.page`: nothing is asked of anybody, and all text is escaped.
2. The page stands in the directory that holds the runs, and leads to the page of each.
"""

from collections.abc import Sequence
from pathlib import Path

from chaos.reports.markup import Markup, Part, element, join, link, table
from chaos.reports.page import PAGE, whole
from chaos.reports.pictures import climb as curve
from chaos.reports.pictures import reach as rows_of_dots
from chaos.reports.sections import badge, facts_and_replay, section
from chaos.reports.words import means_of
from chaos.verdict import Verdict

from .climb import Climb, cells_of, columns_of
from .document import SERIES, Series
from .reach import HEADINGS, NUMBERS, Blast
from .reach import cells_of as cells_of_effect

_WORDS = {Verdict.VALID: "result", Verdict.INVALID: "broke", Verdict.UNKNOWN: "unknown"}


def write(series: Series, directory: Path) -> Path:
    """Write the page into the directory of the runs, and say where. Raises OSError."""
    page = directory / PAGE
    page.write_text(page_of(series), encoding="utf-8")
    return page


def page_of(series: Series) -> str:
    """The text of the page."""
    return _climb(series) if isinstance(series, Climb) else _blast(series)


def _climb(climb: Climb) -> str:
    headings = (climb.title, "verdict", *(one.heading for one in columns_of(climb)), "because")
    rows: list[Sequence[Part]] = [
        (
            link(f"{one.run}/{PAGE}" if one.run else "", one.rate), badge(one.verdict),
            *cells_of(climb, one), element("span", {"class": "long"}, one.reason or "–"),
        )
        for one in climb.steps
    ]  # fmt: skip
    signs = element("ul", {}, *(element("li", {}, one) for one in climb.signs))
    means = [(f"{kind}, made by", means_of(kind, one)) for kind, one in climb.means.items()]
    body = [
        _head(f"How much it bears: {climb.title}", "Kith chaos gradual", climb, means),
        section("Rate by rate", "climb", curve.draw(climb),
                table(headings, rows, numbers=range(2, len(headings) - 1))),
        *([section("What was felt first", "signs", signs)] if climb.signs else ()),
        section("What a step is", "about", element("p", {}, climb.about)),
        _foot(),
    ]  # fmt: skip
    return whole(f"gradual {climb.ramp}: {climb.borne or 'nothing'} borne", body)


def _blast(blast: Blast) -> str:
    rows: list[Sequence[Part]] = []
    for one in blast.effects:
        node, _, _, *rest = cells_of_effect(one)
        way = link(f"{one.run}/{PAGE}" if one.run else "", one.way)
        rows.append((node, way, badge(one.verdict), *rest))
    numbers = [HEADINGS.index(name) for name in NUMBERS]
    left_out = [element("li", {}, f"{way}: {why}") for way, why in blast.left_out.items()]
    body = [
        _head("How far one node's failure reaches", "Kith chaos blast", blast, []),
        section("Who noticed what, and when", "reach", rows_of_dots.draw(blast),
                table(HEADINGS, rows, numbers=numbers)),
        *([section("Not tried", "left-out", element("ul", {}, *left_out))] if left_out else ()),
        section("What a failure is", "about", element("p", {}, blast.about)),
        _foot(),
    ]  # fmt: skip
    return whole(f"blast: {len(blast.effects)} failures", body)


def _head(title: str, crumb: str, series: Series, more: Sequence[tuple[str, str]]) -> Markup:
    verdict = series.verdict
    facts = [
        ("cluster", f"{len(series.nodes)} nodes, {series.cluster}"), ("seed", str(series.seed)),
        ("date", series.started_at), ("commit", series.commit), *more,
    ]  # fmt: skip
    parts: list[Part] = [
        element("p", {"class": "crumb"}, crumb),
        element("h1", {}, title),
        element(
            "div",
            {"class": f"verdict {verdict.value}"},
            element("span", {"class": "word"}, _WORDS[verdict]),
            element("p", {}, series.result),
        ),
        *facts_and_replay(facts, series.replay),
    ]
    return element("header", {}, join(parts))


def _foot() -> Markup:
    return element("footer", {}, "All of this, for programs: ", link(SERIES, SERIES))
