"""Programs that are run in the networks of several members, as nearly at one moment as can be.

Rules this module keeps:

1. All are started before any is given its input, so that none has to be loaded when it counts.
2. No shell; each ends within its time, and is killed if it does not.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

TIMEOUT_S = 20.0
_SAID_MAX = 500


@dataclass(frozen=True, slots=True)
class Job:
    """What is run, and what it is given."""

    words: Sequence[str]
    given: str = ""


def run_together(jobs: Sequence[Job]) -> list[str]:
    """Run all; for each what went wrong, or an empty text."""
    begun = [_begin(job) for job in jobs]
    for job, process in zip(jobs, begun, strict=True):
        if not isinstance(process, str):
            _give(process, job.given)
    return [process if isinstance(process, str) else _finish(process) for process in begun]


def _begin(job: Job) -> "subprocess.Popen[bytes] | str":
    try:
        return subprocess.Popen(  # noqa: S603 - our own words, no shell
            job.words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return f"{' '.join(job.words)}: {error}"


def _give(process: "subprocess.Popen[bytes]", text: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(text.encode())
        process.stdin.close()
    except OSError:
        return  # It ended already; its exit code says more.


def _finish(process: "subprocess.Popen[bytes]") -> str:
    shown = " ".join(map(str, process.args if isinstance(process.args, list) else [process.args]))
    assert process.stderr is not None
    with process.stderr:
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"{shown}: not done after {TIMEOUT_S:g} s"
        if not process.returncode:
            return ""
        said = " ".join(process.stderr.read().decode("utf-8", "replace").split())[-_SAID_MAX:]
    return f"{shown}: exit code {process.returncode}: {said}"
