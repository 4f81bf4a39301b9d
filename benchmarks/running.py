"""Runs one suite as a process of its own, says how it goes, and reads what it found.

Rules this module keeps:

1. A suite that fails, hangs, or writes nonsense is an outcome with a reason; the run goes on.
2. A suite is ended as Ctrl-C ends it, so that it ends its own processes and removes their data; it
   is killed only if it does not end by then.
"""

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Document, ReportError, read
from benchmarks.report.results import DONE, FAILED, SKIPPED, Outcome

from .measuring import MISSED, NOT_RUN
from .suites import Mode, Suite

POLL_S = 0.2
END_GRACE_S = 40.0
"""Of a suite that was told to end: 32 nodes need some seconds to stop in order."""
ROOT = Path(__file__).parents[1]

Progress = Callable[[float, str], None]
"""Is told again and again: seconds since the start, and the last line that the suite printed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suite leaves its log and its figures."""

    folder: Path

    def log(self, suite: Suite) -> Path:
        """All that it printed."""
        return self.folder / f"{suite.name}.log"

    def figures(self, suite: Suite) -> Path:
        """What it found."""
        return self.folder / f"{suite.name}.json"


def run(suite: Suite, mode: Mode, place: Place, progress: Progress) -> Outcome:
    """Run one to its end.

    Raises:
        KeyboardInterrupt: it was ended.
    """
    begun = time.monotonic()
    command = [*suite.command(mode), "--json", str(place.figures(suite))]
    if importlib.util.find_spec(suite.module) is None:
        return _outcome(suite, mode, SKIPPED, f"there is no {suite.module}", 0.0)
    place.figures(suite).unlink(missing_ok=True)
    with place.log(suite).open("wb") as log:
        code = _run(
            [sys.executable, *command],
            log.fileno(),
            suite.limit_s(mode),
            place.log(suite),
            progress,
        )
    took_s = time.monotonic() - begun
    return _judged(suite, mode, code, took_s, place)


def _judged(suite: Suite, mode: Mode, code: int | None, took_s: float, place: Place) -> Outcome:
    last = last_line(place.log(suite))
    if code is None:
        return _outcome(
            suite, mode, FAILED, f"ended after {took_s:.0f} s: it hung ({last})", took_s
        )
    try:
        found = read(place.figures(suite))
    except ReportError as error:
        why = f"exit code {code}: {last}" if code else str(error)
        return _outcome(suite, mode, SKIPPED if code == NOT_RUN else FAILED, why, took_s)
    # Suites also exit with 1 if a goal is missed, which the table says better.
    told = code == MISSED and any(one.met is False for one in found.measurements)
    why = f"exit code {code}: {last}" if code and not told else ""
    return _outcome(suite, mode, DONE, why, took_s, found)


def _outcome(
    suite: Suite, mode: Mode, status: str, why: str, took_s: float, found: Document | None = None
) -> Outcome:
    command = " ".join(["python", *suite.command(mode)])
    document = found or Document(suite.name, [])
    # A suite is known by the name that the list gives it.
    named = Document(suite.name, document.measurements, document.curves, document.about)
    return Outcome(suite.title, command, status, why, took_s, named)


def _run(
    command: Sequence[str], log: int, limit_s: float, path: Path, progress: Progress
) -> int | None:
    """Its exit code; None if it was ended because it took too long."""
    begun = time.monotonic()
    # A session of its own: Ctrl-C reaches this process alone, which then ends the suite.
    child = subprocess.Popen(
        command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True
    )  # fmt: skip
    try:
        while (code := child.poll()) is None:
            passed_s = time.monotonic() - begun
            if passed_s > limit_s:
                return None
            progress(passed_s, last_line(path))
            time.sleep(POLL_S)
        return code
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(END_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def last_line(log: Path, bytes_max: int = 2_000) -> str:
    """What a suite said last that is not empty."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - bytes_max))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
