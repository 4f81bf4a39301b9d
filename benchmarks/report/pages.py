"""Figures in the documentation: between two marks, written by a program, never by hand.

    <!-- figures: lookups -->
    …
    <!-- /figures -->

What stands between is replaced. The name is a suite's (its table and its pictures), `promised` (all
figures that have a goal), `about` (where and when) or `headline` (a few of all, for the README). A
suite that was not measured in the run leaves what stands there, with its own date.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .drawing import draw
from .results import DONE, Outcome, Results, about_table, verdicts
from .shape import ReportError
from .table import row, spread, table

ROOT = Path(__file__).parents[2]
PAGES = ("docs/PERFORMANCE.md", "README.md")
FIGURES = "docs/figures"
PICTURES = "figures"
"""As the page that shows them calls their folder."""
HEADLINE = (
    ("lookups", "lookups"),
    ("lookups", "lookup, p99"),
    ("registrations", "durable registrations"),
    ("registrations", "durable registration, p99"),
    ("cluster", "an update on all others, p50"),
    ("cluster", "a killed node noticed by all"),
    ("cluster", "idle traffic of a node"),
    ("cluster", "idle processor time of a node"),
    ("cluster", "resident memory of a node"),
    ("cluster", "join burst: all started at once, until all see all"),
)
OPEN, CLOSE, END = "<!-- figures: ", " -->", "<!-- /figures -->"


def write_pages(results: Results, *, whole: bool, root: Path = ROOT) -> list[Path]:
    """Write all that the run has into the pages.

    Args:
        results: of the run.
        whole: every suite was run: then what is said of all of them is written too.
        root: of the checkout.

    Returns:
        The files that were written.

    Raises:
        DrawingError: matplotlib is not installed.
        ReportError: a page has a mark that nothing closes.
    """
    written = []
    for outcome in results.outcomes:
        for curve in outcome.found.curves:
            written.append(root / FIGURES / f"{curve.name}.svg")
            draw(curve, written[-1])
    found = parts(results, whole=whole)
    for name in PAGES:
        path = root / name
        before = path.read_text(encoding="utf-8")
        after = replaced(before, found)
        if after != before:
            path.write_text(after, encoding="utf-8")
            written.append(path)
    return written


def parts(results: Results, *, whole: bool) -> dict[str, str]:
    """What can stand between marks, by name."""
    found = {}
    if whole:
        found = {
            "about": about_table(results),
            "promised": verdicts(results),
            "headline": headline(results),
        }
    for outcome in results.outcomes:
        if outcome.status == DONE and outcome.found.measurements:
            text = f"{caption(results, outcome)}\n\n{table(outcome.found.measurements)}"
            pictures = [
                f"![{one.title}]({PICTURES}/{one.name}.svg)" for one in outcome.found.curves
            ]
            found[outcome.found.suite] = "\n\n".join([text, *pictures])
    return found


def headline(results: Results) -> str:
    """A few figures in one small table: medians, and the worst of the rounds in brackets."""
    measured = {(suite, one.name): one for suite, one in results.measurements()}
    lines = [row(("", "Kith", "beside", "ratio")), row("---" for _ in range(4))]
    for key in HEADLINE:
        if (one := measured.get(key)) is not None:
            peer = f"{one.peer.name} {spread(one.peer.spread)} {one.unit}" if one.peer else ""
            ratio = f"{spread(one.ratio)} ({one.way})" if one.ratio else ""
            lines.append(row((one.name, f"**{spread(one.kith)}** {one.unit}", peer, ratio)))
    about = results.about
    told = f"{about.get('machine', '')}; {about.get('versions', '')}; {about.get('when', '')}"
    return "\n".join([f"Medians (least–most of the rounds). {told}.", "", *lines])


def caption(results: Results, outcome: Outcome) -> str:
    """One sentence above a suite's table, since suites may come from different runs."""
    about = results.about
    when, commit, load = (
        about.get(key, "unknown") for key in ("when", "commit", "load average before")
    )
    return (
        f"`{outcome.command}`, {when}, commit {commit}, load average before the run {load};"
        " medians (least–most of the rounds)."
    )


def replaced(page: str, found: Mapping[str, str]) -> str:
    """The page with what stands between known marks replaced.

    Raises:
        ReportError: a mark is not closed.
    """
    lines: list[str] = []
    skipped = ""
    for line in page.splitlines():
        if line == END:
            skipped = ""
        name = name_in(line)
        if name and skipped:
            break
        if not skipped:
            lines.append(line)
        if name in found:
            lines += ["", found[name], ""]
            skipped = name
    if skipped:
        raise ReportError(f"nothing closes the mark of the figures {skipped!r}")
    return "\n".join(lines) + "\n"


def name_in(line: str) -> str:
    """The name in an opening mark; empty in any other line."""
    if line.startswith(OPEN) and line.endswith(CLOSE):
        return line.removeprefix(OPEN).removesuffix(CLOSE)
    return ""


def marks(page: str) -> Sequence[str]:
    """The names of all marks of a page, in order."""
    return [name for line in page.splitlines() if (name := name_in(line))]
