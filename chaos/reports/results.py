"""The table of results in a page of the documentation, between two markers, made from runs.

Rules this module keeps:

1. What lies outside of the markers is never touched; without them nothing is written.
2. The table names date and commit: a figure without them says nothing a month later.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from chaos.verdict import Verdict

from .runs import Run, ScenarioRuns, Spread, by_scenario
from .words import amount, value_of

BEGIN, END = "<!-- chaos results begin -->", "<!-- chaos results end -->"
HEADINGS = (
    "scenario", "runs", "valid", "noticed, median", "noticed, longest", "healed, median",
    "healed, longest", "lookups failed", "updates lost", "date", "commit",
)  # fmt: skip


class NoMarkersError(Exception):
    """The page has no place for the table; it was left as it was."""


def write(runs: Iterable[Run], page: Path) -> None:
    """Put the table of these runs into a page.

    Raises:
        NoMarkersError: it has no markers, or not in this order.
        OSError: it cannot be read or written.
    """
    text = page.read_text(encoding="utf-8")
    try:
        changed = with_results(text, runs)
    except NoMarkersError as error:
        raise NoMarkersError(f"{page}: {error}") from None
    page.write_text(changed, encoding="utf-8")


def with_results(text: str, runs: Iterable[Run]) -> str:
    """The text with the table between its markers. Raises NoMarkersError."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoMarkersError(f"write {BEGIN} and {END} on lines of their own, in this order")
    return f"{before}{BEGIN}\n\n{table_of(by_scenario(runs))}\n\n{END}{after}"


def table_of(scenarios: Sequence[ScenarioRuns]) -> str:
    """The table, a row each scenario; a sentence where there is none."""
    if not scenarios:
        return "No runs yet."
    lines = [_row(HEADINGS), _row(["---"] * 3 + ["---:"] * 6 + ["---"] * 2)]
    lines += [_row(_cells(one)) for one in scenarios]
    return "\n".join(lines)


def _cells(one: ScenarioRuns) -> list[str]:
    noticed, healed = one.noticed(), one.spread("healed_s")
    return [
        one.name,
        str(len(one.runs)),
        str(one.count(Verdict.VALID)),
        *_spread(noticed),
        *_spread(healed),
        _count(one.total("lookups_failed_count")),
        _count(one.total("updates_lost_count")),
        one.newest.started_at[:10],
        one.newest.commit.removeprefix("at commit "),
    ]


def _spread(spread: Spread | None) -> tuple[str, str]:
    if spread is None:
        return "–", "–"
    return value_of("_s", spread.median), value_of("_s", spread.most)


def _count(value: float | None) -> str:
    return "–" if value is None else amount(value)


def _row(cells: Iterable[str]) -> str:
    # A bar would end the cell, a line break the row.
    kept = (" ".join(cell.replace("|", "/").split()) for cell in cells)
    return "| " + " | ".join(kept) + " |"
