"""`python -m benchmarks`: measure everything that can be measured here, into one table.

Writes `bench/results/DATE-COMMIT.json` and `.md`, and the pictures of curves beside them. Progress
goes to standard error, the table to standard output. Exit codes: 0; 1 if a suite failed; 2 if what
was asked for cannot be read; 130 after Ctrl-C, with what was found until then. Whether goals are
met is said in the table: a figure of a busy machine is not an error.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.report import ReportError, machine
from benchmarks.report.compare import changes, comparison
from benchmarks.report.drawing import DrawingError, draw
from benchmarks.report.pages import write_pages
from benchmarks.report.results import (
    FAILED,
    Outcome,
    Results,
    markdown,
    read_results,
    write_results,
)

from . import peers
from .measuring import end_on
from .running import Place, run
from .suites import MODES, SUITES, Mode, Suite

RESULTS = Path(__file__).parents[1] / "bench" / "results"
SAY_EVERY_S = 30.0
WIDTH = 160
LINE = 110
OK, SOME_FAILED, NOT_RUN, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked for."""
    arguments = _arguments(argv)
    # Also where a shell without job control has us ignore it: suites are ended by it.
    end_on(signal.SIGINT, signal.SIGTERM)
    try:
        if arguments.write_docs:
            return _write_docs(arguments.write_docs)
        if arguments.list:
            return _list()
        before = read_results(arguments.compare) if arguments.compare else None
        if arguments.result:
            results, code = read_results(arguments.result), OK
        else:
            results, code = _measure(arguments)
    except ReportError as error:
        _say(str(error))
        return NOT_RUN
    _print(markdown(results))
    if before is not None:
        _print(f"## Since {arguments.compare}\n\n" + comparison(changes(before, results)))
    return code


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [suite.name for suite in SUITES]
    modes = parser.add_mutually_exclusive_group()
    for mode in MODES:
        help_ = f"{_minutes(SUITES, mode):.0f} minutes in all"
        modes.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode, help=help_)
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=names, help="again for more"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="bench/results")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="say what has changed")
    parser.add_argument("--result", type=Path, metavar="FILE", help="show it; measure nothing")
    parser.add_argument(
        "--write-docs", type=Path, metavar="FILE", help="write its figures into docs/"
    )
    parser.add_argument("--list", action="store_true", help="the suites, with estimates")
    parser.add_argument("--no-install", action="store_true", help="install nothing from Debian")
    parser.set_defaults(mode="standard")
    return parser.parse_args(argv)


def _minutes(suites: Sequence[Suite], mode: Mode) -> float:
    return sum(suite.plans[mode].minutes for suite in suites)


def _list() -> int:
    for suite in SUITES:
        times = ", ".join(f"{mode} {suite.plans[mode].minutes:g} min" for mode in MODES)
        print(f"{suite.name:14} {suite.title} ({times})")
    return OK


def _measure(arguments: argparse.Namespace) -> tuple[Results, int]:
    mode: Mode = arguments.mode
    suites = [one for one in SUITES if not arguments.only or one.name in arguments.only]
    needed = [name for suite in suites for name in suite.peers]
    if arguments.no_install:
        for one in peers.missing(needed):
            _say(f"SKIPPED: {one.name} is not here ({one.use}), and nothing is to be installed")
    else:
        peers.install(peers.missing(needed), _say)
    at = datetime.now(UTC)
    about = machine.about(mode, at.strftime("%Y-%m-%d %H:%M UTC"))
    path = arguments.out / f"{at:%Y%m%d-%H%M%S}-{machine.commit() or 'unknown'}.json"
    place = Place(path.with_suffix(""))
    place.folder.mkdir(parents=True, exist_ok=True)
    _say(f"{len(suites)} suites, about {_minutes(suites, mode):.0f} minutes; into {path}")
    outcomes: list[Outcome] = []
    code = OK
    try:
        for number, suite in enumerate(suites, start=1):
            progress = _Progress(
                f"[{number}/{len(suites)}] {suite.name}", suite.plans[mode].minutes
            )
            outcomes.append(run(suite, mode, place, progress.tell))
            progress.end(outcomes[-1])
            write_results(path, Results(about, outcomes))
    except KeyboardInterrupt:
        _say("interrupted; the suite was ended, what was found until then is kept")
        code = INTERRUPTED
    results = Results(about, outcomes)
    write_results(path, results)
    _draw(results, place.folder)
    failed = any(one.status == FAILED for one in outcomes)
    return results, code or (SOME_FAILED if failed else OK)


def _draw(results: Results, folder: Path) -> None:
    for outcome in results.outcomes:
        for curve in outcome.found.curves:
            try:
                draw(curve, folder / f"{curve.name}.svg")
            except DrawingError as error:
                _say(f"SKIPPED: {curve.name}: {error}")


def _write_docs(path: Path) -> int:
    results = read_results(path)
    tried = {one.found.suite for one in results.outcomes}
    left = [suite.name for suite in SUITES if suite.name not in tried]
    if left:
        _say(f"what is said of all suites is left as it stands; not in the run: {', '.join(left)}")
    for written in write_pages(results, whole=not left):
        print(written)
    return OK


class _Progress:
    """Which suite, and how long yet: one line that is written again, or one now and then."""

    def __init__(self, title: str, minutes: float) -> None:
        self._title = title
        self._estimate_s = minutes * 60.0
        self._told_s = -SAY_EVERY_S
        self._rewrites = sys.stderr.isatty()

    def tell(self, passed_s: float, last: str) -> None:
        """So long has it run, and that it printed last."""
        line = f"{self._title} {_clock(passed_s)} of about {_clock(self._estimate_s)}  {last}"[
            :LINE
        ]
        if self._rewrites:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif passed_s - self._told_s >= SAY_EVERY_S:
            self._told_s = passed_s
            _say(line)

    def end(self, outcome: Outcome) -> None:
        """It is over."""
        if self._rewrites:
            print("\r\x1b[K", end="", file=sys.stderr)
        word = outcome.status if outcome.status == "done" else outcome.status.upper()
        why = f": {outcome.why}" if outcome.why else ""
        _say(f"{self._title} {word} in {_clock(outcome.took_s)}{why}")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _print(page: str) -> None:
    """On a terminal as a person reads it, else as it is."""
    if sys.stdout.isatty():
        Console(width=WIDTH).print(Markdown(page))
    else:
        print(page)


def _say(message: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
