"""Carries out trials, in one process or several, and keeps what they gave.

Rules this module keeps:

1. What a trial gives depends on the trial alone; how long it took is said on standard error only.
2. Results come in the order of the trials, whatever order they ended in.
"""

import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Generic, TypeVar

from benchmarks.measuring import say

from .journal import Journal

TrialT = TypeVar("TrialT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Kind(Generic[TrialT, ResultT]):
    """One kind of measurement. Trials and results are dataclasses of plain values."""

    name: str
    perform: Callable[[TrialT], ResultT]
    """A function of a module, so that another process can call it."""
    revive: Callable[[bytes], ResultT]
    """Reads a result that was written as JSON."""


class TrialError(Exception):
    """A trial ended in an exception; what was measured before it is kept."""

    def __init__(self, trial: object) -> None:
        super().__init__(f"{trial} failed")


def carry_out(
    kind: Kind[TrialT, ResultT], trials: Sequence[TrialT], journal: Journal, *, jobs: int
) -> list[ResultT]:
    """All results; only what the journal lacks is measured.

    Raises:
        TrialError: one failed.
    """
    pending = [trial for trial in trials if journal.find(trial) is None]
    if journal.stale:
        say(f"{kind.name}: {journal.stale} earlier results are of other code and left out")
    say(f"{kind.name}: {len(trials)} trials, {len(trials) - len(pending)} of them done before")
    for number, (trial, result, took_s) in enumerate(_results(kind, pending, jobs), 1):
        journal.add(trial, result)
        say(f"{kind.name}: {number} of {len(pending)}: {trial} took {took_s:.1f} s")
    found = [journal.find(trial) for trial in trials]
    return [kind.revive(written) for written in found if written is not None]


def _results(
    kind: Kind[TrialT, ResultT], trials: Sequence[TrialT], jobs: int
) -> Iterator[tuple[TrialT, ResultT, float]]:
    if jobs == 1 or len(trials) <= 1:
        for trial in trials:
            yield trial, *_timed(kind, trial)
        return
    # Forked, so that all trials run the code that was read at the start.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = {pool.submit(_timed, kind, trial): trial for trial in trials}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _timed(kind: Kind[TrialT, ResultT], trial: TrialT) -> tuple[ResultT, float]:
    began = time.monotonic()
    try:
        result = kind.perform(trial)
    except Exception as error:
        raise TrialError(trial) from error
    gc.collect()  # worlds are full of cycles, and the next one may need the room
    return result, time.monotonic() - began
