"""Mutants of what nodes come to agree on: forks and their proofs."""

from dataclasses import replace

from chaos.sim.plan import Fault, FaultKind, Role
from protocol.agreement.evidence import Evidence
from protocol.branch import Branch
from protocol.clocks import Instant
from protocol.commits import Head
from protocol.effects import Effect, Send
from protocol.intake import Intake, Taken
from protocol.wire.messages import DatagramKind

from .mutant import Mutant, Patch, small_plan

_FORKED = vars(Intake)["_forked"]


def _is_evidence(effect: Effect) -> bool:
    return isinstance(effect, Send) and effect.datagram[1] == DatagramKind.EVIDENCE


def _forked_in_silence(self: Intake, taken: Taken, evidence: Evidence, now: Instant) -> None:
    _FORKED(self, taken, evidence, now)
    taken.effects = [effect for effect in taken.effects if not _is_evidence(effect)]


def _settle_nothing(self: Branch, head: Head) -> None:
    return None


_A_LIAR = replace(small_plan(nodes=12, safety_s=8.0), villains=((11, Role.FORKER),))

AGREEMENT: tuple[Mutant, ...] = (
    Mutant(
        "hush-evidence",
        "who finds a fork keeps the proof to itself",
        "evidence",
        _A_LIAR,
        (Patch(Intake, "_forked", _forked_in_silence),),
    ),
    Mutant(
        "dispute-for-ever",
        "a merge does not end the dispute that it settles",
        "evidence",
        small_plan(
            Fault(FaultKind.OLD_DISK, 5.0, 5.5, (1,), amount=1.0),
            Fault(FaultKind.ISOLATE, 5.0, 12.0, (1,)),
            operations_per_s=4.0,
        ),
        (Patch(Branch, "_settle", _settle_nothing),),
    ),
)
"""In the order of the invariants."""
