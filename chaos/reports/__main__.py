"""`python -m chaos.reports DIR`: a page for each run below a directory, and one over all of them.

Rules this module keeps:

1. What cannot be read is named on standard error and in the overview; the rest is told.
2. The exit code is 0 if all was read, else 2; 64 for wrong usage.
"""

import argparse
import sys
from pathlib import Path

from chaos.cli.errors import UNKNOWN, USAGE, VALID
from chaos.cli.tables import plain, show

from . import document, overview, page, results, runs, summary


def main(words: list[str] | None = None) -> int:
    """Do it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.reports", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the directories of the runs lie")
    parser.add_argument(
        "--results", type=Path, metavar="PAGE", help="put a table of results into this page, too"
    )
    arguments = parser.parse_args(words)
    try:
        return _tell(arguments.directory, arguments.results)
    except (OSError, results.NoMarkersError) as error:
        sys.stderr.write(f"chaos.reports: {plain(str(error))}\n")
        return USAGE


def _tell(directory: Path, results_page: Path | None) -> int:
    for place in sorted(directory.iterdir()):
        if (place / document.RECORD).is_file():
            try:
                page.write(document.load(place), place)
            except document.UnreadableRecordError as error:
                sys.stderr.write(f"chaos.reports: {plain(str(error))}\n")
    found, refused = runs.runs_in(directory)
    show(summary.table_of([one.record for one in found]))
    show(f"\n  overview  {overview.write(found, directory, refused)}")
    if results_page is not None:
        results.write(found, results_page)
    return UNKNOWN if refused else VALID


if __name__ == "__main__":
    sys.exit(main())
