"""`kith chaos report`: pages made anew from the records of runs, and one over all of them.

The runs of a climb or a blast count for that alone: what breaks there was looked for.

Rules this module keeps:

1. What cannot be read is named, and makes the exit code 2; the rest is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.cli.errors import UNKNOWN, VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import section, show
from chaos.reports import document, overview, page, results, runs, summary
from chaos.reports.reading import UnreadableRecordError
from chaos.reports.series import document as series
from chaos.reports.series import pages
from chaos.reports.series.document import SERIES, Series
from chaos.running.record import RunRecord


def run(directories: Sequence[Path], write_docs: Path | None, *, as_json: bool) -> int:
    """Write the pages, and the table into `write_docs`; the exit code.

    Args:
        directories: of one run each, or of many.
        write_docs: a page of documentation with markers.
        as_json: tell programs.

    Raises:
        CommandError: no run is there, or a page cannot be written.
    """
    made = _Made()
    try:
        for directory in directories:
            made.add(_made_anew(directory))
        if write_docs is not None:
            results.write(made.found, write_docs)
    except results.NoMarkersError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", exit_code=UNKNOWN) from None
    if not made.found and not made.refused and not made.pages:
        names = ", ".join(map(str, directories))
        raise CommandError(f"no run is in {names}", hint="kith chaos run SCENARIO makes some")
    _tell([one.record for one in made.found], made.refused, made.pages, as_json=as_json)
    return UNKNOWN if made.refused else VALID


@dataclass(slots=True)
class _Made:
    """What was read and written."""

    found: list[runs.Run] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What could not be read, with why."""
    pages: list[str] = field(default_factory=list)
    """Those to look at."""

    def add(self, other: "_Made") -> None:
        self.found += other.found
        self.refused += other.refused
        self.pages += other.pages


def _made_anew(directory: Path) -> _Made:
    """The pages of a run, of a climb or a blast with its runs, or of a directory of many.

    Raises OSError.
    """
    if (directory / document.RECORD).is_file():
        return _run_anew(directory)
    places = sorted(one for one in directory.iterdir() if one.is_dir())
    for place in places:
        if (place / document.RECORD).is_file():
            _run_anew(place)  # what it refuses is refused again below
    if (directory / SERIES).is_file():
        return _series_anew(directory)
    made = _Made()
    listed: list[tuple[str, Series]] = []
    for place in places:
        if (place / SERIES).is_file():
            one = _made_anew(place)
            made.refused += one.refused
            if one.pages:
                listed.append((f"{place.name}/{page.PAGE}", series.load(place)))
    found, refused = runs.runs_in(directory)
    made.found, made.refused = found, [*refused, *made.refused]
    if found or listed:
        made.pages.append(str(overview.write(found, directory, made.refused, listed)))
    return made


def _run_anew(directory: Path) -> _Made:
    try:
        record = document.load(directory)
    except UnreadableRecordError as error:
        return _Made(refused=[str(error)])
    made = page.write(record, directory)
    return _Made([runs.Run(record, str(made))], [], [str(made)])


def _series_anew(directory: Path) -> _Made:
    try:
        found = series.load(directory)
    except UnreadableRecordError as error:
        return _Made(refused=[str(error)])
    return _Made(pages=[str(pages.write(found, directory))])


def _tell(
    records: Sequence[RunRecord], refused: list[str], pages: list[str], *, as_json: bool
) -> None:
    if as_json:
        table: list[Json] = [
            {"scenario": r.scenario, "seed": r.seed, "verdict": r.verdict.value} for r in records
        ]
        show(json_text({"runs": table, "unreadable": [*refused], "pages": [*pages]}))
        return
    if records:
        show(section("all runs", summary.table_of(records)))
    show("\n".join([f"unreadable: {name}" for name in refused] + pages))
