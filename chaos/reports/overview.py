"""Many runs on one page: how each scenario fares, what fails where, and what to look at.

Rules this module keeps:

1. The same as in `page`: nothing is asked of anybody, and all text is escaped.
2. A scenario is as good as its worst run.
"""

from collections.abc import Sequence
from pathlib import Path

from chaos.running.record import RunRecord
from chaos.verdict import Verdict

from .advice import advice_on
from .markup import Markup, Part, element, join, link, table
from .page import whole
from .pictures import trend
from .runs import Run, ScenarioRuns, Spread, by_scenario, failures_of, in_order
from .sections import badge, recommendations, section
from .series.climb import Climb
from .series.document import Series
from .words import amount, noticed_s, value_of

INDEX = "index.html"
"""The file's name, beside the directories of the runs."""
RUNS_SHOWN_MAX = 200
"""In the table of all runs; the newest."""
CASES_SHOWN_MAX = 6
_WORST = (Verdict.INVALID, Verdict.UNKNOWN, Verdict.VALID)


def write(
    runs: Sequence[Run],
    directory: Path,
    refused: Sequence[str] = (),
    series: Sequence[tuple[str, Series]] = (),
) -> Path:
    """Write the page, and say where. Raises OSError."""
    page = directory / INDEX
    page.write_text(page_of(runs, refused, series), encoding="utf-8")
    return page


def page_of(
    runs: Sequence[Run], refused: Sequence[str] = (), series: Sequence[tuple[str, Series]] = ()
) -> str:
    """The text of the page.

    Args:
        runs: all but those of climbs and blasts.
        refused: records that could not be read, with why.
        series: climbs and blasts, each with where its page lies.
    """
    ordered = in_order(runs)
    scenarios = by_scenario(ordered)
    body: list[Part] = [
        _head(ordered, scenarios, len(series)),
        section("Scenarios", "scenarios", _scenarios(scenarios)),
        section("What failed, and where", "failures", _failures(ordered)),
        section("What to look at", "advice",
                recommendations(advice_on([one.record for one in reversed(ordered)]))),
        *([section("Climbs and blasts", "series", _series(series))] if series else ()),
        section("All runs", "runs", _all(ordered)),
    ]  # fmt: skip
    if refused:
        items = [element("li", {}, one) for one in refused]
        body.append(section("Not read", "refused", element("ul", {}, *items)))
    return whole(f"Kith chaos: {len(runs)} runs", body)


def _head(runs: Sequence[Run], scenarios: Sequence[ScenarioRuns], series: int) -> Markup:
    counts = {verdict: sum(one.record.verdict is verdict for one in runs) for verdict in Verdict}
    worst = next((one for one in _WORST if counts[one]), Verdict.UNKNOWN)
    told = ", ".join(f"{count:,} {verdict.value}" for verdict, count in counts.items() if count)
    dates = [one.record.started_at[:10] for one in runs] or [""]
    span = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return element(
        "header",
        {},
        element("p", {"class": "crumb"}, "Kith chaos overview"),
        element(
            "h1",
            {},
            f"{len(runs):,} runs of {len(scenarios)} scenarios",
            *([f", {series} of climbs and blasts"] if series else ()),
        ),
        element(
            "div",
            {"class": f"verdict {worst.value}"},
            element("span", {"class": "word"}, worst.value),
            element("span", {}, told or "no runs"),
        ),
        element("p", {"class": "soft"}, span),
    )


def _scenarios(scenarios: Sequence[ScenarioRuns]) -> Markup:
    headings = (
        "scenario", "worst", "runs", "valid", "noticed, median / longest",
        "healed, median / longest", "lookups failed", "updates lost", "healed, run by run",
    )  # fmt: skip
    rows: list[Sequence[Part]] = []
    for one in scenarios:
        verdict = next(verdict for verdict in _WORST if one.count(verdict))
        bars = trend.draw(
            f"{one.name}: time to heal",
            "healed_s",
            [(run.record.verdict, run.record.figures.get("healed_s")) for run in one.runs],
        )
        rows.append(
            (
                element("span", {"title": one.newest.title, "class": "name"}, one.name),
                badge(verdict),
                str(len(one.runs)), str(one.count(Verdict.VALID)), _spread(one.noticed()),
                _spread(one.spread("healed_s")), _count(one.total("lookups_failed_count")),
                _count(one.total("updates_lost_count")), bars,
            )
        )  # fmt: skip
    return table(headings, rows, numbers=range(2, 8)) if rows else element("p", {}, "None.")


def _failures(runs: Sequence[Run]) -> Markup:
    failures = failures_of(runs)
    if not failures:
        return element("p", {}, "Nothing failed.")
    rows: list[Sequence[Part]] = []
    for what, those in failures.items():
        names = dict.fromkeys(one.record.scenario for one in those)
        cases = [
            _to_page(one, f"{one.record.scenario} {one.record.seed}")
            for one in those[-CASES_SHOWN_MAX:]
        ]
        more = len(those) - len(cases)
        told = join([*cases, *([f"{more} more"] if more else [])], ", ")
        rows.append((what, str(len(those)), str(len(names)), told))
    return table(("what", "runs", "scenarios", "the newest"), rows, numbers=(1, 2))


def _series(series: Sequence[tuple[str, Series]]) -> Markup:
    rows: list[Sequence[Part]] = []
    for page, one in reversed(series):
        name = f"gradual {one.ramp}" if isinstance(one, Climb) else "blast"
        where = f"{len(one.nodes)} {one.cluster}"
        told = element("span", {"class": "long"}, one.result)
        date = one.started_at[:19].replace("T", " ")
        rows.append((date, link(page, f"{name}, seed {one.seed}"), where, told))
    return table(("date", "which", "cluster", "what came of it"), rows)


def _all(runs: Sequence[Run]) -> Markup:
    headings = (
        "date", "run", "verdict", "cluster", "noticed", "healed", "lookups failed",
        "updates lost", "because",
    )  # fmt: skip
    rows: list[Sequence[Part]] = []
    for one in list(reversed(runs))[:RUNS_SHOWN_MAX]:
        record = one.record
        noticed = noticed_s(record.figures)
        rows.append(
            (
                record.started_at[:19].replace("T", " "),
                _to_page(one, f"{record.scenario}, seed {record.seed}"),
                badge(record.verdict), f"{len(record.nodes)} {record.cluster}",
                "–" if noticed is None else value_of("_s", noticed),
                _figure(record, "healed_s"), _figure(record, "lookups_failed_count"),
                _figure(record, "updates_lost_count"),
                element("span", {"class": "long"}, record.reason or "–"),
            )
        )  # fmt: skip
    found = table(headings, rows, numbers=(4, 5, 6, 7))
    more = len(runs) - len(rows)
    if not more:
        return found
    return element("div", {}, found, element("p", {"class": "soft"}, f"{more:,} older runs."))


def _to_page(run: Run, text: str) -> Markup:
    return link(run.page, text)


def _figure(record: RunRecord, name: str) -> str:
    return value_of(name, record.figures[name]) if name in record.figures else "–"


def _count(value: float | None) -> str:
    return "–" if value is None else amount(value)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    return f"{value_of('_s', spread.median)} / {value_of('_s', spread.most)}"
