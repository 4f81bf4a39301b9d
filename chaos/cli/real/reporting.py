"""`kith chaos report`: pages made anew from the records of runs, and one over all of them.

Rules this module keeps:

1. What cannot be read is named, and makes the exit code 2; the rest is told.
"""

from collections.abc import Sequence
from pathlib import Path

from chaos.cli.errors import UNKNOWN, VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import section, show
from chaos.reports import document, overview, page, results, runs, summary
from chaos.reports.reading import UnreadableRecordError
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
    found: list[runs.Run] = []
    refused: list[str] = []
    pages: list[str] = []
    try:
        for directory in directories:
            here, bad, made = _made_anew(directory)
            found += here
            refused += bad
            pages += made
        if write_docs is not None:
            results.write(found, write_docs)
    except results.NoMarkersError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", exit_code=UNKNOWN) from None
    if not found and not refused:
        names = ", ".join(map(str, directories))
        raise CommandError(f"no run is in {names}", hint="kith chaos run SCENARIO makes some")
    _tell([one.record for one in found], refused, pages, as_json=as_json)
    return UNKNOWN if refused else VALID


def _made_anew(directory: Path) -> tuple[list[runs.Run], list[str], list[str]]:
    """The runs of a directory, what could not be read, and the page to look at. Raises OSError."""
    if (directory / document.RECORD).is_file():
        try:
            record = document.load(directory)
        except UnreadableRecordError as error:
            return [], [str(error)], []
        made = page.write(record, directory)
        return [runs.Run(record, str(made))], [], [str(made)]
    for place in sorted(directory.iterdir()):
        if (place / document.RECORD).is_file():
            _made_anew(place)  # what it refuses is refused again below
    found, refused = runs.runs_in(directory)
    if not found:
        return found, refused, []
    return found, refused, [str(overview.write(found, directory, refused))]


def _tell(
    records: Sequence[RunRecord], refused: list[str], pages: list[str], *, as_json: bool
) -> None:
    if as_json:
        table: list[Json] = [
            {"scenario": r.scenario, "seed": r.seed, "verdict": r.verdict.value} for r in records
        ]
        show(json_text({"runs": table, "unreadable": [*refused], "pages": [*pages]}))
        return
    show(section("all runs", summary.table_of(records)))
    show("\n".join([f"unreadable: {name}" for name in refused] + pages))
