"""`python -m chaos.durability sweep|kill`: nothing acknowledged is lost, tried on real nodes.

Exit codes: 0 valid, 1 invalid, 2 unknown (nothing was tried, or it could not be), 64 wrong usage.
The report goes to standard output, progress to standard error.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.cli.errors import INTERRUPTED, INVALID, UNKNOWN, USAGE, VALID
from chaos.cli.report import json_text
from chaos.cli.tables import show
from chaos.cluster.client import NoAnswerError
from chaos.cluster.processes import ProcessError
from chaos.verdict import Verdict

from . import report
from .killing import KillLoop, Round, play
from .recording import record, why_not
from .starting import start_some
from .strace import TraceError
from .sweep import Swept, sweep

UNSAFE = "--unsafe-no-sync"
EXIT_CODES = {Verdict.VALID: VALID, Verdict.INVALID: INVALID, Verdict.UNKNOWN: UNKNOWN}
OPERATIONS_MAX = 100_000
ROUNDS_MAX = 100_000
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
"""Thousands of directories are laid out; their model of a disk needs no real one below it."""


def main(words: Sequence[str] | None = None) -> int:
    """Run what the words ask for; the exit code."""
    parser = _parser()
    try:
        asked = parser.parse_args(words)
    except SystemExit as leaving:
        return USAGE if leaving.code else VALID
    begun = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="kith-durability-") as directory:
            verdict: Verdict = asked.run(asked, Path(directory), begun)
    except (ProcessError, TraceError, NoAnswerError) as error:
        sys.stderr.write(f"chaos.durability: {error}\n")
        return UNKNOWN
    except KeyboardInterrupt:
        return INTERRUPTED
    return EXIT_CODES[verdict]


def _sweep(asked: argparse.Namespace, directory: Path, begun: float) -> Verdict:
    missing = why_not()
    if missing:
        raise ProcessError(missing)
    say(f"recording {asked.operations:,} operations")
    recording = record(directory / "recorded", asked.operations, asked.seed, _options(asked))
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        swept = sweep(recording, Path(place), asked.seed, _tell_of_sweep)
        start_some(recording, Path(place), asked.seed, asked.start, swept, say)
    words = f"sweep --operations {asked.operations} --seed {asked.seed} --start {asked.start}"
    header = _header(asked, words, report.verdict_of_sweep(swept), begun)
    document, text = report.sweep_document(header, swept), report.sweep_text(header, swept)
    show(json_text(document) if asked.json else text)
    return header.verdict


def _kill(asked: argparse.Namespace, directory: Path, begun: float) -> Verdict:
    loop = KillLoop(directory, asked.seed, _options(asked))
    with loop.nodes:
        rounds = play(loop, asked.rounds, _tell_of_round)
    words = f"kill --rounds {asked.rounds} --seed {asked.seed}"
    header = _header(asked, words, report.verdict_of_rounds(rounds), begun)
    document, text = report.rounds_document(header, rounds), report.rounds_text(header, rounds)
    show(json_text(document) if asked.json else text)
    return header.verdict


def _header(asked: argparse.Namespace, words: str, verdict: Verdict, begun: float) -> report.Header:
    unsafe = f" {UNSAFE}" if asked.unsafe_no_sync else ""
    command = f"python -m chaos.durability {words}{unsafe}"
    return report.Header(command, verdict, time.perf_counter() - begun)


def _options(asked: argparse.Namespace) -> tuple[str, ...]:
    return (UNSAFE,) if asked.unsafe_no_sync else ()


def _tell_of_sweep(swept: Swept) -> None:
    say(f"{swept.points:,} points, {swept.directories:,} directories, {swept.invalid:,} invalid")


def _tell_of_round(one: Round) -> None:
    say(report.round_line(one))


def say(line: str) -> None:
    """Progress, beside the report."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos.durability", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    power = verbs.add_parser("sweep", help="let the power fail at every point of a recorded run")
    power.set_defaults(run=_sweep)
    power.add_argument(
        "--operations", type=_up_to(OPERATIONS_MAX), default=300, metavar="N",
        help="how many to record (%(default)s)",
    )  # fmt: skip
    power.add_argument(
        "--start", type=_up_to(1_000), default=10, metavar="N",
        help="on how many of the directories to start a real node as well (%(default)s)",
    )  # fmt: skip
    kill = verbs.add_parser("kill", help="kill -9 real nodes under load, round after round")
    kill.set_defaults(run=_kill)
    kill.add_argument(
        "--rounds", type=_up_to(ROUNDS_MAX), default=200, metavar="N",
        help="how many (%(default)s)",
    )  # fmt: skip
    for verb in (power, kill):
        verb.add_argument("--seed", type=int, default=1, help="of all that is drawn (%(default)s)")
        verb.add_argument("--json", action="store_true", help="print one JSON document")
        verb.add_argument(
            UNSAFE, action="store_true",
            help="run nodes that acknowledge before they write, to see that it is found",
        )  # fmt: skip
    return parser


def _up_to(most: int) -> Callable[[str], int]:
    """Reads a whole number from 0 to `most`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text[:9]) > most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {most:,}")
        return int(text[:9])

    return read


if __name__ == "__main__":
    sys.exit(main())
