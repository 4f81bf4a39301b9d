"""Runs made by hand, and ways for a run to end that workers can be given by name."""

import os
import signal
import threading
from dataclasses import dataclass
from typing import Protocol

from chaos.cli.runs import Ended, Judged, Raised, Request
from chaos.sim.plan import Fault, FaultKind, Plan, Role
from chaos.sim.result import Spread, spread
from chaos.verdict import Finding, Verdict

TINY = ("--nodes", "3", "--for", "1s", "--profile", "calm")
INVALID_SEED, RAISING_SEED, DYING_SEED, ENDLESS_SEED, UNKNOWN_SEED = 17, 13, 19, 23, 29
VALID_FINDING = Finding("P1", "set_full", Verdict.VALID, 120, figures={"visible_p99_s": 0.25})
BAD_FINDING = Finding("P2", "resurrection", Verdict.INVALID, 30, "n3 shows n1/web/w1 at 12.5 s")
EMPTY_FINDING = Finding("P10", "repeats", Verdict.UNKNOWN, 0)


@dataclass(frozen=True, slots=True)
class Typed:
    """How a command ended."""

    code: int
    out: str
    err: str


class Type(Protocol):
    """Types a command line."""

    def __call__(self, *words: str) -> Typed: ...


def judged(
    *findings: Finding,
    seed: int = 7,
    latencies: dict[str, Spread] | None = None,
    faults: tuple[Fault, ...] = (),
    nodes: int = 4,
) -> Judged:
    """A run that came to its end with these findings."""
    plan = Plan(
        seed=seed,
        profile="swarm",
        nodes=nodes,
        loss=0.05,
        villains=((2, Role.FORKER),),
        faults=faults,
        lost=(3,),
    )
    return Judged(
        request=Request(seed=seed, nodes=nodes),
        plan=plan,
        findings=findings or (VALID_FINDING, EMPTY_FINDING),
        latencies=latencies or {"update_all": spread([0.004, 0.001]), "heal": spread([])},
        counts={"datagrams": 123_456.0, "messages_node_s_max": 12.25},
        trace_hash="ab" * 16,
        virtual_s=20.0,
        real_s=0.5,
    )


def faulty() -> Judged:
    """A run with a fault of every form: groups, nodes, everyone, an amount or none."""
    return judged(
        VALID_FINDING,
        BAD_FINDING,
        EMPTY_FINDING,
        nodes=12,
        faults=(
            Fault(FaultKind.SPLIT, 5.0, 10.0, groups=((0, 1, 2, 3, 7), (4, 5, 6, 8, 9, 10, 11))),
            Fault(FaultKind.ONE_WAY, 6.0, 7.0, groups=((0,), (1,))),
            Fault(FaultKind.LOSS, 2.0, 30.0, amount=0.2),
            Fault(FaultKind.CRASH, 3.25, 12.0, nodes=(1, 3)),
            Fault(FaultKind.BANDWIDTH, 4.0, 5.0, nodes=(1,), amount=2500.0),
            Fault(FaultKind.CLOCK_JUMP, 4.5, 5.0, nodes=(1,), amount=-60.0),
        ),
    )


def raised(seed: int = RAISING_SEED) -> Raised:
    """A run that ended in an exception."""
    return Raised(
        request=Request(seed=seed), error="RuntimeError: boom", where="Traceback …\n", real_s=0.1
    )


def perform_by_seed(request: Request, **_: object) -> Ended:
    """Ends as the seed says; takes the place of a simulation, also in a worker."""
    seed = request.seed
    if seed == DYING_SEED:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == ENDLESS_SEED:
        threading.Event().wait()
    if seed == RAISING_SEED:
        return raised()
    if seed == INVALID_SEED:
        return judged(VALID_FINDING, BAD_FINDING, seed=seed)
    if seed == UNKNOWN_SEED:
        return judged(EMPTY_FINDING, seed=seed)
    return judged(seed=seed)
