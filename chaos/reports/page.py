"""A run as one page of HTML: opened from the disk, read on a phone, sent by mail.

Rules this module keeps:

1. The page asks nobody for anything: style and pictures are in it, and there is no script.
2. Whatever came from nodes or files is text in it (`markup`), never markup.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.running.record import Moment, RunRecord

from . import sections
from .advice import advice_on
from .document import RECORD
from .logs import LogLine, excerpts
from .markup import Markup, Part, element, join, link
from .words import VERDICTS

PAGE = "report.html"
"""The file's name in a run's directory."""
STYLE = Path(__file__).with_name("page.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""So that a browser holds the page to rule 1."""


def write(record: RunRecord, directory: Path) -> Path:
    """Write the page into the run's directory, and say where. Raises OSError."""
    page = directory / PAGE
    page.write_text(page_of(record, excerpts(record, directory)), encoding="utf-8")
    return page


def page_of(record: RunRecord, lines: Mapping[Moment, Sequence[LogLine]] | None = None) -> str:
    """The text of the page. `lines`: what the logs say around the worst moments."""
    body = [
        _head(record),
        sections.tiles(record),
        sections.section("Was it kept?", "invariants", sections.invariants(record.findings)),
        sections.section("What the scenario expected", "expected", sections.expectations(record)),
        sections.section("What happened when", "timeline", sections.time_line(record)),
        sections.section("How each node saw the others", "members", sections.members(record)),
        sections.section("What clients felt", "latency", sections.latencies(record)),
        sections.section("How updates spread", "coverage", sections.spreading(record)),
        sections.section("The worst moments", "moments", sections.moments(record, lines or {})),
        sections.section(
            "What to look at next", "advice", sections.recommendations(advice_on([record]))
        ),
        sections.section("All figures", "figures", sections.figures(record)),
        sections.section(
            "The scenario's file", "source",
            sections.folded("show it", element("pre", {}, record.source)),
        ),
        sections.section("Versions and means", "versions", sections.surroundings(record)),
        element("footer", {}, "All of this, for programs: ", link(RECORD, RECORD)),
    ]  # fmt: skip
    return whole(f"{record.verdict.value}: {record.scenario}, seed {record.seed}", body)


def whole(title: str, body: Sequence[Part]) -> str:
    """A whole document."""
    style = Markup(STYLE.read_text(encoding="utf-8"))
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, title),
        element("style", {}, style),
    )
    document = element(
        "html", {"lang": "en"}, head, element("body", {}, element("main", {}, *body))
    )
    return f"<!doctype html>\n{document}\n"


def _head(record: RunRecord) -> Markup:
    verdict = record.verdict
    facts = [
        ("scenario", record.scenario),
        ("cluster", f"{len(record.nodes)} nodes, {record.cluster}"),
        ("seed", str(record.seed)),
        ("date", record.started_at),
        ("took", f"{record.duration_s:.0f} s"),
        ("commit", record.commit),
        *((f"{kind}, made by", means) for kind, means in record.means.items()),
    ]
    parts: list[Part] = [
        element("p", {"class": "crumb"}, "Kith chaos report"),
        element("h1", {}, record.title or record.scenario),
        element(
            "div",
            {"class": f"verdict {verdict.value}"},
            element("span", {"class": "word"}, verdict.value),
            element("span", {}, VERDICTS[verdict]),
            *([element("p", {}, record.reason)] if record.reason else ()),
        ),
        element("p", {"class": "about"}, record.about),
        *sections.facts_and_replay(facts, record.replay),
    ]
    return element("header", {}, join(parts))
