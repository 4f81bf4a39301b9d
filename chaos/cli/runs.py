"""One run: what was asked for, how it ended, and the line that repeats it.

Rules this module keeps:

1. `perform` returns what happened, also where the simulation raised: an exception in the core is
   something that the simulator found, and not the end of a sweep.
2. What it returns holds plain values only, so that it can cross between processes.
"""

import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeAlias

from chaos.mutants import mutated
from chaos.sim.plan import Plan
from chaos.sim.result import Result, Spread
from chaos.sim.run import run as simulate
from chaos.sim.swarm import draw
from chaos.sim.trace import TraceSink
from chaos.verdict import Finding, Verdict, overall

from .durations import format_s
from .errors import CommandError

PROFILE_DEFAULT = "swarm"
Progress: TypeAlias = Callable[[float, float], None]
"""Called with the virtual seconds that are done, and those in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a plan is drawn from; None leaves it to the seed."""

    seed: int
    profile: str = PROFILE_DEFAULT
    nodes: int | None = None
    safety_s: float | None = None
    mutant: str | None = None
    """The rule of the core that is broken on purpose, to see a checker at work."""

    def plan(self) -> Plan:
        """Draw the plan.

        Raises:
            PlanError: a value that no plan can have.
        """
        return draw(self.seed, profile=self.profile, nodes=self.nodes, safety_s=self.safety_s)

    def command(self) -> str:
        """The line that repeats the run. It gives what was given, as the rest hangs on the seed."""
        words = [f"kith sim --seed {self.seed}"]
        if self.nodes is not None:
            words.append(f"--nodes {self.nodes}")
        if self.safety_s is not None:
            words.append(f"--for {format_s(self.safety_s)}")
        words.append(f"--profile {self.profile}")
        if self.mutant is not None:
            words.append(f"--mutant {self.mutant}")
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run that came to its end: all of its result but the history."""

    request: Request
    plan: Plan
    findings: tuple[Finding, ...]
    latencies: dict[str, Spread]
    counts: dict[str, float]
    trace_hash: str
    virtual_s: float
    real_s: float

    @property
    def verdict(self) -> Verdict:
        """One word for all findings."""
        return overall(self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A run that ended in an exception, took too long, or took its process with it."""

    request: Request
    error: str
    """Type and message in one line."""
    where: str
    """The traceback; empty if there is none."""
    real_s: float


Ended: TypeAlias = Judged | Raised
Perform: TypeAlias = Callable[[Request], Ended]


def perform(
    request: Request, *, trace: TraceSink | None = None, progress: Progress | None = None
) -> Ended:
    """Draw the plan, run it, judge it.

    Raises:
        CommandError: the trace could not be written.
        BrokenPipeError: nobody reads the trace any more.
    """
    began = time.perf_counter()
    try:
        with nullcontext() if request.mutant is None else mutated(request.mutant):
            result = simulate(request.plan(), trace=trace, progress=progress)
    except (CommandError, BrokenPipeError):
        raise
    except Exception as error:  # whatever the core raises is what we look for
        return Raised(
            request=request,
            error=one_line(error),
            where=traceback.format_exc(),
            real_s=time.perf_counter() - began,
        )
    return judged(request, result, real_s=time.perf_counter() - began)


def judged(request: Request, result: Result, *, real_s: float) -> Judged:
    """What of a result is reported."""
    return Judged(
        request=request,
        plan=result.plan,
        findings=result.findings,
        latencies=result.latencies,
        counts=result.counts,
        trace_hash=result.trace_hash,
        virtual_s=result.history.end_s,
        real_s=real_s,
    )


def one_line(error: BaseException) -> str:
    """An exception as `Type: message`."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
