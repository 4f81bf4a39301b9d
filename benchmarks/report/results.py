"""A whole run: what was measured where, suite by suite, and how each suite ended.

Written as JSON for programs and as Markdown for people; read back to be compared with another run
and to be written into the documentation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from .document import Document, load, parse
from .shape import Json, Measurement, ReportError, as_list, as_object, number, text
from .table import row, table

DONE, FAILED, SKIPPED = "done", "failed", "skipped"
ENDS = (DONE, FAILED, SKIPPED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one suite ended, and what it found."""

    title: str
    command: str
    status: str
    """One of `ENDS`."""
    why: str
    """It failed, or was skipped; empty if it did what it should."""
    took_s: float
    found: Document

    def document(self) -> Json:
        """As JSON."""
        return {
            "title": self.title,
            "command": self.command,
            "status": self.status,
            "why": self.why,
            "took_s": round(self.took_s, 1),
            **self.found.document(),
        }


@dataclass(frozen=True, slots=True)
class Results:
    """All suites of one run."""

    about: Mapping[str, str]
    """When, which mode, commit, versions, machine: words for people, by what they say."""
    outcomes: Sequence[Outcome] = field(default_factory=list)

    def document(self) -> Json:
        """As JSON."""
        return {
            "about": dict(self.about),
            "suites": [one.document() for one in self.outcomes],
        }

    def measurements(self) -> Iterator[tuple[str, Measurement]]:
        """Each with the name of its suite."""
        for outcome in self.outcomes:
            for one in outcome.found.measurements:
                yield outcome.found.suite, one


def write_results(path: Path, results: Results) -> None:
    """Write the JSON, and the same as Markdown beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(results.document(), option=orjson.OPT_INDENT_2))
    path.with_suffix(".md").write_text(markdown(results), encoding="utf-8")


def read_results(path: Path) -> Results:
    """What `write_results` wrote.

    Raises:
        ReportError: there is no such file, or it has another shape.
    """
    found = as_object(load(path), str(path))
    about = as_object(found.get("about"), f"{path}.about")
    outcomes = as_list(found.get("suites"), f"{path}.suites")
    return Results(
        {key: text(about, key, f"{path}.about") for key in about},
        [_outcome(one, f"{path}.suites[{at}]") for at, one in enumerate(outcomes)],
    )


def _outcome(value: object, where: str) -> Outcome:
    found = as_object(value, where)
    title, command, status, why = (
        text(found, key, where) for key in ("title", "command", "status", "why")
    )
    if status not in ENDS:
        raise ReportError(f"{where}.status is {status!r}, none of {', '.join(ENDS)}")
    return Outcome(
        title, command, status, why, number(found, "took_s", where), parse(value, where)
    )  # fmt: skip


def markdown(results: Results) -> str:
    """The run as a page: what was promised first, then each suite."""
    parts = ["# Benchmarks", about_table(results), "## What was promised", verdicts(results)]
    for outcome in results.outcomes:
        parts.append(f"## {outcome.title}")
        parts.append(f"`{outcome.command}`, {outcome.took_s:.0f} s.")
        if outcome.status != DONE or outcome.why:
            parts.append(f"**{outcome.status.upper()}**: {outcome.why}")
        if outcome.found.measurements:
            parts.append(table(outcome.found.measurements))
    return "\n\n".join(parts) + "\n"


def about_table(results: Results) -> str:
    """Where and when."""
    lines = [row((key, value)) for key, value in results.about.items()]
    return "\n".join([row(("", "")), row(("---", "---")), *lines])


def verdicts(results: Results) -> str:
    """Every figure that has a goal; and every suite that gave none because it did not run."""
    judged = [one for _, one in results.measurements() if one.goal]
    missing = [
        f"- {one.title}: **{one.status}**: {one.why}"
        for one in results.outcomes
        if one.status != DONE
    ]
    return "\n".join([table(judged, notes=False), *(["", *missing] if missing else [])])
