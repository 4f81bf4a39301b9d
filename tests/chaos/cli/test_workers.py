"""Worker processes: real ones, which die, hang and are ended."""

import multiprocessing

import pytest

from chaos.cli.runs import Judged, Raised, Request
from chaos.cli.workers import Workers

from .situations import DYING_SEED, ENDLESS_SEED, perform_by_seed


def run_all(*seeds: int, jobs: int = 2, run_max_s: float = 60.0) -> dict[int, Judged | Raised]:
    """How each seed ended."""
    requests = [Request(seed=seed) for seed in seeds]
    with Workers(perform_by_seed, jobs=jobs, run_max_s=run_max_s) as workers:
        ended = list(workers.each(requests))
    assert len(ended) == len(seeds)
    return {one.request.seed: one for one in ended}


def test_every_request_is_answered_once() -> None:
    ended = run_all(*range(10))
    assert sorted(ended) == list(range(10))
    assert all(isinstance(one, Judged) for one in ended.values())


def test_no_more_processes_run_than_jobs_were_asked_for() -> None:
    with Workers(perform_by_seed, jobs=2, run_max_s=60) as workers:
        for _ in workers.each(Request(seed=seed) for seed in range(6)):
            assert len(multiprocessing.active_children()) <= 2
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_costs_its_own_request_only() -> None:
    ended = run_all(1, DYING_SEED, 2, 3, jobs=1)

    dead = ended.pop(DYING_SEED)
    assert isinstance(dead, Raised)
    assert dead.error == "ProcessDied: the process ended with signal SIGKILL"
    assert all(isinstance(one, Judged) for one in ended.values())


def test_several_that_die_at_once_are_all_answered() -> None:
    with Workers(perform_by_seed, jobs=2, run_max_s=60) as workers:
        ended = list(workers.each([Request(seed=DYING_SEED)] * 4))
    assert [type(one) for one in ended] == [Raised] * 4


def test_a_run_that_does_not_end_is_given_up() -> None:
    ended = run_all(ENDLESS_SEED, 1, 2, run_max_s=1.0)

    endless = ended.pop(ENDLESS_SEED)
    assert isinstance(endless, Raised)
    assert endless.error == "TookTooLong: not done after 1 s of real time"
    assert endless.real_s >= 1.0


def test_all_processes_end_with_the_context_also_those_at_work() -> None:
    def stop_at_the_first() -> None:
        with Workers(perform_by_seed, jobs=2, run_max_s=60) as workers:
            for _ in workers.each([Request(seed=1), Request(seed=ENDLESS_SEED)]):
                raise RuntimeError

    with pytest.raises(RuntimeError):
        stop_at_the_first()
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_while_another_is_answered_is_not_forgotten() -> None:
    answered = []
    with Workers(perform_by_seed, jobs=2, run_max_s=60) as workers:
        for one in workers.each([Request(seed=ENDLESS_SEED), Request(seed=1), Request(seed=2)]):
            answered.append(one.request.seed)
            if one.request.seed == 1:
                for process in multiprocessing.active_children():
                    process.kill()
                    process.join()
    assert sorted(answered) == [1, 2, ENDLESS_SEED]
