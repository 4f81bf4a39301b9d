"""The same plan is the same run: in one process, in another, and under any hash seed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.sim.plan import Plan, Role
from chaos.sim.run import run
from chaos.sim.swarm import draw

ROOT = Path(__file__).parents[3]
PROGRAM = """
from chaos.sim.run import run
from chaos.sim.swarm import draw
print(run(draw({seed}, profile="{profile}", nodes=4, safety_s=8.0)).trace_hash)
"""


def small(seed: int, profile: str) -> Plan:
    return draw(seed, profile=profile, nodes=4, safety_s=8.0)


def hash_in_a_process_of_its_own(seed: int, profile: str, *, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seed=seed, profile=profile)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("profile", ["swarm", "joins", "crashes", "network"])
def test_a_run_repeated_is_the_same_run(profile: str) -> None:
    plan = small(3, profile)

    first, second = run(plan), run(plan)

    assert first.trace_hash == second.trace_hash
    assert first.history == second.history
    assert first.counts == second.counts
    assert first.findings == second.findings


def test_a_run_is_the_same_whatever_ran_before_it() -> None:
    plan = small(4, "swarm")
    first = run(plan)
    run(small(5, "crashes"))

    assert run(plan).trace_hash == first.trace_hash


def test_another_seed_is_another_run() -> None:
    plan = small(3, "calm")

    assert run(plan).trace_hash != run(replace(plan, seed=4)).trace_hash


@pytest.mark.parametrize("profile", ["swarm", "joins"])
def test_hash_seeds_and_processes_change_nothing(profile: str) -> None:
    here = run(small(6, profile)).trace_hash

    elsewhere = [
        hash_in_a_process_of_its_own(6, profile, hash_seed=hash_seed) for hash_seed in ("0", "4711")
    ]

    assert elsewhere == [here, here]


def test_byzantine_nodes_are_replayed_too() -> None:
    plan = Plan(
        seed=7,
        profile="villains",
        nodes=2 + len(Role),
        safety_s=4.0,
        liveness_s=2.0,
        villains=tuple((2 + place, role) for place, role in enumerate(Role)),
    )

    assert run(plan).trace_hash == run(plan).trace_hash
