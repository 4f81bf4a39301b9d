"""`kith chaos report`: pages made anew from the records of runs, and one over all of them."""

from collections.abc import Sequence
from pathlib import Path

from chaos.cli.errors import UNKNOWN, VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import section, show
from chaos.reports import document, overview, page, results, runs, summary
from chaos.reports.reading import UnreadableRecordError


def run(directories: Sequence[Path], write_docs: Path | None, *, as_json: bool) -> int:
    """Write the pages, and the table into `write_docs`; the exit code.

    Raises:
        CommandError: no run is there, or a record or a page cannot be read or written.
    """
    found: list[runs.Run] = []
    refused: list[str] = []
    pages: list[str] = []
    try:
        for directory in directories:
            if (directory / document.RECORD).is_file():
                record = document.load(directory / document.RECORD)
                found.append(runs.Run(record, str(page.write(record, directory))))
                continue
            below, bad = runs.runs_in(directory)
            found += below
            refused += bad
            if below:
                pages.append(str(overview.write(below, directory, bad)))
        if write_docs is not None:
            results.write(found, write_docs)
    except UnreadableRecordError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    except results.NoMarkersError as error:
        raise CommandError(str(error), exit_code=UNKNOWN) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", exit_code=UNKNOWN) from None
    if not found:
        names = ", ".join(map(str, directories))
        raise CommandError(f"no run is in {names}", hint="kith chaos run SCENARIO makes some")
    records = [one.record for one in found]
    if as_json:
        table: list[Json] = [
            {"scenario": r.scenario, "seed": r.seed, "verdict": r.verdict.value} for r in records
        ]
        show(json_text({"runs": table, "unreadable": list(refused)}))
    else:
        show(section("all runs", summary.table_of(records)))

        show("\n".join([f"unreadable: {name}" for name in refused] + pages))
    return VALID
